//! Warnings about everything that a tree loses on FAT, one of each kind.

use super::spec::FILE_MAX;
use super::time;
use crate::report::Warning;
use crate::tree::{Inode, InodeId, Kind, Tree};

/// Returns the warnings for a tree on a volume.
pub(super) fn collect(tree: &Tree, cluster_size: u64) -> Vec<Warning> {
    let count = |lost: &dyn Fn(&Inode) -> bool| tree.inodes().iter().filter(|i| lost(i)).count();
    let mut warnings = Vec::new();
    let mut warn = |path, count: usize, (one, many): (&str, &str), what: &str| {
        if count > 0 {
            let who = if count == 1 { one } else { many };
            warnings.push(Warning { path, message: format!("{count} {who} {what}") });
        }
    };
    let root = || tree.path(InodeId::ROOT);

    let linked = |inode: &Inode| matches!(inode.kind, Kind::File { .. }) && inode.links > 1;
    if let Some((id, _)) = tree.iter().find(|(_, inode)| linked(inode)) {
        let links = tree.inodes().iter().filter(|i| linked(i)).map(|i| i.links as usize - 1);
        let who = ("more name for a file gets", "more names for files get");
        warn(tree.path(id), links.sum(), who, "a copy each, because FAT has no hard links");
    }
    let least = FILE_MAX + 1 - cluster_size;
    let full = |inode: &Inode| matches!(inode.kind, Kind::File { size, .. } if size > least);
    if let Some((id, _)) = tree.iter().find(|(_, inode)| full(inode)) {
        let who = ("file fills", "files fill");
        let what = "4 GiB of clusters and would be truncated to nothing by fsck.fat up to 4.2";
        warn(tree.path(id), count(&full), who, what);
    }
    let nodes = ("node loses", "nodes lose");
    let owned = count(&|inode| inode.uid != 0 || inode.gid != 0);
    warn(root(), owned, nodes, "an owner or group other than root");
    let special = count(&|inode| inode.mode & 0o7000 != 0);
    warn(root(), special, nodes, "a setuid, setgid or sticky bit");
    warn(root(), count(&|inode| !inode.flags.is_empty()), nodes, "file flags");
    warn(root(), count(&|inode| inode.xattrs != 0), nodes, "extended attributes");
    // The root has no timestamp on FAT, so its own does not matter.
    let below_root = tree.inodes().iter().skip(1);
    let times = below_root.filter(|inode| !time::representable(inode.mtime)).count();
    let what = "outside 1980 to 2107, the range of FAT, and clamped";
    warn(root(), times, ("time is", "times are"), what);
    warnings
}
