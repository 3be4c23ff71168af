//! Opens what lies beneath one directory by its path, and nothing else.
//!
//! No symlink on the way is followed, so a name that someone replaces by a symlink while the tree
//! is read can't lead out of it. One descriptor is enough for a tree of any depth.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{Errno, Result};

/// The longest path that one system call takes, in bytes, its NUL not counted.
const PATH_MAX: usize = 4095;

/// A directory to open things beneath.
#[derive(Debug)]
pub(super) struct Beneath {
    root: OwnedFd,
    /// False once the kernel, or a filter before it, has refused `openat2`.
    openat2: AtomicBool,
}

impl Beneath {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root, openat2: AtomicBool::new(true) }
    }

    /// Opens a path of any length, without a leading slash; empty for the directory itself.
    ///
    /// A symlink anywhere in the path is an error, `ELOOP` or `ENOTDIR`, except that `O_PATH`
    /// opens one that stands last.
    pub(super) fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let mut rest = path;
        let mut base = None;
        while rest.len() > PATH_MAX {
            let slash = rest[..=PATH_MAX].iter().rposition(|&byte| byte == b'/');
            let slash = slash.ok_or(Errno::NAMETOOLONG)?;
            let step = OFlags::PATH | OFlags::DIRECTORY;
            base = Some(self.open_step(base.as_ref(), &rest[..slash], step)?);
            rest = &rest[slash + 1..];
        }
        self.open_step(base.as_ref(), rest, flags)
    }

    fn open_step(&self, base: Option<&OwnedFd>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let base = base.unwrap_or(&self.root);
        let path = if path.is_empty() { b"." } else { path };
        if self.openat2.load(Ordering::Relaxed) {
            let resolve =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            match openat2(base, path, flags, Mode::empty(), resolve) {
                // Filters of system calls answer with EPERM for what they don't know. It may be
                // the file's own EPERM too; walking gives that again, only slower.
                Err(Errno::NOSYS | Errno::PERM) => self.openat2.store(false, Ordering::Relaxed),
                result => return result,
            }
        }
        walk(base, path, flags)
    }
}

/// Opens one component after the other, for want of `openat2`.
fn walk(base: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let Some(slash) = path.iter().position(|&byte| byte == b'/') else {
        return open_entry(base, path, flags);
    };
    let mut rest = &path[slash + 1..];
    let step = OFlags::PATH | OFlags::DIRECTORY;
    let mut at = open_entry(base, &path[..slash], step)?;
    while let Some(slash) = rest.iter().position(|&byte| byte == b'/') {
        at = open_entry(&at, &rest[..slash], step)?;
        rest = &rest[slash + 1..];
    }
    open_entry(&at, rest, flags)
}

/// Opens one name in a directory, never following a symlink.
pub(super) fn open_entry(
    directory: impl AsFd,
    name: impl rustix::path::Arg,
    flags: OFlags,
) -> Result<OwnedFd> {
    openat(directory, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory with a file, a way out and a deep path; opened with and without `openat2`.
    fn both(check: impl Fn(&Beneath)) {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let inside = outside.path().join("root");
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::write(inside.join("a/b/file"), "content").unwrap();
        symlink(outside.path(), inside.join("out")).unwrap();
        symlink("a", inside.join("in")).unwrap();
        symlink("file", inside.join("a/b/link")).unwrap();
        for openat2 in [true, false] {
            let beneath = Beneath::new(fs::File::open(&inside).unwrap().into());
            beneath.openat2.store(openat2, Ordering::Relaxed);
            check(&beneath);
            assert_eq!(beneath.openat2.load(Ordering::Relaxed), openat2, "the way was kept");
        }
    }

    fn content(fd: OwnedFd) -> String {
        let mut content = String::new();
        fs::File::from(fd).read_to_string(&mut content).unwrap();
        content
    }

    #[test]
    fn what_is_beneath_opens() {
        both(|beneath| {
            assert_eq!(content(beneath.open(b"a/b/file", OFlags::RDONLY).unwrap()), "content");
            beneath.open(b"", OFlags::DIRECTORY).unwrap();
            beneath.open(b"a/b", OFlags::DIRECTORY).unwrap();
            beneath.open(b"a/b/link", OFlags::PATH).unwrap();
            assert_eq!(beneath.open(b"a/c", OFlags::RDONLY).unwrap_err(), Errno::NOENT);
            assert_eq!(beneath.open(b"a/b/file/x", OFlags::RDONLY).unwrap_err(), Errno::NOTDIR);
        });
    }

    #[test]
    fn symlinks_lead_nowhere() {
        both(|beneath| {
            for path in [&b"out/secret"[..], b"in/b/file", b"a/b/link", b"out", b"in/b"] {
                let error = beneath.open(path, OFlags::RDONLY).unwrap_err();
                assert!(matches!(error, Errno::LOOP | Errno::NOTDIR), "{error}");
            }
        });
    }

    #[test]
    fn long_paths_open_in_steps() {
        both(|beneath| {
            // No path of this length can be given to the system at once.
            let name = [b'n'; 255];
            let mut at = beneath.open(b"a", OFlags::DIRECTORY).unwrap();
            let mut path = b"a".to_vec();
            for _ in 0..40 {
                match rustix::fs::mkdirat(&at, &name[..], Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => (),
                    Err(error) => panic!("{error}"),
                }
                at = open_entry(&at, &name[..], OFlags::DIRECTORY).unwrap();
                path.push(b'/');
                path.extend_from_slice(&name);
            }
            let wanted = rustix::fs::fstat(&at).unwrap();
            let found = beneath.open(&path, OFlags::DIRECTORY).unwrap();
            assert_eq!(rustix::fs::fstat(&found).unwrap().st_ino, wanted.st_ino);
        });
    }
}
