//! Chunks, device extents and block groups.

use std::collections::BTreeMap;

use super::super::super::address::{DeviceOffset, LogicalAddr};
use super::super::super::spec::{
    BlockGroupFlags, BlockGroupItem, CompatRo, DEVICE_RANGE_RESERVED, DevExtent, DevItem,
    DevStatsItem, SECTOR, STRIPE_LEN, SUPER_OFFSETS, item_type, objectid,
};
use super::super::chunks::copies;
use super::super::items::{ItemPlace, exact};
use super::super::reader::Reader;
use super::super::superblock::Super;
use super::report::{Report, Rules, unmatched};
use crate::violation::{Result, Violation};

/// A device extent, and the chunk that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stripe {
    offset: DeviceOffset,
    len: u64,
    /// Address of the chunk.
    chunk: LogicalAddr,
}

/// A block group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockGroup {
    pub(super) len: u64,
    pub(super) used: u64,
    pub(super) flags: u64,
}

/// Contents of the trees about the device.
#[derive(Debug, Default)]
pub(super) struct DeviceRecords {
    device: Option<DevItem>,
    /// In offset order, without overlap.
    stripes: Vec<Stripe>,
    groups: BTreeMap<LogicalAddr, BlockGroup>,
}

impl DeviceRecords {
    /// Returns all block groups, by address.
    pub(super) fn groups(&self) -> impl Iterator<Item = (LogicalAddr, BlockGroup)> {
        self.groups.iter().map(|(start, group)| (*start, *group))
    }

    /// Records an item of the chunk tree.
    ///
    /// Chunks were already checked when the file system was opened.
    pub(super) fn chunk_tree_item(&mut self, place: ItemPlace, data: &[u8]) -> Result<()> {
        if place.key.objectid != objectid::DEV_ITEMS {
            return Ok(());
        }
        place
            .require(place.key.item_type == item_type::DEV_ITEM, || "item does not belong here")?;
        let item = exact::<DevItem>(data).ok_or_else(|| place.breaks("not a device"))?;
        place.require(item.devid == place.key.offset, || format!("devid is {}", item.devid))?;
        place.require(self.device.is_none(), || "more than one device")?;
        self.device = Some(*item);
        Ok(())
    }

    pub(super) fn dev_tree_item(
        &mut self,
        superblock: &Super,
        place: ItemPlace,
        data: &[u8],
    ) -> Result<()> {
        let key = place.key;
        let devid = superblock.record.dev_item.devid.get();
        match (key.objectid, key.item_type) {
            (objectid::DEV_STATS, item_type::PERSISTENT_ITEM) => {
                place.require(key.offset == devid, || "there is no such device")?;
                let stats = exact::<DevStatsItem>(data);
                place.require(stats.is_some(), || "not a list of five counts")
            }
            (_, item_type::DEV_EXTENT) => {
                place.require(key.objectid == devid, || "there is no such device")?;
                let item = exact::<DevExtent>(data);
                let item = item.ok_or_else(|| place.breaks("not an extent of a device"))?;
                self.stripe(superblock, place, item)
            }
            _ => Err(place.breaks("item does not belong here")),
        }
    }

    fn stripe(&mut self, superblock: &Super, place: ItemPlace, item: &DevExtent) -> Result<()> {
        place.require(item.chunk_tree == objectid::CHUNK_TREE, || {
            format!("chunk_tree is {}", item.chunk_tree)
        })?;
        place.require(item.chunk_objectid == objectid::FIRST_CHUNK_TREE, || {
            format!("chunk_objectid is {}", item.chunk_objectid)
        })?;
        let (offset, len, chunk) = (place.key.offset, item.length.get(), item.chunk_offset.get());
        let aligned = [offset, len, chunk].iter().all(|value| value.is_multiple_of(SECTOR));
        place.require(aligned && len > 0, || "addresses are not aligned, or it is empty")?;
        let (offset, chunk) = (DeviceOffset(offset), LogicalAddr(chunk));
        place.require(offset.0 >= DEVICE_RANGE_RESERVED, || {
            format!("in the first {DEVICE_RANGE_RESERVED} bytes of the device")
        })?;
        let end = offset.checked_add(len);
        place
            .require(end.is_some_and(|end| end.0 <= superblock.record.total_bytes.get()), || {
                format!("after the end of the device: length is {len}")
            })?;
        let before = self.stripes.last().map_or(DeviceOffset(0), |last| last.offset + last.len);
        place.require(before <= offset, || "overlaps the previous one")?;
        self.stripes.push(Stripe { offset, len, chunk });
        Ok(())
    }

    pub(super) fn block_group_tree_item(&mut self, place: ItemPlace, data: &[u8]) -> Result<()> {
        let known = place.key.item_type == item_type::BLOCK_GROUP_ITEM;
        place.require(known, || "item does not belong here")?;
        self.group(place, data)
    }

    /// Records a block group item of the extent tree; returns whether the item is one.
    pub(super) fn extent_tree_item(
        &mut self,
        superblock: &Super,
        place: ItemPlace,
        data: &[u8],
    ) -> Result<bool> {
        if place.key.item_type != item_type::BLOCK_GROUP_ITEM {
            return Ok(false);
        }
        let apart = superblock.compat_ro().contains(CompatRo::BLOCK_GROUP_TREE);
        place.require(!apart, || "block groups have their own tree")?;
        self.group(place, data)?;
        Ok(true)
    }

    fn group(&mut self, place: ItemPlace, data: &[u8]) -> Result<()> {
        let item = exact::<BlockGroupItem>(data);
        let item = item.ok_or_else(|| place.breaks("not a block group"))?;
        let (start, len) = (LogicalAddr(place.key.objectid), place.key.offset);
        let (used, flags) = (item.used.get(), item.flags.get());
        place.require(len > 0, || "empty")?;
        place.require(item.chunk_objectid == objectid::FIRST_CHUNK_TREE, || {
            format!("chunk_objectid is {}", item.chunk_objectid)
        })?;
        place.require(used <= len, || format!("used is {used}, more than its length"))?;
        place.require(copies(BlockGroupFlags::from_bits_retain(flags)).is_some(), || {
            format!("flags are {flags:#x}, not one type with a supported profile")
        })?;
        self.groups.insert(start, BlockGroup { len, used, flags });
        Ok(())
    }

    pub(super) fn compare(&self, reader: &Reader<'_>, rules: Rules, report: &mut Report) {
        let superblock = &reader.superblock.record;
        match &self.device {
            None => report.add(Violation::new("chunk tree", "there is no device")),
            Some(device) if *device != superblock.dev_item => {
                let rule = "differs from dev_item of the superblock";
                report.add(Violation::new("chunk tree, device", rule));
            }
            Some(device) => {
                let sum: u64 = self.stripes.iter().map(|stripe| stripe.len).sum();
                if device.bytes_used != sum {
                    let rule = format!("bytes_used is {}, not {sum}", device.bytes_used);
                    report.add(Violation::new("chunk tree, device", rule));
                }
            }
        }
        self.compare_system_chunks(reader, report);
        self.compare_stripes(reader, rules, report);
        self.compare_groups(reader, report);
        let used = self.groups.values().fold(0, |sum: u64, group| sum.saturating_add(group.used));
        if superblock.bytes_used != used {
            let rule = format!("bytes_used is {}, block groups use {used}", superblock.bytes_used);
            report.add(Violation::new("superblock", rule));
        }
    }

    fn compare_system_chunks(&self, reader: &Reader<'_>, report: &mut Report) {
        let Some(array) = report.keep(reader.superblock.system_chunks()) else { return };
        let system =
            reader.chunks.iter().filter(|chunk| chunk.flags.contains(BlockGroupFlags::SYSTEM));
        if !array.iter().eq(system) {
            let rule = "does not match the system chunks of the chunk tree";
            report.add(Violation::new("superblock, sys_chunk_array", rule));
        }
    }

    fn compare_stripes(&self, reader: &Reader<'_>, rules: Rules, report: &mut Report) {
        let mut stripes = Vec::new();
        for chunk in reader.chunks.iter() {
            let (start, len) = (chunk.start, chunk.len);
            let stripe = |&offset| Stripe { offset, len, chunk: start };
            stripes.extend(chunk.stripes.iter().map(stripe));
        }
        stripes.sort_unstable();
        let (of_chunks, of_device) = unmatched(&stripes, &self.stripes);
        for Stripe { offset, chunk, .. } in of_chunks {
            let rule = format!("the device has no such extent for its stripe at {offset}");
            report.add(Violation::new(format_args!("chunk {chunk}"), rule));
        }
        for Stripe { offset, chunk, .. } in of_device {
            let rule = format!("chunk {chunk} has no such stripe");
            report.add(Violation::new(format_args!("extent of the device at {offset}"), rule));
        }
        if rules == Rules::Detfs {
            for Stripe { offset, len, chunk } in stripes {
                let over = SUPER_OFFSETS
                    .into_iter()
                    .find(|&at| offset < at + STRIPE_LEN && at < offset + len);
                if let Some(at) = over {
                    let rule = format!("stripe at {offset} overlaps the superblock at {at}");
                    report.add(Violation::new(format_args!("chunk {chunk}"), rule));
                }
            }
        }
    }

    fn compare_groups(&self, reader: &Reader<'_>, report: &mut Report) {
        for chunk in reader.chunks.iter() {
            let group = self.groups.get(&chunk.start);
            let same =
                |group: &&BlockGroup| group.len == chunk.len && group.flags == chunk.flags.bits();
            if group.filter(same).is_none() {
                let rule = "there is no block group of the same length and type";
                report.add(Violation::new(format_args!("chunk {}", chunk.start), rule));
            }
        }
        for start in self.groups.keys() {
            let chunk = reader.chunks.find(*start, 1);
            if chunk.is_none_or(|chunk| chunk.start != *start) {
                let place = format_args!("block group {start}");
                report.add(Violation::new(place, "there is no chunk for it"));
            }
        }
    }
}
