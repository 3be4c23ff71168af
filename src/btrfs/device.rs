//! Description of the device: chunks, their stripes, and the free space in them.

use uuid::Uuid;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::chunks::{Chunk, copies};
use super::extent_tree::block_group_item;
use super::items::ItemList;
use super::key::Key;
use super::spec::{
    Chunk as ChunkItem, DevExtent, DevItem, DevStatsItem, FreeSpaceInfo, SECTOR, STRIPE_LEN,
    Stripe, item_type, objectid,
};

/// Id of the only device.
const DEVID: u64 = 1;

/// Ids in chunks and stripes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    pub(super) fsid: Uuid,
    pub(super) device: Uuid,
    pub(super) chunk_tree: Uuid,
}

fn sector() -> U32 {
    U32::new(u32::try_from(SECTOR).expect("4096"))
}

fn stripe_len() -> U32 {
    U32::new(u32::try_from(STRIPE_LEN).expect("64 KiB"))
}

/// Returns the item of the device, which the superblock also contains.
pub(super) fn dev_item(ids: Ids, total_bytes: u64, chunks: &[Chunk]) -> DevItem {
    let used: u64 = chunks.iter().map(|chunk| chunk.len * copies(chunk.flags)).sum();
    DevItem {
        devid: U64::new(DEVID),
        total_bytes: U64::new(total_bytes),
        bytes_used: U64::new(used),
        io_align: sector(),
        io_width: sector(),
        sector_size: sector(),
        uuid: *ids.device.as_bytes(),
        fsid: *ids.fsid.as_bytes(),
        ..DevItem::new_zeroed()
    }
}

/// Returns the key and the item of a chunk.
pub(super) fn chunk_item(ids: Ids, chunk: &Chunk) -> (Key, Vec<u8>) {
    let stripes: Vec<_> = chunk.stripes().collect();
    let item = ChunkItem {
        length: U64::new(chunk.len),
        owner: U64::new(objectid::EXTENT_TREE),
        stripe_len: U64::new(STRIPE_LEN),
        chunk_type: U64::new(chunk.flags.bits()),
        io_align: stripe_len(),
        io_width: stripe_len(),
        sector_size: sector(),
        num_stripes: U16::new(u16::try_from(stripes.len()).expect("one or two")),
        sub_stripes: U16::new(1),
    };
    let mut data = item.as_bytes().to_vec();
    for offset in stripes {
        let dev_uuid = *ids.device.as_bytes();
        let stripe = Stripe { devid: U64::new(DEVID), offset: U64::new(offset.0), dev_uuid };
        data.extend_from_slice(stripe.as_bytes());
    }
    (Key::new(objectid::FIRST_CHUNK_TREE, item_type::CHUNK_ITEM, chunk.start.0), data)
}

/// Returns the items of the chunk tree.
pub(super) fn chunk_items(ids: Ids, total_bytes: u64, chunks: &[Chunk]) -> ItemList {
    let mut items = ItemList::default();
    let device = dev_item(ids, total_bytes, chunks);
    items.push(Key::new(objectid::DEV_ITEMS, item_type::DEV_ITEM, DEVID), device.as_bytes());
    for chunk in chunks {
        let (key, data) = chunk_item(ids, chunk);
        items.push(key, data);
    }
    items.sorted()
}

/// Returns the items of the device tree.
pub(super) fn dev_items(ids: Ids, chunks: &[Chunk]) -> ItemList {
    let mut items = ItemList::default();
    let stats = DevStatsItem::new_zeroed();
    let key = Key::new(objectid::DEV_STATS, item_type::PERSISTENT_ITEM, DEVID);
    items.push(key, stats.as_bytes());
    for chunk in chunks {
        let extent = DevExtent {
            chunk_tree: U64::new(objectid::CHUNK_TREE),
            chunk_objectid: U64::new(objectid::FIRST_CHUNK_TREE),
            chunk_offset: U64::new(chunk.start.0),
            length: U64::new(chunk.len),
            chunk_tree_uuid: *ids.chunk_tree.as_bytes(),
        };
        for stripe in chunk.stripes() {
            items.push(Key::new(DEVID, item_type::DEV_EXTENT, stripe.0), extent.as_bytes());
        }
    }
    items.sorted()
}

/// Returns the items of the block group tree.
pub(super) fn block_group_items(chunks: &[Chunk]) -> ItemList {
    let mut items = ItemList::default();
    for chunk in chunks {
        let key = Key::new(chunk.start.0, item_type::BLOCK_GROUP_ITEM, chunk.len);
        items.push(key, block_group_item(chunk).as_bytes());
    }
    items.sorted()
}

/// Returns the items of the free space tree.
///
/// The free space of a chunk is one extent after its used space.
pub(super) fn free_space_items(chunks: &[Chunk]) -> ItemList {
    let mut items = ItemList::default();
    for chunk in chunks {
        let free = chunk.len - chunk.used;
        let extent_count = U32::new(u32::from(free > 0));
        let info = FreeSpaceInfo { extent_count, flags: U32::new(0) };
        let key = Key::new(chunk.start.0, item_type::FREE_SPACE_INFO, chunk.len);
        items.push(key, info.as_bytes());
        if free > 0 {
            let start = chunk.start + chunk.used;
            let key = Key::new(start.0, item_type::FREE_SPACE_EXTENT, free);
            items.push(key, Vec::new());
        }
    }
    items.sorted()
}
