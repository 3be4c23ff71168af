//! Options for one file system of a tree.

use uuid::Uuid;

use super::btrfs::Btrfs;
use super::file_system::{Ext4, Vfat};
use crate::size::Headroom;

/// Options for a file system image of a tree.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file system.
    pub file_system: FileSystem,
    /// UUID of the file system. `None` for that of the first root partition (ext4, btrfs) or ESP
    /// (FAT) of a disk with the same seed. If the architecture of the tree can't be detected, the
    /// UUID is that of a generic Linux partition.
    pub uuid: Option<Uuid>,
    /// Size in bytes. `None` for the smallest size that leaves the headroom.
    pub size: Option<u64>,
}

/// Requested file system.
#[derive(Debug, Clone)]
pub enum FileSystem {
    /// ext4.
    Ext4(Ext4),
    /// btrfs.
    Btrfs(Btrfs),
    /// FAT.
    Vfat {
        /// Options of the FAT file system.
        vfat: Vfat,
        /// Free space to leave if the size is not fixed. `None` for no headroom.
        headroom: Option<Headroom>,
    },
}
