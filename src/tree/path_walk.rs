//! Path resolution as in Linux, within a root that no path leads out of.

use std::io;

use rustix::io::Errno;

/// Maximum number of symlinks in the resolution of a path, as in Linux.
const SYMLINKS_MAX: usize = 40;

/// What a name in a directory refers to.
pub(crate) enum Entry<N> {
    Directory(N),
    /// A symlink with its target.
    Symlink(Vec<u8>),
    /// A node that is neither a directory nor a symlink.
    Other(N),
}

/// Why a path can't be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WalkError {
    /// A component of the path, other than the last one, is not a directory.
    NotADirectory,
    TooManySymlinks,
}

impl From<WalkError> for io::Error {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::NotADirectory => Errno::NOTDIR.into(),
            WalkError::TooManySymlinks => Errno::LOOP.into(),
        }
    }
}

/// Returns the node that `path` resolves to, following symlinks, or `None` if it does not exist.
///
/// `lookup` returns what a name in a directory refers to. It is never asked for `.` or `..`. The
/// parent of the root is the root, and absolute targets start there.
///
/// # Errors
/// A [`WalkError`], or an error of `lookup`.
pub(crate) fn walk<N, E: From<WalkError>>(
    root: N,
    path: &[u8],
    mut lookup: impl FnMut(&N, &[u8]) -> Result<Option<Entry<N>>, E>,
) -> Result<Option<N>, E> {
    // Names still to be looked up, the next one last.
    let mut pending: Vec<Vec<u8>> = names(path).rev().map(<[u8]>::to_vec).collect();
    // Directories from the root down to the current one.
    let mut parents = Vec::new();
    let mut at = root;
    let mut symlinks = 0;
    while let Some(name) = pending.pop() {
        if name == b".." {
            at = parents.pop().unwrap_or(at);
            continue;
        }
        match lookup(&at, &name)? {
            None => return Ok(None),
            Some(Entry::Directory(directory)) => {
                parents.push(std::mem::replace(&mut at, directory));
            }
            Some(Entry::Symlink(target)) => {
                symlinks += 1;
                if symlinks > SYMLINKS_MAX {
                    return Err(WalkError::TooManySymlinks.into());
                }
                if target.starts_with(b"/") {
                    at = parents.drain(..).next().unwrap_or(at);
                }
                pending.extend(names(&target).rev().map(<[u8]>::to_vec));
            }
            Some(Entry::Other(node)) if pending.is_empty() => return Ok(Some(node)),
            Some(Entry::Other(_)) => return Err(WalkError::NotADirectory.into()),
        }
    }
    Ok(Some(at))
}

/// Returns the names of a path, without empty names and `.`.
pub(crate) fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let names = path.split(|&byte| byte == b'/');
    names.filter(|name| !matches!(*name, b"" | b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks names up in a fixed list of paths, in which a node is its own path.
    fn resolve(path: &str) -> Result<Option<String>, WalkError> {
        walk(String::new(), path.as_bytes(), |directory, name| {
            let path = format!("{directory}/{}", std::str::from_utf8(name).unwrap());
            let link = |target: &str| Some(Entry::Symlink(target.into()));
            Ok(match &*path {
                "/a" | "/a/b" => Some(Entry::Directory(path)),
                "/a/file" => Some(Entry::Other(path)),
                "/a/b/up" => link("../file"),
                "/a/b/root" => link("/a//./b"),
                "/out" => link("../../a"),
                "/loop" => link("loop"),
                // A chain of symlinks, whose length is its name's.
                _ => name.strip_prefix(b"x").map(|rest| match rest {
                    [] => Entry::Symlink(b"a".to_vec()),
                    _ => Entry::Symlink(rest.to_vec()),
                }),
            })
        })
    }

    #[test]
    fn paths_resolve_as_in_linux() {
        for (path, expected) in [
            ("", Some("")),
            ("/", Some("")),
            ("..", Some("")),
            ("a/../../a/b/.", Some("/a/b")),
            ("a/b/up", Some("/a/file")),
            ("a/b/root/root/..", Some("/a")),
            ("out/file/", Some("/a/file")),
            ("missing", None),
            ("a/missing/..", None),
        ] {
            assert_eq!(resolve(path).unwrap().as_deref(), expected, "{path}");
        }
        for path in ["a/file/b", "a/file/..", "a/b/up/x"] {
            assert_eq!(resolve(path), Err(WalkError::NotADirectory), "{path}");
        }
    }

    #[test]
    fn forty_symlinks_are_followed() {
        assert_eq!(resolve(&"x".repeat(40)).unwrap().as_deref(), Some("/a"));
        assert_eq!(resolve(&"x".repeat(41)), Err(WalkError::TooManySymlinks));
        assert_eq!(resolve("loop"), Err(WalkError::TooManySymlinks));
    }
}
