//! The device: chunks and where their stripes are, and which tree block is where.
//!
//! Chunks are laid out one after the other, and no stripe comes near a place of a superblock. So
//! what belongs to the superblock is in no block group, and can be neither given out nor listed as
//! free. Logical addresses are the physical ones of a chunk's first stripe.

use super::spec::{BlockGroupFlags, DEVICE_RANGE_RESERVED, STRIPE_LEN, SUPER_OFFSETS};
use crate::size::round_up;

/// A chunk, which is a block group too. What is used of it is at its start, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Its type and profile.
    pub(super) flags: BlockGroupFlags,
    /// Its logical address, which is also where its first stripe is on the device.
    pub(super) start: u64,
    /// Its length in bytes, a multiple of [`STRIPE_LEN`].
    pub(super) len: u64,
    /// How many bytes of it are used.
    pub(super) used: u64,
}

impl Chunk {
    /// Where its stripes are on the device.
    pub(super) fn stripes(&self) -> impl Iterator<Item = u64> + use<> {
        let Self { flags, start, len, .. } = *self;
        (0..copies(flags)).map(move |copy| start + copy * len)
    }
}

/// How many stripes a chunk has.
pub(super) fn copies(flags: BlockGroupFlags) -> u64 {
    if flags.contains(BlockGroupFlags::DUP) { 2 } else { 1 }
}

/// A device of any size, given out from its start on.
#[derive(Debug, Clone)]
pub(super) struct Device {
    end: u64,
}

impl Device {
    pub(super) fn new() -> Self {
        Self { end: DEVICE_RANGE_RESERVED }
    }

    /// The first byte behind all that was given out.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Gives out room for a chunk of at most `most` bytes, a multiple of [`STRIPE_LEN`]; it is
    /// shorter where a superblock is in the way, but not shorter than `least`.
    pub(super) fn chunk(&mut self, flags: BlockGroupFlags, least: u64, most: u64) -> Chunk {
        loop {
            let next = SUPER_OFFSETS.into_iter().find(|&place| place + STRIPE_LEN > self.end);
            let room = next.map_or(u64::MAX, |place| place.saturating_sub(self.end));
            let len = (room / copies(flags) / STRIPE_LEN * STRIPE_LEN).min(most);
            if len >= least.max(STRIPE_LEN) {
                let chunk = Chunk { flags, start: self.end, len, used: 0 };
                self.end += len * copies(flags);
                return chunk;
            }
            self.end = next.expect("there is room behind the last superblock") + STRIPE_LEN;
        }
    }

    /// Makes the last chunk longer by up to `more` bytes, a multiple of [`STRIPE_LEN`].
    pub(super) fn extend(&mut self, chunk: &mut Chunk, more: u64) {
        self.end = chunk.start;
        *chunk = Chunk { used: chunk.used, ..self.chunk(chunk.flags, 0, chunk.len + more) };
    }

    /// Takes back what the last chunk has not used.
    pub(super) fn trim(&mut self, chunk: &mut Chunk) {
        chunk.len = round_up(chunk.used, STRIPE_LEN);
        self.end = chunk.start + chunk.len * copies(chunk.flags);
    }
}

/// Tree blocks one after the other in a chunk.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The number of the first block.
    first: u64,
    blocks: u64,
    chunk: Chunk,
}

/// Where the tree blocks are, by their numbers.
#[derive(Debug)]
pub(super) struct TreeBlockMap {
    node_size: u64,
    runs: Vec<Run>,
}

impl TreeBlockMap {
    /// The tree blocks that are in the used parts of these chunks.
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

    /// The logical address of a block.
    pub(super) fn address(&self, block: u64) -> u64 {
        let run = self.runs[self.run_of(block)];
        run.chunk.start + (block - run.first) * self.node_size
    }

    fn run_of(&self, block: u64) -> usize {
        self.runs.partition_point(|run| run.first + run.blocks <= block)
    }

    /// Where consecutive blocks are on the device: the number of bytes before, the offset on the
    /// device, and the length, for each stripe of each chunk.
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
