//! Placement of inodes, with what follows them, in blocks of metadata.

use std::collections::BTreeMap;

use super::spec::{BLOCK, ISLOT};

/// Number of slots in a block.
const PER_BLOCK: u64 = BLOCK / ISLOT;

/// A run of slots to allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// Length in bytes.
    pub(super) len: u64,
    /// Whether all of it must be in one block, as an inline tail must.
    pub(super) within_block: bool,
}

/// Allocator of slots: each request takes the smallest gap that holds it, or else the end.
#[derive(Debug)]
pub(super) struct SlotAllocator {
    /// First slot that was never allocated.
    end: u64,
    /// Ends of blocks that were passed over: first slots by length.
    gaps: BTreeMap<u64, Vec<u64>>,
}

impl SlotAllocator {
    /// Creates an allocator whose first slot is at or after the byte `start`.
    pub(super) fn new(start: u64) -> Self {
        Self { end: start.div_ceil(ISLOT), gaps: BTreeMap::new() }
    }

    /// Allocates a run and returns its first slot.
    pub(super) fn allocate(&mut self, request: Request) -> u64 {
        let slots = request.len.div_ceil(ISLOT);
        debug_assert!(!request.within_block || slots <= PER_BLOCK, "it fits in a block");
        if let Some((&len, _)) = self.gaps.range(slots..).next() {
            let starts = self.gaps.get_mut(&len).expect("it was found");
            let start = starts.pop().expect("no list is empty");
            if starts.is_empty() {
                self.gaps.remove(&len);
            }
            self.add_gap(start + slots, len - slots);
            return start;
        }
        let left = self.end.next_multiple_of(PER_BLOCK) - self.end;
        if request.within_block && slots > left {
            self.add_gap(self.end, left);
            self.end += left;
        }
        let start = self.end;
        self.end += slots;
        start
    }

    fn add_gap(&mut self, start: u64, len: u64) {
        if len > 0 {
            self.gaps.entry(len).or_default().push(start);
        }
    }

    /// Returns the number of blocks up to the last slot.
    pub(super) fn blocks(&self) -> u64 {
        self.end.div_ceil(PER_BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_and_only_metadata_without_a_tail_crosses_blocks() {
        let mut allocator = SlotAllocator::new(1152);
        let mut next = |len, within_block| allocator.allocate(Request { len, within_block });
        assert_eq!(next(64, true), 36);
        // It does not fit in the rest of the first block.
        assert_eq!(next(3000, true), 128);
        assert_eq!(next(2000, true), 38);
        // The first block has 27 slots left, the second one 34.
        assert_eq!(next(800, true), 101);
        assert_eq!(next(900, false), 128 + 94);
        assert_eq!(next(8000, false), 128 + 94 + 29);
        // Too long for the rest of the fourth block.
        assert_eq!(next(4096, true), 512);
        assert_eq!(allocator.blocks(), 5);
    }
}
