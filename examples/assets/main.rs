//! Writes the manual pages and shell completions of `detfs`, which are generated from the
//! definition of its command line: `cargo run --example assets -- DIR`.

mod generate;

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    match std::env::args_os().nth(1) {
        Some(directory) => generate::generate(Path::new(&directory)),
        None => Err(io::Error::other("give the directory to write to")),
    }
}
