//! Cuts a layout into items of work: which bytes are made and written together.
//!
//! The cut depends on the layout alone, and the items cover every byte of the image once. It is an
//! iterator and not a list, so that it takes no memory however large the image is.

use std::ops::Range;

use super::{Fill, Layout, Region};
use crate::size::{KIB, MIB};

/// What is gathered in memory and written at once. More is not faster, and less fits a processor's
/// second level cache better, where the bytes stay between their reading and their writing.
pub(super) const WRITE_SIZE: u64 = MIB;

/// How much of one large file is one item where nothing has to be kept in memory. Each item opens
/// the file again.
pub(super) const LARGE: u64 = 16 * MIB;

/// A gap this long is an item of its own and becomes a hole; shorter ones are written as zeros.
const HOLE: u64 = 64 * KIB;

/// What is not content is cut at multiples of this many bytes, so that an observer sees sectors
/// whole.
const SECTOR: u64 = 4 * KIB;

/// Consecutive bytes of the image.
#[derive(Clone)]
pub(super) struct WorkItem<'a> {
    /// Where they are in the image.
    pub(super) range: Range<u64>,
    /// The layout's regions from the first one on that ends after the start of the range.
    regions: &'a [Region],
}

/// Bytes of an item that come from one region, or from none.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) len: u64,
    /// What fills it, and from where on; nothing for zeros.
    pub(super) fill: Option<(Fill, u64)>,
}

impl<'a> WorkItem<'a> {
    /// How many bytes it has.
    pub(super) fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether no region reaches into it.
    pub(super) fn is_zeros(&self) -> bool {
        self.regions.first().is_none_or(|region| region.offset >= self.range.end)
    }

    /// Its parts, in order and without gaps.
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

/// The items of a part of a layout, in ascending order.
#[derive(Clone)]
pub(super) struct WorkItems<'a> {
    regions: &'a [Region],
    at: u64,
    size: u64,
    large: u64,
}

impl<'a> WorkItems<'a> {
    /// The items of a layout up to the end of the first range that is observed, then from there
    /// to the next, and so on.
    ///
    /// No item has more than `large` bytes, except for zeros alone; it is at least [`PIECE`].
    pub(super) fn new(layout: &'a Layout, large: u64) -> Vec<Self> {
        let (mut at, mut regions) = (0, layout.regions());
        let mut cuts = Vec::new();
        for size in layout.barriers().into_iter().chain([layout.size()]) {
            let (own, rest) =
                regions.split_at(regions.partition_point(|region| region.offset < size));
            cuts.push(Self { regions: own, at, size, large });
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
                end += gap;
                break;
            }
            if gap >= HOLE || end + gap > start + WRITE_SIZE {
                break;
            }
            end += gap;
            let Some(region) = next else { break };
            let (rest, room) = (region.end() - end, start + WRITE_SIZE - end);
            if rest <= room {
                end = region.end();
                self.regions = &self.regions[1..];
                continue;
            }
            // A file is opened for every item that it is in: a small one is not cut, and a large
            // one starts an item.
            if !matches!(region.fill, Fill::Content { .. }) {
                let cut = (end + room) / SECTOR * SECTOR;
                end = if cut > start { cut.max(end) } else { end + room };
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
