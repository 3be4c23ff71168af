#![no_main]

use detfs_fuzz::BytesToErofs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: BytesToErofs| {
    input.check();
});
