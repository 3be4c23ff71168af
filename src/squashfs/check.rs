//! Checks of options, and of what squashfs can store.

use std::collections::BTreeSet;

use super::inode::{MAJOR_MAX, MINOR_MAX};
use super::options::Options;
use super::xattrs::split_name;
use crate::error::{Error, Result};
use crate::tree::{InodeId, Kind, Tree};

/// `XATTR_NAME_MAX` of Linux.
const XATTR_NAME_MAX: usize = 255;

/// `XATTR_SIZE_MAX` of Linux.
const XATTR_SIZE_MAX: usize = 65536;

/// Largest number of different owners and groups.
const IDS_MAX: usize = u16::MAX as usize;

/// Largest number of blocks in a file: Linux counts them in signed integers.
const BLOCKS_MAX: u64 = (1 << 31) - 1;

pub(super) fn check_options(options: &Options) -> Result<()> {
    let block_size = options.block_size;
    if !block_size.is_power_of_two() || !(4096..=1 << 20).contains(&block_size) {
        let rule = format!("block size {block_size} is not supported");
        let remedy = "use a power of two from 4096 to 1048576";
        return Err(Error::parameter("squashfs.block_size", rule, remedy));
    }
    if u32::try_from(options.epoch.seconds).is_err() {
        let rule = format!("time {} is outside the range of squashfs", options.epoch.seconds);
        return Err(Error::parameter("epoch", rule, format!("use 0 to {}", u32::MAX)));
    }
    options.compression.check()
}

/// Checks that squashfs can store every inode.
pub(super) fn check_tree(tree: &Tree, options: &Options) -> Result<()> {
    for (id, inode) in tree.iter() {
        let refuse =
            |rule: String, remedy: &str| Err(Error::unrepresentable(tree.path(id), rule, remedy));
        match inode.kind {
            Kind::File { size, .. } if size.div_ceil(options.block_size.into()) > BLOCKS_MAX => {
                let most = BLOCKS_MAX * u64::from(options.block_size);
                let rule = format!("file is {size} bytes, squashfs allows {most}");
                return refuse(rule, "leave it out, or use larger blocks (`squashfs.block_size`)");
            }
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor)
                if major > MAJOR_MAX || minor > MINOR_MAX =>
            {
                let rule = format!(
                    "device number is {major}:{minor}, squashfs allows at most \
                     {MAJOR_MAX}:{MINOR_MAX}"
                );
                return refuse(rule, "leave it out");
            }
            _ => {}
        }
        for xattr in tree.xattrs(id) {
            let Some((_, suffix)) = split_name(&xattr.name) else { continue };
            if suffix.is_empty() || xattr.name.len() > XATTR_NAME_MAX {
                let len = xattr.name.len();
                let rule = format!("the name of an extended attribute is {len} bytes");
                let remedy = format!("use 1 to {XATTR_NAME_MAX} bytes, more than the prefix");
                return refuse(rule, &remedy);
            }
            if xattr.value.len() > XATTR_SIZE_MAX {
                let len = xattr.value.len();
                let rule = format!(
                    "an extended attribute is {len} bytes, squashfs allows {XATTR_SIZE_MAX}"
                );
                return refuse(rule, "shorten it, or leave it out");
            }
        }
    }
    Ok(())
}

/// Returns all owners and groups, sorted.
pub(super) fn collect_ids(tree: &Tree) -> Result<Vec<u32>> {
    let ids: BTreeSet<_> = tree.inodes().iter().flat_map(|inode| [inode.uid, inode.gid]).collect();
    match ids.len() {
        0..=IDS_MAX => Ok(ids.into_iter().collect()),
        count => Err(Error::unrepresentable(
            tree.path(InodeId::ROOT),
            format!("the tree has {count} different owners and groups, squashfs allows {IDS_MAX}"),
            "use fewer owners, or another format",
        )),
    }
}
