//! Resolution of paths on this machine.

use std::io;
use std::path::{Path, PathBuf};

/// Returns the absolute path of a file that need not exist. Symlinks and `..` are resolved in the
/// part that exists.
///
/// # Errors
/// If there is no working directory, or a component of the path can't be accessed or is invalid.
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for place in path.ancestors() {
        match place.canonicalize() {
            Ok(found) => {
                let rest = path.strip_prefix(place).map_err(io::Error::other)?;
                return Ok(found.join(rest));
            }
            Err(error) if is_absence(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(path)
}

/// Returns whether an error means that a name does not exist. Any other error leaves that open.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_and_parents_are_gone() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        fs::create_dir(root.join("a")).unwrap();
        symlink("a", root.join("link")).unwrap();
        for (path, expected) in [
            ("a", "a"),
            ("a/../b/c", "b/c"),
            ("link/x/y", "a/x/y"),
            ("./nothing", "nothing"),
            ("nothing/x", "nothing/x"),
        ] {
            assert_eq!(real(&root.join(path)).unwrap(), root.join(expected), "{path}");
        }
        symlink("loop", root.join("loop")).unwrap();
        assert!(real(&root.join("loop/x")).is_err());
    }
}
