//! Splits the content of a tree into ranges, and groups the ranges into batches for threads.

use std::ops::Range;
use std::slice;

use super::compress::Compression;
use super::limits::COMPRESSED;
use super::options::{ContentOptions, DataPolicy};
use crate::error::{Error, Result};
use crate::tree::{HoleScan, InodeId, Kind, Tree};

/// Cost after which a batch ends, in bytes: low enough that threads finish together when
/// compression is slow, high enough that reopening files costs nothing. A multiple of
/// [`COMPRESSED`].
const BATCH: u64 = 2 << 20;

/// Cost of a range in addition to its bytes, in bytes.
const OPENING: u64 = 16 << 10;

/// A range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileRange {
    pub(super) file: InodeId,
    pub(super) from: u64,
    pub(super) len: u64,
}

/// All ranges, in tree order.
#[derive(Debug, Default)]
pub(super) struct FileRanges {
    pub(super) list: Vec<FileRange>,
    /// Positions in `list`.
    pub(super) batches: Vec<Range<usize>>,
    /// Compressions of the ranges, each once.
    pub(super) compressions: Vec<Compression>,
}

impl FileRanges {
    pub(super) fn of(
        tree: &Tree,
        scan: &HoleScan,
        policy: &dyn Fn(InodeId) -> DataPolicy,
        options: &ContentOptions<'_>,
    ) -> Result<Self> {
        let mut parts = Self::default();
        for (file, inode) in tree.iter() {
            let Kind::File { size: size @ 1.., .. } = inode.kind else { continue };
            let policy = policy(file);
            if let Some(compression) = policy.compression
                && !parts.compressions.contains(&compression)
            {
                compression.check()?;
                compression.verify()?;
                parts.compressions.push(compression);
            }
            let cut = policy.compression.is_some() || options.dedup;
            let whole = 0..size;
            let data = scan.data(file).filter(|_| policy.holes);
            for range in data.unwrap_or(slice::from_ref(&whole)) {
                parts.range(file, range, cut);
            }
        }
        if u32::try_from(parts.list.len()).is_err() {
            let count = parts.list.len();
            return Err(Error::unrepresentable(
                Vec::new(),
                format!("content is {count} extents, at most {} are supported", u32::MAX),
                "leave out content, compression or deduplication",
            ));
        }
        parts.batch();
        Ok(parts)
    }

    fn range(&mut self, file: InodeId, range: &Range<u64>, cut: bool) {
        let most = if cut { COMPRESSED } else { u64::MAX };
        let mut from = range.start;
        while from < range.end {
            let len = most.min(range.end - from);
            self.list.push(FileRange { file, from, len });
            from += len;
        }
    }

    fn batch(&mut self) {
        let (mut start, mut cost) = (0, 0);
        for (position, part) in self.list.iter().enumerate() {
            cost += part.len.min(BATCH) + OPENING;
            if cost >= BATCH {
                self.batches.push(start..position + 1);
                (start, cost) = (position + 1, 0);
            }
        }
        if start < self.list.len() {
            self.batches.push(start..self.list.len());
        }
    }
}
