//! Places partitions on a disk: pure arithmetic, with the same results as systemd-repart 262.
//!
//! The free space is divided into areas, new partitions are assigned to the areas, the remaining
//! space is distributed, and each partition gets a number.

mod area;
mod fit;
mod grow;
mod number;
#[cfg(test)]
mod tests;

use std::ops::Range;

use uuid::Uuid;

use crate::error::Error;
use crate::gpt::SectorSize;
use crate::size::{MIB, round_up};

use fit::Assignment;

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

    fn clamp(self, size: u64) -> u64 {
        size.min(self.max).max(self.min)
    }
}

/// Space that a partition takes, and the padding that it leaves free after it.
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
    /// `minimal_size` is the [size of a disk](minimal_size) that holds all candidates.
    #[must_use]
    pub fn error(&self, name: &str, minimal_size: u64) -> Error {
        let Self { needed, largest, .. } = self;
        Error::TooSmall {
            what: format!("partition {name}"),
            rule: format!("it takes {needed} bytes, and there is room for {largest}"),
            remedy: format!("a disk of {minimal_size} bytes holds all partitions"),
        }
    }
}

/// Places all candidates within `span`, the bytes that partitions may use, at multiples of `grain`,
/// a power of two.
///
/// Existing partitions must not overlap and must lie within `span`, apart from its rounding.
///
/// # Errors
/// [`NoSpace`] if the candidates without a priority do not fit. With many supplements this takes
/// long to find out, because every combination of them is tried.
pub fn place(span: Range<u64>, grain: u64, candidates: &[Candidate]) -> Result<Placed, NoSpace> {
    let span = round_up(span.start, grain)..span.end / grain * grain;
    let fit = Assignment::find(&span, grain, candidates)?;
    let order = fit.order();
    let spaces = grow::share(&fit, &order);

    let mut starts = vec![0; candidates.len()];
    for area in fit.areas_by_size() {
        let mut at = match area.after {
            Some(after) => fit.start(after) + spaces[after].size + spaces[after].padding,
            None => span.start,
        };
        at = round_up(at, grain);
        let mut left = area.size;
        for &new in order.iter().filter(|&&new| fit.is_in(new, area)) {
            starts[new] = at;
            let taken = spaces[new].size + spaces[new].padding;
            at += taken;
            left = left.saturating_sub(taken);
            let gap = round_up(at, grain) - at;
            if gap <= left {
                at += gap;
                left -= gap;
            }
        }
    }
    let slots = number::slots(&fit, &order);

    let mut places = vec![None; candidates.len()];
    for &index in &order {
        let extent = fit.extent(index);
        places[index] = Some(Place {
            slot: slots[index],
            start: extent.map_or(starts[index], |extent| extent.start),
            size: spaces[index].size,
            padding: spaces[index].padding,
            old_padding: fit.free_behind(index),
        });
    }
    let (merged, left_alone) = (fit.merged(), fit.left_alone());
    Ok(Placed { places, order, merged, left_alone })
}

/// Returns the smallest size in bytes of a disk that holds all candidates, saturating at
/// `u64::MAX`.
///
/// It is a multiple of the sector size.
#[must_use]
pub fn minimal_size(grain: u64, sector_size: SectorSize, candidates: &[Candidate]) -> u64 {
    let head = round_up(MIB, grain);
    let backup = 16384 + u64::from(sector_size.bytes());
    let fit = Assignment::new(&(0..0), grain, candidates);
    let needed = (0..candidates.len()).filter(|&index| fit.is_wanted(index));
    needed.map(|index| fit.needed(index)).fold(head + backup, u64::saturating_add)
}
