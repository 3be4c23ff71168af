//! Number, generation and checksum seed of every inode.

use std::sync::Arc;

use super::csum::{CsumSeed, crc};
use super::spec::{
    FT_BLKDEV, FT_CHRDEV, FT_DIR, FT_FIFO, FT_REG_FILE, FT_SOCK, FT_SYMLINK, ROOT_INO,
};
use crate::tree::{InodeId, Kind, Tree};

/// The numbers of a tree's inodes. The root is 2, and the others follow the special inodes in tree
/// order.
#[derive(Debug)]
pub(super) struct InodeNumbers {
    pub(super) tree: Arc<Tree>,
    /// Number of the tree's second inode.
    pub(super) first: u32,
    /// Number of `lost+found`, if it is added to the tree.
    pub(super) lost_found: Option<u32>,
    /// Key that the generations are derived from.
    pub(super) key: [u8; 16],
    pub(super) seed: CsumSeed,
}

impl InodeNumbers {
    pub(super) fn ino(&self, id: InodeId) -> u32 {
        match u32::try_from(id.index()).expect("a tree has fewer than 2^32 inodes") {
            0 => ROOT_INO,
            index => self.first - 1 + index,
        }
    }

    /// Returns the inode of the tree with number `ino`, which is at least [`Self::first`].
    pub(super) fn id(&self, ino: u32) -> InodeId {
        InodeId::new(ino + 1 - self.first)
    }

    /// Returns the highest inode number in use.
    pub(super) fn last(&self) -> u32 {
        let inodes = u32::try_from(self.tree.inodes().len()).expect("checked before");
        self.first - 1 + inodes - 1
    }

    /// Returns `i_generation`, by which an NFS file handle recognizes a reused inode number.
    pub(super) fn generation(&self, ino: u32) -> u32 {
        crc(crc(!0, &self.key), &ino.to_le_bytes())
    }

    /// Returns the seed of the checksums of an inode's extents and directory blocks.
    pub(super) fn csum_seed(&self, ino: u32) -> u32 {
        self.seed.inode(ino, self.generation(ino))
    }

    /// Returns the names in a directory of the tree.
    pub(super) fn entries(&self, directory: InodeId) -> DirectoryEntries<'_> {
        let entries = self.tree.entries(directory);
        let extra = match (directory, self.lost_found) {
            (InodeId::ROOT, Some(ino)) => {
                let before = |entry: &_| self.tree.name(entry) < LOST_FOUND;
                Some((entries.partition_point(before), ino))
            }
            _ => None,
        };
        DirectoryEntries { inode_numbers: self, directory, extra }
    }
}

/// The name that e2fsck and kernels look for in the root.
pub(super) const LOST_FOUND: &[u8] = b"lost+found";

/// The names of a directory in byte order, including the `lost+found` that is added to the root.
#[derive(Debug)]
pub(super) struct DirectoryEntries<'a> {
    inode_numbers: &'a InodeNumbers,
    directory: InodeId,
    extra: Option<(usize, u32)>,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) name: &'a [u8],
    pub(super) ino: u32,
    pub(super) file_type: u8,
}

impl<'a> DirectoryEntries<'a> {
    pub(super) fn len(&self) -> usize {
        self.inode_numbers.tree.entries(self.directory).len() + usize::from(self.extra.is_some())
    }

    pub(super) fn get(&self, mut index: usize) -> Name<'a> {
        if let Some((at, ino)) = self.extra {
            if index == at {
                return Name { name: LOST_FOUND, ino, file_type: FT_DIR };
            }
            index -= usize::from(index > at);
        }
        let tree = &self.inode_numbers.tree;
        let entry = &tree.entries(self.directory)[index];
        Name {
            name: tree.name(entry),
            ino: self.inode_numbers.ino(entry.inode()),
            file_type: file_type(tree.inode(entry.inode()).kind),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Name<'a>> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }
}

fn file_type(kind: Kind) -> u8 {
    match kind {
        Kind::Directory => FT_DIR,
        Kind::File { .. } => FT_REG_FILE,
        Kind::Symlink => FT_SYMLINK,
        Kind::Fifo => FT_FIFO,
        Kind::Socket => FT_SOCK,
        Kind::CharDevice(..) => FT_CHRDEV,
        Kind::BlockDevice(..) => FT_BLKDEV,
    }
}
