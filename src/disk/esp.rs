//! The EFI system partition: what goes into it, and how large it is.

use std::sync::Arc;

use super::Vfat;
use crate::error::Result;
use crate::size::{KIB, MIB, round_up};
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Metadata, Tree, TreeBuilder};

/// The directory of the tree that is the ESP's content: `/efi` with anything in it, else `/boot`
/// with a directory `EFI`.
///
/// It is `EFI` in capitals alone: a `/boot/efi` is the mount point of an ESP elsewhere, in a
/// `/boot` with symlinks and kernels that belong to the root file system.
pub(super) fn find(tree: &Tree) -> Option<InodeId> {
    let directory = |path| {
        let id = tree.find(path)?;
        (tree.inode(id).kind == Kind::Directory).then_some(id)
    };
    match directory(b"efi") {
        Some(efi) if !tree.entries(efi).is_empty() => Some(efi),
        _ => directory(b"boot/EFI").map(|marker| tree.parent(marker)),
    }
}

/// The content of an ESP that the tree has nothing for.
pub(super) fn empty(epoch: Timestamp) -> Result<Tree> {
    let metadata = Metadata { mode: 0o755, mtime: epoch, ..Metadata::default() };
    TreeBuilder::new(metadata)?.finish()
}

/// The smallest ESP that is made without being asked for.
///
/// A firmware need only read FAT32 on a fixed disk, which begins at 65,525 clusters of at least a
/// sector: 33 MiB with 512-byte sectors, 260 MiB with 4096-byte ones.
fn least(sector_size: u32) -> u64 {
    round_up(65 * KIB * u64::from(sector_size), MIB)
}

/// The size in bytes of an ESP that no size was given for: twice what its content takes, since an
/// update writes the new kernel before it removes the old one, and an ESP can't grow later.
pub(super) fn size(tree: &Arc<Tree>, vfat: &Vfat, epoch: Timestamp) -> Result<u64> {
    let content = vfat.minimal_size(tree, epoch)?;
    Ok(round_up(content.saturating_mul(2), MIB).max(least(vfat.sector_size)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Node, NodeId};

    fn add(builder: &mut TreeBuilder, parent: NodeId, name: &str, node: Node) -> NodeId {
        builder.add(parent, name.as_bytes(), Metadata::default(), node).unwrap()
    }

    /// A tree of directories; a name that ends in `@` is a symlink to `efi`.
    fn tree(paths: &[&str]) -> Tree {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        for path in paths {
            let mut parent = TreeBuilder::ROOT;
            for name in path.split('/') {
                parent = match name.strip_suffix('@') {
                    Some(name) => add(&mut builder, parent, name, Node::Symlink(b"efi".to_vec())),
                    None => add(&mut builder, parent, name, Node::Directory),
                };
            }
        }
        builder.finish().unwrap()
    }

    #[test]
    fn the_content_is_what_is_meant_for_it() {
        for (paths, expected) in [
            (&["etc"][..], None),
            (&["efi"], None),
            (&["efi/loader"], Some("efi")),
            (&["efi/EFI", "boot/EFI"], Some("efi")),
            (&["efi", "boot/EFI"], Some("boot")),
            (&["boot/EFI"], Some("boot")),
            (&["boot/efi"], None),
            (&["boot/Efi"], None),
            (&["boot/grub"], None),
            (&["boot/EFI@"], None),
            (&["efi@", "boot/EFI"], Some("boot")),
        ] {
            let tree = tree(paths);
            let expected = expected.and_then(|path: &str| tree.find(path.as_bytes()));
            assert_eq!(find(&tree), expected, "{paths:?}");
        }
    }

    /// The figures of the ESPs that Windows and others make.
    #[test]
    fn the_least_size_holds_fat32() {
        assert_eq!(least(512), 33 * MIB);
        assert_eq!(least(4096), 260 * MIB);
    }
}
