//! Source trees created by scripts, and images of them, each with a unique fsid.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use crate::detfs::{detfs, mkfs, succeed};
use crate::oracle::{Comparison, Verdict, btrfs, shell};
use crate::tree::{LATEST, Random};

/// Returns a UUID that no other image of any test has.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-be7f-4000-8000-{count:012x}", std::process::id())
}

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

/// Writes a file of incompressible bytes, which depend on the seed.
pub fn fill(tree: &TempDir, name: &str, seed: u64, len: u64) {
    std::fs::write(tree.path().join(name), Random::new(seed).bytes(len)).unwrap();
}

/// Compares everything that btrfs stores, and the times that detfs derives from the modification
/// time.
pub fn everything() -> Comparison {
    Comparison::exact().one_time()
}

/// Returns the command `detfs mkfs btrfs TREE OUT` with a unique fsid.
pub fn mkfs_btrfs(tree: &Path, out: &Path, options: &[&str]) -> Command {
    mkfs_at(LATEST, tree, out, options)
}

/// Returns the same command with `epoch` as the source date epoch.
pub fn mkfs_at(epoch: i64, tree: &Path, out: &Path, options: &[&str]) -> Command {
    let mut command = mkfs("btrfs", tree, out, epoch, options);
    command.args(["--uuid", &unique()]);
    command
}

/// Returns the command `detfs mkimage --fs btrfs TREE OUT` with a unique seed.
pub fn mkimage_btrfs(tree: &Path, out: &Path, options: &[&str]) -> Command {
    let mut command = detfs([OsStr::new("mkimage"), tree.as_os_str(), out.as_os_str()]);
    command.args(["--fs=btrfs", "--architecture=x86-64", "--seed", &unique()]);
    command.arg(format!("--source-date-epoch={LATEST}")).args(options);
    command
}

/// An image in a file in its own temporary directory.
pub struct Image {
    scratch: TempDir,
    pub path: PathBuf,
    pub uuid: String,
}

impl Image {
    pub fn new(tree: &Path, options: &[&str]) -> Self {
        Self::identified(tree, &unique(), options)
    }

    /// Creates an image with an fsid that no other image may have while this one is mounted.
    pub fn identified(tree: &Path, uuid: &str, options: &[&str]) -> Self {
        let scratch = scratch();
        let (path, uuid) = (scratch.path().join("image"), uuid.to_owned());
        succeed(mkfs("btrfs", tree, &path, LATEST, options).args(["--uuid", &uuid]));
        Self { scratch, path, uuid }
    }

    /// Returns a path next to the image.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub fn size(&self) -> u64 {
        std::fs::metadata(&self.path).unwrap().len()
    }

    /// Checks the image of a tree with every read-only oracle.
    pub fn check_with_oracles(&self, tree: &Path) -> Verdict {
        btrfs::check_image(&self.path, tree, &everything())
    }

    /// Mounts the image read-only and calls `look` with its root.
    pub fn mounted<T>(&self, look: impl FnOnce(&Path) -> T) -> T {
        btrfs::mount_btrfs(&self.path, look).unwrap()
    }
}

/// Creates an image of a tree and checks it with every read-only oracle.
pub fn check_with_oracles(tree: &Path, options: &[&str]) -> Image {
    let image = Image::new(tree, options);
    image
        .check_with_oracles(tree)
        .unwrap_or_else(|error_text| panic!("{options:?}: {error_text:?}"));
    image
}
