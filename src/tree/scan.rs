//! What must be known about file content before a file system can be planned: where it is zeros.
//!
//! Holes are decided by content, so that an image does not depend on how the host stores a copy of
//! the tree. A file shorter than [`EXAMINED_FROM`] is stored whole. In a longer one, a [`WINDOW`]
//! that starts with a [`GRANULE`] of data is data, and in one that starts with a granule of zeros
//! every granule of zeros is a hole. Swap files of that length are known by their signature: file
//! systems keep blocks for their zeros.
//!
//! Looking into every small file, or at every granule, would cost more than the zeros that it
//! finds: this way, one small read tells of most windows that they are data.

mod digest;
mod segment;
mod swap;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{InodeId, Kind, Tree};
use crate::error::Result;
use crate::workers::{Queue, share};
use segment::SegmentScanner;

/// Holes are made of pieces of this many bytes; the last one of a file may be shorter.
pub const GRANULE: u64 = 4096;

/// Whether there may be holes in so many bytes is told by the first [`GRANULE`] of them.
pub const WINDOW: u64 = 16 << 10;

/// Files of at least this many bytes may have holes.
pub const SCAN_MIN_SIZE: u64 = 64 << 10;

/// The shortest segment; see [`segment_len`].
const SEGMENT: u64 = 16 << 20;

/// The most segments that a file has.
const SEGMENTS: u64 = 1024;

/// How to look into content.
#[derive(Debug, Clone, Copy)]
pub struct HoleScanOptions {
    /// How many threads read. The facts do not depend on it.
    pub threads: NonZero<usize>,
    /// Whether to make the [`HoleScan::digest`], for which all content is read.
    pub digest: bool,
}

impl Default for HoleScanOptions {
    fn default() -> Self {
        Self { threads: NonZero::<usize>::MIN, digest: false }
    }
}

/// The facts about a tree's content. The default is that of a tree without holes.
#[derive(Debug, Default)]
pub struct HoleScan {
    /// Files with holes, and where they hold data: sorted, disjoint, not adjacent, within the
    /// file; starts are multiples of [`GRANULE`], ends too or the file's end.
    data: BTreeMap<InodeId, Box<[Range<u64>]>>,
    swap: BTreeSet<InodeId>,
    digest: Option<[u8; 32]>,
}

impl HoleScan {
    /// Where a file holds data, in bytes; `None` if it has no hole.
    ///
    /// The ranges are sorted, disjoint and not adjacent. They start at multiples of [`GRANULE`]
    /// and end there too, or at the file's end. A file of zeros has no range.
    #[must_use]
    pub fn data(&self, file: InodeId) -> Option<&[Range<u64>]> {
        self.data.get(&file).map(|ranges| &**ranges)
    }

    /// The swap files: they need blocks for their zeros too.
    #[must_use]
    pub fn swap_files(&self) -> &BTreeSet<InodeId> {
        &self.swap
    }

    /// A SHA-256 that changes with the tree: with all that it holds of metadata, and with all
    /// content by its checksums; `None` if it was not asked for.
    ///
    /// It tells trees apart that are made without ill will, and is no proof of their content.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// Returns the facts after a swap file was added to the tree ([`Tree::with_file`]), which is
    /// looked into. The digest stays that of the tree before.
    pub(crate) fn with_swap_file(self, tree: &Tree, file: InodeId) -> Result<Self> {
        let Self { mut data, mut swap, digest } = self;
        let behind = data.split_off(&file);
        let whole = 0..size_of(tree, file);
        let part = SegmentScanner::new(false).scan(tree, file, whole.clone())?;
        if whole.end >= SCAN_MIN_SIZE && part.data != [whole] {
            data.insert(file, part.data.into());
        }
        data.extend(behind.into_iter().map(|(InodeId(id), ranges)| (InodeId(id + 1), ranges)));
        let behind = swap.split_off(&file);
        swap.insert(file);
        swap.extend(behind.into_iter().map(|InodeId(id)| InodeId(id + 1)));
        Ok(Self { data, swap, digest })
    }
}

/// Content is examined in segments of this length, so that several threads share a large file.
///
/// A file has few of them however large it is: one of holes alone may be of any size. The digest
/// depends on it.
fn segment_len(size: u64) -> u64 {
    (size / SEGMENTS).next_power_of_two().max(SEGMENT)
}

/// A segment of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Segment {
    file: InodeId,
    number: u32,
}

impl Segment {
    /// Its bytes in a file of this size.
    fn range(self, size: u64) -> Range<u64> {
        let len = segment_len(size);
        let start = u64::from(self.number) * len;
        start..size.min(start.saturating_add(len))
    }
}

/// The segments of all files of at least so many bytes, in the order of the tree.
fn segments(tree: &Tree, shortest: u64) -> Vec<Segment> {
    let mut segments = Vec::new();
    for (file, inode) in tree.iter() {
        if let Kind::File { size, .. } = inode.kind
            && size >= shortest
        {
            let count = u32::try_from(size.div_ceil(segment_len(size))).expect("at most 1024");
            segments.extend((0..count).map(|number| Segment { file, number }));
        }
    }
    segments
}

fn size_of(tree: &Tree, file: InodeId) -> u64 {
    match tree.inode(file).kind {
        Kind::File { size, .. } => size,
        _ => unreachable!("only regular files have segments"),
    }
}

/// Reads the content of a tree as far as needed.
///
/// # Errors
/// [`Error::Source`](crate::Error::Source) or [`Error::Changed`](crate::Error::Changed) for the first file, in the order of the tree, that
/// can't be read or was changed.
pub fn scan_holes(tree: &Tree, options: &HoleScanOptions) -> Result<HoleScan> {
    let segments = segments(tree, if options.digest { 0 } else { SCAN_MIN_SIZE });
    let sums = options.digest.then(|| segments.iter().map(|_| AtomicU32::new(0)).collect());
    let SegmentScan { holed, swap } =
        scan_segments(tree, &segments, sums.as_ref(), options.threads)?;

    let mut scan = HoleScan { swap, ..HoleScan::default() };
    let mut holed = holed.into_iter().peekable();
    for group in segments.chunk_by(|a, b| a.file == b.file) {
        let file = group[0].file;
        if holed.peek().is_none_or(|(segment, _)| segment.file != file) {
            continue;
        }
        let size = size_of(tree, file);
        let mut data: Vec<Range<u64>> = Vec::new();
        for segment in group {
            match holed.next_if(|(holed, _)| holed == segment) {
                Some((_, ranges)) => ranges.into_iter().for_each(|part| append(&mut data, part)),
                None => append(&mut data, segment.range(size)),
            }
        }
        scan.data.insert(file, data.into());
    }
    scan.digest = sums.map(|sums| digest::digest(tree, &scan, &segments, &sums));
    Ok(scan)
}

/// Adds a range at the end, or to the last one if that ends where it starts.
fn append(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// Where a segment that has a hole holds data.
type SparseSegment = (Segment, Box<[Range<u64>]>);

/// What was found in segments.
#[derive(Default)]
struct SegmentScan {
    holed: Vec<SparseSegment>,
    swap: BTreeSet<InodeId>,
}

/// Examines segments, several at a time, and gives those with holes in order; with `sums` also the
/// CRC-32C of each segment's data.
fn scan_segments(
    tree: &Tree,
    segments: &[Segment],
    sums: Option<&Vec<AtomicU32>>,
    threads: NonZero<usize>,
) -> Result<SegmentScan> {
    let queue = Queue::new(segments.len());
    let work = || {
        let mut examiner = SegmentScanner::new(sums.is_some());
        let mut found = SegmentScan::default();
        while let Some(index) = queue.next() {
            let segment = segments[index];
            let size = size_of(tree, segment.file);
            match examiner.scan(tree, segment.file, segment.range(size)) {
                Ok(part) => {
                    if let Some(sums) = sums {
                        sums[index].store(part.sum, Ordering::Relaxed);
                    }
                    if size >= SCAN_MIN_SIZE && part.data != [segment.range(size)] {
                        found.holed.push((segment, part.data.into()));
                    }
                    if part.swap {
                        found.swap.insert(segment.file);
                    }
                }
                Err(error) => queue.fail(index, error),
            }
        }
        found
    };
    let mut found = SegmentScan::default();
    for SegmentScan { holed, swap } in share(threads, work) {
        found.holed.extend(holed);
        found.swap.extend(swap);
    }
    queue.finish()?;
    found.holed.sort_by_key(|&(segment, _)| segment);
    Ok(found)
}
