//! Checks of options, and of what btrfs can store.

use super::Options;
use super::inode::{MAJOR_MAX, MINOR_MAX, property};
use super::spec::{FileExtentHead, LABEL_SIZE, SECTOR};
use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::tree::{FileFlags, InodeId, Kind, Tree};

pub(super) fn check(tree: &Tree, options: &Options) -> Result<()> {
    let refuse = |field, rule: String, remedy: &str| Err(Error::parameter(field, rule, remedy));
    let node_size = options.node_size;
    if !node_size.is_power_of_two() || !(4096..=65536).contains(&node_size) {
        let rule = format!("node size {node_size} is not supported");
        return refuse("btrfs.node_size", rule, "use 4096, 8192, 16384, 32768 or 65536");
    }
    let available = most_inline(node_size);
    let most = available.min(SECTOR - 1);
    if u64::from(options.max_inline) > most {
        let rule = format!("nodes of {node_size} bytes hold inline files of at most {most} bytes");
        return refuse("btrfs.max_inline", rule, "use a smaller limit, or larger nodes");
    }
    if options.label.len() >= LABEL_SIZE || options.label.iter().any(|byte| b"\0\n".contains(byte))
    {
        let rule = "a btrfs label is at most 255 bytes, without NUL and line feed";
        return refuse("label", rule.into(), "use another label");
    }
    if options.epoch.nanoseconds >= 1_000_000_000 {
        let rule = "nanoseconds are not below 10^9";
        return refuse("epoch", rule.into(), "use a whole number of seconds");
    }
    if let Some(directory) = options.default_subvolume
        && directory != InodeId::ROOT
        && !options.subvolumes.iter().any(|subvolume| subvolume.directory == directory)
    {
        let rule = format!("{} is not a subvolume", Escaped(&tree.path(directory)));
        return refuse(
            "btrfs.default_subvolume",
            rule,
            "create the subvolume with `btrfs.subvolumes`",
        );
    }
    for (id, inode) in tree.iter() {
        let refuse =
            |rule: String, remedy: &str| Err(Error::unrepresentable(tree.path(id), rule, remedy));
        if let Err(value) = property(tree, id) {
            let rule = format!("property btrfs.compression is {}", Escaped(value));
            return refuse(rule, "set it to zlib, lzo, zstd or none, or remove it");
        }
        match inode.kind {
            Kind::File { size, .. } if i64::try_from(size).is_err() => {
                return refuse(
                    format!("file is {size} bytes, more than btrfs allows"),
                    "leave it out",
                );
            }
            Kind::Symlink if tree.target(id).len() as u64 > available.min(SECTOR - 1) => {
                let len = tree.target(id).len();
                let most = available.min(SECTOR - 1);
                let rule = format!("symlink target is {len} bytes, btrfs allows {most}");
                return refuse(rule, "shorten it, or use larger nodes (`btrfs.node_size`)");
            }
            // btrfs check reports such a link as damaged.
            Kind::Symlink if inode.flags.intersects(FileFlags::IMMUTABLE | FileFlags::APPEND) => {
                let rule = "symlink is immutable or append-only, which btrfs does not support";
                return refuse(rule.into(), "clear its file flags");
            }
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor)
                if major > MAJOR_MAX || minor > MINOR_MAX =>
            {
                let rule = format!(
                    "device number is {major}:{minor}, btrfs allows at most \
                     {MAJOR_MAX}:{MINOR_MAX}"
                );
                return refuse(rule, "leave it out");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns the maximum size of inline content with nodes of `node_size` bytes.
pub(super) fn most_inline(node_size: u32) -> u64 {
    let leaf = u64::from(node_size) - size_of::<super::spec::Header>() as u64;
    leaf - (size_of::<super::spec::ItemHead>() + size_of::<FileExtentHead>()) as u64
}
