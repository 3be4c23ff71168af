//! The device: its chunks, their stripes, and the addresses of tree blocks.
//!
//! Chunks are laid out consecutively, and no stripe overlaps the reserved range of a superblock.
//! Superblocks are therefore in no block group, and can be neither allocated nor listed as free.
//! The logical address of a byte is its offset in the first stripe of its chunk on the device.

use super::address::{DeviceOffset, LogicalAddr};
use super::spec::{BlockGroupFlags, DEVICE_RANGE_RESERVED, STRIPE_LEN, SUPER_OFFSETS};
use crate::layout::{Fill, Region};
use crate::size::round_up;

/// A chunk, which is also a block group. Its used space is at its start, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Type and profile.
    pub(super) flags: BlockGroupFlags,
    /// Logical address of its first byte.
    pub(super) start: LogicalAddr,
    /// Length in bytes, a multiple of [`STRIPE_LEN`].
    pub(super) len: u64,
    /// Number of bytes used.
    pub(super) used: u64,
}

impl Chunk {
    /// Returns the offsets of its stripes on the device.
    pub(super) fn stripes(&self) -> impl Iterator<Item = DeviceOffset> + use<> {
        let Self { flags, start, len, .. } = *self;
        (0..copies(flags)).map(move |copy| first_stripe(start) + copy * len)
    }
}

/// Returns the offset of a logical address in the first stripe of its chunk.
pub(super) fn first_stripe(address: LogicalAddr) -> DeviceOffset {
    DeviceOffset(address.0)
}

/// Returns the logical address of an offset in the first stripe of a chunk.
pub(super) fn logical(offset: DeviceOffset) -> LogicalAddr {
    LogicalAddr(offset.0)
}

/// Returns the number of stripes of a chunk.
pub(super) fn copies(flags: BlockGroupFlags) -> u64 {
    if flags.contains(BlockGroupFlags::DUP) { 2 } else { 1 }
}

/// A device of unlimited size, allocated from its start.
#[derive(Debug, Clone)]
pub(super) struct Device {
    end: DeviceOffset,
}

impl Device {
    pub(super) fn new() -> Self {
        Self { end: DeviceOffset(DEVICE_RANGE_RESERVED) }
    }

    /// Returns the end of all allocations.
    pub(super) fn end(&self) -> DeviceOffset {
        self.end
    }

    /// Allocates a chunk of at most `most` bytes, a multiple of [`STRIPE_LEN`].
    ///
    /// The chunk is shorter if a superblock is in the way, but not shorter than `least`.
    pub(super) fn chunk(&mut self, flags: BlockGroupFlags, least: u64, most: u64) -> Chunk {
        loop {
            let next = SUPER_OFFSETS.into_iter().find(|&place| place + STRIPE_LEN > self.end);
            let available = next.map_or(u64::MAX, |place| place.0.saturating_sub(self.end.0));
            let len = (available / copies(flags) / STRIPE_LEN * STRIPE_LEN).min(most);
            if len >= least.max(STRIPE_LEN) {
                let chunk = Chunk { flags, start: logical(self.end), len, used: 0 };
                self.end += len * copies(flags);
                return chunk;
            }
            self.end = next.expect("there is free space after the last superblock") + STRIPE_LEN;
        }
    }

    /// Extends the last chunk by up to `more` bytes, a multiple of [`STRIPE_LEN`].
    pub(super) fn extend(&mut self, chunk: &mut Chunk, more: u64) {
        self.end = first_stripe(chunk.start);
        *chunk = Chunk { used: chunk.used, ..self.chunk(chunk.flags, 0, chunk.len + more) };
    }

    /// Frees the unused space of the last chunk.
    pub(super) fn trim(&mut self, chunk: &mut Chunk) {
        chunk.len = round_up(chunk.used, STRIPE_LEN);
        self.end = first_stripe(chunk.start) + chunk.len * copies(chunk.flags);
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
    pub(super) fn address(&self, block: u64) -> LogicalAddr {
        let run = self.runs[self.run_of(block)];
        run.chunk.start + (block - run.first) * self.node_size
    }

    fn run_of(&self, block: u64) -> usize {
        self.runs.partition_point(|run| run.first + run.blocks <= block)
    }

    /// Returns the regions of a layout in which consecutive blocks are stored, filled from `fill`:
    /// one for each stripe of each chunk.
    pub(super) fn regions(
        &self,
        first: u64,
        blocks: u64,
        fill: Fill,
    ) -> impl Iterator<Item = Region> {
        let end = first + blocks;
        let runs = self.runs[self.run_of(first)..].iter();
        runs.take_while(move |run| run.first < end).flat_map(move |run| {
            let (start, to) = (first.max(run.first), end.min(run.first + run.blocks));
            let len = (to - start) * self.node_size;
            let within = (start - run.first) * self.node_size;
            let from = (start - first) * self.node_size;
            let stripes = run.chunk.stripes();
            stripes.map(move |stripe| Region { offset: (stripe + within).0, len, from, fill })
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
            let mut device = Device { end: DeviceOffset(end) };
            let chunk = device.chunk(flags, 0, most);
            assert_eq!(chunk, Chunk { flags, start: LogicalAddr(start), len, used: 0 });
            assert_eq!(device.end(), DeviceOffset(start + copies(flags) * len));
        }
    }

    #[test]
    fn a_gap_that_is_too_short_is_passed_over() {
        let mut device = Device { end: DeviceOffset(64 * MIB - 128 * KIB) };
        let chunk = device.chunk(BlockGroupFlags::DATA, 132 * KIB, GIB);
        assert_eq!(chunk.start, LogicalAddr(64 * MIB + 64 * KIB));
        let mut device = Device { end: DeviceOffset(64 * MIB - 128 * KIB) };
        let chunk = device.chunk(BlockGroupFlags::DATA, 128 * KIB, GIB);
        assert_eq!(chunk.start, LogicalAddr(64 * MIB - 128 * KIB));
    }

    #[test]
    fn blocks_are_found_in_their_chunks() {
        let chunk =
            |start, used, flags| Chunk { flags, start: LogicalAddr(start), len: 128 * KIB, used };
        let dup = BlockGroupFlags::METADATA | BlockGroupFlags::DUP;
        let chunks = [chunk(MIB, 48 * KIB, dup), chunk(3 * MIB, 16 * KIB, BlockGroupFlags::SYSTEM)];
        let space = TreeBlockMap::new(16 << 10, chunks);
        assert_eq!(space.address(0), LogicalAddr(MIB));
        assert_eq!(space.address(2), LogicalAddr(MIB + 32 * KIB));
        assert_eq!(space.address(3), LogicalAddr(3 * MIB));
        let regions = space.regions(1, 3, Fill::Render(0));
        let regions: Vec<_> =
            regions.map(|region| (region.from, region.offset, region.len)).collect();
        let expected = [
            (0, MIB + 16 * KIB, 32 * KIB),
            (0, MIB + 144 * KIB, 32 * KIB),
            (32 * KIB, 3 * MIB, 16 * KIB),
        ];
        assert_eq!(regions, expected);
        assert_eq!(space.regions(0, 1, Fill::Render(0)).count(), 2);
    }
}
