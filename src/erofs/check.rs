//! Checks of options, and of what erofs can store.

use super::Options;
use super::inode::{MAJOR_MAX, MINOR_MAX};
use super::spec::BLOCK;
use crate::error::{Error, Result};
use crate::report::Warning;
use crate::size::count;
use crate::tree::{FileFlags, Kind, Tree};

/// Maximum size of a file, in bytes: more blocks can't be addressed.
const FILE_MAX: u64 = (u32::MAX as u64 - 1) * BLOCK;

/// Flags that are lost. The others are those of btrfs, which every other format leaves out.
const FLAGS: FileFlags = FileFlags::IMMUTABLE
    .union(FileFlags::APPEND)
    .union(FileFlags::NODUMP)
    .union(FileFlags::NOATIME)
    .union(FileFlags::SYNC)
    .union(FileFlags::DIRSYNC);

/// Returns whether content can be compressed in pieces of this size in bytes.
pub(crate) fn is_cluster_size(bytes: u32) -> bool {
    bytes.is_power_of_two() && (8192..=1 << 20).contains(&bytes)
}

/// Checks the options.
pub(super) fn check_options(options: &Options) -> Result<()> {
    let len_max = options.profile.label_max();
    if options.label.len() > len_max {
        let rule = format!(
            "label is {} bytes, erofs allows {len_max} in the profile {}",
            options.label.len(),
            options.profile.name()
        );
        return Err(Error::parameter("label", rule, "use a shorter label"));
    }
    if let Some(compression) = options.compression {
        compression.check(options.profile)?;
    }
    let cluster_size = options.cluster_size;
    if !is_cluster_size(cluster_size) {
        let rule = format!("cluster size {cluster_size} is not supported");
        let remedy = "use a power of two from 8192 to 1048576";
        return Err(Error::parameter("erofs.cluster_size", rule, remedy));
    }
    if options.fragments && !options.profile.fragments() {
        let rule = format!("kernels of the profile {} don't read them", options.profile.name());
        return Err(Error::parameter("erofs.fragments", rule, "use `erofs.profile=linux-6.1`"));
    }
    if options.label.contains(&0) {
        let rule = "an erofs label is without NUL";
        return Err(Error::parameter("label", rule, "use another label"));
    }
    if options.epoch.nanoseconds >= 1_000_000_000 {
        let rule = "nanoseconds are not below 10^9";
        return Err(Error::parameter("epoch", rule, "use a whole number of seconds"));
    }
    Ok(())
}

/// Checks that erofs can store every inode, and returns warnings about what it can't.
///
/// Extended attributes are checked when they are encoded.
pub(super) fn check_tree(tree: &Tree) -> Result<Vec<Warning>> {
    for (id, inode) in tree.iter() {
        let refuse =
            |rule: String, remedy| Err(Error::unrepresentable(tree.path(id), rule, remedy));
        match inode.kind {
            Kind::File { size, .. } if size > FILE_MAX => {
                let rule = format!("file is {size} bytes, erofs allows {FILE_MAX}");
                return refuse(rule, "leave it out");
            }
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor)
                if major > MAJOR_MAX || minor > MINOR_MAX =>
            {
                let rule = format!(
                    "device number is {major}:{minor}, erofs allows at most \
                     {MAJOR_MAX}:{MINOR_MAX}"
                );
                return refuse(rule, "leave it out");
            }
            _ => {}
        }
    }
    let mut flagged = tree.iter().filter(|(_, inode)| inode.flags.intersects(FLAGS));
    Ok(flagged
        .next()
        .map(|(id, _)| Warning {
            path: tree.path(id),
            message: format!(
                "file flags are left out, because erofs has none ({} in all)",
                count(1 + flagged.count() as u64, "path")
            ),
        })
        .into_iter()
        .collect())
}
