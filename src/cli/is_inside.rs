//! Checks whether a path is inside a directory.

use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::io::Result;

/// Returns whether an existing or new file with this path is in a directory or below it.
///
/// Directories are compared by device and inode number, because symlinks and `..` give a directory
/// many names.
pub(super) fn is_inside(directory: &Path, file: &Path) -> Result<bool> {
    let outer = identity(&open(CWD, directory)?)?;
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut at = open(CWD, parent.unwrap_or(Path::new(".")))?;
    loop {
        let here = identity(&at)?;
        if here == outer {
            return Ok(true);
        }
        let above = open(at.as_fd(), Path::new(".."))?;
        if identity(&above)? == here {
            return Ok(false);
        }
        at = above;
    }
}

fn open(at: impl AsFd, path: &Path) -> Result<OwnedFd> {
    openat(at, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn identity(directory: &OwnedFd) -> Result<(u64, u64)> {
    let stat = fstat(directory)?;
    Ok((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn names_do_not_matter() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::create_dir_all(path("tree/deep/er")).unwrap();
        fs::create_dir(path("tree-2")).unwrap();
        symlink(path("tree/deep"), path("way-in")).unwrap();
        symlink(path("tree-2"), path("tree/way-out")).unwrap();
        for (file, inside) in [
            ("tree/disk.raw", true),
            ("tree/deep/er/disk.raw", true),
            ("way-in/disk.raw", true),
            ("tree-2/../tree/disk.raw", true),
            ("disk.raw", false),
            ("tree-2/disk.raw", false),
            ("tree/way-out/disk.raw", false),
            ("tree/deep/../../disk.raw", false),
        ] {
            assert_eq!(is_inside(&path("tree"), &path(file)), Ok(inside), "{file}");
        }
        assert!(is_inside(&path("tree"), &path("nowhere/disk.raw")).is_err());
        assert_eq!(is_inside(Path::new("."), Path::new("disk.raw")), Ok(true));
    }
}
