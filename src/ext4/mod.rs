//! ext4: plans a complete file system for a tree, with every block address fixed before any byte is
//! written.

mod allocator;
mod bitmap;
mod block_no;
mod blocks;
mod check;
mod csum;
mod dir;
mod dir_entry;
mod dirhash;
#[cfg(test)]
pub(crate) mod dump;
mod extent;
mod format;
mod geometry;
mod htree;
mod inode;
mod inode_numbers;
mod journal;
mod placement;
mod plan;
mod profile;
mod sizing;
mod spec;
mod superblock;
#[cfg(test)]
mod tests;
mod xattr;

use uuid::Uuid;

pub use format::Ext4;
pub(crate) use plan::minimal_size;
pub use plan::plan;
pub use profile::Profile;

use crate::layout::Layout;
use crate::report::Warning;
use crate::size::Headroom;
use crate::time::Timestamp;

/// Options of an ext4 file system.
#[derive(Debug, Clone)]
pub struct Options {
    /// UUID of the file system.
    pub uuid: Uuid,
    /// Seed of the directory hash.
    pub hash_seed: Uuid,
    /// Label, at most 16 bytes, without NUL.
    pub label: Vec<u8>,
    /// Timestamp of everything without a timestamp in the tree.
    pub epoch: Timestamp,
    /// Block size: 1024, 2048 or 4096 bytes.
    pub block_size: u32,
    /// Features and policies.
    pub profile: Profile,
    /// Size in bytes; `None` for the smallest that leaves the headroom.
    pub size: Option<u64>,
    /// With `size: None`, the free space to leave; `None` for the profile's default (10 %, or 0 for
    /// [`Profile::Ro`]). A headroom of 0 results in an exact fit.
    pub headroom: Option<Headroom>,
    /// With `size: None` and headroom, the size is a multiple of this many bytes.
    pub multiple: u64,
    /// Size in bytes that the file system should be able to grow to; `None` for 1024 times its
    /// size.
    pub grow_to: Option<u64>,
    /// Number of inodes, rounded up to whole blocks of every group's table; `None` for those of the
    /// tree plus the headroom's share, and at least one per 16 KiB.
    pub inodes: Option<u64>,
}

/// A planned file system.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The layout of the image.
    pub layout: Layout,
    /// Bytes that are in use, as `df` counts them.
    pub used: u64,
    /// Properties of the tree that could not be stored as they are.
    pub warnings: Vec<Warning>,
}
