//! Images of trees that are created by scripts.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::detfs::{detfs, succeed};
use crate::oracle::{Comparison, shell, squashfs};

/// Latest time that squashfs stores.
pub const EPOCH: i64 = (1 << 32) - 1;

/// Creates a temporary directory in memory.
pub fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// Creates a tree by running a shell script in its root. All times are whole seconds.
pub fn tree(script: &str) -> TempDir {
    let tree = scratch();
    let script = format!("cd $1; {script}\nfind . -exec touch -h -d @1600000000 {{}} +");
    shell(&script, &[tree.path()]);
    tree
}

/// An image in a file in its own temporary directory.
pub struct Image {
    _scratch: TempDir,
    pub path: PathBuf,
    /// What detfs printed to standard error.
    pub warnings: String,
}

impl Image {
    pub fn new(tree: &Path, options: &[&str]) -> Self {
        let scratch = scratch();
        let path = scratch.path().join("image");
        let mut command = detfs(["mkfs", "squashfs"]);
        command.args([tree, &path]).arg(format!("--source-date-epoch={EPOCH}")).args(options);
        let output = succeed(&mut command);
        let warnings = String::from_utf8(output.stderr).unwrap();
        Self { _scratch: scratch, path, warnings }
    }

    pub fn len(&self) -> u64 {
        std::fs::metadata(&self.path).unwrap().len()
    }
}

/// Creates an image of a tree and checks it with every oracle.
pub fn check_with_oracles(tree: &Path, options: &[&str]) -> Image {
    let image = Image::new(tree, options);
    squashfs::check_image(&image.path, tree, &Comparison::exact())
        .unwrap_or_else(|error_text| panic!("{options:?}: {error_text:?}"));
    image
}
