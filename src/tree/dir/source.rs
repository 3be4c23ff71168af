//! The content of files in a directory, which are opened again when they are needed and checked to
//! be the files that were listed.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use rustix::fd::OwnedFd;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::descriptor::{READ, open_entry, stamp, status};
use super::records::Records;
use super::walker::Walker;
use crate::error::{Error, Result};
use crate::tree::{ContentReader, ContentSource};

/// Content source for the files of a directory.
#[derive(Debug)]
pub(super) struct DirSource {
    root: Arc<OwnedFd>,
    records: Arc<Records>,
    /// Walkers that no thread uses. The last one is at the directory where a file was last opened.
    walkers: Mutex<Vec<Walker>>,
}

struct DirReader {
    file: File,
    index: u32,
    records: Arc<Records>,
}

fn changed(path: &[u8], rule: &str) -> Error {
    Error::Changed { path: path.to_vec(), rule: rule.into() }
}

impl DirSource {
    pub(super) fn new(root: Arc<OwnedFd>, records: Records) -> Self {
        Self { root, records: Arc::new(records), walkers: Mutex::default() }
    }

    fn open_file(&self, index: u32) -> rustix::io::Result<OwnedFd> {
        let walkers = || self.walkers.lock().expect("no thread panics with the lock");
        let (directory, name) = self.records.file(index);
        let mut walker = walkers().pop().unwrap_or_else(|| Walker::new(Arc::clone(&self.root)));
        let opened = walker.go(directory, |from| self.records.route(from, directory));
        let file = opened.and_then(|(fd, _)| open_entry(fd, name, READ));
        walkers().push(walker);
        file
    }
}

impl ContentSource for DirSource {
    fn open(&self, index: u32, path: &dyn Fn() -> Vec<u8>) -> Result<Box<dyn ContentReader>> {
        match self.open_file(index) {
            Ok(fd) => {
                let records = Arc::clone(&self.records);
                Ok(Box::new(DirReader { file: fd.into(), index, records }))
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => {
                Err(changed(&path(), "it was removed or replaced after the tree was listed"))
            }
            Err(error) => Err(Error::source(path(), "cannot open", error)),
        }
    }
}

impl DirReader {
    fn path(&self) -> Vec<u8> {
        self.records.path_of_file(self.index)
    }
}

impl ContentReader for DirReader {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).or_else(|error| {
            // If the file became shorter or was replaced, report it as changed.
            self.verify()?;
            Err(Error::source(self.path(), "cannot read", error))
        })
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }

    fn next_data(&self, range: Range<u64>) -> Option<Range<u64>> {
        if range.is_empty() {
            return None;
        }
        let start = match seek(&self.file, SeekFrom::Data(range.start)) {
            Ok(start) if start >= range.end => return None,
            Ok(start) => start,
            // Only a hole follows. (If the file has become shorter, `verify` detects it later.)
            Err(Errno::NXIO) => return None,
            // The host can't tell.
            Err(_) => return Some(range),
        };
        match seek(&self.file, SeekFrom::Hole(start)) {
            Ok(end) if end > start => Some(start..end.min(range.end)),
            _ => Some(start..range.end),
        }
    }

    // Verifying once, after the last read, is enough: any earlier change is still visible then.
    fn verify(&self) -> Result<()> {
        match status(&self.file) {
            Ok(status) if stamp(&status) == self.records.stamp(self.index) => Ok(()),
            Ok(_) => {
                Err(changed(&self.path(), "it was changed or replaced after the tree was listed"))
            }
            Err(error) => Err(Error::source(self.path(), "cannot read its status", error)),
        }
    }
}
