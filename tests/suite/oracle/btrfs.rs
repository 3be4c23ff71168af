//! Checks btrfs images with btrfs-progs and with the kernel.
//!
//! Two file systems with one fsid confuse the kernel, so every image that is mounted has a unique
//! fsid.

mod check;
mod exercise;
mod inspect;
mod mount;
mod readers;
mod swap;
mod twin;

use std::path::Path;

pub use check::btrfs_check;
pub use exercise::{exercise, first_boot, grow};
pub use inspect::{DumpedTrees, behind, decimal, dump_tree, key, number, superblocks};
pub use mount::{mount_btrfs, mount_btrfs_with, session};
pub use readers::{find_root, recover, restore, send};
pub use swap::swap_on;
pub use twin::twin;

use super::{Comparison, Verdict};

/// Checks an image of the tree at `source` with every read-only oracle.
pub fn check_image(image: &Path, source: &Path, comparison: &Comparison) -> Verdict {
    btrfs_check(image)?;
    DumpedTrees::read(image)?.sound()?;
    mount_btrfs(image, |root| comparison.compare(source, root))?
}

/// Copies an image, for oracles that write to it.
pub fn copied(image: &Path) -> (tempfile::TempDir, std::path::PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let copy = scratch.path().join("copy");
    super::shell("cp --sparse=always $1 $2", &[image, &copy]);
    (scratch, copy)
}

#[cfg(test)]
pub mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::super::tool::shell;
    use super::super::{LoopDevice, Mounted};

    /// A btrfs image formatted by mkfs.btrfs and filled by the kernel from a source tree next to
    /// it.
    ///
    /// The `--rootdir` of the installed mkfs.btrfs leaves free space entries for block groups that
    /// no longer exist.
    pub struct Sample {
        scratch: TempDir,
        pub image: PathBuf,
        pub source: PathBuf,
    }

    impl Sample {
        pub fn new() -> Self {
            Self::with("-m dup")
        }

        /// Creates a sample with these options of mkfs.btrfs.
        pub fn with(options: &str) -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let source = scratch.path().join("source");
            let image = scratch.path().join("image");
            let script = "mkdir -p $1/dir; echo hello >$1/dir/file; ln -s dir/file $1/link
                head -c 300000 /dev/urandom >$1/dir/big; mkfifo $1/fifo
                setfattr -n user.name -v value $1/dir/file; ln $1/dir/big $1/second";
            shell(script, &[&source]);
            let script = format!(
                "truncate -s 512M $1; mkfs.btrfs -q -R ^free-space-tree {options} $1 >/dev/null"
            );
            shell(&script, &[&image]);
            let sample = Self { scratch, image, source };
            sample.change("cp -a $2/. $1");
            sample
        }

        /// Mounts the image and runs a script with the mount point and the source as arguments.
        pub fn change(&self, script: &str) {
            let device = LoopDevice::attach(&self.image, &[]);
            let mounted = Mounted::on("btrfs", "rw,space_cache=v2", Some(device)).unwrap();
            shell(script, &[mounted.path(), &self.source]);
        }

        pub fn beside(&self, name: &str) -> PathBuf {
            self.scratch.path().join(name)
        }

        /// Returns the device offset of a logical address in the first stripe of its chunk.
        pub fn physical(&self, logical: u64) -> u64 {
            let dumped = super::DumpedTrees::read(&self.image).unwrap();
            let (start, chunk) = dumped.chunks.range(..=logical).next_back().unwrap();
            chunk.stripes[0] + (logical - start)
        }

        /// Returns the device offset of the only data extent.
        pub fn data(&self) -> u64 {
            let dumped = super::DumpedTrees::read(&self.image).unwrap();
            let data = dumped.chunks.iter().find(|(_, chunk)| chunk.kind.starts_with("DATA"));
            let (&start, chunk) = data.unwrap();
            let end = start + chunk.length;
            let extent = dumped.extents.range(start..end).find(|(_, len)| **len > 16_384);
            self.physical(*extent.unwrap().0)
        }

        /// Returns the device offset of the first copy of the root of a tree.
        pub fn root(&self, tree: &str) -> u64 {
            if tree == "ROOT_TREE" {
                let superblock = &super::superblocks(&self.image).unwrap()[0];
                return self.physical(superblock["root"].parse().unwrap());
            }
            let path = self.image.as_os_str();
            let said = super::super::tool::run(
                "btrfs",
                ["inspect-internal".as_ref(), "dump-tree".as_ref(), "-r".as_ref(), path],
            );
            // ` tree key (FS_TREE ROOT_ITEM 0) 30441472 level 0`
            let line = said.stdout.lines().find(|line| line.contains(&format!("({tree} ")));
            let words = line.unwrap_or_else(|| panic!("{}", said.all()));
            let (_, behind) = words.rsplit_once(") ").unwrap();
            self.physical(behind.split(' ').next().unwrap().parse().unwrap())
        }
    }
}
