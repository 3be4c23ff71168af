#![no_main]

use detfs_fuzz::BytesToGpt;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: BytesToGpt| {
    input.check();
});
