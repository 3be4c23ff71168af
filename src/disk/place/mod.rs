//! Where partitions go on a disk: pure arithmetic, with the results of systemd-repart 262.
//!
//! What is free is cut into areas, new partitions are fitted into them, what is left
//! is shared out, and each partition is numbered.

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

/// The least and the most bytes of something; `u64::MAX` for no most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// The least.
    pub min: u64,
    /// The most, not less than the least.
    pub max: u64,
}

impl SizeRange {
    /// Anything.
    pub const ANY: Self = Self { min: 0, max: u64::MAX };

    /// The one size that it can have.
    #[must_use]
    pub fn exactly(size: u64) -> Self {
        Self { min: size, max: size }
    }

    fn clamp(self, size: u64) -> u64 {
        size.min(self.max).max(self.min)
    }
}

/// How much of the disk a partition takes, and leaves free behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceRequest {
    /// Its size in bytes. A partition that exists never shrinks, whatever this says.
    pub size: SizeRange,
    /// What stays free behind it, in bytes.
    pub padding: SizeRange,
    /// Its share of the room that is left.
    pub weight: u32,
    /// The share of that room which stays free behind it.
    pub padding_weight: u32,
}

impl SpaceRequest {
    /// That of a partition that stays as it is.
    #[must_use]
    pub fn none() -> Self {
        let nothing = SizeRange::exactly(0);
        Self { size: nothing, padding: nothing, weight: 0, padding_weight: 0 }
    }
}

/// The place of a partition that is in a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its number in the table, from 0.
    pub slot: u32,
    /// Where it starts, in bytes.
    pub start: u64,
    /// How long it is, in bytes.
    pub size: u64,
}

/// Whether a partition is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is to be made.
    New,
    /// It is there, and may grow.
    Existing(Extent),
    /// It is there, and nobody defined it: it stays as it is.
    Foreign(Extent),
}

/// A partition that wants a place.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The GUID of its type, which its number depends on.
    pub partition_type: Uuid,
    /// How much room it takes; of no account if it is foreign.
    pub request: SpaceRequest,
    /// If not all fit, those of the highest priority above 0 are left out, or stay as they are.
    pub priority: i32,
    /// Whether it is there already.
    pub presence: Presence,
    /// Partitions of one group are left out together.
    pub group: Option<u32>,
    /// A partition that need not be made if this one can do for both.
    pub merge: Option<Merge>,
}

/// A candidate that is one with another if that is possible (`SupplementFor=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// The number of the candidate that need not be made. It can itself have no `merge`.
    pub supplement: usize,
    /// What the partition that does for both takes.
    pub request: SpaceRequest,
}

/// The place of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number in the table, from 0. More than a table can hold is the table's error.
    pub slot: u32,
    /// Where it starts, in bytes.
    pub start: u64,
    /// How long it is, in bytes.
    pub size: u64,
    /// How many bytes stay free behind it.
    pub padding: u64,
    /// How many bytes were free behind it; 0 if it is new.
    pub old_padding: u64,
}

/// Where all candidates go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The place of each candidate; `None` if it was left out, or is one with another.
    pub places: Vec<Option<Place>>,
    /// The candidates that have a place, in the order of the disk.
    pub order: Vec<usize>,
    /// Whether each candidate also does for its supplement.
    pub merged: Vec<bool>,
    /// The candidates that were there and could not grow as they should: they stay as they are.
    pub left_alone: Vec<usize>,
}

/// Not all partitions that have to be on the disk fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSpace {
    /// The first candidate that does not fit.
    pub candidate: usize,
    /// The bytes that it takes at the least, with its padding.
    pub needed: u64,
    /// The bytes that it could have: those of the largest area that new partitions before it leave
    /// free, or of its own with what is free behind it.
    pub largest: u64,
}

impl NoSpace {
    /// The error, with the name of the candidate and the [size of a disk](minimal_size) that would
    /// hold all.
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
/// Partitions that exist do not overlap and are within `span`, save for its rounding.
///
/// # Errors
/// [`NoSpace`] if candidates without a priority do not fit. With many supplements this takes long
/// to find: every combination of them is tried.
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

/// The least size of a disk that holds all candidates, in bytes: a multiple of the sector size, and
/// `u64::MAX` at the most.
#[must_use]
pub fn minimal_size(grain: u64, sector_size: SectorSize, candidates: &[Candidate]) -> u64 {
    let head = round_up(MIB, grain);
    let backup = 16384 + u64::from(sector_size.bytes());
    let fit = Assignment::new(&(0..0), grain, candidates);
    let needed = (0..candidates.len()).filter(|&index| fit.is_wanted(index));
    needed.map(|index| fit.needed(index)).fold(head + backup, u64::saturating_add)
}
