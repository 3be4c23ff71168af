//! B-trees, bulk-loaded from sorted items, in the same way for all trees.
//!
//! Leaves are filled in order, each until the next item does not fit; so are the nodes above them.
//! The blocks of a tree are numbered from the first leaf, level by level; the root is last. The
//! number of blocks depends on the sizes of the items alone, so addresses can be assigned before
//! the items are encoded.

use std::sync::Arc;

use uuid::Uuid;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::GENERATION;
use super::address::LogicalAddr;
use super::checksum::Checksum;
use super::chunks::TreeBlockMap;
use super::items::{Item, Items};
use super::key::Key;
use super::spec::{HEADER_FLAGS, Header, ItemHead, KeyPtr};
use crate::error::Result;
use crate::layout::{Render, render_blocks};

const HEADER: usize = size_of::<Header>();
const HEAD: usize = size_of::<ItemHead>();
const POINTER: usize = size_of::<KeyPtr>();

/// Properties that all tree blocks of a file system share.
#[derive(Debug, Clone)]
pub(super) struct NodeFormat {
    /// Size of a tree block, in bytes.
    pub(super) node_size: usize,
    pub(super) checksum: Checksum,
    pub(super) fsid: Uuid,
    pub(super) chunk_tree_uuid: Uuid,
}

impl NodeFormat {
    /// Returns the space for item heads and item data in a leaf, in bytes.
    pub(super) fn leaf_data_size(&self) -> usize {
        self.node_size - HEADER
    }

    /// Returns the maximum size of the data of an item, in bytes.
    pub(super) fn max_item_size(&self) -> usize {
        self.leaf_data_size() - HEAD
    }

    fn pointers(&self) -> usize {
        self.leaf_data_size() / POINTER
    }

    /// Fills in the header of a tree block and then its checksum.
    fn seal(&self, address: LogicalAddr, owner: u64, items: usize, level: usize, block: &mut [u8]) {
        let header = Header {
            csum: [0; 32],
            fsid: *self.fsid.as_bytes(),
            bytenr: U64::new(address.0),
            flags: U64::new(HEADER_FLAGS),
            chunk_tree_uuid: *self.chunk_tree_uuid.as_bytes(),
            generation: U64::new(GENERATION),
            owner: U64::new(owner),
            nritems: U32::new(u32::try_from(items).expect("a block has few items")),
            level: u8::try_from(level).expect("a tree has few levels"),
        };
        block[..HEADER].copy_from_slice(header.as_bytes());
        let sum = self.checksum.digest(&block[32..]);
        block[..32].copy_from_slice(&sum);
    }
}

/// Start of a leaf.
#[derive(Debug, Clone, Copy)]
struct Leaf<C> {
    first: Key,
    at: C,
}

/// Distribution of items over blocks.
#[derive(Debug)]
pub(super) struct TreeShape<C> {
    leaves: Vec<Leaf<C>>,
    /// Number of blocks per level, leaves first.
    levels: Vec<usize>,
}

/// Returns the items of the leaf that starts at the cursor `start`.
fn leaf<I: Items>(
    items: &I,
    format: &NodeFormat,
    start: I::Cursor,
) -> impl Iterator<Item = (I::Cursor, Item<I::Cursor>)> {
    let (mut at, mut available) = (start, format.leaf_data_size());
    std::iter::from_fn(move || {
        let here = at;
        let item = items.item(here, available.saturating_sub(HEAD))?;
        available = available.checked_sub(HEAD + item.size)?;
        at = item.next;
        Some((here, item))
    })
}

impl<C: Copy + Default> TreeShape<C> {
    /// Distributes items over blocks.
    ///
    /// # Panics
    /// If an item is longer than [`NodeFormat::max_item_size`]; sources of items must reject those.
    pub(super) fn new<I: Items<Cursor = C>>(items: &I, format: &NodeFormat) -> Self {
        let mut leaves = Vec::new();
        let mut next = Some(C::default());
        while let Some(at) = next {
            let Some(first) = items.item(at, format.max_item_size()) else { break };
            assert!(first.size <= format.max_item_size(), "items fit in a leaf");
            leaves.push(Leaf { first: first.key, at });
            next = leaf(items, format, at).last().map(|(_, item)| item.next);
        }
        // A tree without items is one empty leaf.
        let mut levels = vec![leaves.len().max(1)];
        while let Some(&below) = levels.last()
            && below > 1
        {
            levels.push(below.div_ceil(format.pointers()));
        }
        Self { leaves, levels }
    }

    /// Returns the number of blocks.
    pub(super) fn blocks(&self) -> u64 {
        self.levels.iter().sum::<usize>() as u64
    }

    /// Returns the number of blocks per level, leaves first.
    pub(super) fn levels(&self) -> &[usize] {
        &self.levels
    }
}

/// A tree whose blocks have addresses.
pub(super) struct PlacedTree<I: Items> {
    pub(super) items: I,
    pub(super) shape: TreeShape<I::Cursor>,
    pub(super) format: Arc<NodeFormat>,
    pub(super) space: Arc<TreeBlockMap>,
    /// Id of the tree.
    pub(super) owner: u64,
    /// Number of its first block among all tree blocks.
    pub(super) first: u64,
}

impl<I: Items> PlacedTree<I> {
    fn address(&self, block: usize) -> LogicalAddr {
        self.space.address(self.first + block as u64)
    }

    /// Encodes a block into `out`, which must be all zeros.
    fn encode(&self, block: usize, out: &mut [u8]) -> Result<()> {
        let (mut level, mut within, mut below) = (0, block, 0);
        while within >= self.shape.levels[level] {
            below = block - within;
            within -= self.shape.levels[level];
            level += 1;
        }
        let items = match level {
            0 => self.encode_leaf(within, out)?,
            _ => self.encode_node(level, within, below, out),
        };
        self.format.seal(self.address(block), self.owner, items, level, out);
        Ok(())
    }

    /// Encodes a leaf and returns its number of items.
    ///
    /// Item heads grow from the start, data from the end.
    fn encode_leaf(&self, number: usize, out: &mut [u8]) -> Result<usize> {
        let Some(start) = self.shape.leaves.get(number) else { return Ok(0) };
        let (_, body) = out.split_at_mut(HEADER);
        let (mut items, mut end) = (0, body.len());
        for (at, item) in leaf(&self.items, &self.format, start.at) {
            let offset = end - item.size;
            self.items.write(at, &mut body[offset..end])?;
            let head = ItemHead {
                key: item.key.into(),
                offset: U32::new(u32::try_from(offset).expect("within a block")),
                size: U32::new(u32::try_from(item.size).expect("within a block")),
            };
            body[items * HEAD..][..HEAD].copy_from_slice(head.as_bytes());
            items += 1;
            end = offset;
        }
        Ok(items)
    }

    /// Encodes a node and returns its number of pointers.
    ///
    /// `below` is the number of the first block of the level below.
    fn encode_node(&self, level: usize, number: usize, below: usize, out: &mut [u8]) -> usize {
        let pointers = self.format.pointers();
        let first = number * pointers;
        let count = pointers.min(self.shape.levels[level - 1] - first);
        // Number of leaves under each child.
        let leaves = (1..level).fold(1, |leaves, _| leaves * pointers);
        for (slot, child) in (first..first + count).enumerate() {
            let pointer = KeyPtr {
                key: self.shape.leaves[child * leaves].first.into(),
                blockptr: U64::new(self.address(below + child).0),
                generation: U64::new(GENERATION),
            };
            out[HEADER + slot * POINTER..][..POINTER].copy_from_slice(pointer.as_bytes());
        }
        count
    }
}

impl<I: Items> Render for PlacedTree<I> {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        render_blocks(self.format.node_size, offset, out, |block, out| {
            self.encode(usize::try_from(block).expect("metadata is addressable"), out)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunks::Chunk;
    use super::super::spec::BlockGroupFlags;
    use super::*;

    /// Items of the given sizes, filled with their index.
    struct Fake(Vec<usize>);

    impl Items for Fake {
        type Cursor = usize;

        fn item(&self, at: usize, _: usize) -> Option<Item<usize>> {
            let size = *self.0.get(at)?;
            Some(Item { key: Key::new(at as u64, 1, 2), size, next: at + 1 })
        }

        fn write(&self, at: usize, out: &mut [u8]) -> Result<()> {
            out.fill(u8::try_from(at % 251).unwrap());
            Ok(())
        }
    }

    fn format(node_size: usize) -> NodeFormat {
        NodeFormat {
            node_size,
            checksum: Checksum::Crc32c,
            fsid: Uuid::nil(),
            chunk_tree_uuid: Uuid::nil(),
        }
    }

    #[test]
    fn leaves_and_nodes_are_filled_to_the_last_byte() {
        let full = 16384 - 101 - 25;
        for (sizes, levels) in [
            (vec![], vec![1]),
            (vec![0], vec![1]),
            (vec![full], vec![1]),
            (vec![1000, full - 1000 - 25], vec![1]),
            (vec![1000, full - 1000 - 24], vec![2, 1]),
            (vec![full - 25, 0], vec![1]),
            (vec![full - 24, 0], vec![2, 1]),
            (vec![full; 493], vec![493, 1]),
            (vec![full; 494], vec![494, 2, 1]),
            (vec![full; 493 * 493 + 1], vec![493 * 493 + 1, 494, 2, 1]),
        ] {
            let count = sizes.len();
            let shape = TreeShape::new(&Fake(sizes), &format(16384));
            assert_eq!(shape.levels(), levels, "{count} items");
        }
    }

    fn tree(sizes: Vec<usize>, node_size: usize) -> PlacedTree<Fake> {
        let format = format(node_size);
        let shape = TreeShape::new(&Fake(sizes.clone()), &format);
        let used = shape.blocks() * node_size as u64;
        let chunk = Chunk {
            flags: BlockGroupFlags::METADATA,
            start: LogicalAddr(1 << 20),
            len: used,
            used,
        };
        PlacedTree {
            items: Fake(sizes),
            shape,
            space: Arc::new(TreeBlockMap::new(node_size, [chunk])),
            format: Arc::new(format),
            owner: 5,
            first: 0,
        }
    }

    #[test]
    fn any_part_is_rendered_as_in_the_whole() {
        let tree = tree((0..400).map(|n| n % 97).collect(), 4096);
        assert_eq!(tree.shape.levels(), [8, 1]);
        let mut whole = vec![0; 9 * 4096];
        tree.render(0, &mut whole).unwrap();
        for (from, to) in [(0, 1), (4095, 4097), (100, 9 * 4096), (4096, 8192), (8000, 20000)] {
            let mut part = vec![0; to - from];
            tree.render(from as u64, &mut part).unwrap();
            assert!(part == whole[from..to], "{from}..{to}");
        }
    }

    /// Each child is found under its own first key, at the address that it records.
    #[test]
    fn nodes_point_to_what_is_there() {
        let tree = tree(vec![3000; 121 * 121 + 1], 4096);
        let levels = [14642, 122, 2, 1];
        assert_eq!(tree.shape.levels(), levels);
        let mut all = vec![0; 14767 * 4096];
        tree.render(0, &mut all).unwrap();
        let block = |number: usize| &all[number * 4096..][..4096];
        let key = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let address = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let mut pointers = 0;
        for node in 14642..14767 {
            let count = usize::from(block(node)[96]);
            for slot in 0..count {
                let pointer = &block(node)[101 + 33 * slot..][..33];
                let child = usize::try_from(address(&pointer[17..]) - (1 << 20)).unwrap() / 4096;
                assert_eq!(address(&block(child)[48..]), (1 << 20) + child as u64 * 4096);
                assert_eq!(key(pointer), key(&block(child)[101..]), "{node}.{slot}");
                assert_eq!(block(child)[100] + 1, block(node)[100]);
                pointers += 1;
            }
        }
        assert_eq!(pointers, 14766, "all blocks but the root have a parent");
    }
}
