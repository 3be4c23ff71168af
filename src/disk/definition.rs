//! Partitions as they are asked for: by repart.d definitions, or by the built-in set.

use uuid::Uuid;

use crate::gpt::{Attributes, PartitionType};

/// A partition as it is asked for.
#[derive(Debug, Clone)]
pub struct Definition {
    /// What it is for.
    pub partition_type: PartitionType,
    /// Its name; `None` for the canonical one of its type.
    pub label: Option<String>,
    /// Its GUID; `None` for the one that follows from the seed.
    pub uuid: Option<Uuid>,
    /// Its attributes; `None` for those of its type.
    pub attributes: Option<Attributes>,
    /// How much of the disk it takes.
    pub size: SizePolicy,
}

impl Definition {
    /// A partition of this type with everything else left to the defaults.
    #[must_use]
    pub fn new(partition_type: PartitionType) -> Self {
        let room = SizePolicy::default();
        Self { partition_type, label: None, uuid: None, attributes: None, size: room }
    }
}

/// How much of the disk a partition takes, and leaves free behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizePolicy {
    /// The least size in bytes; `None` for what its content needs.
    pub size_min: Option<u64>,
    /// The largest size in bytes; `None` for any.
    pub size_max: Option<u64>,
    /// The fewest bytes that stay free behind it.
    pub padding_min: u64,
    /// The most bytes that stay free behind it; `None` for any number.
    pub padding_max: Option<u64>,
    /// Its share of the room that is left, up to [`WEIGHT_MAX`].
    pub weight: u32,
    /// The share of the room that is left which stays free behind it, up to [`WEIGHT_MAX`].
    pub padding_weight: u32,
    /// Which partition is left out first if not all fit: that of the highest priority above 0.
    pub priority: i32,
}

/// The largest weight.
pub const WEIGHT_MAX: u32 = 1_000_000;

impl Default for SizePolicy {
    fn default() -> Self {
        Self {
            size_min: None,
            size_max: None,
            padding_min: 0,
            padding_max: None,
            weight: 1000,
            padding_weight: 0,
            priority: 0,
        }
    }
}
