//! The windows and granules that decide where holes are.

use std::ops::Range;

use crate::tree::{InodeId, Kind, Tree};

/// Granularity of holes, in bytes. The last granule of a file may be shorter.
pub const GRANULE: u64 = 4096;

/// Number of bytes whose first [`GRANULE`] decides whether they may contain holes.
pub const WINDOW: u64 = 16 << 10;

/// Smallest size in bytes of a file that may have holes.
pub const SCAN_MIN_SIZE: u64 = 64 << 10;

/// Appends a range, or extends the last range if it ends where the new one starts.
pub(super) fn append(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// Returns the length of a regular file in bytes.
pub(super) fn size_of(tree: &Tree, file: InodeId) -> u64 {
    match tree.inode(file).kind {
        Kind::File { size, .. } => size,
        _ => unreachable!("only regular files have segments"),
    }
}
