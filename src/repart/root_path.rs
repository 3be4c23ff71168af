//! Resolves paths within a root: symlinks are followed as they would be there, and never lead out
//! of it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::TreePath;
use crate::error::{Error, Result};
use crate::tree::path_walk::{Entry, names, walk};

/// Returns the path in the root, without symlinks, that `path` resolves to; `None` if it does not
/// exist.
///
/// # Errors
/// [`Error::Source`] if a component of the path can't be read.
pub(super) fn resolve(root: &Path, path: &[u8]) -> Result<Option<TreePath>> {
    let found = walk(TreePath::new(), path, |directory, name| {
        let path = join(directory, name);
        let at = beneath(root, &path);
        let metadata = match at.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let entry = if metadata.is_dir() {
            Entry::Directory(path)
        } else if metadata.is_symlink() {
            Entry::Symlink(at.read_link()?.into_os_string().into_vec())
        } else {
            Entry::Other(path)
        };
        Ok(Some(entry))
    });
    found.map_err(|error: io::Error| Error::source(path, "cannot find it", error))
}

/// Resolves the directory of a path, but not the last name, which may be a symlink. Returns `None`
/// if the directory does not exist.
pub(super) fn resolve_directory(root: &Path, path: &[u8]) -> Result<Option<TreePath>> {
    let mut names: Vec<_> = names(path).collect();
    let Some(last) = names.pop() else { return Ok(Some(TreePath::new())) };
    let directory = resolve(root, &names.join(&b'/'))?;
    Ok(directory.map(|directory| join(&directory, last)))
}

/// Opens the file that `path` resolves to, and returns its path on the host.
///
/// # Errors
/// [`Error::Source`] if the file does not exist or can't be read.
pub(super) fn open(root: &Path, path: &[u8]) -> Result<(File, PathBuf)> {
    let missing = || Error::source(path, "cannot open", rustix::io::Errno::NOENT);
    let path = beneath(root, &resolve(root, path)?.ok_or_else(missing)?);
    // Opening a FIFO without a writer does not block.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(file) => Ok((file.into(), path)),
        Err(error) => Err(Error::source(path.as_os_str().as_bytes(), "cannot open", error)),
    }
}

/// Reads the text file that `path` resolves to; `None` if it does not exist.
///
/// # Errors
/// [`Error::Source`] if the file can't be read or is not UTF-8.
pub(super) fn read_text(root: &Path, path: &[u8]) -> Result<Option<String>> {
    let Some(found) = resolve(root, path)? else { return Ok(None) };
    let text = fs::read_to_string(beneath(root, &found));
    text.map(Some).map_err(|error| Error::source(path, "cannot read", error))
}

/// Returns the path on the host of a path in the root.
pub(super) fn beneath(root: &Path, path: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(path))
}

/// Returns the path of `rest` in `directory`.
pub(super) fn join(directory: &[u8], rest: &[u8]) -> TreePath {
    match (directory, rest) {
        (b"", path) | (path, b"") => path.to_vec(),
        _ => [directory, rest].join(&b'/'),
    }
}

/// Returns `path` relative to `directory`; empty for the directory itself, `None` for a path
/// outside of it.
pub(super) fn strip<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    match (directory, path.strip_prefix(directory)?) {
        (_, []) => Some(&[]),
        (b"", rest) => Some(rest),
        (_, rest) => rest.strip_prefix(b"/"),
    }
}

/// Splits a path into its directory and its last name; `None` for the root.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => Some((&path[..slash], &path[slash + 1..])),
        None if path.is_empty() => None,
        None => Some((b"", path)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn symlinks_stay_in_the_root() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("secret"), "").unwrap();
        let root = scratch.path().join("root");
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        fs::write(root.join("usr/lib/file"), "content").unwrap();
        for (target, name) in [
            ("usr/lib", "lib"),
            ("/usr", "absolute"),
            ("../../..", "out"),
            ("/../secret", "far"),
            ("loop", "loop"),
            ("nothing", "dangling"),
        ] {
            symlink(target, root.join(name)).unwrap();
        }
        for (path, expected) in [
            ("", Some("")),
            ("lib/file", Some("usr/lib/file")),
            ("/absolute//lib/./file", Some("usr/lib/file")),
            ("out/out/lib", Some("usr/lib")),
            ("far", None),
            ("../secret", None),
            ("dangling", None),
        ] {
            let found = resolve(&root, path.as_bytes()).unwrap();
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{path}");
        }
        assert!(resolve(&root, b"loop").is_err());
        assert!(resolve(&root, b"usr/lib/file/x").is_err());
        assert!(open(&root, b"dangling").is_err());
        let (file, path) = open(&root, b"lib/file").unwrap();
        assert_eq!(file.metadata().unwrap().len(), 7);
        assert_eq!(path, root.join("usr/lib/file"));
        let place = resolve_directory(&root, b"absolute/lib/new").unwrap();
        assert_eq!(place.unwrap(), b"usr/lib/new");
        assert_eq!(resolve_directory(&root, b"dangling").unwrap().unwrap(), b"dangling");
    }

    #[test]
    fn paths_are_taken_apart() {
        for (path, directory, rest) in [
            ("a/b", "a", Some("b")),
            ("a", "a", Some("")),
            ("a/b", "", Some("a/b")),
            ("ab", "a", None),
            ("a", "a/b", None),
            ("", "", Some("")),
        ] {
            let found = strip(path.as_bytes(), directory.as_bytes());
            assert_eq!(found, rest.map(str::as_bytes), "{path} in {directory}");
        }
        assert_eq!(split(b"a/b/c"), Some((&b"a/b"[..], &b"c"[..])));
        assert_eq!(split(b"c"), Some((&b""[..], &b"c"[..])));
        assert_eq!(split(b""), None);
        assert_eq!(join(b"", b"a"), b"a");
        assert_eq!(join(b"a", b""), b"a");
        assert_eq!(join(b"a", b"b"), b"a/b");
    }
}
