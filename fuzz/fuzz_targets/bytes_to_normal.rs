#![no_main]

use detfs_fuzz::BytesToNormal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: BytesToNormal| {
    input.check();
});
