//! Where an image goes on this machine: a file, a block device or a stream.
//!
//! A file appears whole or not at all. It is written without a name (`O_TMPFILE`), and gets one at
//! the end; where a file system can't do that, under a temporary name. A block device keeps none
//! of its old bytes within the image: zeros are written to it as well. So are they to an image
//! that is there already and of which a part is written anew.

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

/// An image that is being written. One that is dropped before [`Output::finish`] leaves no file.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: File,
    kind: Kind,
    /// Whether it is written through to the disk.
    sync: bool,
    /// Whether zeros that replace old content take no space.
    discard: bool,
}

#[derive(Debug)]
enum Kind {
    Stream,
    /// A device that is written over as a whole.
    Device(Head),
    /// A file or device of which a part is overwritten.
    Existing,
    File {
        name: Pending,
        /// The file system can share whole units of so many bytes.
        unit: Option<u64>,
        /// The kernel lets one thread at a time write to a file, and the others spin. Here they
        /// sleep, which takes a quarter less of the processors' time.
        write_lock: Mutex<()>,
    },
}

impl Output {
    /// An image that is there already, a file or block device that can be read and written, to
    /// write some of it anew. It keeps its size, and what is written when something fails.
    ///
    /// With `sync` it is written through to the disk, and with `discard` zeros take no space.
    #[must_use]
    pub fn update(path: &Path, file: File, sync: bool, discard: bool) -> Self {
        Self { path: path.into(), file, kind: Kind::Existing, sync, discard }
    }

    /// What is written so far.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Takes the space of all of it now.
    ///
    /// # Errors
    /// [`Error::Output`] if there is not enough.
    pub fn allocate(&self, size: u64) -> Result<()> {
        let allocated = fallocate(&self.file, FallocateFlags::empty(), 0, size);
        allocated.map_err(|error| Error::output(format!("cannot allocate {}", self.name()), error))
    }

    /// Writes it through to the disk, and gives a file its name.
    ///
    /// # Errors
    /// As [`publish`].
    pub fn finish(self) -> Result<()> {
        publish([self])
    }

    /// Puts all that was written on the disk before what is written next, if others can see it
    /// already. A file without a name needs no order.
    ///
    /// # Errors
    /// [`Error::Output`] if it can't be written to the disk.
    pub fn barrier(&self) -> Result<()> {
        match self.kind {
            Kind::Device(_) | Kind::Existing => self.flush(),
            Kind::Stream | Kind::File { .. } => Ok(()),
        }
    }

    /// Writes it through to the disk; not a stream, which has none. Nothing else is left to fail then
    /// that takes space.
    ///
    /// # Errors
    /// [`Error::Output`] if that fails.
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
        // A copy between two files of such a file system shares what it can.
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
        "the output",
        format!("{} exists", text(path)),
        "give another name, or `--force` to replace it",
    )
}

/// The block size of a file system that can share blocks between files.
fn sharing_unit(file: &File) -> Option<u64> {
    // To clone a file onto itself is never done, but the kernel says so in another way where it
    // can clone at all. Elsewhere nothing is tried: letting the kernel copy is no faster than to
    // read and write, which puts many small files into one call.
    match ioctl_ficlone(file, file) {
        Err(Errno::INVAL) => fstatvfs(file).ok().map(|stat| stat.f_bsize),
        _ => None,
    }
}
