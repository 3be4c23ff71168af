//! Scan of file content for holes, which must be known before a file system can be planned.
//!
//! Holes are determined by content, so that an image does not depend on how the host stores a copy
//! of the tree. A file shorter than [`SCAN_MIN_SIZE`] is stored whole. In a longer file, a
//! [`WINDOW`] that starts with a [`GRANULE`] of data is data, and in a window that starts with a
//! granule of zeros every granule of zeros is a hole. Swap files of that length are recognized by
//! their signature: file systems allocate blocks for their zeros.
//!
//! To read every small file, or every granule, would cost more than the zeros that it finds. With
//! windows, one small read is enough to classify most of them as data.

mod digest;
mod segment;
mod swap;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{InodeId, Kind, Tree};
use crate::error::Result;
use crate::progress::{Meter, Observer, Phase};
use crate::workers::{Queue, share};
use segment::SegmentScanner;
pub use window::{GRANULE, SCAN_MIN_SIZE, WINDOW};
use window::{append, size_of};

/// Smallest length of a segment, in bytes; see [`segment_len`].
const SEGMENT: u64 = 16 << 20;

/// Largest number of segments in a file.
const SEGMENTS: u64 = 1024;

/// Options for scanning content.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct HoleScanOptions<'a> {
    /// Number of threads that read. It does not affect the result.
    pub threads: NonZero<usize>,
    /// Whether to compute [`HoleScan::digest`], which requires reading all content.
    pub digest: bool,
    /// Observer of the progress, in bytes of content.
    pub observer: Option<&'a dyn Observer>,
}

impl Default for HoleScanOptions<'_> {
    fn default() -> Self {
        Self { threads: NonZero::<usize>::MIN, digest: false, observer: None }
    }
}

impl fmt::Debug for HoleScanOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HoleScanOptions")
            .field("threads", &self.threads)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Result of scanning a tree's content. The default is that of a tree without holes.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct HoleScan {
    /// Data ranges of the files that have holes: sorted, disjoint, not adjacent, within the file.
    /// Starts are multiples of [`GRANULE`]; ends are too, or are the end of the file.
    data: BTreeMap<InodeId, Box<[Range<u64>]>>,
    swap: BTreeSet<InodeId>,
    digest: Option<[u8; 32]>,
}

impl HoleScan {
    /// Returns the data ranges of a file, in bytes, or `None` if the file has no holes.
    ///
    /// The ranges are sorted, disjoint and not adjacent. They start at multiples of [`GRANULE`] and
    /// end there too, or at the end of the file. A file of zeros has no range.
    #[must_use]
    pub fn data(&self, file: InodeId) -> Option<&[Range<u64>]> {
        self.data.get(&file).map(|ranges| &**ranges)
    }

    /// Returns the swap files, which need blocks for their zeros too.
    #[must_use]
    pub fn swap_files(&self) -> &BTreeSet<InodeId> {
        &self.swap
    }

    /// Returns a SHA-256 that changes with the tree: with all its metadata, and with all content by
    /// its checksums.
    ///
    /// `None` if the digest was not requested.
    ///
    /// The digest tells trees apart that were not crafted to collide. It is not a proof of their
    /// content.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// Returns the scan of `tree`, which is the scanned tree with a swap file added
    /// ([`Tree::with_file`]).
    ///
    /// The new file is scanned. The digest remains that of the tree before.
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

/// Returns the length of a file's segments, in bytes.
///
/// Content is scanned in segments, so that several threads share a large file.
///
/// The number of segments is limited whatever the size of the file, because a file that consists of
/// holes may have any size. The digest depends on the length.
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
    /// Returns the bytes of the segment in a file of this size.
    fn range(self, size: u64) -> Range<u64> {
        let len = segment_len(size);
        let start = u64::from(self.number) * len;
        start..size.min(start.saturating_add(len))
    }
}

/// Returns the segments of all files of at least `shortest` bytes, in tree order.
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

/// Scans the content of a tree, reading only as much as needed.
///
/// # Errors
/// [`Error::Source`](crate::Error::Source) or [`Error::Changed`](crate::Error::Changed) for the
/// first file, in tree order, that can't be read or was changed, and
/// [`Error::Cancelled`](crate::Error::Cancelled) if the observer asks for it.
pub fn scan_holes(tree: &Tree, options: &HoleScanOptions<'_>) -> Result<HoleScan> {
    let segments = segments(tree, if options.digest { 0 } else { SCAN_MIN_SIZE });
    let sums = options.digest.then(|| segments.iter().map(|_| AtomicU32::new(0)).collect());
    let SegmentScan { holed, swap } = scan_segments(tree, &segments, sums.as_ref(), options)?;

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

/// Data ranges of a segment that has a hole.
type SparseSegment = (Segment, Box<[Range<u64>]>);

/// Results for the segments.
#[derive(Default)]
struct SegmentScan {
    holed: Vec<SparseSegment>,
    swap: BTreeSet<InodeId>,
}

/// Scans segments, several at a time, and returns those with holes in order.
///
/// With `sums`, also returns the CRC-32C of each segment's data.
fn scan_segments(
    tree: &Tree,
    segments: &[Segment],
    sums: Option<&Vec<AtomicU32>>,
    options: &HoleScanOptions<'_>,
) -> Result<SegmentScan> {
    let lens = segments.iter().map(|segment| {
        let Range { start, end } = segment.range(size_of(tree, segment.file));
        end - start
    });
    let meter = Meter::new(options.observer, Phase::Scan, lens.fold(0, u64::saturating_add));
    let queue = Queue::new(segments);
    let work = || {
        let mut scanner = SegmentScanner::new(sums.is_some());
        let mut found = SegmentScan::default();
        while let Some((index, &segment)) = queue.next() {
            let size = size_of(tree, segment.file);
            let range = segment.range(size);
            let scanned = scanner.scan(tree, segment.file, range.clone());
            match scanned.and_then(|part| meter.add(range.end - range.start).map(|()| part)) {
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
    for SegmentScan { holed, swap } in share(options.threads, work) {
        found.holed.extend(holed);
        found.swap.extend(swap);
    }
    queue.finish()?;
    found.holed.sort_by_key(|&(segment, _)| segment);
    Ok(found)
}
