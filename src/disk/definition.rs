//! Definitions of partitions, from repart.d or from the built-in set.

use uuid::Uuid;

use super::place::{SizeRange, SpaceRequest};
use crate::gpt::{Attributes, PartitionType};

/// A requested partition: type, name, ids and size, but no place.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Definition {
    /// Partition type.
    pub partition_type: PartitionType,
    /// Partition name. `None` for the canonical name of the type.
    pub label: Option<String>,
    /// Partition GUID. `None` to derive it from the seed.
    pub uuid: Option<Uuid>,
    /// Partition attributes. `None` for those of the type.
    pub attributes: Option<Attributes>,
    /// Size and padding.
    pub size: SizePolicy,
}

impl Definition {
    /// Creates a definition of this type, with defaults for everything else.
    #[must_use]
    pub fn new(partition_type: PartitionType) -> Self {
        let available = SizePolicy::default();
        Self { partition_type, label: None, uuid: None, attributes: None, size: available }
    }
}

/// Rules for the size of a partition and for the padding that stays free after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SizePolicy {
    /// Smallest size in bytes. `None` for the size that the content needs.
    pub size_min: Option<u64>,
    /// Largest size in bytes. `None` for no limit.
    pub size_max: Option<u64>,
    /// Smallest number of bytes that stay free after the partition.
    pub padding_min: u64,
    /// Largest number of bytes that stay free after the partition. `None` for no limit.
    pub padding_max: Option<u64>,
    /// Weight of the size when free space is distributed, up to [`WEIGHT_MAX`].
    pub weight: u32,
    /// Weight of the padding when free space is distributed, up to [`WEIGHT_MAX`].
    pub padding_weight: u32,
    /// If not all partitions fit, those of the highest priority above 0 are left out first.
    pub priority: i32,
}

/// Largest [`SizePolicy::weight`] and [`SizePolicy::padding_weight`].
pub const WEIGHT_MAX: u32 = 1_000_000;

impl SizePolicy {
    /// Returns the policy of a partition of exactly `size` bytes.
    #[must_use]
    pub fn exactly(size: u64) -> Self {
        Self { size_min: Some(size), size_max: Some(size), ..Self::default() }
    }

    /// Returns the space requested for a partition that needs at least `min` bytes, whatever
    /// `size_min` is.
    pub(crate) fn request(&self, grain: u64, min: u64) -> SpaceRequest {
        let max = self.size_max.map_or(u64::MAX, |max| max / grain * grain);
        SpaceRequest {
            size: SizeRange { min, max: max.max(min) },
            padding: SizeRange { min: self.padding_min, max: self.padding_max.unwrap_or(u64::MAX) },
            weight: self.weight,
            padding_weight: self.padding_weight,
        }
    }
}

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
