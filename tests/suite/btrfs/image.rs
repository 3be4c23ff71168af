//! Source trees made by scripts, and images of them that each have an fsid of their own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use crate::detfs::{detfs, mkfs, succeed};
use crate::oracle::{Comparison, Verdict, btrfs, shell};
use crate::tree::{LATEST, Random};

/// A UUID that no other image of any test has.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-be7f-4000-8000-{count:012x}", std::process::id())
}

/// A directory in memory.
pub fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

/// A tree that a shell script makes in its root.
pub fn tree(script: &str) -> TempDir {
    let tree = scratch();
    shell(&format!("cd $1; {script}"), &[tree.path()]);
    tree
}

/// Writes a file of bytes that do not compress, other ones for each seed.
pub fn fill(tree: &TempDir, name: &str, seed: u64, len: u64) {
    std::fs::write(tree.path().join(name), Random::new(seed).bytes(len)).unwrap();
}

/// All that btrfs keeps of a tree, and what detfs makes of the times that a tree has not.
pub fn everything() -> Comparison {
    Comparison::exact().one_time()
}

/// `detfs mkfs btrfs TREE OUT` with an fsid of its own.
pub fn mkfs_btrfs(tree: &Path, out: &Path, options: &[&str]) -> Command {
    mkfs_at(LATEST, tree, out, options)
}

/// The same with another latest time.
pub fn mkfs_at(epoch: i64, tree: &Path, out: &Path, options: &[&str]) -> Command {
    let mut command = mkfs("btrfs", tree, out, epoch, options);
    command.args(["--uuid", &unique()]);
    command
}

/// `detfs mkimage --fs btrfs TREE OUT` with a seed of its own.
pub fn mkimage_btrfs(tree: &Path, out: &Path, options: &[&str]) -> Command {
    let mut command = detfs([OsStr::new("mkimage"), tree.as_os_str(), out.as_os_str()]);
    command.args(["--fs=btrfs", "--architecture=x86-64", "--seed", &unique()]);
    command.arg(format!("--source-date-epoch={LATEST}")).args(options);
    command
}

/// An image in a file of its own.
pub struct Image {
    scratch: TempDir,
    pub path: PathBuf,
    pub uuid: String,
}

impl Image {
    pub fn new(tree: &Path, options: &[&str]) -> Self {
        Self::identified(tree, &unique(), options)
    }

    /// An image with an fsid that others must not have while it is mounted.
    pub fn identified(tree: &Path, uuid: &str, options: &[&str]) -> Self {
        let scratch = scratch();
        let (path, uuid) = (scratch.path().join("image"), uuid.to_owned());
        succeed(mkfs("btrfs", tree, &path, LATEST, options).args(["--uuid", &uuid]));
        Self { scratch, path, uuid }
    }

    /// A new path beside the image.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub fn size(&self) -> u64 {
        std::fs::metadata(&self.path).unwrap().len()
    }

    /// Lets every oracle that only reads judge the image of a tree.
    pub fn check_with_oracles(&self, tree: &Path) -> Verdict {
        btrfs::check_image(&self.path, tree, &everything())
    }

    /// Lets a test look at the mounted tree.
    pub fn mounted<T>(&self, look: impl FnOnce(&Path) -> T) -> T {
        btrfs::mount_btrfs(&self.path, look).unwrap()
    }
}

/// Makes an image of a tree and lets every oracle that only reads judge it.
pub fn check_with_oracles(tree: &Path, options: &[&str]) -> Image {
    let image = Image::new(tree, options);
    image
        .check_with_oracles(tree)
        .unwrap_or_else(|error_text| panic!("{options:?}: {error_text:?}"));
    image
}
