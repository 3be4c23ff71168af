//! The blocks of a file, and the extent tree that maps them on disk.

use std::ops::Range;

use zerocopy::IntoBytes;

use super::block_no::BlockNo;
use super::csum::{crc, low_16, low_32};
use super::spec::{
    EXT_MAGIC, EXTENT_LEN_MAX, EXTENT_RECORD, ExtentHeader, ExtentIdx, ExtentRecord,
};

/// A run of a file's blocks that is contiguous on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// First block within the file.
    pub(super) logical: u32,
    /// Number of blocks, 1 to 32768.
    pub(super) len: u32,
    /// First block on disk.
    pub(super) start: BlockNo,
}

/// All extents of a file, and the blocks of its extent tree outside the inode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ExtentMap {
    pub(super) extents: Vec<Extent>,
    /// The blocks of the tree, level by level from the leaves up, each level in file order.
    pub(super) tree: Vec<BlockNo>,
}

/// Encoded blocks of an extent tree, each with its block number.
type TreeBlocks = Vec<(BlockNo, Box<[u8]>)>;

/// Number of extents that fit in the inode.
pub(super) const IN_INODE: usize = 4;

/// Returns the number of extents or index entries per block.
fn per_block(block_size: usize) -> usize {
    (block_size - EXTENT_RECORD) / EXTENT_RECORD
}

/// Returns the number of blocks of the tree over `extents` extents, without the root in the inode.
pub(super) fn tree_blocks(extents: usize, block_size: usize) -> usize {
    let (mut total, mut level) = (0, extents);
    while level > IN_INODE {
        level = level.div_ceil(per_block(block_size));
        total += level;
    }
    total
}

impl ExtentMap {
    /// Adds a run of blocks, split at the maximum length of an extent. `logical` is the first block
    /// within the file.
    pub(super) fn add(&mut self, mut logical: u64, blocks: Range<BlockNo>) {
        let mut start = blocks.start;
        while start < blocks.end {
            let piece = (blocks.end - start).min(EXTENT_LEN_MAX);
            self.extents.push(Extent {
                logical: u32::try_from(logical).expect("a file's size is checked before"),
                len: low_32(piece),
                start,
            });
            logical += piece;
            start += piece;
        }
    }

    /// Returns the number of data and tree blocks.
    pub(super) fn blocks(&self) -> u64 {
        let data: u64 = self.extents.iter().map(|extent| u64::from(extent.len)).sum();
        data + self.tree.len() as u64
    }

    /// Encodes a tree that fits in the inode, as stored in `i_block`.
    pub(super) fn root(&self) -> [u8; 60] {
        debug_assert!(self.tree.is_empty());
        self.encode(0, 0).0
    }

    /// Encodes the root of the tree, as stored in `i_block`, and the blocks of the tree. `seed` is
    /// the inode's checksum seed.
    pub(super) fn encode(&self, block_size: usize, seed: u32) -> ([u8; 60], TreeBlocks) {
        let mut blocks = Vec::with_capacity(self.tree.len());
        let mut free = self.tree.iter().copied();
        let mut level: Vec<(u32, [u8; EXTENT_RECORD])> =
            self.extents.iter().map(|extent| (extent.logical, record(extent))).collect();
        let mut depth = 0;
        while level.len() > IN_INODE {
            let mut above = Vec::new();
            for node in level.chunks(per_block(block_size)) {
                let block = free.next().expect("tree_blocks() blocks were allocated");
                let mut bytes = vec![0; block_size].into_boxed_slice();
                encode_node(node, depth, per_block(block_size), &mut bytes);
                // The checksum follows the last possible record, which for some block sizes is not
                // the end of the block.
                let end = EXTENT_RECORD * (1 + per_block(block_size));
                let sum = crc(seed, &bytes[..end]);
                bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
                blocks.push((block, bytes));
                above.push((node[0].0, index(node[0].0, block)));
            }
            level = above;
            depth += 1;
        }
        let mut root = [0; 60];
        encode_node(&level, depth, IN_INODE, &mut root);
        (root, blocks)
    }
}

fn record(extent: &Extent) -> [u8; EXTENT_RECORD] {
    let bytes = ExtentRecord {
        ee_block: extent.logical.into(),
        ee_len: low_16(extent.len).into(),
        ee_start_hi: start_high(extent.start),
        ee_start_lo: low_32(extent.start.0).into(),
    };
    zerocopy::transmute!(bytes)
}

fn index(logical: u32, block: BlockNo) -> [u8; EXTENT_RECORD] {
    let bytes = ExtentIdx {
        ei_block: logical.into(),
        ei_leaf_lo: low_32(block.0).into(),
        ei_leaf_hi: start_high(block),
        ei_unused: 0.into(),
    };
    zerocopy::transmute!(bytes)
}

fn start_high(block: BlockNo) -> zerocopy::byteorder::little_endian::U16 {
    u16::try_from(block.0 >> 32).expect("block numbers have 48 bits").into()
}

fn encode_node(records: &[(u32, [u8; EXTENT_RECORD])], depth: u16, max: usize, out: &mut [u8]) {
    let count = |n: usize| u16::try_from(n).expect("a node has few records").into();
    let header = ExtentHeader {
        eh_magic: EXT_MAGIC.into(),
        eh_entries: count(records.len()),
        eh_max: count(max),
        eh_depth: depth.into(),
        eh_generation: 0.into(),
    };
    let (chunks, _) = out.as_chunks_mut::<EXTENT_RECORD>();
    chunks[0].copy_from_slice(header.as_bytes());
    for (chunk, (_, record)) in chunks[1..].iter_mut().zip(records) {
        *chunk = *record;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_counted() {
        for (extents, block_size, blocks) in [
            (0, 4096, 0),
            (4, 4096, 0),
            (5, 4096, 1),
            (340, 4096, 1),
            (341, 4096, 2),
            (1360, 4096, 4),
            (1361, 4096, 5 + 1),
            (84 * 84 * 4, 1024, 84 * 4 + 4),
            (84 * 84 * 4 + 1, 1024, 84 * 4 + 1 + 5 + 1),
        ] {
            assert_eq!(tree_blocks(extents, block_size), blocks, "{extents} at {block_size}");
        }
    }

    #[test]
    fn long_runs_are_cut() {
        let mut mapping = ExtentMap::default();
        mapping.add(0, BlockNo(1000)..BlockNo(33_769));
        assert_eq!(
            mapping.extents,
            [
                Extent { logical: 0, len: 32_768, start: BlockNo(1000) },
                Extent { logical: 32_768, len: 1, start: BlockNo(33_768) }
            ]
        );
    }

    #[test]
    fn the_root_is_as_the_kernel_reads_it() {
        let mut mapping = ExtentMap::default();
        mapping.add(0, BlockNo(0x1_0000_0002)..BlockNo(0x1_0000_0005));
        let (root, blocks) = mapping.encode(4096, 0);
        assert!(blocks.is_empty());
        assert_eq!(
            root[..24],
            [
                0x0a, 0xf3, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, // header
                0, 0, 0, 0, 3, 0, 1, 0, 2, 0, 0, 0, // extent
            ]
        );
    }
}
