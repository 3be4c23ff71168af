//! btrfs: from a tree to a whole file system, every address decided before a byte is written.

mod checksum;
mod chunks;
mod content;
mod csum_tree;
mod data;
mod device;
mod extent_tree;
mod fs_tree;
mod hash;
mod inode;
mod items;
mod key;
mod names;
mod node;
mod plan;
pub mod read;
mod roots;
mod spec;
mod subvolumes;
mod superblock;

use std::collections::BTreeSet;

use uuid::Uuid;

pub use checksum::Checksum;
pub use content::{Compression, Contents, codecs};
pub use plan::{PrepassOptions, plan, prepass};

use crate::layout::Layout;
use crate::report::Warning;
use crate::size::{GIB, Headroom, MIB};
use crate::time::Timestamp;
use crate::tree::InodeId;

/// The transaction that all is written in. Kernels go on counting from there.
const GENERATION: u64 = 1;

/// The longest chunks of data and of metadata, in bytes. Larger ones would take all the more room
/// to balance.
const DATA_CHUNK: u64 = GIB;
const METADATA_CHUNK: u64 = 256 * MIB;

/// How to make a btrfs.
#[derive(Debug, Clone)]
pub struct Options {
    /// The UUID of the file system.
    pub uuid: Uuid,
    /// The label: at most 255 bytes without NUL or line feed.
    pub label: Vec<u8>,
    /// The time of everything that has none in the tree.
    pub epoch: Timestamp,
    /// Bytes in a tree block: a power of two from 4096 to 65536.
    pub node_size: u32,
    /// What tree blocks and data are checksummed with.
    pub checksum: Checksum,
    /// How often metadata is stored.
    pub metadata: Metadata,
    /// Which kernels may write to it.
    pub compat: Compat,
    /// Files of at most so many bytes are stored in the tree itself; up to 4095.
    pub max_inline: u32,
    /// How content is compressed, where that saves something and the inode does not say otherwise.
    pub compression: Option<Compression>,
    /// Files that are not compressed.
    pub uncompressed: BTreeSet<InodeId>,
    /// Files and directories whose content is written in place, without checksums or compression.
    pub nodatacow: BTreeSet<InodeId>,
    /// Whether equal content is stored once.
    pub dedup: bool,
    /// Directories that are subvolumes, in any order.
    pub subvolumes: Vec<SubvolumeOptions>,
    /// The subvolume that is mounted where none is asked for; `None` for the top level.
    pub default_subvolume: Option<InodeId>,
    /// Whether a file with names in several subvolumes becomes a copy in each, with shared
    /// extents.
    pub copy_links: bool,
    /// Files whose holes are room that is kept for them: swap files.
    pub preallocated: BTreeSet<InodeId>,
    /// The size in bytes; `None` for the smallest that leaves the headroom.
    pub size: Option<u64>,
    /// With `size: None`, the free room to leave; `None` for what a first boot needs. No headroom
    /// is an exact fit.
    pub headroom: Option<Headroom>,
    /// With `size: None` and headroom, the size is a multiple of this many bytes.
    pub multiple: u64,
}

/// A directory that is a subvolume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubvolumeOptions {
    /// The directory.
    pub directory: InodeId,
    /// Whether nothing in it can be changed.
    pub read_only: bool,
    /// Whether content in it is written in place, without checksums or compression.
    pub nodatacow: bool,
}

/// How often metadata is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Metadata {
    /// Twice, for disks: one damaged block is no loss.
    #[default]
    Dup,
    /// Once, for what is verified otherwise.
    Single,
}

/// Which kernels may write to a file system. All since 3.14 can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compat {
    /// Those since 6.1: block groups have a tree of their own.
    #[default]
    Default,
    /// Those since 4.5.
    Old,
}

/// A file system that is planned.
#[derive(Debug)]
pub struct Plan {
    /// What byte goes where.
    pub layout: Layout,
    /// What was not taken over from the tree as it is.
    pub warnings: Vec<Warning>,
}
