//! The content of files in a directory, which are opened again when they are needed and checked to
//! be the files that were listed.

use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, OFlags, SeekFrom, Statx, StatxFlags, seek, statx};
use rustix::io::Errno;

use super::walker::{Identity, Route, Walker, open_entry};
use crate::error::{Error, Result};
use crate::tree::{ContentReader, ContentSource};

/// Flags for opening a regular file. `O_NONBLOCK` prevents waiting if it has been replaced by a
/// pipe.
pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// Returns the status of an open file.
pub(super) fn status(fd: impl AsFd) -> rustix::io::Result<Statx> {
    statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
}

/// Returns the identity of the host inode.
pub(super) fn identity(status: &Statx) -> Identity {
    (status.stx_dev_major, status.stx_dev_minor, status.stx_ino)
}

/// Returns a hash of a file's inode, length and times, which changes if the file is replaced or
/// modified.
pub(super) fn stamp(status: &Statx) -> u64 {
    // Collisions are negligible: a tree has far fewer than 2^64 files, and they are not crafted to
    // collide.
    let mut hasher = DefaultHasher::new();
    hasher.write_u32(status.stx_dev_major);
    hasher.write_u32(status.stx_dev_minor);
    hasher.write_u64(status.stx_ino);
    hasher.write_u64(status.stx_size);
    for time in [status.stx_mtime, status.stx_ctime] {
        hasher.write_i64(time.tv_sec);
        hasher.write_u32(time.tv_nsec);
    }
    hasher.finish()
}

/// Compact record of the locations of a tree's directories and regular files.
#[derive(Debug)]
pub(super) struct Records {
    directories: Vec<DirectoryRecord>,
    files: Vec<(u64, Place)>,
    /// Names, each preceded by a byte with its length.
    names: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct DirectoryRecord {
    place: Place,
    depth: u32,
    /// Set once the directory has been read.
    identity: Identity,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    directory: u32,
    name: u32,
}

/// The tree has more directories, files or bytes of names than the records can count.
#[derive(Debug)]
pub(super) struct TooManyNodes;

impl Records {
    /// Number of the root directory.
    pub(super) const ROOT: u32 = 0;

    /// Creates records with only the root.
    pub(super) fn new(root: Identity) -> Self {
        let place = Place { directory: Self::ROOT, name: 0 };
        let root = DirectoryRecord { place, depth: 0, identity: root };
        Self { directories: vec![root], files: Vec::new(), names: Vec::new() }
    }

    pub(super) fn add_directory(
        &mut self,
        directory: u32,
        name: &[u8],
    ) -> Result<u32, TooManyNodes> {
        let index = u32::try_from(self.directories.len()).map_err(|_| TooManyNodes)?;
        let place = self.place(directory, name)?;
        let depth = self.directories[directory as usize].depth + 1;
        self.directories.push(DirectoryRecord { place, depth, identity: Identity::default() });
        Ok(index)
    }

    pub(super) fn set_identity(&mut self, directory: u32, identity: Identity) {
        self.directories[directory as usize].identity = identity;
    }

    pub(super) fn add_file(
        &mut self,
        directory: u32,
        name: &[u8],
        stamp: u64,
    ) -> Result<u32, TooManyNodes> {
        let index = u32::try_from(self.files.len()).map_err(|_| TooManyNodes)?;
        let place = self.place(directory, name)?;
        self.files.push((stamp, place));
        Ok(index)
    }

    fn place(&mut self, directory: u32, name: &[u8]) -> Result<Place, TooManyNodes> {
        let at = u32::try_from(self.names.len()).map_err(|_| TooManyNodes)?;
        self.names.push(u8::try_from(name.len()).map_err(|_| TooManyNodes)?);
        self.names.extend_from_slice(name);
        Ok(Place { directory, name: at })
    }

    fn name(&self, place: Place) -> &[u8] {
        let at = place.name as usize;
        let len = usize::from(self.names[at]);
        &self.names[at + 1..=at + len]
    }

    pub(super) fn name_of_directory(&self, index: u32) -> &[u8] {
        match index {
            Self::ROOT => b"",
            _ => self.name(self.directories[index as usize].place),
        }
    }

    /// Returns the route from one directory to another.
    ///
    /// The directories above the first must have been read.
    pub(super) fn route(&self, mut from: u32, mut to: u32) -> Route {
        let mut route = Route { up: Vec::new(), down: Vec::new() };
        while from != to {
            let (above, below) = (&self.directories[from as usize], &self.directories[to as usize]);
            if above.depth < below.depth {
                route.down.push(self.name(below.place).into());
                to = below.place.directory;
            } else {
                from = above.place.directory;
                route.up.push(self.directories[from as usize].identity);
            }
        }
        route.down.reverse();
        route
    }

    pub(super) fn path_of_directory(&self, index: u32) -> Vec<u8> {
        self.route(Self::ROOT, index).down.join(&b'/')
    }

    fn path_of_file(&self, index: u32) -> Vec<u8> {
        let (_, place) = self.files[index as usize];
        let mut path = self.path_of_directory(place.directory);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(self.name(place));
        path
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.directories.shrink_to_fit();
        self.files.shrink_to_fit();
        self.names.shrink_to_fit();
    }
}

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
        let (_, place) = self.records.files[index as usize];
        let mut walker = walkers().pop().unwrap_or_else(|| Walker::new(Arc::clone(&self.root)));
        let directory =
            walker.go(place.directory, |from| self.records.route(from, place.directory));
        let file = directory.and_then(|(fd, _)| open_entry(fd, self.records.name(place), READ));
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
            Ok(status) if stamp(&status) == self.records.files[self.index as usize].0 => Ok(()),
            Ok(_) => {
                Err(changed(&self.path(), "it was changed or replaced after the tree was listed"))
            }
            Err(error) => Err(Error::source(self.path(), "cannot read its status", error)),
        }
    }
}
