//! Moves between the directories of a tree by descriptors.
//!
//! Each step opens one name in an open directory and follows no symlink, so replacing a name by a
//! symlink while the tree is read can't lead out of it. The cost of a step, the number of
//! descriptors and the length of the paths passed to the system are independent of the depth.

use std::collections::VecDeque;
use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Result;

use super::descriptor::{Identity, identity, open_entry, status, step};
use super::records::{Records, Route};

/// Number of levels that a walker holds open. Most trees are not much deeper.
const LEVELS: usize = 8;

/// Flags for opening a directory.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Path that grows and shrinks with the steps of a walker.
#[derive(Debug, Default)]
pub(super) struct CurrentPath(Vec<u8>);

impl CurrentPath {
    fn push(&mut self, name: &[u8]) {
        if !self.0.is_empty() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
    }

    fn pop(&mut self) {
        let end = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        self.0.truncate(end);
    }

    /// Returns the path without a leading slash.
    ///
    /// The path of the root is empty.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Calls a function with the path of a name in the directory.
    pub(super) fn with<T>(&mut self, name: &[u8], call: impl FnOnce(&[u8]) -> T) -> T {
        self.push(name);
        let result = call(&self.0);
        self.pop();
        result
    }
}

/// A position in the tree.
#[derive(Debug)]
pub(super) struct Walker {
    root: Arc<OwnedFd>,
    /// Number of the current directory in the [`Records`].
    at: u32,
    depth: usize,
    /// Open descriptors of the current directory and the directories above it, without the root.
    held: VecDeque<OwnedFd>,
    path: CurrentPath,
}

impl Walker {
    /// Creates a walker at the root.
    pub(super) fn new(root: Arc<OwnedFd>) -> Self {
        let path = CurrentPath::default();
        Self { root, at: Records::ROOT, depth: 0, held: VecDeque::new(), path }
    }

    /// Moves to a directory and returns its descriptor and path.
    ///
    /// `route` returns the route to it from any other directory.
    ///
    /// If a name on the route is no longer a directory, the error is `ENOTDIR` or `ELOOP`.
    pub(super) fn go(
        &mut self,
        to: u32,
        route: impl Fn(u32) -> Route,
    ) -> Result<(BorrowedFd<'_>, &mut CurrentPath)> {
        let mut way = route(self.at);
        if !self.climb(&way.up) {
            self.reset();
            way = route(Records::ROOT);
        }
        // A walker that fails on the way is reset.
        let descended = way.down.iter().try_for_each(|name| self.descend(name));
        if let Err(error) = descended {
            self.reset();
            return Err(error);
        }
        self.at = to;
        let fd = self.held.back().unwrap_or(&self.root);
        Ok((fd.as_fd(), &mut self.path))
    }

    fn reset(&mut self) {
        *self = Self::new(Arc::clone(&self.root));
    }

    /// Moves up, and returns whether that led to the expected directories.
    fn climb(&mut self, up: &[Identity]) -> bool {
        up.iter().all(|&expected| {
            let lowest = self.held.pop_back();
            self.depth -= 1;
            self.path.pop();
            if self.depth == 0 || !self.held.is_empty() {
                return true;
            }
            // If a directory was moved while the tree is read, a different directory is above it.
            let above =
                lowest.and_then(|fd| openat(fd, c"..", step(DIRECTORY), Mode::empty()).ok());
            let above = above.filter(|fd| status(fd).is_ok_and(|it| identity(&it) == expected));
            self.held.extend(above);
            !self.held.is_empty()
        })
    }

    fn descend(&mut self, name: &[u8]) -> Result<()> {
        let fd = open_entry(self.held.back().unwrap_or(&self.root), name, DIRECTORY)?;
        self.held.push_back(fd);
        if self.held.len() > LEVELS {
            self.held.pop_front();
        }
        self.depth += 1;
        self.path.push(name);
        Ok(())
    }
}

/// Returns the path of a name in a directory.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    if !directory.is_empty() {
        path.extend_from_slice(directory);
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use rustix::io::Errno;

    use super::*;

    /// Directories `0/1/2/...`, each with a file `file` that holds its path.
    struct Chain {
        scratch: tempfile::TempDir,
        records: Records,
    }

    const DEPTH: u32 = 40;

    impl Chain {
        fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let at = |path: &Path| identity(&status(File::open(path).unwrap()).unwrap());
            fs::create_dir(scratch.path().join("root")).unwrap();
            let mut path = scratch.path().join("root");
            let mut records = Records::new(at(&path));
            for level in 0..DEPTH {
                path.push(level.to_string());
                fs::create_dir(&path).unwrap();
                fs::write(path.join("file"), path.to_str().unwrap()).unwrap();
                let number = records.add_directory(level, level.to_string().as_bytes()).unwrap();
                records.set_identity(number, at(&path));
            }
            Self { scratch, records }
        }

        fn root(&self) -> PathBuf {
            self.scratch.path().join("root")
        }

        fn walker(&self) -> Walker {
            Walker::new(Arc::new(File::open(self.root()).unwrap().into()))
        }

        /// Reads the file of a directory, and returns its content and the walker's path.
        fn read(&self, walker: &mut Walker, to: u32) -> Result<(String, PathBuf)> {
            let (fd, path) = walker.go(to, |from| self.records.route(from, to))?;
            let path = self.root().join(std::str::from_utf8(path.as_bytes()).unwrap());
            let file = File::from(open_entry(fd, c"file", OFlags::RDONLY)?);
            Ok((std::io::read_to_string(file).unwrap(), path))
        }
    }

    #[test]
    fn a_walker_goes_anywhere_with_few_descriptors() {
        let chain = Chain::new();
        let mut walker = chain.walker();
        for to in [1, 40, 39, 33, 31, 30, 1, 2, 40, 12, 25, 3] {
            let (content, path) = chain.read(&mut walker, to).unwrap();
            assert_eq!(path.to_str().unwrap(), content);
            assert_eq!(path.components().count(), chain.root().components().count() + to as usize);
            assert!(walker.held.len() <= LEVELS, "{to}");
        }
        assert!(walker.go(Records::ROOT, |from| chain.records.route(from, 0)).is_ok());
        assert_eq!((walker.path.as_bytes(), walker.held.len()), (&b""[..], 0));
    }

    #[test]
    fn a_directory_that_was_moved_leads_nowhere_else() {
        let chain = Chain::new();
        let mut walker = chain.walker();
        chain.read(&mut walker, 40).unwrap();
        // The way up from the lowest open directory now leads out of the tree, past a directory
        // that has a different `file`.
        let upper: PathBuf = (0..20).map(|level: u32| level.to_string()).collect();
        let lower =
            |levels: u32| upper.join((20..levels).map(|n| n.to_string()).collect::<PathBuf>());
        let outside = chain.scratch.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "secret").unwrap();
        fs::rename(chain.root().join(lower(32)), outside.join("31")).unwrap();
        let (content, _) = chain.read(&mut walker, 31).unwrap();
        assert!(content.ends_with("/30"), "{content}");
        assert_eq!(chain.read(&mut walker, 33).unwrap_err(), Errno::NOENT);
        // A walker that failed starts over.
        assert!(chain.read(&mut walker, 31).unwrap().0.ends_with("/30"));
    }

    #[test]
    fn symlinks_lead_nowhere() {
        let chain = Chain::new();
        let inside = chain.root().join("0/1");
        fs::rename(&inside, chain.scratch.path().join("moved")).unwrap();
        symlink(chain.scratch.path().join("moved"), &inside).unwrap();
        let error = chain.read(&mut chain.walker(), 3).unwrap_err();
        assert!(matches!(error, Errno::LOOP | Errno::NOTDIR), "{error}");
    }
}
