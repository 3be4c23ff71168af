//! Results of a run for the partitions of an image.

use std::fmt::Display;
use std::path::PathBuf;

use super::Verity;
use crate::disk::Identity;

/// Callback for the messages of a run, each of one line.
pub type Report<'a> = &'a dyn Fn(&dyn Display);

/// What a run did to a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// The partition was created.
    Create,
    /// The partition was enlarged.
    Resize,
    /// The partition was left as it was.
    Unchanged,
}

/// The state of a partition after a run, or after a dry run the state that it would have.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PartitionResult {
    /// Type, label, UUIDs and attributes. The partition UUID is nil if it derives from a root hash
    /// that is not known.
    pub identity: Identity,
    /// The number in the table, from 0.
    pub number: u32,
    /// The file of the definition; `None` if the partition has no definition.
    pub file: Option<PathBuf>,
    /// The drop-ins of the definition.
    pub drop_ins: Vec<PathBuf>,
    /// The start of the partition, in bytes.
    pub offset: u64,
    /// The size before the run, in bytes; 0 for a new partition.
    pub old_size: u64,
    /// The size, in bytes.
    pub size: u64,
    /// The free space after the partition before the run, in bytes.
    pub old_padding: u64,
    /// The free space after the partition, in bytes.
    pub padding: u64,
    /// What the run did to the partition.
    pub activity: Activity,
    /// The role in dm-verity.
    pub verity: Verity,
    /// The root hash, if this run computed it or used it for a signature.
    pub root_hash: Option<[u8; 32]>,
    /// The separate file for the partition with [`Options::split`](super::Options::split).
    pub split: Option<PathBuf>,
}

/// The result of a run.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// The partitions, in the order of the disk; `None` if the run had no image.
    pub partitions: Option<Vec<PartitionResult>>,
}

/// A partition with its place on the disk.
pub(super) struct Placed {
    /// Index of the partition in the list.
    pub(super) at: usize,
    pub(super) result: PartitionResult,
    /// The size of the content in bytes, if the size of the partition depends on it.
    pub(super) content_size: Option<u64>,
}
