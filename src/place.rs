//! Where a path leads on this machine.

use std::io;
use std::path::{Path, PathBuf};

/// The absolute path of something that need not be there, without symlinks and `..` as far as it is.
///
/// # Errors
/// There is no working directory, or a name that is none in what is not there.
pub(crate) fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    for place in path.ancestors() {
        if let Ok(found) = place.canonicalize() {
            let rest = path.strip_prefix(place).map_err(io::Error::other)?;
            return Ok(found.join(rest));
        }
    }
    Ok(path)
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
    }
}
