//! btrfs: plans a file system from a tree, with every address assigned before a byte is written.

mod address;
mod check;
mod checksum;
mod chunks;
mod content;
mod csum_tree;
mod data;
mod device;
#[cfg(test)]
pub(crate) mod dump;
mod extent_tree;
mod format;
mod free_reserve;
mod fs_tree;
mod hash;
mod inode;
mod items;
mod key;
mod names;
mod node;
mod plan;
mod prepass;
pub mod read;
mod roots;
mod spec;
mod subvolumes;
mod superblock;

use std::collections::BTreeSet;

use uuid::Uuid;

pub use checksum::Checksum;
pub use content::{Compression, Contents};
pub use format::Btrfs;
pub use plan::plan;
pub use prepass::{PrepassOptions, prepass};

use crate::layout::Layout;
use crate::report::Warning;
use crate::size::{GIB, Headroom, MIB};
use crate::time::Timestamp;
use crate::tree::InodeId;

/// Transaction ID of everything that is written. Kernels continue counting from it.
const GENERATION: u64 = 1;

/// Maximum sizes of data and metadata chunks, in bytes. Balancing larger chunks would need more
/// free space.
const DATA_CHUNK: u64 = GIB;
const METADATA_CHUNK: u64 = 256 * MIB;

/// Parameters of a btrfs file system.
#[derive(Debug, Clone)]
pub struct Options {
    /// UUID of the file system.
    pub uuid: Uuid,
    /// Label: at most 255 bytes without NUL or line feed.
    pub label: Vec<u8>,
    /// Timestamp of everything that has none in the tree.
    pub epoch: Timestamp,
    /// Size of a tree block in bytes: a power of two from 4096 to 65536.
    pub node_size: u32,
    /// Checksum algorithm for tree blocks and data.
    pub checksum: Checksum,
    /// Number of copies of the metadata.
    pub metadata: Metadata,
    /// Kernels that can write to the file system.
    pub compat: Compat,
    /// Maximum size of files stored inline in the tree, in bytes; at most 4095.
    pub max_inline: u32,
    /// Compression of content, where that saves space and the inode does not specify otherwise.
    pub compression: Option<Compression>,
    /// Files that are not compressed unless their inode specifies a compression.
    pub uncompressed: BTreeSet<InodeId>,
    /// Files and directories with nodatacow: written in place, without checksums or compression.
    pub nodatacow: BTreeSet<InodeId>,
    /// Whether equal content is stored only once.
    pub dedup: bool,
    /// Directories that are subvolumes, in any order.
    pub subvolumes: Vec<SubvolumeOptions>,
    /// Subvolume that is mounted by default; `None` for the top level.
    pub default_subvolume: Option<InodeId>,
    /// Whether a file with names in several subvolumes is copied to each of them, with shared
    /// extents.
    pub copy_links: bool,
    /// Files whose holes are preallocated extents (swap files).
    pub preallocated: BTreeSet<InodeId>,
    /// Size in bytes; `None` for the smallest size that leaves the headroom.
    pub size: Option<u64>,
    /// Free space to leave if `size` is `None`. `None` leaves enough for a first boot, zero
    /// headroom makes an exact fit.
    pub headroom: Option<Headroom>,
    /// The size is rounded up to a multiple of this many bytes if `size` is `None` and there is
    /// headroom.
    pub multiple: u64,
}

/// A directory that becomes a subvolume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubvolumeOptions {
    /// The directory.
    pub directory: InodeId,
    /// Whether the subvolume is read-only.
    pub read_only: bool,
    /// Whether its content is nodatacow: written in place, without checksums or compression.
    pub nodatacow: bool,
}

/// Number of copies of the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Metadata {
    /// Two copies, for disks: one damaged block loses nothing.
    #[default]
    Dup,
    /// One copy, for images that are verified by other means.
    Single,
}

impl Metadata {
    /// Returns the name of the profile.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dup => "dup",
            Self::Single => "single",
        }
    }
}

/// Kernels that can write to a file system. All kernels since 3.14 can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Compat {
    /// Linux 6.1 and later: block groups have a tree of their own.
    #[default]
    Default,
    /// Linux 4.5 and later; large file systems take longer to mount.
    Old,
}

impl Compat {
    /// Returns the name of the set of features.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Old => "old",
        }
    }
}

/// A planned file system.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plan {
    /// Layout of the image.
    pub layout: Layout,
    /// Bytes that are in use, as `df` counts them.
    pub used: u64,
    /// Warnings about properties of the tree that the image does not preserve.
    pub warnings: Vec<Warning>,
}
