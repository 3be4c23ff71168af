//! The root file system of a Debian system with the essential packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::oracle::{require_root, shell};

/// Returns the root tree of a small Debian system of the host's suite, which is created once and
/// kept in cargo's target directory.
pub fn debian() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        require_root();
        let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian");
        if !tree.exists() {
            let part = tree.with_extension("part");
            let _ = fs::remove_dir_all(&part);
            let script = "suite=$(. /etc/os-release; echo \"$VERSION_CODENAME\")
                mmdebstrap --quiet --variant=essential \"$suite\" $1";
            shell(script, &[&part]);
            fs::rename(&part, &tree).unwrap();
        }
        tree
    })
}
