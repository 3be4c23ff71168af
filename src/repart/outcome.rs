//! What a run tells about the partitions of an image.

use std::path::PathBuf;

use super::Verity;
use crate::disk::Identity;

/// What became of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It was not there.
    Create,
    /// It became larger.
    Resize,
    /// It is as it was.
    Unchanged,
}

/// A partition after a run, or as it would be.
#[derive(Debug, Clone)]
pub struct PartitionResult {
    /// What it is called. The UUID of a partition whose root hash is not known is nil.
    pub identity: Identity,
    /// Its number in the table, from 0.
    pub number: u32,
    /// The definition; `None` if there is none.
    pub file: Option<PathBuf>,
    /// The drop-ins of the definition.
    pub drop_ins: Vec<PathBuf>,
    /// Where it starts, in bytes.
    pub offset: u64,
    /// Its size before, in bytes; 0 if it was not there.
    pub old_size: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The free room behind it before, in bytes.
    pub old_padding: u64,
    /// The free room behind it in bytes.
    pub padding: u64,
    /// What became of it.
    pub activity: Activity,
    /// Its part in dm-verity.
    pub verity: Verity,
    /// The root hash, if this run found it.
    pub root_hash: Option<[u8; 32]>,
    /// The file of its own that it has with `--split`.
    pub split: Option<PathBuf>,
}

/// What a run did.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The partitions, in the order of the disk; `None` if there was no image to tell of.
    pub rows: Option<Vec<PartitionResult>>,
}
