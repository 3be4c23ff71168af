#![no_main]

use detfs_fuzz::BytesToDefinitions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: BytesToDefinitions| {
    input.check();
});
