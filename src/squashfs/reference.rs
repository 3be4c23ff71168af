//! What directories and tables say of an inode: its place, number and type.

use super::spec::inode_type;
use crate::tree::{InodeId, Kind};

/// Position of an inode in the inode table.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct InodePlace {
    /// Offset of the metadata block in the table, in bytes.
    pub(super) block: u32,
    /// Offset in the content of the block.
    pub(super) offset: u16,
}

impl InodePlace {
    /// Returns the reference to the inode, as the superblock and the export table have it.
    pub(super) fn reference(self) -> u64 {
        u64::from(self.block) << 16 | u64::from(self.offset)
    }
}

/// Returns the number of an inode.
pub(super) fn number(id: InodeId) -> u32 {
    u32::try_from(id.index()).expect("inodes are counted in 32 bits") + 1
}

/// Returns the type of a basic inode.
pub(super) fn basic_type(kind: Kind) -> u16 {
    match kind {
        Kind::Directory => inode_type::DIR,
        Kind::File { .. } => inode_type::REG,
        Kind::Symlink => inode_type::SYMLINK,
        Kind::BlockDevice(..) => inode_type::BLKDEV,
        Kind::CharDevice(..) => inode_type::CHRDEV,
        Kind::Fifo => inode_type::FIFO,
        Kind::Socket => inode_type::SOCKET,
    }
}
