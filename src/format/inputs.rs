//! Inputs of file systems.

use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::progress::Observer;
use crate::time::Timestamp;
use crate::tree::{HoleScan, InodeId, Tree};

/// Inputs that the file systems of all formats have in common.
#[non_exhaustive]
pub struct FsInputs<'a> {
    /// Tree to store.
    pub tree: Arc<Tree>,
    /// Scan of the tree. Empty for a format that does not hold [holes](super::Holds::HOLES).
    pub scan: HoleScan,
    /// UUID of the file system.
    pub uuid: Uuid,
    /// Label. `None` for no label.
    pub label: Option<String>,
    /// Time of everything that has none in the tree.
    pub epoch: Timestamp,
    /// Sector size of the disk, in bytes.
    pub sector_size: u32,
    /// Swap file that was added to the tree.
    pub swapfile: Option<InodeId>,
    /// Number of threads that read content. The image does not depend on it.
    pub threads: NonZero<usize>,
    /// Directory for compressed content until it is written; required if anything is compressed.
    pub spool: Option<&'a Path>,
    /// Observer of the progress.
    pub observer: Option<&'a dyn Observer>,
}

impl fmt::Debug for FsInputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FsInputs")
            .field("uuid", &self.uuid)
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}

impl FsInputs<'_> {
    /// Creates the inputs for a tree and its scan, with the defaults of everything else.
    #[must_use]
    pub fn new(tree: Arc<Tree>, scan: HoleScan, uuid: Uuid) -> Self {
        Self {
            tree,
            scan,
            uuid,
            label: None,
            epoch: Timestamp::default(),
            sector_size: 512,
            swapfile: None,
            threads: NonZero::<usize>::MIN,
            spool: None,
            observer: None,
        }
    }
}

/// Rule for the nodes to leave out of a file system whose format can't store them.
pub struct LeaveOut<'a> {
    /// Returns the path in the tree of the absolute target of a symlink; `None` if it is elsewhere.
    pub locate: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
    /// Whether to omit all nodes that can't be stored, and not only symlinks to files that are in
    /// the file system too.
    pub all: bool,
}

impl fmt::Debug for LeaveOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaveOut").field("all", &self.all).finish_non_exhaustive()
    }
}

/// A directory that becomes a subvolume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subvolume {
    /// Path of the directory, with or without a leading slash.
    pub path: Vec<u8>,
    /// Whether the subvolume is read-only.
    pub read_only: bool,
    /// Whether its content is written in place, without checksums or compression.
    pub nodatacow: bool,
}

/// Settings of a repart.d partition that concern its file system.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct PartitionSettings<'a> {
    /// `Subvolumes=`.
    pub subvolumes: Vec<Subvolume>,
    /// `DefaultSubvolume=`.
    pub default_subvolume: Option<&'a [u8]>,
    /// `Compression=`.
    pub compression: Option<&'a str>,
    /// `CompressionLevel=`.
    pub compression_level: Option<&'a str>,
    /// Whether nothing is ever written to the file system, because a hash tree protects it:
    /// `Verity=data`.
    pub is_protected: bool,
}
