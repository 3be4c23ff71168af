//! The device: its chunks, their stripes, and the addresses of tree blocks.
//!
//! Chunks are laid out consecutively, and no stripe overlaps the reserved range of a superblock.
//! Superblocks are therefore in no block group, and can be neither allocated nor listed as free.
//! Logical addresses are the physical addresses of the first stripe of a chunk.

use super::spec::{BlockGroupFlags, DEVICE_RANGE_RESERVED, STRIPE_LEN, SUPER_OFFSETS};
use crate::size::round_up;

/// A chunk, which is also a block group. Its used space is at its start, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Type and profile.
    pub(super) flags: BlockGroupFlags,
    /// Logical address, which is also the offset of its first stripe on the device.
    pub(super) start: u64,
    /// Length in bytes, a multiple of [`STRIPE_LEN`].
    pub(super) len: u64,
    /// Number of bytes used.
    pub(super) used: u64,
}

impl Chunk {
    /// Returns the offsets of its stripes on the device.
    pub(super) fn stripes(&self) -> impl Iterator<Item = u64> + use<> {
        let Self { flags, start, len, .. } = *self;
        (0..copies(flags)).map(move |copy| start + copy * len)
    }
}

/// Returns the number of stripes of a chunk.
pub(super) fn copies(flags: BlockGroupFlags) -> u64 {
    if flags.contains(BlockGroupFlags::DUP) { 2 } else { 1 }
}

/// A device of unlimited size, allocated from its start.
#[derive(Debug, Clone)]
pub(super) struct Device {
    end: u64,
}

impl Device {
    pub(super) fn new() -> Self {
        Self { end: DEVICE_RANGE_RESERVED }
    }

    /// Returns the end of all allocations.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Allocates a chunk of at most `most` bytes, a multiple of [`STRIPE_LEN`].
    ///
    /// The chunk is shorter if a superblock is in the way, but not shorter than `least`.
    pub(super) fn chunk(&mut self, flags: BlockGroupFlags, least: u64, most: u64) -> Chunk {
        loop {
            let next = SUPER_OFFSETS.into_iter().find(|&place| place + STRIPE_LEN > self.end);
            let available = next.map_or(u64::MAX, |place| place.saturating_sub(self.end));
            let len = (available / copies(flags) / STRIPE_LEN * STRIPE_LEN).min(most);
            if len >= least.max(STRIPE_LEN) {
                let chunk = Chunk { flags, start: self.end, len, used: 0 };
                self.end += len * copies(flags);
                return chunk;
            }
            self.end = next.expect("there is free space after the last superblock") + STRIPE_LEN;
        }
    }

    /// Extends the last chunk by up to `more` bytes, a multiple of [`STRIPE_LEN`].
    pub(super) fn extend(&mut self, chunk: &mut Chunk, more: u64) {
        self.end = chunk.start;
        *chunk = Chunk { used: chunk.used, ..self.chunk(chunk.flags, 0, chunk.len + more) };
    }

    /// Frees the unused space of the last chunk.
    pub(super) fn trim(&mut self, chunk: &mut Chunk) {
        chunk.len = round_up(chunk.used, STRIPE_LEN);
        self.end = chunk.start + chunk.len * copies(chunk.flags);
    }
}

/// Consecutive tree blocks in a chunk.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Number of the first block.
    first: u64,
    blocks: u64,
    chunk: Chunk,
}

/// Map from tree block numbers to addresses.
#[derive(Debug)]
pub(super) struct TreeBlockMap {
    node_size: u64,
    runs: Vec<Run>,
}

impl TreeBlockMap {
    /// Returns the map of the tree blocks in the used space of `chunks`.
    pub(super) fn new(node_size: usize, chunks: impl IntoIterator<Item = Chunk>) -> Self {
        let node_size = node_size as u64;
        let mut first = 0;
        let mut run = |chunk: Chunk| {
            let blocks = chunk.used / node_size;
            let run = Run { first, blocks, chunk };
            first += blocks;
            run
        };
        Self { node_size, runs: chunks.into_iter().map(&mut run).collect() }
    }

    /// Returns the logical address of a block.
    pub(super) fn address(&self, block: u64) -> u64 {
        let run = self.runs[self.run_of(block)];
        run.chunk.start + (block - run.first) * self.node_size
    }

    fn run_of(&self, block: u64) -> usize {
        self.runs.partition_point(|run| run.first + run.blocks <= block)
    }

    /// Returns the locations of consecutive blocks on the device.
    ///
    /// Each item is for one stripe of one chunk: the offset within these blocks, the offset on the
    /// device, and the length, all in bytes.
    pub(super) fn places(&self, first: u64, blocks: u64) -> impl Iterator<Item = (u64, u64, u64)> {
        let end = first + blocks;
        let runs = self.runs[self.run_of(first)..].iter();
        runs.take_while(move |run| run.first < end).flat_map(move |run| {
            let (from, to) = (first.max(run.first), end.min(run.first + run.blocks));
            let (from, len) = (from, (to - from) * self.node_size);
            let within = (from - run.first) * self.node_size;
            let before = (from - first) * self.node_size;
            run.chunk.stripes().map(move |stripe| (before, stripe + within, len))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::{GIB, KIB, MIB};

    #[test]
    fn chunks_keep_away_from_superblocks() {
        let (single, dup) =
            (BlockGroupFlags::DATA, BlockGroupFlags::METADATA | BlockGroupFlags::DUP);
        for (flags, end, most, start, len) in [
            (single, MIB, GIB, MIB, 63 * MIB),
            (single, MIB, 5 * MIB, MIB, 5 * MIB),
            (single, 64 * MIB, GIB, 64 * MIB + 64 * KIB, GIB),
            (single, 64 * MIB + 64 * KIB, GIB, 64 * MIB + 64 * KIB, GIB),
            (dup, MIB, GIB, MIB, 63 * MIB / 2),
            (dup, 64 * MIB - 128 * KIB, GIB, 64 * MIB - 128 * KIB, 64 * KIB),
            (dup, 64 * MIB - 64 * KIB, GIB, 64 * MIB + 64 * KIB, GIB),
            (single, 256 * GIB - 64 * KIB, GIB, 256 * GIB - 64 * KIB, 64 * KIB),
            (single, 256 * GIB, GIB, 256 * GIB + 64 * KIB, GIB),
        ] {
            let mut device = Device { end };
            let chunk = device.chunk(flags, 0, most);
            assert_eq!(chunk, Chunk { flags, start, len, used: 0 });
            assert_eq!(device.end(), start + copies(flags) * len);
        }
    }

    #[test]
    fn a_gap_that_is_too_short_is_passed_over() {
        let mut device = Device { end: 64 * MIB - 128 * KIB };
        let chunk = device.chunk(BlockGroupFlags::DATA, 132 * KIB, GIB);
        assert_eq!(chunk.start, 64 * MIB + 64 * KIB);
        let mut device = Device { end: 64 * MIB - 128 * KIB };
        let chunk = device.chunk(BlockGroupFlags::DATA, 128 * KIB, GIB);
        assert_eq!(chunk.start, 64 * MIB - 128 * KIB);
    }

    #[test]
    fn blocks_are_found_in_their_chunks() {
        let chunk = |start, used, flags| Chunk { flags, start, len: 128 * KIB, used };
        let dup = BlockGroupFlags::METADATA | BlockGroupFlags::DUP;
        let chunks = [chunk(MIB, 48 * KIB, dup), chunk(3 * MIB, 16 * KIB, BlockGroupFlags::SYSTEM)];
        let space = TreeBlockMap::new(16 << 10, chunks);
        assert_eq!(space.address(0), MIB);
        assert_eq!(space.address(2), MIB + 32 * KIB);
        assert_eq!(space.address(3), 3 * MIB);
        let places: Vec<_> = space.places(1, 3).collect();
        let expected = [
            (0, MIB + 16 * KIB, 32 * KIB),
            (0, MIB + 144 * KIB, 32 * KIB),
            (32 * KIB, 3 * MIB, 16 * KIB),
        ];
        assert_eq!(places, expected);
        assert_eq!(space.places(0, 1).count(), 2);
    }
}
