#![no_main]

use detfs_fuzz::BytesToTar;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: BytesToTar| {
    input.check();
});
