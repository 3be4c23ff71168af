//! Block allocation in ascending order around the fixed metadata. Blocks are never freed, so all
//! free blocks follow the last allocated one.

use std::ops::Range;

use super::block_no::BlockNo;
use super::geometry::Geometry;

/// A cursor over the free blocks of a geometry. The cursor does not stop at the end of the file
/// system: the last allocated block determines the size that is needed.
#[derive(Debug)]
pub(super) struct BlockAllocator<'a> {
    reserved: &'a [Range<BlockNo>],
    at: BlockNo,
}

impl<'a> BlockAllocator<'a> {
    pub(super) fn new(geometry: &'a Geometry) -> Self {
        Self::after(geometry, BlockNo(0))
    }

    /// Creates a cursor over the free blocks from `block` on.
    pub(super) fn after(geometry: &'a Geometry, block: BlockNo) -> Self {
        let first = geometry.reserved.partition_point(|range| range.end <= block);
        let mut space = Self { reserved: &geometry.reserved[first..], at: block };
        space.skip_reserved();
        space
    }

    fn skip_reserved(&mut self) {
        while let [first, rest @ ..] = self.reserved
            && first.start <= self.at
        {
            self.at = first.end;
            self.reserved = rest;
        }
    }

    /// Returns the number of free blocks before the next fixed metadata.
    fn free(&self) -> u64 {
        self.reserved.first().map_or(BlockNo(u64::MAX), |range| range.start) - self.at
    }

    /// Allocates `count` blocks and passes the runs of them to `run`.
    pub(super) fn take(&mut self, mut count: u64, mut run: impl FnMut(Range<BlockNo>)) {
        while count > 0 {
            let free = self.free();
            let len = count.min(free);
            run(self.at..self.at + len);
            self.at += len;
            count -= len;
            self.skip_reserved();
        }
    }

    /// Allocates `count` blocks if they are contiguous, and returns the first.
    pub(super) fn take_one_run(&mut self, count: u64) -> Option<BlockNo> {
        let free = self.free();
        if count > free {
            return None;
        }
        let start = self.at;
        self.at += count;
        self.skip_reserved();
        Some(start)
    }
}
