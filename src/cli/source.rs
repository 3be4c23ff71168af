//! Sources of trees: directories and tar archives.

use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::spool;
use crate::error::{Error, Result};
use crate::tar::Tar;
use crate::tree::{Directory, Source};

/// Name of standard input in messages.
const STDIN: &str = "standard input";

/// Opens the source at a path: a tar archive if it is a file, a pipe or `-` for standard input,
/// and otherwise a directory.
pub(super) fn source(path: &Path) -> Result<Box<dyn Source>> {
    if path.as_os_str() == "-" {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let rule = "an archive is not read from a terminal";
            return Err(Error::parameter("tree", rule, "redirect standard input, or give a file"));
        }
        let file = stdin.as_fd().try_clone_to_owned().map(File::from);
        let file = file.map_err(|error| Error::source(STDIN, "cannot read", error))?;
        return Ok(Box::new(Tar::from_file(file, STDIN)?.with_spool(spool())));
    }
    match is_archive(path) {
        true => Ok(Box::new(Tar::open(path)?.with_spool(spool()))),
        false => Ok(Box::new(Directory::new(path))),
    }
}

/// Returns whether there is a file or a pipe at a path.
pub(super) fn is_archive(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() || found.file_type().is_fifo())
}
