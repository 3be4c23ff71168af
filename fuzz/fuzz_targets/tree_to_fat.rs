#![no_main]

use detfs_fuzz::TreeToFat;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: TreeToFat| {
    input.check();
});
