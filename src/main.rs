//! The command-line program.

use std::process::ExitCode;

fn main() -> ExitCode {
    detfs::run(std::env::args_os())
}
