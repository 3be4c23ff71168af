//! Trees that look bootable, on disks without an ESP.

use crate::report::Warning;
use crate::tree::{InodeId, Kind, Tree};

/// Returns a warning if a tree has content that needs an ESP to boot.
///
/// It is for disks that have no ESP.
pub(super) fn without_esp(tree: &Tree, has_xbootldr: bool) -> Option<Warning> {
    let remedy = "add a boot loader with `boot.method` or under efi or boot/efi, or give \
                  `esp.from` or `esp.tree`";
    let empty = [&b"efi"[..], b"boot/efi"].into_iter().find(|path| is_empty(tree, path));
    let (path, what) = match (kernel(tree), empty) {
        (Some(kernel), _) => (tree.path(kernel), "a kernel"),
        (None, _) if has_xbootldr => (b"boot".to_vec(), "the content of XBOOTLDR"),
        (None, Some(empty)) => (empty.to_vec(), "an empty mount point of an EFI system partition"),
        (None, None) => return None,
    };
    let message =
        format!("{what}, but the image has no EFI system partition to boot it from; {remedy}");
    Some(Warning { path, message })
}

fn is_empty(tree: &Tree, path: &[u8]) -> bool {
    tree.directory(path).is_some_and(|directory| tree.entries(directory).is_empty())
}

/// Finds a kernel where distributions install it.
fn kernel(tree: &Tree) -> Option<InodeId> {
    const NAMES: [&[u8]; 6] = [b"vmlinuz", b"vmlinux", b"bzImage", b"zImage", b"Image", b"kernel-"];
    let is_file = |&id: &InodeId| matches!(tree.inode(id).kind, Kind::File { .. });
    let children = |path| {
        let directory = tree.directory(path);
        directory.into_iter().flat_map(|directory| tree.entries(directory))
    };
    let named = children(b"boot").filter(|entry| {
        let name = tree.name(entry);
        NAMES.iter().any(|start| name.starts_with(start))
    });
    let versions = children(b"usr/lib/modules").chain(children(b"lib/modules"));
    let packaged = versions.filter_map(|version| tree.child(version.inode(), b"vmlinuz"));
    named.map(|entry| entry.inode()).chain(packaged).find(is_file)
}
