//! Images of source trees that scripts make.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::detfs::{mkfs, succeed};
use crate::oracle::{Comparison, erofs, shell};
use crate::tree::LATEST;

/// Creates a temporary directory in memory.
pub fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// Creates a tree by running a shell script in its root.
pub fn tree(script: &str) -> TempDir {
    let tree = scratch();
    shell(&format!("cd $1; {script}"), &[tree.path()]);
    tree
}

/// Returns content that compresses, and is different at every offset.
pub fn text(seed: u64, len: u64) -> Vec<u8> {
    let lines = (seed * 1_000_000..).flat_map(|number| format!("{number:012}\n").into_bytes());
    lines.take(usize::try_from(len).unwrap()).collect()
}

/// An image in a file in its own temporary directory.
pub struct Image {
    _scratch: TempDir,
    pub path: PathBuf,
}

impl Image {
    /// Creates an image of a tree and checks it with every oracle.
    pub fn checked(tree: &Path, options: &[&str]) -> Self {
        let scratch = scratch();
        let path = scratch.path().join("image");
        succeed(&mut mkfs("erofs", tree, &path, LATEST, options));
        // Debian 12's fsck.erofs knows neither Zstandard nor fragments.
        let is_new =
            |option: &&str| option.starts_with("--compress=zstd") || *option == "--fragments";
        let checked = match options.iter().any(is_new) {
            true => erofs::mount_erofs(&path, |root| Comparison::exact().compare(tree, root))
                .and_then(|compared| compared),
            false => erofs::check_image(&path, tree, &Comparison::exact()),
        };
        checked.unwrap_or_else(|error_text| panic!("{options:?}: {error_text:?}"));
        Self { _scratch: scratch, path }
    }

    pub fn size(&self) -> u64 {
        std::fs::metadata(&self.path).unwrap().len()
    }

    /// Returns the features that `dump.erofs` lists.
    pub fn features(&self) -> String {
        let text = erofs::dump_erofs(&self.path, &["-s"]);
        let line = text.lines().find_map(|line| line.strip_prefix("Filesystem features:"));
        line.unwrap().trim().to_owned()
    }
}
