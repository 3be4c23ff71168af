//! Sequences of blocks on disk.

use std::ops::Range;

use super::block_no::BlockNo;
use crate::layout::{Fill, Region};

/// Location of a sequence of blocks on disk, as runs in ascending order.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Run>);

#[derive(Debug)]
struct Run {
    /// Number of blocks of the sequence before it.
    logical: u64,
    blocks: Range<BlockNo>,
}

impl Run {
    fn len(&self) -> u64 {
        self.blocks.end - self.blocks.start
    }
}

impl Runs {
    /// Appends blocks to the sequence.
    pub(super) fn add(&mut self, blocks: Range<BlockNo>) {
        let logical = self.len();
        match self.0.last_mut() {
            Some(last) if last.blocks.end == blocks.start => last.blocks.end = blocks.end,
            _ => self.0.push(Run { logical, blocks }),
        }
    }

    /// Returns the number of blocks of the sequence.
    fn len(&self) -> u64 {
        self.0.last().map_or(0, |run| run.logical + run.len())
    }

    /// Returns the block on disk of block `logical` of the sequence.
    pub(super) fn block(&self, logical: u64) -> BlockNo {
        let run = &self.0[self.0.partition_point(|run| run.logical <= logical) - 1];
        run.blocks.start + (logical - run.logical)
    }

    /// Returns the regions of a layout in which the sequence is stored, filled from `fill`.
    pub(super) fn regions(&self, block_size: u64, fill: Fill) -> impl Iterator<Item = Region> {
        self.0.iter().map(move |run| Region {
            offset: run.blocks.start.offset(block_size),
            len: run.len() * block_size,
            from: run.logical * block_size,
            fill,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_find_their_blocks() {
        let mut runs = Runs::default();
        for blocks in [10..12, 12..13, 20..25] {
            runs.add(BlockNo(blocks.start)..BlockNo(blocks.end));
        }
        assert_eq!(runs.0.len(), 2);
        assert_eq!(runs.len(), 8);
        let found: Vec<u64> = (0..8).map(|block| runs.block(block).0).collect();
        assert_eq!(found, [10, 11, 12, 20, 21, 22, 23, 24]);
    }
}
