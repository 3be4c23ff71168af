//! erofs: plans a read-only file system from a tree, with every address assigned before a byte is
//! written.

mod check;
mod chunks;
mod compressed;
mod compression;
mod contents;
mod data;
mod dir;
mod format;
mod fragments;
mod inode;
mod metadata;
mod packed;
mod plan;
mod profile;
pub mod read;
mod repeated;
mod slots;
mod spec;
mod superblock;
mod xattr;

use std::collections::BTreeSet;

use uuid::Uuid;

#[cfg(feature = "cli")]
pub(crate) use check::is_cluster_size;
pub use compression::Compression;
pub use contents::{Contents, PrepassOptions, prepass};
pub use format::Erofs;
pub use plan::plan;
pub use profile::Profile;

use crate::layout::Layout;
use crate::report::Warning;
use crate::time::Timestamp;
use crate::tree::InodeId;

/// Parameters of an erofs file system.
#[derive(Debug, Clone)]
pub struct Options {
    /// UUID of the file system.
    pub uuid: Uuid,
    /// Label: at most 16 bytes without NUL, 15 for profiles before [`Profile::Linux6_10`].
    pub label: Vec<u8>,
    /// Creation time of the file system. An inode with this modification time takes less space.
    pub epoch: Timestamp,
    /// Kernels that can read the file system.
    pub profile: Profile,
    /// Compression of content, where that saves space.
    pub compression: Option<Compression>,
    /// Files that are not compressed.
    pub uncompressed: BTreeSet<InodeId>,
    /// Whether equal files, and equal pieces of uncompressed files, are stored only once.
    pub dedup: bool,
    /// Whether the ends of files that are shorter than [`cluster_size`](Self::cluster_size), and
    /// short files, are compressed together.
    pub fragments: bool,
    /// Size of the pieces in which content is compressed, in bytes: a power of two from 8192 to
    /// 1048576.
    pub cluster_size: u32,
    /// Size in bytes, a multiple of 4096; `None` for the smallest. What the file system does not
    /// need comes after it.
    pub size: Option<u64>,
}

/// A planned file system.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plan {
    /// Layout of the image.
    pub layout: Layout,
    /// Size of the file system in bytes, which may be less than that of the image.
    pub used: u64,
    /// Warnings about properties of the tree that the image does not preserve.
    pub warnings: Vec<Warning>,
}
