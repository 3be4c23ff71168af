//! Properties of trees that formats can store.

use bitflags::bitflags;

bitflags! {
    /// Properties of a tree that a format can store.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Holds: u32 {
        /// Owners, modes, extended attributes, symlinks and devices: what a root file system needs.
        const UNIX = 1;
        /// Holes in files.
        const HOLES = 1 << 1;
        /// Subvolumes.
        const SUBVOLUMES = 1 << 2;
        /// The compression property of an inode, the extended attribute `btrfs.compression`.
        const COMPRESSION_PROPERTY = 1 << 3;
        /// Swap files.
        const SWAPFILES = 1 << 4;
    }
}
