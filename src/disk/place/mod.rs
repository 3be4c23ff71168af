//! Places partitions on a disk: pure arithmetic, with the same results as systemd-repart 262.
//!
//! The free space is divided into areas, new partitions are assigned to the areas, the remaining
//! space is distributed, and each partition gets a number.

mod area;
mod candidate;
mod fit;
mod grow;
mod number;
mod placed;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use candidate::{Candidate, Extent, Merge, Presence, SizeRange, SpaceRequest};
pub use placed::{NoSpace, Place, Placed};

use crate::gpt::SectorSize;
use crate::size::{MIB, round_up};

use fit::Assignment;

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
