//! ext4: from a tree to a whole file system, every block address decided before a byte is written.

mod allocator;
mod bitmap;
mod blocks;
mod csum;
mod dir;
mod dirhash;
mod extent;
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

pub(crate) use plan::minimal_size;
pub use plan::plan;
pub use profile::Profile;

use crate::layout::Layout;
use crate::report::Warning;
use crate::size::Headroom;
use crate::time::Timestamp;

/// How to make an ext4 file system.
#[derive(Debug, Clone)]
pub struct Options {
    /// The UUID of the file system.
    pub uuid: Uuid,
    /// The seed of the directory hash.
    pub hash_seed: Uuid,
    /// The label: at most 16 bytes without NUL.
    pub label: Vec<u8>,
    /// The time of everything that has none in the tree.
    pub epoch: Timestamp,
    /// 1024, 2048 or 4096 bytes.
    pub block_size: u32,
    /// Features and policies.
    pub profile: Profile,
    /// The size in bytes; `None` for the smallest that leaves the headroom.
    pub size: Option<u64>,
    /// With `size: None`, the free room to leave; `None` for the profile's own (10 %, and nothing
    /// in [`Profile::Ro`]). No headroom is an exact fit.
    pub headroom: Option<Headroom>,
    /// With `size: None` and headroom, the size is a multiple of this many bytes.
    pub multiple: u64,
    /// The size in bytes that the file system should be able to grow to; `None` for 1024 times
    /// its own.
    pub grow_to: Option<u64>,
    /// The number of inodes, rounded up to whole blocks of every group's table; `None` for those of
    /// the tree with the headroom's share, and at least one for 16 KiB.
    pub inodes: Option<u64>,
}

/// A file system that is planned.
#[derive(Debug)]
pub struct Plan {
    /// What byte goes where.
    pub layout: Layout,
    /// What was not taken over from the tree as it is.
    pub warnings: Vec<Warning>,
}
