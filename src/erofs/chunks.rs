//! Files in chunks, which can be holes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::spec::{BLOCK, BLOCK_BITS, NULL_ADDR};

/// Size of an entry of a chunk index, in bytes.
const INDEX: u64 = 4;

/// Binary logarithm of the largest chunk, in blocks: 1 GiB, which 32-bit kernels can handle.
const BITS_MAX: u8 = 30 - BLOCK_BITS;

/// A file in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunks {
    /// Binary logarithm of the number of blocks of a chunk.
    pub(super) bits: u8,
    /// Block of each chunk, counted from the start of the data, or [`NULL_ADDR`] for a hole.
    pub(super) blocks: Box<[u32]>,
    /// Ranges of the file that are stored, in order.
    pub(super) stored: Vec<Range<u64>>,
}

impl Chunks {
    /// Returns the chunks of a file of `size` bytes with these ranges of data, whose stored ranges
    /// follow each other from block `start` on. `None` if the file takes less space without chunks.
    pub(super) fn of_sparse(size: u64, data: &[Range<u64>], start: u64) -> Option<Self> {
        let cost = |bits| {
            let stored: u64 = stored(size, data, bits).map(|range| blocks(&range) * BLOCK).sum();
            stored + size.div_ceil(BLOCK << bits) * INDEX
        };
        // Of equally large forms, the first keeps more holes.
        let bits = (0..=BITS_MAX).min_by_key(|&bits| cost(bits))?;
        if cost(bits) >= size {
            return None;
        }
        let stored: Vec<_> = stored(size, data, bits).collect();
        let chunk = BLOCK << bits;
        let count = usize::try_from(size.div_ceil(chunk)).expect("the index is smaller than data");
        let (mut index, mut next) = (vec![NULL_ADDR; count], start);
        for range in &stored {
            for at in range.clone().step_by(usize::try_from(chunk).expect("at most 1 GiB")) {
                let number = usize::try_from(at / chunk).expect("an index");
                // Addresses beyond 32 bits are refused when the size is known.
                index[number] = u32::try_from(next).unwrap_or(NULL_ADDR);
                next += blocks(&(at..range.end.min(at + chunk)));
            }
        }
        Some(Self { bits, blocks: index.into(), stored })
    }

    /// Returns the chunks of a file of `size` bytes, each of which is a hole or one of `pieces`,
    /// whose size is `piece`. A piece with a number in `known` has the block there, and others
    /// follow each other from block `start` on.
    pub(super) fn of_pieces(
        size: u64,
        data: &[Range<u64>],
        (piece, pieces): (u64, &[Option<u32>]),
        known: &BTreeMap<u32, u32>,
        start: u64,
    ) -> Self {
        let (mut index, mut next, mut stored) = (Vec::new(), start, Vec::<Range<u64>>::new());
        let mut own = BTreeMap::new();
        for (from, number) in (0..).step_by(piece_step(piece)).zip(pieces) {
            let range = from..size.min(from + piece);
            let after = data.partition_point(|data| data.end <= range.start);
            let is_hole = data.get(after).is_none_or(|data| data.start >= range.end);
            let same = number.and_then(|number| known.get(&number).or_else(|| own.get(&number)));
            index.push(match same {
                _ if is_hole => NULL_ADDR,
                Some(&block) => block,
                None => {
                    // Addresses beyond 32 bits are refused when the size is known.
                    let block = u32::try_from(next).unwrap_or(NULL_ADDR);
                    own.extend(number.map(|number| (number, block)));
                    next += blocks(&range);
                    match stored.last_mut().filter(|last| last.end == range.start) {
                        Some(last) => last.end = range.end,
                        None => stored.push(range),
                    }
                    block
                }
            });
        }
        let bits = u8::try_from((piece / BLOCK).ilog2()).expect("a few bits");
        Self { bits, blocks: index.into(), stored }
    }

    /// Returns the size of the index, in bytes.
    pub(super) fn index_len(&self) -> u64 {
        self.blocks.len() as u64 * INDEX
    }

    /// Encodes the index for data that starts at block `data`.
    pub(super) fn encode(&self, data: u32) -> Vec<u8> {
        let addresses = self.blocks.iter().map(|&block| match block {
            NULL_ADDR => NULL_ADDR,
            block => data + block,
        });
        addresses.flat_map(u32::to_le_bytes).collect()
    }
}

fn piece_step(piece: u64) -> usize {
    usize::try_from(piece).expect("at most 1 MiB")
}

/// Returns the number of blocks of a range that starts with a block.
pub(super) fn blocks(range: &Range<u64>) -> u64 {
    (range.end - range.start).div_ceil(BLOCK)
}

/// Returns the ranges of a file that are stored with chunks of this size: data, and holes in chunks
/// with data.
fn stored(size: u64, data: &[Range<u64>], bits: u8) -> impl Iterator<Item = Range<u64>> {
    let chunk = BLOCK << bits;
    let mut ranges = data.iter().peekable();
    std::iter::from_fn(move || {
        let first = ranges.next()?;
        let whole = |range: &Range<u64>| {
            range.start / chunk * chunk..range.end.next_multiple_of(chunk).min(size)
        };
        let mut range = whole(first);
        while let Some(next) = ranges.next_if(|next| whole(next).start <= range.end) {
            range.end = whole(next).end;
        }
        Some(range)
    })
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    const K4: u64 = BLOCK;

    #[test]
    fn chunks_are_as_large_as_the_holes_allow() {
        let of = |size, data: &[Range<u64>]| Chunks::of_sparse(size, data, 10);
        // Four chunks of 64 KiB: data, two holes, and data that ends within a block.
        let found = of(16 * 13 * K4 + 1, &[0..16 * K4, 16 * 12 * K4..16 * 13 * K4 + 1]).unwrap();
        assert_eq!(found.bits, 4);
        assert_eq!(found.blocks[..2], [10, NULL_ADDR]);
        assert_eq!(found.blocks[12..], [26, 42]);
        assert_eq!(found.index_len(), 14 * 4);
        // A single block of data does not fill a larger chunk.
        let found = of(32 * K4, slice::from_ref(&(3 * K4..4 * K4))).unwrap();
        assert_eq!((found.bits, found.blocks.len(), found.blocks[3]), (0, 32, 10));
        // Nothing but a hole.
        let found = of(3 << 30, &[]).unwrap();
        assert_eq!((found.bits, &*found.blocks), (18, &[NULL_ADDR; 3][..]));
        assert_eq!(of(32 * K4, slice::from_ref(&(0..32 * K4))), None);
    }

    #[test]
    fn equal_chunks_are_stored_once() {
        const PIECE: u64 = 2 * K4;
        let known = BTreeMap::from([(7, 3)]);
        let pieces = [Some(7), None, Some(8), None, Some(8), None];
        // The fourth piece is a hole, and the last one is a single block.
        let found = Chunks::of_pieces(
            5 * PIECE + 9,
            &[0..3 * PIECE + 1 - K4, 4 * PIECE + 5..5 * PIECE + 9],
            (PIECE, &pieces),
            &known,
            10,
        );
        assert_eq!((found.bits, &*found.blocks), (1, &[3, 10, 12, NULL_ADDR, 12, 14][..]));
        assert_eq!(found.stored, [PIECE..3 * PIECE, 5 * PIECE..5 * PIECE + 9]);
    }

    #[test]
    fn an_index_is_not_larger_than_what_it_saves() {
        // With chunks of 4 KiB, the index of 1 GiB would take 1 MiB.
        let found = Chunks::of_sparse(1 << 30, slice::from_ref(&(K4..2 * K4)), 0).unwrap();
        assert_eq!(found.bits, 4);
        assert_eq!(found.stored, vec![0..1 << 16]);
        assert_eq!(found.encode(5)[..8], [5, 0, 0, 0, 255, 255, 255, 255]);
    }
}
