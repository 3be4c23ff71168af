//! Checks of options, and of what ext4 can store.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Options;
use super::inode::{MAJOR_MAX, MINOR_MAX, SharedXattrs, TIME_MAX, TIME_MIN, Xattrs};
use super::inode_numbers::LOST_FOUND;
use super::spec::{LINK_MAX, XATTR_REFCOUNT_MAX};
use super::xattr::XattrSet;
use crate::error::{Error, Result};
use crate::report::Warning;
use crate::time::Timestamp;
use crate::tree::{FileFlags, Kind, Tree};

pub(super) fn check_options(options: &Options) -> Result<()> {
    if !matches!(options.block_size, 1024 | 2048 | 4096) {
        return Err(Error::parameter(
            "ext4.block_size",
            format!("block size {} is not supported", options.block_size),
            "use 1024, 2048 or 4096",
        ));
    }
    if options.label.len() > 16 {
        let rule = format!("label is {} bytes, ext4 allows 16", options.label.len());
        return Err(Error::parameter("label", rule, "use a shorter label"));
    }
    if options.label.iter().any(|byte| b"\0\n".contains(byte)) {
        let rule = "an ext4 label is without NUL and line feed";
        return Err(Error::parameter("label", rule, "use another label"));
    }
    if options.epoch.nanoseconds >= 1_000_000_000 {
        return Err(Error::parameter(
            "epoch",
            "nanoseconds are not below 10^9",
            "use a whole number of seconds",
        ));
    }
    if options.epoch < TIME_MIN || options.epoch > TIME_MAX {
        return Err(Error::parameter(
            "epoch",
            format!("time {} is outside the range of ext4", options.epoch.seconds),
            format!("use {} to {}", TIME_MIN.seconds, TIME_MAX.seconds),
        ));
    }
    Ok(())
}

/// Checks that ext4 can store every inode, and clamps timestamps to its range.
pub(super) fn representable(
    tree: &Arc<Tree>,
    options: &Options,
) -> Result<(Arc<Tree>, Vec<Warning>)> {
    let block_size = u64::from(options.block_size);
    let refuse =
        |id, rule: String, remedy: &str| Err(Error::unrepresentable(tree.path(id), rule, remedy));
    for (id, inode) in tree.iter() {
        if inode.kind != Kind::Directory && inode.links > LINK_MAX {
            let rule = format!("file has {} hard links, ext4 allows {LINK_MAX}", inode.links);
            return refuse(id, rule, "replace some hard links by copies");
        }
        let keeps_flags = matches!(inode.kind, Kind::File { .. } | Kind::Directory);
        if !keeps_flags && inode.flags.intersects(FileFlags::IMMUTABLE | FileFlags::APPEND) {
            let rule = "immutable or append-only, which ext4 supports only for files and \
                        directories";
            return refuse(id, rule.into(), "clear its file flags");
        }
        match inode.kind {
            Kind::File { size, .. } if size.div_ceil(block_size) > u64::from(u32::MAX) => {
                let most = u64::from(u32::MAX) * block_size;
                let rule = format!("file is {size} bytes, ext4 allows {most}");
                return refuse(id, rule, "split it, or use larger blocks");
            }
            Kind::Symlink if tree.target(id).len() as u64 >= block_size => {
                let len = tree.target(id).len();
                let rule = format!(
                    "symlink target is {len} bytes, ext4 allows {} with blocks of {block_size}",
                    block_size - 1
                );
                return refuse(id, rule, "use larger blocks or a shorter target");
            }
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor)
                if major > MAJOR_MAX || minor > MINOR_MAX =>
            {
                let rule = format!(
                    "device number is {major}:{minor}, ext4 allows at most \
                     {MAJOR_MAX}:{MINOR_MAX}"
                );
                return refuse(id, rule, "leave it out");
            }
            _ => {}
        }
    }
    if let Some(id) = tree.find(LOST_FOUND)
        && tree.inode(id).kind != Kind::Directory
    {
        let rule = "not a directory, but e2fsck needs a directory of this name".into();
        return refuse(id, rule, "rename it or leave it out");
    }

    let mut warnings = Vec::new();
    let mut within = Arc::clone(tree);
    let outside = |time: Timestamp| time < TIME_MIN || time > TIME_MAX;
    let mut late = tree.iter().filter(|(_, inode)| outside(inode.mtime));
    if let Some((id, _)) = late.next() {
        warnings.push(Warning {
            path: tree.path(id),
            message: format!(
                "modification time is outside the years 1901 to 2446, the range of ext4, and was \
                 clamped ({} in all)",
                1 + late.count()
            ),
        });
        let mut clamped = Tree::clone(tree);
        clamped.clamp_times_to(TIME_MIN, TIME_MAX);
        within = Arc::new(clamped);
    }
    Ok((within, warnings))
}

/// Assigns a block to every inode whose attributes do not all fit in it. Each block is shared by as
/// many inodes as possible.
pub(super) fn share_xattrs(tree: &Tree, block_size: usize) -> Result<Xattrs> {
    let mut sets: Vec<Option<(XattrSet, u16)>> = Vec::new();
    sets.resize_with(tree.xattr_sets().len(), || None);
    let mut filling: BTreeMap<u32, u32> = BTreeMap::new(); // block of each set to add to
    let (mut block_of, mut blocks) = (Vec::new(), Vec::<SharedXattrs>::new());
    for (id, inode) in tree.iter() {
        let set = &mut sets[inode.xattrs as usize];
        // An ACL must match the mode, so a set is converted again for another mode.
        if set.as_ref().is_none_or(|(_, mode)| *mode != inode.mode) && inode.xattrs != 0 {
            let made = XattrSet::new(tree.xattrs(id), inode.mode, block_size)
                .map_err(|(rule, remedy)| Error::unrepresentable(tree.path(id), rule, remedy))?;
            *set = Some((made, inode.mode));
        }
        if !set.as_ref().is_some_and(|(set, _)| set.has_block()) {
            continue;
        }
        let next = u32::try_from(blocks.len()).expect("fewer than inodes");
        let block = filling.entry(inode.xattrs).or_insert(next);
        if blocks.get(*block as usize).is_some_and(|block| block.refcount == XATTR_REFCOUNT_MAX) {
            *block = next;
        }
        if *block == next {
            blocks.push(SharedXattrs { set: inode.xattrs, refcount: 0 });
        }
        blocks[*block as usize].refcount += 1;
        block_of.resize(tree.inodes().len(), 0);
        block_of[id.index()] = *block + 1;
    }
    let sets = sets.into_iter().map(|set| set.map(|(set, _)| set).unwrap_or_default()).collect();
    Ok(Xattrs { sets, block_of, blocks })
}
