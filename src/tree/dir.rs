//! Reads a directory of the host into a [`Tree`].
//!
//! Everything is opened by descriptor, relative to its parent or beneath the root, and no symlink
//! is followed. Several threads take directories from one stack. The tree does not depend on which
//! thread read what, because [`TreeBuilder::finish`] sorts it into canonical order.
//!
//! Every regular file is opened once while the tree is listed, so that an unreadable file is found
//! before anything is written. Its content is read later, and only if the inode, length and times
//! are still the same. (A change that keeps the length and falls within one tick of the kernel's
//! clock, a few milliseconds, can't be detected.)

mod descriptor;
mod mounts;
mod node;
mod node_error;
mod owners;
mod records;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod walker;

use std::ffi::CStr;
use std::fmt;
use std::mem::{MaybeUninit, take};
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, RawDir, open};
use rustix::io::Errno;

use node::{NodeReader, type_of};
use node_error::{NodeError, refused};
use state::{Batch, Directory, DirectoryPlace, FoundNode, Pending, WalkState};
use walker::{CurrentPath, Walker, join};

use super::host_xattrs::HostXattrs;
use super::{Tree, TreeBuilder};
use crate::error::{Error, Result};
use crate::name::{Escaped, HostPath};
use crate::progress::{Meter, Observer, Phase};
use crate::report::Warning;
use crate::workers::share;

/// Predicate for paths, without a leading slash, that are left out of the tree.
pub type Exclude<'a> = dyn Fn(&[u8]) -> bool + Sync + 'a;

/// Options for reading a directory.
#[derive(Clone)]
#[non_exhaustive]
pub struct DirOptions<'a> {
    /// Number of threads that read. It does not affect the tree.
    pub threads: NonZero<usize>,
    /// Paths to leave out; a directory is left out with everything below it. The root is not
    /// tested.
    pub exclude: Option<&'a Exclude<'a>>,
    /// Extended attributes to leave out.
    pub host_xattrs: HostXattrs,
    /// Observer of the progress, in names.
    pub observer: Option<&'a dyn Observer>,
}

impl Default for DirOptions<'_> {
    fn default() -> Self {
        Self {
            threads: NonZero::<usize>::MIN,
            exclude: None,
            host_xattrs: HostXattrs::default(),
            observer: None,
        }
    }
}

impl fmt::Debug for DirOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirOptions").field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// Reads a directory and everything below it.
///
/// The warnings report what was left out.
///
/// A mount point in the directory is read like any other directory and reported, but a file system
/// that the kernel generates, such as `proc`, is rejected. Content is only read when it is needed;
/// until then the tree holds a single descriptor, that of the root.
///
/// # Errors
/// [`Error::Parameter`] if `root` is not a directory; [`Error::Source`] for a node that can't be
/// read, [`Error::Changed`] for a node that was replaced meanwhile, [`Error::Unrepresentable`] for
/// an owner that the user namespace does not map, [`Error::Cancelled`] if the observer asks for it.
/// Of several errors the one with the smallest path
/// is reported.
pub fn read(root: &Path, options: &DirOptions<'_>) -> Result<(Tree, Vec<Warning>)> {
    let given = || root.as_os_str().as_bytes().to_vec();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = open(root, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOTDIR => Error::parameter(
            "tree",
            format!("{} is not a directory", HostPath(root)),
            "give the directory that holds the tree",
        ),
        _ => Error::source(given(), "cannot open the tree", error),
    })?;

    let stat = NodeReader::new(&options.host_xattrs).directory(fd.as_fd());
    let (stat, identity) = stat.map_err(|fault| failure(given(), &fault))?;
    let state = Mutex::new(WalkState::new(stat, identity)?);
    let meter = Meter::new(options.observer, Phase::Read, 0);
    let scan = DirWalk { options, root: Arc::new(fd), meter, state, more: Condvar::new() };
    share(options.threads, || scan.work());

    let state = scan.state.into_inner().expect("a panic of a thread has come through");
    let (tree, mut warnings) = state.finish(scan.root)?;
    warnings.extend(owners::check(&tree)?);
    Ok((tree, warnings))
}

fn failure(path: Vec<u8>, fault: &NodeError) -> Error {
    match fault {
        NodeError::Replaced => Error::Changed {
            path,
            rule: "it was removed or replaced while the tree was listed".into(),
        },
        NodeError::Refused(operation, error) => Error::source(path, operation, *error),
        NodeError::Kernel(name) => {
            let remedy = format!("unmount it, or leave out what is in it: {}/**", Escaped(&path));
            Error::unrepresentable(path, format!("{name} is mounted inside the tree"), remedy)
        }
    }
}

/// Number of entries that are added at once. A larger directory is added in parts, so that it is
/// never held in memory twice.
const BATCH: usize = 1024;

/// Size of the buffer for the entries that a system call lists, in bytes.
const LISTING: usize = 32 << 10;

struct DirWalk<'a> {
    options: &'a DirOptions<'a>,
    root: Arc<OwnedFd>,
    meter: Meter<'a>,
    state: Mutex<WalkState>,
    /// Notified when there are more directories to read, or no more at all.
    more: Condvar,
}

/// Marks a thread as busy. If a caller's function panics, the other threads still terminate.
struct BusyGuard<'a, 'b>(&'a DirWalk<'b>);

impl Drop for BusyGuard<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.busy -= 1;
        if state.busy == 0 || !state.pending.is_empty() {
            self.0.more.notify_all();
        }
    }
}

impl DirWalk<'_> {
    /// Reads directories until there are no more.
    fn work(&self) {
        let mut reader = NodeReader::new(&self.options.host_xattrs);
        let mut listing = vec![MaybeUninit::uninit(); LISTING];
        let mut walker = Walker::new(Arc::clone(&self.root));
        let mut batch = Batch::default();
        while let Some((pending, _busy)) = self.next() {
            if let Err(fault) =
                self.directory(&pending, &mut walker, &mut reader, &mut listing, &mut batch)
            {
                let mut state = self.state();
                let path = state.path_of_directory(pending.number);
                state.fail(path.clone(), failure(path, &fault));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, WalkState> {
        self.state.lock().expect("no thread panics with the lock")
    }

    fn next(&self) -> Option<(Pending, BusyGuard<'_, '_>)> {
        let idle = |state: &mut WalkState| state.pending.is_empty() && state.busy > 0;
        let mut state =
            self.more.wait_while(self.state(), idle).expect("no thread panics with the lock");
        Some((state.next()?, BusyGuard(self)))
    }

    fn directory(
        &self,
        pending: &Pending,
        walker: &mut Walker,
        reader: &mut NodeReader<'_>,
        listing: &mut [MaybeUninit<u8>],
        batch: &mut Batch,
    ) -> Result<(), NodeError> {
        let Pending { number, parent } = *pending;
        let route = |from| self.state().route(from, number);
        let (fd, path) = walker.go(number, route).map_err(refused("cannot open"))?;
        let (place, mut is_mounted) = match parent {
            None => (DirectoryPlace::Added(TreeBuilder::ROOT), false),
            Some(parent) => {
                let (stat, identity) = reader.directory(fd)?;
                let is_mounted = stat.is_mounted;
                (DirectoryPlace::Below(parent, stat, identity), is_mounted)
            }
        };
        let mut directory = Directory { number, place };
        let mut entries = RawDir::new(fd, listing);
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) => {
                    let (name, kind) = (entry.file_name(), entry.file_type());
                    if self.is_left_out(path, name.to_bytes()) {
                        continue;
                    }
                    // The check comes only here, because a mount point is accepted if nothing in it
                    // is read.
                    if take(&mut is_mounted) {
                        mounts::check(fd)?;
                        self.state().mounted(path.as_bytes().to_vec());
                    }
                    self.entry(fd, path, name, kind, reader, batch);
                }
                Err(error) => {
                    let path = path.as_bytes().to_vec();
                    let fault = refused("cannot list")(error);
                    batch.failures.push((path.clone(), failure(path, &fault)));
                    break;
                }
            }
            if batch.len() >= BATCH {
                self.add(&mut directory, path, batch);
            }
        }
        self.add(&mut directory, path, batch);
        Ok(())
    }

    fn add(&self, directory: &mut Directory, path: &CurrentPath, batch: &mut Batch) {
        let count = batch.len() as u64;
        self.state().add(directory, path.as_bytes(), batch);
        if let Err(cancelled) = self.meter.add(count) {
            self.state().cancel(cancelled);
        }
    }

    fn is_left_out(&self, path: &mut CurrentPath, name: &[u8]) -> bool {
        matches!(name, b"." | b"..")
            || self.options.exclude.is_some_and(|exclude| path.with(name, exclude))
    }

    fn entry(
        &self,
        directory: BorrowedFd<'_>,
        path: &CurrentPath,
        entry: &CStr,
        listed: FileType,
        reader: &mut NodeReader<'_>,
        batch: &mut Batch,
    ) {
        let name = entry.to_bytes();
        let start = batch.names.len();
        batch.names.extend_from_slice(name);
        let range = start..batch.names.len();
        let listed = match listed {
            FileType::Unknown => type_of(directory, entry),
            listed => Ok(listed),
        };
        match listed {
            Ok(FileType::Directory) => batch.directories.push(range),
            listed => match listed.and_then(|listed| reader.entry(directory, entry, listed)) {
                Ok((stat, what, key)) => {
                    batch.found.push(FoundNode { name: range, stat, what, key });
                }
                Err(fault) => {
                    let path = join(path.as_bytes(), name);
                    batch.failures.push((path.clone(), failure(path, &fault)));
                }
            },
        }
    }
}
