//! Chunks: the mapping from logical addresses to bytes of the device.

use std::collections::BTreeMap;

use super::super::address::{DeviceOffset, LogicalAddr};
use super::super::key::Key;
use super::super::spec::{
    BlockGroupFlags, Chunk as ChunkItem, DiskKey, SECTOR, STRIPE_LEN, SYSTEM_CHUNK_ARRAY_SIZE,
    Stripe, SuperBlock, item_type, objectid,
};
use super::block::Leaf;
use super::items::{ItemPlace, prefix};
use super::root::Root;
use crate::violation::{Result, Violation};

/// A chunk, which is a range of logical addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) start: LogicalAddr,
    /// Length in bytes, not zero.
    pub(super) len: u64,
    pub(super) flags: BlockGroupFlags,
    /// Offset of each of its copies on the device.
    pub(super) stripes: Vec<DeviceOffset>,
}

impl Chunk {
    /// Returns the first address after it.
    pub(super) fn end(&self) -> LogicalAddr {
        self.start + self.len
    }

    /// Parses a chunk item; `Err` is the violated rule.
    ///
    /// Returns the data after the item as well.
    fn parse<'a>(
        key: Key,
        data: &'a [u8],
        superblock: &SuperBlock,
    ) -> std::result::Result<(Self, &'a [u8]), String> {
        let require = |holds: bool, rule: &dyn Fn() -> String| {
            if holds { Ok(()) } else { Err(rule()) }
        };
        require(key.objectid == objectid::FIRST_CHUNK_TREE, &|| {
            "the objectid of a chunk is not 256".into()
        })?;
        require(key.item_type == item_type::CHUNK_ITEM, &|| "not a chunk".into())?;
        let (item, rest) = prefix::<ChunkItem>(data).ok_or("too short for a chunk")?;
        let (start, len) = (LogicalAddr(key.offset), item.length.get());
        let flags = BlockGroupFlags::from_bits_retain(item.chunk_type.get());
        let copies =
            copies(flags).ok_or_else(|| format!("type {:#x} is not supported", flags.bits()))?;
        require(usize::from(item.num_stripes.get()) == copies, &|| {
            format!("num_stripes is {}, not {copies}", item.num_stripes)
        })?;
        // The kernel writes 1; old versions of mkfs.btrfs wrote 0.
        require(item.sub_stripes.get() <= 1, &|| format!("sub_stripes is {}", item.sub_stripes))?;
        require(item.stripe_len.get() == STRIPE_LEN, &|| {
            format!("stripe_len is {}, not {STRIPE_LEN}", item.stripe_len)
        })?;
        require(item.sector_size == superblock.sectorsize, &|| {
            format!("sector_size is {}, not that of the superblock", item.sector_size)
        })?;
        // The owner is always the extent tree.
        require(item.owner.get() == objectid::EXTENT_TREE, &|| format!("owner is {}", item.owner))?;
        require(start.is_multiple_of(SECTOR) && len.is_multiple_of(SECTOR) && len > 0, &|| {
            format!("start or length is not aligned, or length {len} is zero")
        })?;
        require(start.checked_add(len).is_some(), &|| format!("length is {len}"))?;
        let mut stripes = Vec::new();
        let mut rest = rest;
        for number in 0..copies {
            let stripe;
            (stripe, rest) = prefix::<Stripe>(rest).ok_or("too short for its stripes")?;
            let offset = DeviceOffset(stripe.offset.get());
            let device = &superblock.dev_item;
            require(stripe.devid == device.devid && stripe.dev_uuid == device.uuid, &|| {
                format!("stripe {number} is on a missing device")
            })?;
            require(offset.is_multiple_of(SECTOR), &|| format!("stripe {number} is not aligned"))?;
            let end = offset.checked_add(len).filter(|end| end.0 <= superblock.total_bytes.get());
            require(end.is_some(), &|| format!("stripe {number} ends after the device"))?;
            stripes.push(offset);
        }
        Ok((Self { start, len, flags, stripes }, rest))
    }
}

/// Returns the number of copies in a chunk, if its type is one that detfs writes.
pub(super) fn copies(flags: BlockGroupFlags) -> Option<usize> {
    let kind = flags - BlockGroupFlags::DUP;
    let kinds = [BlockGroupFlags::DATA, BlockGroupFlags::METADATA, BlockGroupFlags::SYSTEM];
    let copies = if flags.contains(BlockGroupFlags::DUP) { 2 } else { 1 };
    kinds.contains(&kind).then_some(copies)
}

/// All chunks, or only those of the chunk tree. They do not overlap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunks(BTreeMap<LogicalAddr, Chunk>);

impl Chunks {
    /// Returns the chunks in the array of the superblock.
    pub(super) fn from_array(superblock: &SuperBlock) -> Result<Self> {
        let size = superblock.sys_chunk_array_size.get();
        let array =
            usize::try_from(size).ok().and_then(|size| superblock.sys_chunk_array.get(..size));
        let place = "superblock, sys_chunk_array";
        let mut rest = array.ok_or_else(|| {
            let rule = format!("size is {size}, more than {SYSTEM_CHUNK_ARRAY_SIZE}");
            Violation::new(place, rule)
        })?;
        let mut chunks = Self(BTreeMap::new());
        while !rest.is_empty() {
            let (key, data) = prefix::<DiskKey>(rest)
                .ok_or_else(|| Violation::new(place, "ends within a key"))?;
            let (chunk, behind) = Chunk::parse((*key).into(), data, superblock)
                .map_err(|rule| Violation::new(place, rule))?;
            if !chunk.flags.contains(BlockGroupFlags::SYSTEM) {
                return Err(Violation::new(place, "a chunk is not of type SYSTEM"));
            }
            chunks.insert(chunk).map_err(|rule| Violation::new(place, rule))?;
            rest = behind;
        }
        if chunks.0.is_empty() {
            return Err(Violation::new(place, "empty"));
        }
        Ok(chunks)
    }

    /// Returns the chunks in all `leaves` of the chunk tree with this root.
    pub(super) fn from_tree(
        root: Root,
        leaves: impl Iterator<Item = Result<Leaf>>,
        superblock: &SuperBlock,
    ) -> Result<Self> {
        let mut chunks = Self(BTreeMap::new());
        for leaf in leaves {
            let leaf = leaf?;
            for (key, data) in leaf.items().filter(|(key, _)| key.objectid != objectid::DEV_ITEMS) {
                let place = ItemPlace { tree: root.id, key };
                let parsed = Chunk::parse(key, data, superblock);
                let (chunk, rest) = parsed.map_err(|rule| place.breaks(rule))?;
                if !rest.is_empty() {
                    return Err(place.breaks("longer than its stripes"));
                }
                chunks.insert(chunk).map_err(|rule| place.breaks(rule))?;
            }
        }
        Ok(chunks)
    }

    fn insert(&mut self, chunk: Chunk) -> std::result::Result<(), &'static str> {
        let before = self.0.range(..chunk.end()).next_back();
        if before.is_some_and(|(_, before)| before.end() > chunk.start) {
            return Err("overlaps another chunk");
        }
        self.0.insert(chunk.start, chunk);
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.0.values()
    }

    /// Returns the chunk that contains a range of logical addresses.
    pub(super) fn find(&self, start: LogicalAddr, len: u64) -> Option<&Chunk> {
        let (_, chunk) = self.0.range(..=start).next_back()?;
        let end = start.checked_add(len)?;
        (end <= chunk.end()).then_some(chunk)
    }

    /// Returns the offsets on the device of all copies of a range of logical addresses.
    pub(super) fn physical(
        &self,
        start: LogicalAddr,
        len: u64,
    ) -> Result<impl Iterator<Item = DeviceOffset>> {
        let chunk = self.find(start, len).ok_or_else(|| {
            Violation::new(format_args!("logical address {start}"), "not in any chunk")
        })?;
        let within = start - chunk.start;
        Ok(chunk.stripes.iter().map(move |&stripe| stripe + within))
    }
}
