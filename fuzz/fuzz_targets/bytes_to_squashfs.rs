#![no_main]

use detfs_fuzz::BytesToSquashfs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: BytesToSquashfs| {
    input.check();
});
