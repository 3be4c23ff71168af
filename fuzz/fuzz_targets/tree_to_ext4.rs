#![no_main]

use detfs_fuzz::TreeToExt4;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: TreeToExt4| {
    input.check();
});
