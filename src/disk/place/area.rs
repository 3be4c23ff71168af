//! What of a disk is free.

use std::ops::Range;

use super::{Candidate, Extent, Presence};
use crate::size::round_up;

/// Room between two partitions, or between one and the start or end of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    /// The candidate before it; `None` for the start of the disk.
    pub(super) after: Option<usize>,
    /// Bytes: a multiple of the grain, not 0.
    pub(super) size: u64,
}

pub(super) fn extent(presence: Presence) -> Option<Extent> {
    match presence {
        Presence::New => None,
        Presence::Existing(extent) | Presence::Foreign(extent) => Some(extent),
    }
}

/// All areas: those behind partitions in the order of their slots, then the one at the start of the
/// disk. Of two that are as large, the first in this order is used first.
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
