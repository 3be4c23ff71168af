//! Warnings about everything that a tree loses in a squashfs, one of each kind.

use super::xattrs::split_name;
use crate::report::Warning;
use crate::tree::{FileFlags, Inode, InodeId, Tree};

/// Returns the warnings for a tree.
pub(super) fn collect(tree: &Tree) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |count: usize, (one, many): (&str, &str), what: &str| {
        if count > 0 {
            let who = if count == 1 { one } else { many };
            let message = format!("{count} {who} {what}");
            warnings.push(Warning { path: tree.path(InodeId::ROOT), message });
        }
    };
    let count = |lost: &dyn Fn(&Inode) -> bool| tree.inodes().iter().filter(|i| lost(i)).count();
    let loses = |inode: &Inode, prefix: Option<&[u8]>| {
        tree.xattr_sets()[inode.xattrs as usize].iter().any(|xattr| match prefix {
            Some(prefix) => xattr.name.starts_with(prefix),
            None => split_name(&xattr.name).is_none() && !xattr.name.starts_with(ACL),
        })
    };
    let nodes = ("node loses", "nodes lose");
    warn(
        count(&|inode| loses(inode, Some(ACL))),
        nodes,
        "POSIX ACLs, which squashfs does not have",
    );
    let what = "extended attributes other than user.*, trusted.* and security.*";
    warn(count(&|inode| loses(inode, None)), nodes, what);
    // The others are properties of btrfs.
    let flags = FileFlags::all() - FileFlags::NOCOW - FileFlags::NOCOMPRESS;
    warn(count(&|inode| inode.flags.intersects(flags)), nodes, "file flags");
    let has_fraction = |inode: &Inode| inode.mtime.nanoseconds > 0;
    warn(count(&has_fraction), ("time is", "times are"), "rounded down to whole seconds");
    let is_outside = |inode: &Inode| u32::try_from(inode.mtime.seconds).is_err();
    let what = "outside 1970 to 2106, the range of squashfs, and clamped";
    warn(count(&is_outside), ("time is", "times are"), what);
    warnings
}

/// Prefix of the attributes that hold ACLs.
const ACL: &[u8] = b"system.posix_acl_";
