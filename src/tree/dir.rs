//! Reads a directory of the host into a [`Tree`].
//!
//! Everything is read by descriptor, relative to its parent or beneath the root, and no symlink is
//! followed. Several threads take directories off one stack; the tree does not depend on which of
//! them found what, since [`TreeBuilder::finish`] brings it into its canonical order.
//!
//! Every regular file is opened once while the tree is listed, so that one that can't be read is
//! found before anything is written. Its content is read later, from the same inode with the same
//! length and times, or not at all. (A change that keeps the length and falls within one tick of
//! the kernel's clock, a few milliseconds, leaves no trace to see.)

mod node;
mod source;
mod state;
#[cfg(test)]
mod tests;

use std::ffi::CStr;
use std::fmt;
use std::mem::MaybeUninit;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FileType, Mode, OFlags, RawDir, open};
use rustix::io::Errno;

use node::{Fault, NodeReader, refused, type_of};
use state::{Batch, Directory, Found, Pending, Place, State};

use super::beneath::Beneath;
use super::host_xattrs::HostXattrs;
use super::{Tree, TreeBuilder};
use crate::error::{Error, Result};
use crate::report::Warning;

/// Says whether a path, without a leading slash, is left out of the tree.
pub type Exclude<'a> = dyn Fn(&[u8]) -> bool + Sync + 'a;

/// How to read a directory.
#[derive(Clone)]
pub struct DirOptions<'a> {
    /// How many threads read. The tree does not depend on it.
    pub threads: NonZero<usize>,
    /// What is left out; a directory with all that is below it. The root is never asked about.
    pub exclude: Option<&'a Exclude<'a>>,
    /// Which extended attributes are left out.
    pub host_xattrs: HostXattrs,
}

impl Default for DirOptions<'_> {
    fn default() -> Self {
        Self { threads: NonZero::<usize>::MIN, exclude: None, host_xattrs: HostXattrs::default() }
    }
}

impl fmt::Debug for DirOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirOptions").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Reads a directory and all below it, and what of it was left out.
///
/// A mount point in it is read like any directory. Content stays where it is, to be read when it
/// is needed; until then the tree holds one descriptor, of the root.
///
/// # Errors
/// [`Error::Parameter`] if `root` is not a directory; [`Error::Source`] for what can't be
/// read, [`Error::Changed`] for what was replaced meanwhile. Of several the one with the smallest
/// path is reported.
pub fn read(root: &Path, options: &DirOptions<'_>) -> Result<(Tree, Vec<Warning>)> {
    let given = || root.as_os_str().as_bytes().to_vec();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = open(root, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOTDIR => Error::parameter(
            "tree",
            format!("{} is not a directory", root.display()),
            "give the directory that holds the tree",
        ),
        _ => Error::source(given(), "cannot open the tree", error),
    })?;

    let facts = NodeReader::new(&options.host_xattrs).directory(fd.as_fd());
    let facts = facts.map_err(|fault| failure(given(), &fault))?;
    let state = State::new(facts)?;
    let scan =
        Scan { options, beneath: Beneath::new(fd), state: Mutex::new(state), more: Condvar::new() };
    std::thread::scope(|scope| {
        for _ in 1..options.threads.get() {
            scope.spawn(|| scan.work());
        }
        scan.work();
    });

    let state = scan.state.into_inner().expect("a panic of a thread has come through");
    state.finish(scan.beneath)
}

fn failure(path: Vec<u8>, fault: &Fault) -> Error {
    match fault {
        Fault::Replaced => Error::Changed {
            path,
            rule: "it was removed or replaced while the tree was listed".into(),
        },
        Fault::Refused(operation, error) => Error::source(path, operation, *error),
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    if !directory.is_empty() {
        path.extend_from_slice(directory);
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// A directory of more entries is added in parts, so that it is never held twice.
const BATCH: usize = 1024;

/// Room for the entries that one system call lists.
const LISTING: usize = 32 << 10;

struct Scan<'a> {
    options: &'a DirOptions<'a>,
    beneath: Beneath,
    state: Mutex<State>,
    /// Told when there are more directories to read, or no more at all.
    more: Condvar,
}

/// Marks a thread as busy; when a caller's function panics the other threads still come to an end.
struct Busy<'a, 'b>(&'a Scan<'b>);

impl Drop for Busy<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.busy -= 1;
        if state.busy == 0 || !state.pending.is_empty() {
            self.0.more.notify_all();
        }
    }
}

impl Scan<'_> {
    /// Reads directories until there are no more.
    fn work(&self) {
        let mut reader = NodeReader::new(&self.options.host_xattrs);
        let mut listing = vec![MaybeUninit::uninit(); LISTING];
        let mut batch = Batch::default();
        while let Some((pending, path, _busy)) = self.next() {
            if let Err(fault) =
                self.directory(&pending, path.clone(), &mut reader, &mut listing, &mut batch)
            {
                self.state().fail(path.clone(), failure(path, &fault));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock")
    }

    fn next(&self) -> Option<(Pending, Vec<u8>, Busy<'_, '_>)> {
        let idle = |state: &mut State| state.pending.is_empty() && state.busy > 0;
        let mut state =
            self.more.wait_while(self.state(), idle).expect("no thread panics with the lock");
        let (pending, path) = state.next()?;
        Some((pending, path, Busy(self)))
    }

    fn directory(
        &self,
        pending: &Pending,
        path: Vec<u8>,
        reader: &mut NodeReader<'_>,
        listing: &mut [MaybeUninit<u8>],
        batch: &mut Batch,
    ) -> Result<(), Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = self.beneath.open(&path, flags).map_err(refused("cannot open"))?;
        let place = match pending.parent {
            None => Place::Added(TreeBuilder::ROOT),
            Some(parent) => Place::Beneath(parent, reader.directory(fd.as_fd())?),
        };
        let mut directory = Directory { number: pending.number, path, place };
        let mut entries = RawDir::new(&fd, listing);
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) => {
                    let (name, kind) = (entry.file_name(), entry.file_type());
                    self.entry(&directory, fd.as_fd(), name, kind, reader, batch);
                }
                Err(error) => {
                    let path = directory.path.clone();
                    let fault = refused("cannot list")(error);
                    batch.failures.push((path.clone(), failure(path, &fault)));
                    break;
                }
            }
            if batch.len() >= BATCH {
                self.state().add(&mut directory, batch);
            }
        }
        self.state().add(&mut directory, batch);
        Ok(())
    }

    fn entry(
        &self,
        directory: &Directory,
        fd: BorrowedFd<'_>,
        entry: &CStr,
        kind: FileType,
        reader: &mut NodeReader<'_>,
        batch: &mut Batch,
    ) {
        let name = entry.to_bytes();
        if matches!(name, b"." | b"..") {
            return;
        }
        if self.options.exclude.is_some_and(|exclude| exclude(&join(&directory.path, name))) {
            return;
        }
        let start = batch.names.len();
        batch.names.extend_from_slice(name);
        let range = start..batch.names.len();
        let kind = match kind {
            FileType::Unknown => type_of(fd, entry),
            kind => Ok(kind),
        };
        match kind {
            Ok(FileType::Directory) => batch.directories.push(range),
            kind => match kind.and_then(|kind| reader.entry(fd, entry, kind)) {
                Ok((facts, what, key)) => batch.found.push(Found { name: range, facts, what, key }),
                Err(fault) => {
                    let path = join(&directory.path, name);
                    batch.failures.push((path.clone(), failure(path, &fault)));
                }
            },
        }
    }
}
