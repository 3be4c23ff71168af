//! The extent tree: owners of all extents and tree blocks on the device.

use std::collections::BTreeMap;
use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::GENERATION;
use super::chunks::{Chunk, TreeBlockMap};
use super::data::{Data, DataRef};
use super::items::{Item, Items};
use super::key::Key;
use super::spec::{
    BlockGroupItem, ExtentDataRef, ExtentFlags, ExtentInlineRef, ExtentItem, ItemHead, item_type,
    objectid,
};
use crate::error::Result;

/// The blocks of one tree.
#[derive(Debug, Clone)]
pub(super) struct TreeBlocks {
    /// Id of the tree.
    pub(super) owner: u64,
    /// Number of its first block among all tree blocks.
    pub(super) first: u64,
    /// Number of blocks per level, leaves first.
    pub(super) levels: Vec<usize>,
}

/// Data references that do not fit into the items of their extents.
#[derive(Debug)]
pub(super) struct KeyedDataRefs {
    /// Maximum number of references in an extent item.
    most: usize,
    /// By extent: references with the offsets of their keys, in ascending order.
    refs: BTreeMap<u32, Box<[(u64, DataRef)]>>,
}

impl KeyedDataRefs {
    pub(super) fn new(data: &Data, leaf_data_size: usize) -> Self {
        // BTRFS_MAX_EXTENT_ITEM_SIZE of the kernel.
        let max = (leaf_data_size >> 4) - size_of::<ItemHead>();
        let most = (max - size_of::<ExtentItem>()) / INLINE_DATA_REF;
        let mut refs = BTreeMap::new();
        for (number, _) in (0u32..).zip(&data.extents) {
            let all = data.refs(number as usize);
            if all.len() > most {
                refs.insert(number, keyed(&all[most..]));
            }
        }
        Self { most, refs }
    }
}

/// Assigns key offsets to references: their hash, or the next free number.
fn keyed(refs: &[DataRef]) -> Box<[(u64, DataRef)]> {
    let mut keyed = BTreeMap::new();
    for one in refs {
        let mut offset = one.hash();
        while keyed.contains_key(&offset) {
            offset = offset.wrapping_add(1);
        }
        keyed.insert(offset, *one);
    }
    keyed.into_iter().collect()
}

const INLINE_DATA_REF: usize = 1 + size_of::<ExtentDataRef>();

/// The items of the extent tree.
pub(super) struct ExtentItems {
    pub(super) data: Arc<Data>,
    pub(super) keyed_refs: Arc<KeyedDataRefs>,
    pub(super) trees: Arc<[TreeBlocks]>,
    pub(super) space: Arc<TreeBlockMap>,
    /// Block groups whose items are in this tree.
    pub(super) groups: Arc<[Chunk]>,
}

/// Position in the extent tree: the number of preceding items, by kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    extent: u32,
    /// Number of preceding items of that extent.
    within: u32,
    block: u64,
    group: u32,
}

enum ItemKind<'a> {
    Extent(usize),
    Ref(&'a DataRef),
    Block(&'a TreeBlocks),
    Group(&'a Chunk),
}

type FoundItem<'a> = (Key, usize, Cursor, ItemKind<'a>);

impl ExtentItems {
    fn of_extent(&self, at: Cursor) -> Option<FoundItem<'_>> {
        let number = at.extent as usize;
        let extent = self.data.extents.get(number)?;
        let keyed_refs = self.keyed_refs.refs.get(&at.extent).map_or(&[][..], |refs| refs);
        let next = match at.within as usize == keyed_refs.len() {
            true => Cursor { extent: at.extent + 1, within: 0, ..at },
            false => Cursor { within: at.within + 1, ..at },
        };
        if at.within == 0 {
            let inline = self.data.refs(number).len().min(self.keyed_refs.most);
            let size = size_of::<ExtentItem>() + inline * INLINE_DATA_REF;
            let key = Key::new(extent.address.0, item_type::EXTENT_ITEM, extent.len.into());
            return Some((key, size, next, ItemKind::Extent(number)));
        }
        let (offset, one) = &keyed_refs[at.within as usize - 1];
        let key = Key::new(extent.address.0, item_type::EXTENT_DATA_REF, *offset);
        Some((key, size_of::<ExtentDataRef>(), next, ItemKind::Ref(one)))
    }

    fn of_block(&self, at: Cursor) -> Option<FoundItem<'_>> {
        let tree = self.trees.partition_point(|tree| tree.first <= at.block).checked_sub(1)?;
        let tree = &self.trees[tree];
        let mut within = at.block - tree.first;
        let mut level = 0;
        for &blocks in &tree.levels {
            if within < blocks as u64 {
                break;
            }
            within -= blocks as u64;
            level += 1;
        }
        if level == tree.levels.len() as u64 {
            return None;
        }
        let key = Key::new(self.space.address(at.block).0, item_type::METADATA_ITEM, level);
        let size = size_of::<ExtentItem>() + size_of::<ExtentInlineRef>();
        Some((key, size, Cursor { block: at.block + 1, ..at }, ItemKind::Block(tree)))
    }

    fn of_group(&self, at: Cursor) -> Option<FoundItem<'_>> {
        let group = self.groups.get(at.group as usize)?;
        let key = Key::new(group.start.0, item_type::BLOCK_GROUP_ITEM, group.len);
        let next = Cursor { group: at.group + 1, ..at };
        Some((key, size_of::<BlockGroupItem>(), next, ItemKind::Group(group)))
    }

    fn find(&self, at: Cursor) -> Option<FoundItem<'_>> {
        let all = [self.of_extent(at), self.of_block(at), self.of_group(at)];
        all.into_iter().flatten().min_by_key(|(key, ..)| *key)
    }
}

fn extent_item(refs: u64, flags: ExtentFlags) -> ExtentItem {
    ExtentItem {
        refs: U64::new(refs),
        generation: U64::new(GENERATION),
        flags: U64::new(flags.bits()),
    }
}

fn data_ref(one: &DataRef) -> ExtentDataRef {
    ExtentDataRef {
        root: U64::new(one.root),
        objectid: U64::new(one.objectid),
        offset: U64::new(one.offset),
        count: U32::new(one.count),
    }
}

/// Returns the item of a block group.
pub(super) fn block_group_item(group: &Chunk) -> BlockGroupItem {
    BlockGroupItem {
        used: U64::new(group.used),
        chunk_objectid: U64::new(objectid::FIRST_CHUNK_TREE),
        flags: U64::new(group.flags.bits()),
    }
}

impl Items for ExtentItems {
    type Cursor = Cursor;

    fn item(&self, at: Cursor, _: usize) -> Option<Item<Cursor>> {
        let (key, size, next, _) = self.find(at)?;
        Some(Item { key, size, next })
    }

    fn write(&self, at: Cursor, out: &mut [u8]) -> Result<()> {
        let (.., body) = self.find(at).expect("an item is there when it is written");
        match body {
            ItemKind::Extent(number) => {
                let refs = self.data.refs(number);
                let total = refs.iter().map(|one| u64::from(one.count)).sum();
                let (head, inline) = out.split_at_mut(size_of::<ExtentItem>());
                head.copy_from_slice(extent_item(total, ExtentFlags::DATA).as_bytes());
                for (slot, one) in inline.chunks_exact_mut(INLINE_DATA_REF).zip(refs) {
                    slot[0] = item_type::EXTENT_DATA_REF;
                    slot[1..].copy_from_slice(data_ref(one).as_bytes());
                }
            }
            ItemKind::Ref(one) => out.copy_from_slice(data_ref(one).as_bytes()),
            ItemKind::Block(tree) => {
                let (head, inline) = out.split_at_mut(size_of::<ExtentItem>());
                head.copy_from_slice(extent_item(1, ExtentFlags::TREE_BLOCK).as_bytes());
                let owner = U64::new(tree.owner);
                let one = ExtentInlineRef { ref_type: item_type::TREE_BLOCK_REF, offset: owner };
                inline.copy_from_slice(one.as_bytes());
            }
            ItemKind::Group(group) => out.copy_from_slice(block_group_item(group).as_bytes()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(objectid: u64) -> DataRef {
        DataRef { root: 5, objectid, offset: 0, count: 1 }
    }

    #[test]
    fn references_with_one_hash_have_keys_one_after_the_other() {
        let hash = one(300).hash();
        let keyed = keyed(&[one(300), one(300), one(300)]);
        let offsets: Vec<u64> = keyed.iter().map(|&(offset, _)| offset).collect();
        assert_eq!(offsets, [hash, hash + 1, hash + 2]);
    }
}
