//! Compressed files: which blocks their pieces take, and the index that refers to them.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, IntoBytes};

use super::compression::{Compression, PIECE};
use super::spec::{BLOCK, LI_D0_CBLKCNT, MapHeader, advise, lcluster_type};

/// Number of logical clusters of a piece.
const LCLUSTERS: u64 = PIECE as u64 / BLOCK;

/// Alignment of the header of an index, in bytes.
const ALIGN: u64 = 8;

/// Size of a pack with entries of 14 bits, and of one with entries of 16, in bytes.
const PACK_2B: usize = 32;
const PACK_4B: usize = 8;

/// Numbers of entries of these packs.
const ENTRIES_2B: usize = 16;
const ENTRIES_4B: usize = 2;

/// Size of the address at the end of a pack, in bytes.
const BASE: usize = 4;

/// Number of bits of an entry that hold an offset or a distance. The type follows.
const LO_BITS: u32 = 12;

/// A piece of a file as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredPiece {
    /// Offset of the compressed bytes in the spool. It differs from run to run.
    pub(super) at: u64,
    /// Compressed size in bytes; 0 for a piece that is stored as it is.
    pub(super) len: u32,
}

/// A compressed file.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompressedFile<'a> {
    pub(super) size: u64,
    pub(super) pieces: &'a [StoredPiece],
    /// Whether the last piece follows the index, without a block.
    pub(super) is_tail_inline: bool,
}

/// An entry of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    kind: u16,
    /// Offset of a head in its logical cluster, or number of blocks or distance from the head.
    lo: u16,
    /// Distance to the next head.
    next: u16,
}

impl CompressedFile<'_> {
    /// Returns the length of a piece in the file, in bytes.
    fn raw_len(&self, piece: usize) -> u64 {
        (self.size - piece as u64 * u64::from(PIECE)).min(PIECE.into())
    }

    /// Returns the offset of a piece in the file, and its length.
    pub(super) fn raw_range(&self, piece: usize) -> (u64, u64) {
        (piece as u64 * u64::from(PIECE), self.raw_len(piece))
    }

    /// Returns the number of blocks that a piece takes.
    pub(super) fn piece_blocks(&self, piece: usize) -> u64 {
        let is_last = piece + 1 == self.pieces.len();
        match u64::from(self.pieces[piece].len) {
            _ if is_last && self.is_tail_inline => 0,
            0 => self.raw_len(piece).div_ceil(BLOCK),
            len => len.div_ceil(BLOCK),
        }
    }

    /// Returns the number of blocks that all pieces take.
    pub(super) fn blocks(&self) -> u64 {
        (0..self.pieces.len()).map(|piece| self.piece_blocks(piece)).sum()
    }

    /// Returns the size in bytes of the data after the index.
    pub(super) fn inline_len(&self) -> u64 {
        match (self.is_tail_inline, self.pieces.last()) {
            (true, Some(last)) => last.len.into(),
            _ => 0,
        }
    }

    /// Returns the size in bytes of what follows an inode that takes `head` bytes with its
    /// attributes: padding, header, index and inline data.
    pub(super) fn rest_len(&self, head: u64) -> u64 {
        let start = head.next_multiple_of(ALIGN) + size_of::<MapHeader>() as u64;
        start - head + Packs::new(start, self.lclusters()).len() + self.inline_len()
    }

    fn lclusters(&self) -> u64 {
        self.size.div_ceil(BLOCK)
    }

    /// Encodes padding, header and index, for an inode of `head` bytes and for data that starts at
    /// `block`.
    pub(super) fn encode(&self, compression: Compression, head: u64, block: u32) -> Vec<u8> {
        let start = head.next_multiple_of(ALIGN) + size_of::<MapHeader>() as u64;
        let padding = start - head - size_of::<MapHeader>() as u64;
        let mut h_advise = advise::COMPACTED_2B | advise::BIG_PCLUSTER_1 | advise::BIG_PCLUSTER_2;
        if self.is_tail_inline {
            h_advise |= advise::INLINE_PCLUSTER;
        }
        let idata_size = u32::try_from(self.inline_len()).expect("less than a block");
        let header = MapHeader {
            h_fragmentoff: U32::new(idata_size << 16),
            h_advise: U16::new(h_advise),
            h_algorithmtype: compression.number(),
            ..MapHeader::new_zeroed()
        };
        let mut out = vec![0; usize::try_from(padding).expect("less than 8")];
        out.extend_from_slice(header.as_bytes());
        self.encode_packs(Packs::new(start, self.lclusters()), block, &mut out);
        out
    }

    fn encode_packs(&self, packs: Packs, block: u32, out: &mut Vec<u8>) {
        let (mut piece, mut address) = (0, u64::from(block));
        let mut first = 0;
        while first < packs.total {
            while piece_of(first) > piece {
                address += self.piece_blocks(piece);
                piece += 1;
            }
            let (entries, len) = packs.at(first);
            let width = (len - BASE) * 8 / entries;
            let mut pack = vec![0; len];
            for (number, lcluster) in (first..packs.total).take(entries).enumerate() {
                let value = self.entry(lcluster).encode(number + 1 == entries);
                put_bits(&mut pack, number * width, value);
            }
            pack[len - BASE..].copy_from_slice(&self.base(first, address).to_le_bytes());
            out.extend_from_slice(&pack);
            first += entries as u64;
        }
    }

    /// Returns the base address of a pack whose first entry is `first`, in a piece at `address`:
    /// that of the first head in the pack, unless the pack starts with the number of blocks of an
    /// earlier head, which readers add.
    fn base(&self, first: u64, address: u64) -> u32 {
        let (piece, distance) = (piece_of(first), first % LCLUSTERS);
        let base = match self.entry(first) {
            Entry { kind: lcluster_type::NONHEAD, lo, .. } if lo & LI_D0_CBLKCNT == 0 => {
                address + self.piece_blocks(piece)
            }
            Entry { kind: lcluster_type::PLAIN, .. } => {
                address + distance.min(self.piece_blocks(piece))
            }
            _ => address,
        };
        u32::try_from(base).expect("within the file system")
    }

    fn entry(&self, lcluster: u64) -> Entry {
        let (piece, distance) = (piece_of(lcluster), lcluster % LCLUSTERS);
        let raw_len = self.raw_len(piece);
        let whole = raw_len / BLOCK;
        let narrow = |value: u64| u16::try_from(value).expect("fewer blocks than a piece has");
        let nonhead =
            |lo| Entry { kind: lcluster_type::NONHEAD, lo, next: narrow(whole - distance) };
        match (self.pieces[piece].len, distance) {
            (0, _) => Entry { kind: lcluster_type::PLAIN, lo: 0, next: 1 },
            (_, 0) => Entry { kind: lcluster_type::HEAD1, lo: 0, next: 1 },
            // The piece ends in this cluster.
            _ if distance >= whole => {
                Entry { kind: lcluster_type::PLAIN, lo: narrow(raw_len % BLOCK), next: 1 }
            }
            // Inline data counts as a block.
            (_, 1) => nonhead(LI_D0_CBLKCNT | narrow(self.piece_blocks(piece).max(1))),
            _ => nonhead(narrow(distance)),
        }
    }
}

impl Entry {
    /// Returns the bits of the entry, which differ at the end of a pack.
    fn encode(self, is_last: bool) -> u32 {
        let is_distance = self.kind == lcluster_type::NONHEAD && self.lo & LI_D0_CBLKCNT == 0;
        let lo = if is_last && is_distance { self.next } else { self.lo };
        u32::from(lo) | u32::from(self.kind) << LO_BITS
    }
}

fn piece_of(lcluster: u64) -> usize {
    usize::try_from(lcluster / LCLUSTERS).expect("pieces are in memory")
}

/// Writes the bits of `value`, lowest first, at bit `at` of `bytes`, which are zeros there.
fn put_bits(bytes: &mut [u8], at: usize, value: u32) {
    let (byte, shift) = (at / 8, at % 8);
    for (number, part) in (value << shift).to_le_bytes().into_iter().enumerate() {
        if part != 0 {
            bytes[byte + number] |= part;
        }
    }
}

/// Packs of a compact index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packs {
    total: u64,
    /// Number of entries of 16 bits before the first pack that is aligned to 32 bytes.
    before: u64,
    /// Number of entries of 14 bits.
    dense: u64,
}

impl Packs {
    /// Returns the packs of `total` entries at `start`.
    fn new(start: u64, total: u64) -> Self {
        let (pack, entries) = (PACK_2B as u64, ENTRIES_2B as u64);
        let before = (pack - start % pack) % pack / PACK_4B as u64 * ENTRIES_4B as u64;
        let dense = total.saturating_sub(before) / entries * entries;
        Self { total, before, dense }
    }

    /// Returns the number of entries and of bytes of the pack that starts with an entry.
    fn at(self, entry: u64) -> (usize, usize) {
        match (self.before..self.before + self.dense).contains(&entry) {
            true => (ENTRIES_2B, PACK_2B),
            false => (ENTRIES_4B, PACK_4B),
        }
    }

    /// Returns the size of all packs, in bytes.
    fn len(self) -> u64 {
        let sparse = (self.total - self.dense).div_ceil(ENTRIES_4B as u64);
        self.dense / ENTRIES_2B as u64 * PACK_2B as u64 + sparse * PACK_4B as u64
    }
}
