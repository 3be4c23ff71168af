//! The places that partitions get.

use crate::error::Error;
use crate::size::exact;

/// Place of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index in the table, from 0. The table reports an error if it has too few entries.
    pub slot: u32,
    /// Start in bytes.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Bytes that stay free after the partition.
    pub padding: u64,
    /// Bytes that were previously free after the partition; 0 if the partition is new.
    pub old_padding: u64,
}

/// Result of placing the candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Place of each candidate. `None` if it was left out or merged with another.
    pub places: Vec<Option<Place>>,
    /// Candidates that have a place, in disk order.
    pub order: Vec<usize>,
    /// Whether each candidate also serves as its supplement.
    pub merged: Vec<bool>,
    /// Existing candidates that could not grow as requested and stay as they are.
    pub left_alone: Vec<usize>,
}

/// The required partitions do not all fit on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoSpace {
    /// First candidate that does not fit.
    pub candidate: usize,
    /// Bytes that the candidate needs at least, with its padding.
    pub needed: u64,
    /// Bytes that are available to the candidate: for a new one, the largest area that the new
    /// partitions before it leave; for an existing one, its size plus the free space after it.
    pub largest: u64,
}

impl NoSpace {
    /// Returns the error for a candidate called `name`.
    ///
    /// `disk_size` is the size of the disk in bytes, and `minimal_size` the [size of a
    /// disk](super::minimal_size) that holds all candidates.
    #[must_use]
    pub fn error(&self, name: &str, disk_size: u64, minimal_size: u64) -> Error {
        let Self { needed, largest, .. } = self;
        Error::TooSmall {
            what: "disk".to_owned(),
            detail: format!(
                "partition {name} takes {}, only {} are free",
                exact(*needed),
                exact(*largest)
            ),
            needed: minimal_size,
            available: disk_size,
        }
    }
}
