//! Splits a layout into work items: bytes that are rendered and written together.
//!
//! The split depends on the layout alone, and the items cover every byte of the image once. Items
//! are computed by an iterator, which takes no memory however large the image is.

use std::ops::Range;

use super::{Fill, Layout, Region};
use crate::size::{KIB, MIB};

/// Number of bytes that are collected in memory and written at once. A larger value is not faster,
/// and its buffer is less likely to stay in a processor's second-level cache between reading and
/// writing.
pub(super) const WRITE_SIZE: u64 = MIB;

/// Maximum number of bytes of a large file in one item where the item need not be kept in memory.
/// Each item opens the file again.
pub(super) const LARGE: u64 = 16 * MIB;

/// Minimum length of a gap that becomes an item of its own, and so a hole. Shorter gaps are written
/// as zeros.
const HOLE: u64 = 64 * KIB;

/// Alignment of splits outside of file content, so that an observer is passed whole sectors.
const SECTOR: u64 = 4 * KIB;

/// Consecutive bytes of the image.
#[derive(Clone)]
pub(super) struct WorkItem<'a> {
    /// Offsets of the bytes in the image.
    pub(super) range: Range<u64>,
    /// The layout's regions, starting with the first that ends after the start of `range`.
    regions: &'a [Region],
}

/// Bytes of an item that come from one region, or zeros between regions.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) len: u64,
    /// Source of the bytes and offset in the source; `None` for zeros.
    pub(super) fill: Option<(Fill, u64)>,
}

impl<'a> WorkItem<'a> {
    /// Returns the length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Returns whether no region overlaps the item.
    pub(super) fn is_zeros(&self) -> bool {
        self.regions.first().is_none_or(|region| region.offset >= self.range.end)
    }

    /// Returns the segments of the item, in order and without gaps.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment> + use<'a> {
        let Range { start: mut offset, end } = self.range;
        let mut regions = self.regions.iter();
        std::iter::from_fn(move || {
            if offset == end {
                return None;
            }
            let (stop, fill) = match regions.as_slice().first() {
                Some(region) if region.offset <= offset => {
                    regions.next();
                    let from = region.from + (offset - region.offset);
                    (region.end().min(end), Some((region.fill, from)))
                }
                Some(region) => (region.offset.min(end), None),
                None => (end, None),
            };
            let part = Segment { offset, len: stop - offset, fill };
            offset = stop;
            Some(part)
        })
    }
}

/// An iterator over the items of a part of a layout, in ascending order.
#[derive(Clone)]
pub(super) struct WorkItems<'a> {
    regions: &'a [Region],
    at: u64,
    size: u64,
    large: u64,
    zeros_max: u64,
}

impl<'a> WorkItems<'a> {
    /// Returns the items of a layout in groups: up to the end of the first observed range, from
    /// there to the end of the next, and so on.
    ///
    /// No item is longer than `large` bytes, or than `zeros_max` if it consists of zeros alone.
    /// Both are at least [`WRITE_SIZE`].
    pub(super) fn new(layout: &'a Layout, large: u64, zeros_max: u64) -> Vec<Self> {
        let (mut at, mut regions) = (0, layout.regions());
        let mut cuts = Vec::new();
        for size in layout.barriers().into_iter().chain([layout.size()]) {
            let (own, rest) =
                regions.split_at(regions.partition_point(|region| region.offset < size));
            cuts.push(Self { regions: own, at, size, large, zeros_max });
            (at, regions) = (size, rest);
        }
        cuts
    }
}

impl<'a> Iterator for WorkItems<'a> {
    type Item = WorkItem<'a>;

    fn next(&mut self) -> Option<WorkItem<'a>> {
        let (start, regions) = (self.at, self.regions);
        let mut end = start;
        loop {
            let next = self.regions.first();
            let gap = next.map_or(self.size, |region| region.offset).saturating_sub(end);
            if gap >= HOLE && end == start {
                end += gap.min(self.zeros_max);
                break;
            }
            if gap >= HOLE || end + gap > start + WRITE_SIZE {
                break;
            }
            end += gap;
            let Some(region) = next else { break };
            let (rest, free) = (region.end() - end, start + WRITE_SIZE - end);
            if rest <= free {
                end = region.end();
                self.regions = &self.regions[1..];
                continue;
            }
            // A file is opened for every item that contains a part of it, so a small file is not
            // split, and a large one starts a new item.
            if !matches!(region.fill, Fill::Content { .. }) {
                let cut = (end + free) / SECTOR * SECTOR;
                end = if cut > start { cut.max(end) } else { end + free };
            } else if end == start {
                end += rest.min(self.large);
                if end == region.end() {
                    self.regions = &self.regions[1..];
                }
            }
            break;
        }
        self.at = end;
        (end > start).then_some(WorkItem { range: start..end, regions })
    }
}
