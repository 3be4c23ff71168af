//! Compressed files: which blocks their pieces take, and the index that refers to them.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, IntoBytes};

use super::compression::Compression;
use super::spec::{
    BLOCK, FRAGMENT_INODE, LI_D0_CBLKCNT, LclusterIndex, MapHeader, advise, datalayout,
    lcluster_type,
};

/// Size of the header of an index, in bytes.
const HEADER: u64 = size_of::<MapHeader>() as u64;

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

/// Size of the unused bytes before a full index, and of its entries, in bytes.
const FULL_START: u64 = 8;
const FULL_ENTRY: u64 = size_of::<LclusterIndex>() as u64;

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

/// Place of the last piece of a compressed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// In blocks after those of the other pieces.
    Blocks,
    /// After the index.
    Inline,
    /// At an offset in the packed inode.
    Fragment(u64),
}

/// A compressed file.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompressedFile<'a> {
    pub(super) size: u64,
    /// Size of all pieces but the last one, in bytes.
    pub(super) cluster_size: u32,
    /// Pieces with the last one; none if all of the file is in the packed inode.
    pub(super) pieces: &'a [StoredPiece],
    pub(super) tail: Tail,
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
    /// Returns the data layout of the inode.
    pub(super) fn datalayout(&self) -> u16 {
        match self.tail {
            // The header of a compact index has 32 bits for the offset.
            Tail::Fragment(offset) if offset > u32::MAX.into() => datalayout::COMPRESSED_FULL,
            _ => datalayout::COMPRESSED_COMPACT,
        }
    }

    /// Returns the length of a piece in the file, in bytes.
    fn raw_len(&self, piece: usize) -> u64 {
        let cluster_size = u64::from(self.cluster_size);
        (self.size - piece as u64 * cluster_size).min(cluster_size)
    }

    /// Returns the offset of a piece in the file, and its length.
    pub(super) fn raw_range(&self, piece: usize) -> (u64, u64) {
        (piece as u64 * u64::from(self.cluster_size), self.raw_len(piece))
    }

    fn is_tail(&self, piece: usize) -> bool {
        piece + 1 == self.pieces.len()
    }

    /// Returns the number of blocks that a piece takes.
    pub(super) fn piece_blocks(&self, piece: usize) -> u64 {
        match u64::from(self.pieces[piece].len) {
            _ if self.is_tail(piece) && self.tail != Tail::Blocks => 0,
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
        match (self.tail, self.pieces.last()) {
            (Tail::Inline, Some(last)) => last.len.into(),
            _ => 0,
        }
    }

    /// Returns the size in bytes of what follows an inode that takes `head` bytes with its
    /// attributes: padding, header, index and inline data.
    pub(super) fn rest_len(&self, head: u64) -> u64 {
        let start = head.next_multiple_of(ALIGN) + HEADER;
        let index = match self.datalayout() {
            _ if self.pieces.is_empty() => 0,
            datalayout::COMPRESSED_FULL => FULL_START + self.lclusters() * FULL_ENTRY,
            _ => Packs::new(start, self.lclusters()).len(),
        };
        start - head + index + self.inline_len()
    }

    fn lclusters(&self) -> u64 {
        self.size.div_ceil(BLOCK)
    }

    /// Encodes padding, header and index, for an inode of `head` bytes and for data that starts at
    /// `block`.
    pub(super) fn encode(&self, compression: Compression, head: u64, block: u32) -> Vec<u8> {
        let start = head.next_multiple_of(ALIGN) + HEADER;
        let padding = start - head - HEADER;
        let mut out = vec![0; usize::try_from(padding).expect("less than 8")];
        match (self.tail, self.datalayout()) {
            (Tail::Fragment(offset), _) if self.pieces.is_empty() => {
                let header = offset | u64::from(FRAGMENT_INODE) << 56;
                out.extend_from_slice(&header.to_le_bytes());
            }
            (_, datalayout::COMPRESSED_FULL) => {
                out.extend_from_slice(self.header(compression, 0).as_bytes());
                self.encode_full(block, &mut out);
            }
            _ => {
                out.extend_from_slice(self.header(compression, advise::COMPACTED_2B).as_bytes());
                self.encode_packs(Packs::new(start, self.lclusters()), block, &mut out);
            }
        }
        out
    }

    fn header(&self, compression: Compression, h_advise: u16) -> MapHeader {
        let (place, bit) = match self.tail {
            Tail::Blocks => (0, 0),
            Tail::Inline => (self.inline_len() << 16, advise::INLINE_PCLUSTER),
            Tail::Fragment(offset) => (offset, advise::FRAGMENT_PCLUSTER),
        };
        let [b0, b1, b2, b3, ..] = place.to_le_bytes();
        MapHeader {
            h_fragmentoff: U32::from_bytes([b0, b1, b2, b3]),
            h_advise: U16::new(h_advise | advise::BIG_PCLUSTER_1 | advise::BIG_PCLUSTER_2 | bit),
            h_algorithmtype: compression.number(),
            ..MapHeader::new_zeroed()
        }
    }

    /// Encodes a full index, which has the upper half of the offset in the packed inode.
    fn encode_full(&self, block: u32, out: &mut Vec<u8>) {
        out.resize(out.len() + usize::try_from(FULL_START).expect("8"), 0);
        let (mut piece, mut address) = (0, block);
        for lcluster in 0..self.lclusters() {
            while self.piece_of(lcluster) > piece {
                address += narrow(self.piece_blocks(piece));
                piece += 1;
            }
            let Entry { kind, lo, next } = self.entry(lcluster);
            let distance = narrow(lcluster % self.piece_lclusters());
            let (di_clusterofs, di_u) = match (kind, self.tail) {
                (lcluster_type::NONHEAD, _) => (0, u32::from(lo) | u32::from(next) << 16),
                (_, Tail::Fragment(offset)) if self.is_tail(piece) => {
                    (lo, u32::try_from(offset >> 32).expect("the upper half"))
                }
                (lcluster_type::PLAIN, _) => (lo, address + distance),
                _ => (lo, address),
            };
            let entry = LclusterIndex {
                di_advise: U16::new(kind),
                di_clusterofs: U16::new(di_clusterofs),
                di_u: U32::new(di_u),
            };
            out.extend_from_slice(entry.as_bytes());
        }
    }

    fn encode_packs(&self, packs: Packs, block: u32, out: &mut Vec<u8>) {
        let (mut piece, mut address) = (0, u64::from(block));
        let mut first = 0;
        while first < packs.total {
            while self.piece_of(first) > piece {
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
        let (piece, distance) = (self.piece_of(first), first % self.piece_lclusters());
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
        let (piece, distance) = (self.piece_of(lcluster), lcluster % self.piece_lclusters());
        let raw_len = self.raw_len(piece);
        let whole = raw_len / BLOCK;
        let is_fragment = self.is_tail(piece) && matches!(self.tail, Tail::Fragment(_));
        let narrow = |value: u64| u16::try_from(value).expect("fewer blocks than a piece has");
        let nonhead =
            |lo| Entry { kind: lcluster_type::NONHEAD, lo, next: narrow(whole - distance) };
        match (self.pieces[piece].len, distance) {
            (0, _) if !is_fragment => Entry { kind: lcluster_type::PLAIN, lo: 0, next: 1 },
            (_, 0) => Entry { kind: lcluster_type::HEAD1, lo: 0, next: 1 },
            // The piece ends in this cluster.
            _ if distance >= whole => {
                Entry { kind: lcluster_type::PLAIN, lo: narrow(raw_len % BLOCK), next: 1 }
            }
            // Inline data and fragments count as a block.
            (_, 1) => nonhead(LI_D0_CBLKCNT | narrow(self.piece_blocks(piece).max(1))),
            _ => nonhead(narrow(distance)),
        }
    }

    /// Returns the number of logical clusters of a piece.
    fn piece_lclusters(&self) -> u64 {
        u64::from(self.cluster_size) / BLOCK
    }

    fn piece_of(&self, lcluster: u64) -> usize {
        usize::try_from(lcluster / self.piece_lclusters()).expect("pieces are in memory")
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

fn narrow(blocks: u64) -> u32 {
    u32::try_from(blocks).expect("within the file system")
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
