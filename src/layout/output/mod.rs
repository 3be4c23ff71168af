//! Output to a file, a block device or a stream.
//!
//! A file appears complete or not at all. It is written without a name (`O_TMPFILE`) and named at
//! the end, or under a temporary name on a file system without `O_TMPFILE`. A block device keeps
//! none of its old bytes within the image, since zeros are written to it as well. The same applies
//! to the parts of an existing image that are overwritten.

mod clear;
mod destination;
mod device;
mod head;
mod name;
mod publish;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, copy_file_range, fallocate, fstatvfs, ioctl_ficlone};
use rustix::io::Errno;

use super::sink::{Sink, zero_slices};
use crate::error::{Error, Result};
use crate::name::Escaped;
use clear::clear;
pub use destination::Destination;
use head::Head;
use name::Pending;
pub use publish::publish;

/// An image being written. If dropped before [`Output::finish`], it leaves no file.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: File,
    kind: Kind,
    /// Whether to flush the image to the disk.
    sync: bool,
    /// Whether to deallocate old content that is replaced by zeros.
    discard: bool,
}

#[derive(Debug)]
enum Kind {
    Stream,
    /// A device that is overwritten as a whole.
    Device(Head),
    /// A file or device that is partly overwritten.
    Existing,
    File {
        name: Pending,
        /// Size of the units in which the file system can share data, if it can.
        unit: Option<u64>,
        /// The kernel lets one thread at a time write to a file, and the others spin. With this
        /// lock they sleep, which takes a quarter less processor time.
        write_lock: Mutex<()>,
    },
}

impl Output {
    /// Opens an existing image for partial overwriting: a file or block device, open for reading
    /// and writing.
    ///
    /// The image keeps its size, and after a failure it keeps what was written so far. With `sync`,
    /// it is flushed to the disk; with `discard`, zeros are deallocated.
    #[must_use]
    pub fn update(path: &Path, file: File, sync: bool, discard: bool) -> Self {
        Self { path: path.into(), file, kind: Kind::Existing, sync, discard }
    }

    /// Returns the underlying file with what was written so far.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Allocates the first `size` bytes.
    ///
    /// # Errors
    /// [`Error::Output`] if there is not enough space.
    pub fn allocate(&self, size: u64) -> Result<()> {
        let allocated = fallocate(&self.file, FallocateFlags::empty(), 0, size);
        allocated.map_err(|error| Error::output(format!("cannot allocate {}", self.name()), error))
    }

    /// Flushes the output to the disk, and names it if it is a file.
    ///
    /// # Errors
    /// The errors of [`publish`].
    pub fn finish(self) -> Result<()> {
        publish([self])
    }

    /// Flushes everything written so far before anything else is written, unless the output is a
    /// file without a name, which is not visible yet.
    ///
    /// # Errors
    /// [`Error::Output`] if flushing fails.
    pub fn barrier(&self) -> Result<()> {
        match self.kind {
            Kind::Device(_) | Kind::Existing => self.flush(),
            Kind::Stream | Kind::File { .. } => Ok(()),
        }
    }

    /// Flushes the output to the disk, unless it is a stream. Afterwards, no remaining step needs
    /// free space.
    ///
    /// # Errors
    /// [`Error::Output`] if flushing fails.
    pub fn flush(&self) -> Result<()> {
        if !self.sync || matches!(self.kind, Kind::Stream) {
            return Ok(());
        }
        self.file.sync_all().map_err(|error| {
            Error::output(format!("cannot write {} to the disk", self.name()), error)
        })
    }
}

impl Sink for Output {
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.kind {
            Kind::Stream => (&self.file).write_all(bytes),
            Kind::Existing => self.file.write_all_at(bytes, offset),
            Kind::Device(ref head) => {
                let taken = head.take(offset, bytes);
                self.file.write_all_at(&bytes[taken..], offset + taken as u64)
            }
            Kind::File { write_lock: ref turn, .. } => {
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                self.file.write_all_at(bytes, offset)
            }
        }
    }

    fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        match self.kind {
            Kind::Stream => zero_slices(len).try_for_each(|zeros| (&self.file).write_all(zeros)),
            Kind::Existing => clear(&self.file, self.discard, offset, len),
            Kind::Device(ref head) => {
                let cleared = head.covers(offset, len);
                clear(&self.file, self.discard, offset + cleared, len - cleared)
            }
            Kind::File { .. } => Ok(()),
        }
    }

    fn share(&self, offset: u64, source: &File, from: u64, len: u64) -> u64 {
        let Kind::File { unit: Some(unit), .. } = self.kind else { return 0 };
        if !offset.is_multiple_of(unit) || !from.is_multiple_of(unit) {
            return 0;
        }
        // On such a file system, a copy between two files shares all blocks that it can.
        let (whole, mut done) = (len - len % unit, 0);
        while done < whole {
            let (mut input, mut output) = (from + done, offset + done);
            let left = usize::try_from(whole - done).unwrap_or(usize::MAX);
            match copy_file_range(source, Some(&mut input), &self.file, Some(&mut output), left) {
                Ok(0) | Err(_) => break,
                Ok(copied) => done += copied as u64,
            }
        }
        done
    }

    fn in_order(&self) -> bool {
        matches!(self.kind, Kind::Stream)
    }

    fn name(&self) -> String {
        text(&self.path)
    }
}

fn text(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "the standard output".into(),
        false => Escaped(path.as_os_str().as_encoded_bytes()).to_string(),
    }
}

fn exists(path: &Path) -> Error {
    Error::parameter(
        "output",
        format!("{} exists", text(path)),
        "use another name, or `output.force` to replace it",
    )
}

/// Returns the block size of the file system if it can share blocks between files.
fn sharing_unit(file: &File) -> Option<u64> {
    // Cloning a file onto itself always fails, but with a different error where cloning is
    // supported. Elsewhere the kernel's copy is not used: it is no faster than reading and writing,
    // which combines many small files into one call.
    match ioctl_ficlone(file, file) {
        Err(Errno::INVAL) => fstatvfs(file).ok().map(|stat| stat.f_bsize),
        _ => None,
    }
}
