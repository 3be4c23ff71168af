//! Partitions that request a place on a disk.

use uuid::Uuid;

/// Range of sizes in bytes. `max` is `u64::MAX` if there is no upper limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// Smallest size.
    pub min: u64,
    /// Largest size, at least `min`.
    pub max: u64,
}

impl SizeRange {
    /// The range of all sizes.
    pub const ANY: Self = Self { min: 0, max: u64::MAX };

    /// Returns the range that contains only `size`.
    #[must_use]
    pub fn exactly(size: u64) -> Self {
        Self { min: size, max: size }
    }

    pub(super) fn clamp(self, size: u64) -> u64 {
        size.min(self.max).max(self.min)
    }
}

/// Space that is requested for a partition, and for the padding that stays free after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceRequest {
    /// Size in bytes. An existing partition never shrinks, whatever this range is.
    pub size: SizeRange,
    /// Bytes that stay free after the partition.
    pub padding: SizeRange,
    /// Weight of the size when free space is distributed.
    pub weight: u32,
    /// Weight of the padding when free space is distributed.
    pub padding_weight: u32,
}

impl SpaceRequest {
    /// Returns the request of a partition that stays as it is.
    #[must_use]
    pub fn none() -> Self {
        let nothing = SizeRange::exactly(0);
        Self { size: nothing, padding: nothing, weight: 0, padding_weight: 0 }
    }
}

/// Place of a partition that is already in the partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Index in the table, from 0.
    pub slot: u32,
    /// Start in bytes.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
}

/// Whether a partition already exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The partition is to be created.
    New,
    /// The partition exists, and may grow.
    Existing(Extent),
    /// The partition exists but has no definition: it stays as it is.
    Foreign(Extent),
}

/// A partition to be placed.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// GUID of the partition type, which determines the slot.
    pub partition_type: Uuid,
    /// Space that the partition takes. Ignored for a foreign partition.
    pub request: SpaceRequest,
    /// If not all candidates fit, those of the highest priority above 0 are left out, or stay as
    /// they are.
    pub priority: i32,
    /// Whether the partition already exists.
    pub presence: Presence,
    /// Group of partitions that are left out together.
    pub group: Option<u32>,
    /// A supplement that need not be created if this partition can serve as both.
    pub merge: Option<Merge>,
}

/// A candidate to be merged with another if possible (`SupplementFor=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// Index of the candidate that need not be created. It must not have a `merge` itself.
    pub supplement: usize,
    /// Space that the merged partition takes.
    pub request: SpaceRequest,
}
