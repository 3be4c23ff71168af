//! Assignment of new partitions to free areas, and the choice of partitions to leave out if not all
//! of them fit.

use std::ops::Range;

use super::area::{Area, areas, extent};
use super::candidate::{Candidate, Extent, Presence, SizeRange, SpaceRequest};
use super::placed::NoSpace;
use crate::size::round_up;

/// Decision about a candidate.
#[derive(Debug, Clone, Copy, Default)]
struct Decision {
    /// The candidate is left out.
    dropped: bool,
    /// The partition exists and stays as it is.
    fixed: bool,
    /// The candidate also serves as its supplement.
    merged: bool,
    /// Index of the area that the candidate is assigned to.
    area: Option<usize>,
}

/// Candidates and the areas that they are assigned to.
#[derive(Debug)]
pub(super) struct Assignment<'a> {
    grain: u64,
    candidates: &'a [Candidate],
    decisions: Vec<Decision>,
    areas: Vec<Area>,
    /// Indices of the areas, smallest first.
    by_size: Vec<usize>,
}

impl<'a> Assignment<'a> {
    /// Creates an assignment in which no candidate has an area yet and all mergeable candidates are
    /// merged.
    pub(super) fn new(span: &Range<u64>, grain: u64, candidates: &'a [Candidate]) -> Self {
        let areas = areas(span, grain, candidates);
        let decision = |candidate: &Candidate| Decision {
            fixed: matches!(candidate.presence, Presence::Foreign(_)),
            merged: candidate
                .merge
                .is_some_and(|merge| candidates[merge.supplement].presence == Presence::New),
            ..Decision::default()
        };
        let decisions = candidates.iter().map(decision).collect();
        let by_size = (0..areas.len()).collect();
        Self { grain, candidates, decisions, areas, by_size }
    }

    /// Assigns all candidates to areas.
    ///
    /// If they don't all fit, supplements are separated first and then candidates are left out by
    /// priority.
    pub(super) fn find(
        span: &Range<u64>,
        grain: u64,
        candidates: &'a [Candidate],
    ) -> Result<Self, NoSpace> {
        let mut fit = Self::new(span, grain, candidates);
        loop {
            let Err(no_space) = fit.allocate() else { return Ok(fit) };
            if fit.allocate_apart(0) {
                return Ok(fit);
            }
            if !fit.drop_priority() {
                return Err(no_space);
            }
        }
    }

    /// Assigns candidates by first fit, trying the smallest area first.
    fn allocate(&mut self) -> Result<(), NoSpace> {
        for decision in &mut self.decisions {
            decision.area = None;
        }
        let mut free: Vec<_> = self.areas.iter().map(|area| self.free_for_new(area)).collect();
        self.by_size.sort_by_key(|&area| free[area]);
        for candidate in 0..self.candidates.len() {
            if !self.is_wanted(candidate) || self.decisions[candidate].fixed {
                continue;
            }
            let needed = self.needed(candidate);
            if let Some(Extent { size, .. }) = self.extent(candidate) {
                let largest = size.saturating_add(self.free_behind(candidate));
                if largest < needed {
                    return Err(NoSpace { candidate, needed, largest });
                }
                continue;
            }
            match self.by_size.iter().find(|&&area| free[area] >= needed) {
                Some(&area) => {
                    free[area] -= needed;
                    self.decisions[candidate].area = Some(area);
                }
                None => {
                    let largest = free.iter().copied().max().unwrap_or(0);
                    return Err(NoSpace { candidate, needed, largest });
                }
            }
        }
        Ok(())
    }

    /// Tries to make all candidates fit by separating as few supplements as possible: first a
    /// single one, of the candidates from `from` on, then more.
    fn allocate_apart(&mut self, from: usize) -> bool {
        let mergers = from..self.candidates.len();
        for target in
            mergers.clone().filter(|&target| self.decisions[target].merged).collect::<Vec<_>>()
        {
            self.decisions[target].merged = false;
            if self.allocate().is_ok() {
                return true;
            }
            self.decisions[target].merged = true;
        }
        for target in mergers.filter(|&target| self.decisions[target].merged).collect::<Vec<_>>() {
            self.decisions[target].merged = false;
            if self.allocate_apart(target + 1) {
                return true;
            }
            self.decisions[target].merged = true;
        }
        false
    }

    /// Leaves out all candidates of the highest priority, if it is above 0, along with their
    /// groups.
    fn drop_priority(&mut self) -> bool {
        let can_go = |(candidate, decision): &(&Candidate, &Decision)| {
            candidate.priority > 0 && !decision.dropped && !decision.fixed
        };
        let pairs = self.candidates.iter().zip(&self.decisions);
        let Some(highest) = pairs.filter(can_go).map(|(candidate, _)| candidate.priority).max()
        else {
            return false;
        };
        let of_highest = |candidate: &&Candidate| candidate.priority >= highest;
        let groups: Vec<_> =
            self.candidates.iter().filter(of_highest).filter_map(|it| it.group).collect();
        for (index, candidate) in self.candidates.iter().enumerate() {
            if of_highest(&candidate) || candidate.group.is_some_and(|it| groups.contains(&it)) {
                self.drop(index);
            }
        }
        true
    }

    fn drop(&mut self, index: usize) {
        if self.extent(index).is_some() {
            self.decisions[index].fixed = true;
            return;
        }
        self.decisions[index].dropped = true;
        // A supplement that is left out adds nothing to the request of the merged partition.
        for (candidate, decision) in self.candidates.iter().zip(&mut self.decisions) {
            if candidate.merge.is_some_and(|merge| merge.supplement == index) {
                decision.merged = false;
            }
        }
    }

    /// Returns whether a candidate becomes a partition of its own.
    pub(super) fn is_wanted(&self, index: usize) -> bool {
        let mut mergers = self.candidates.iter().zip(&self.decisions);
        let is_merged = mergers.any(|(candidate, decision)| {
            decision.merged && candidate.merge.is_some_and(|merge| merge.supplement == index)
        });
        !self.decisions[index].dropped && !is_merged
    }

    /// Returns the space that a candidate requests, given the decisions so far.
    pub(super) fn request(&self, index: usize) -> SpaceRequest {
        let candidate = &self.candidates[index];
        let request = match candidate.merge {
            Some(merge) if self.decisions[index].merged => merge.request,
            _ => candidate.request,
        };
        match self.extent(index) {
            None => request,
            Some(Extent { size, .. }) if self.decisions[index].fixed => SpaceRequest {
                size: SizeRange::exactly(size),
                padding: SizeRange::ANY,
                weight: 0,
                padding_weight: 0,
            },
            Some(Extent { size, .. }) => {
                let SizeRange { min, max } = request.size;
                SpaceRequest {
                    size: SizeRange { min: min.max(size), max: max.max(size) },
                    ..request
                }
            }
        }
    }

    /// Returns the bytes that a candidate needs with its padding, rounded up so that the next one
    /// is aligned.
    pub(super) fn needed(&self, index: usize) -> u64 {
        let SpaceRequest { size, padding, .. } = self.request(index);
        let start = self.start(index);
        let end = start.saturating_add(size.min).saturating_add(padding.min);
        match end.checked_next_multiple_of(self.grain) {
            Some(end) => end - start,
            None => u64::MAX,
        }
    }

    /// Returns the bytes of an area that new partitions can use once the partition before it has
    /// its minimum size.
    fn free_for_new(&self, area: &Area) -> u64 {
        let Some(after) = area.after else { return area.size };
        let Some(Extent { start, size, .. }) = self.extent(after) else { return area.size };
        let end = round_up(start.saturating_add(size), self.grain).saturating_add(area.size);
        let taken = round_up(start.saturating_add(self.needed(after)), self.grain);
        end.saturating_sub(taken)
    }

    pub(super) fn grain(&self) -> u64 {
        self.grain
    }

    pub(super) fn candidate(&self, index: usize) -> &'a Candidate {
        &self.candidates[index]
    }

    pub(super) fn len(&self) -> usize {
        self.candidates.len()
    }

    /// Returns the extent of a candidate if it is already on the disk.
    pub(super) fn extent(&self, index: usize) -> Option<Extent> {
        extent(self.candidates[index].presence)
    }

    /// Returns the start of a candidate in bytes, or 0 if it is new.
    pub(super) fn start(&self, index: usize) -> u64 {
        self.extent(index).map_or(0, |extent| extent.start)
    }

    /// Returns the bytes that were free after a candidate.
    pub(super) fn free_behind(&self, index: usize) -> u64 {
        let area = self.areas.iter().find(|area| area.after == Some(index));
        area.map_or(0, |area| area.size)
    }

    /// Returns whether a candidate is new and assigned to this area.
    pub(super) fn is_in(&self, index: usize, area: &Area) -> bool {
        self.decisions[index].area.is_some_and(|number| self.areas[number] == *area)
    }

    pub(super) fn areas_by_size(&self) -> impl Iterator<Item = &Area> {
        self.by_size.iter().map(|&area| &self.areas[area])
    }

    pub(super) fn is_fixed(&self, index: usize) -> bool {
        self.decisions[index].fixed
    }

    pub(super) fn merged(&self) -> Vec<bool> {
        self.decisions.iter().map(|decision| decision.merged && !decision.dropped).collect()
    }

    /// Returns the existing candidates that are not allowed to grow.
    pub(super) fn left_alone(&self) -> Vec<usize> {
        let is_left = |&index: &usize| {
            self.decisions[index].fixed
                && matches!(self.candidates[index].presence, Presence::Existing(_))
        };
        (0..self.candidates.len()).filter(is_left).collect()
    }

    /// Returns the candidates that have a place, in disk order.
    pub(super) fn order(&self) -> Vec<usize> {
        let all = || 0..self.candidates.len();
        let new = |area: Option<usize>| {
            let number = self.areas.iter().position(|it| it.after == area);
            all().filter(move |&it| number.is_some() && self.decisions[it].area == number)
        };
        let mut existing: Vec<_> = all().filter(|&it| self.extent(it).is_some()).collect();
        existing.sort_by_key(|&it| self.start(it));
        let behind = existing.into_iter().flat_map(|it| [it].into_iter().chain(new(Some(it))));
        new(None).chain(behind).collect()
    }
}
