//! Free areas of a disk.

use std::ops::Range;

use super::candidate::{Candidate, Extent, Presence};
use crate::size::round_up;

/// Free space between two partitions, or between a partition and the start or end of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    /// Candidate before the area. `None` for the start of the disk.
    pub(super) after: Option<usize>,
    /// Size in bytes: a multiple of the grain, and not 0.
    pub(super) size: u64,
}

pub(super) fn extent(presence: Presence) -> Option<Extent> {
    match presence {
        Presence::New => None,
        Presence::Existing(extent) | Presence::Foreign(extent) => Some(extent),
    }
}

/// Returns all free areas: first those after partitions, ordered by the partitions' slots, then the
/// one at the start of the disk.
///
/// Of two areas of the same size, the first in this order is used first.
pub(super) fn areas(span: &Range<u64>, grain: u64, candidates: &[Candidate]) -> Vec<Area> {
    let numbered = candidates.iter().enumerate();
    let mut existing: Vec<_> =
        numbered.filter_map(|(index, it)| Some((index, extent(it.presence)?))).collect();
    existing.sort_by_key(|(_, extent)| extent.slot);
    let next = |from: u64| {
        let starts = existing.iter().map(|(_, extent)| extent.start);
        starts.filter(|&start| start >= from).min().unwrap_or(span.end).min(span.end)
    };
    let area = |after, from: u64, to: u64| Area {
        after,
        size: (to / grain * grain).saturating_sub(round_up(from, grain)),
    };
    let behind = existing.iter().map(|&(index, Extent { start, size, .. })| {
        let end = start.saturating_add(size);
        area(Some(index), end, next(end))
    });
    let first = area(None, span.start, next(0));
    behind.chain([first]).filter(|area| area.size > 0).collect()
}
