//! Used and free space: each byte of a block group is either used or free, and no other byte is.

use std::collections::BTreeMap;

use super::super::super::address::LogicalAddr;
use super::super::super::key::Key;
use super::super::super::spec::{
    CompatRo, FreeSpaceInfo, SECTOR, STRIPE_LEN, SUPER_OFFSETS, item_type,
};
use super::super::chunks::Chunk;
use super::super::items::{ItemPlace, exact};
use super::super::reader::Reader;
use super::device::{BlockGroup, DeviceRecords};
use super::extent::Extent;
use super::extents::Extents;
use super::ranges::Ranges;
use super::report::{Report, Rules};
use crate::violation::{Result, Violation};

/// `flags` of a `FREE_SPACE_INFO`.
const USING_BITMAPS: u32 = 1;

/// Free space of a block group, according to the free space tree.
#[derive(Debug)]
struct GroupFreeSpace {
    place: ItemPlace,
    len: u64,
    count: u32,
    bitmaps: bool,
    /// In ascending order.
    free: Vec<Extent>,
    /// End of the last item.
    end: LogicalAddr,
}

/// Contents of the free space tree.
#[derive(Debug, Default)]
pub(super) struct FreeSpace(BTreeMap<LogicalAddr, GroupFreeSpace>);

impl FreeSpace {
    pub(super) fn item(&mut self, place: ItemPlace, data: &[u8]) -> Result<()> {
        let Key { objectid, item_type, offset: len } = place.key;
        let start = LogicalAddr(objectid);
        if item_type == item_type::FREE_SPACE_INFO {
            let info = exact::<FreeSpaceInfo>(data);
            let info = info.ok_or_else(|| place.breaks("not about free space"))?;
            let (count, flags) = (info.extent_count.get(), info.flags.get());
            place.require(flags & !USING_BITMAPS == 0, || format!("flags are {flags:#x}"))?;
            let (free, bitmaps) = (Vec::new(), flags == USING_BITMAPS);
            let listed = GroupFreeSpace { place, len, count, bitmaps, free, end: start };
            place.require(self.0.insert(start, listed).is_none(), || "listed twice")?;
            return Ok(());
        }
        let end = start.checked_add(len);
        let group = self.0.values_mut().next_back().filter(|group| {
            let group_end = LogicalAddr(group.place.key.objectid).checked_add(group.len);
            group.end <= start && end.is_some() && end <= group_end
        });
        let group = group.ok_or_else(|| place.breaks("in no block group, or overlaps"))?;
        let aligned = start.is_multiple_of(SECTOR) && len.is_multiple_of(SECTOR) && len > 0;
        place.require(aligned, || "not aligned, or empty")?;
        group.end = end.unwrap_or(LogicalAddr(u64::MAX));
        match item_type {
            item_type::FREE_SPACE_EXTENT => {
                place.require(!group.bitmaps, || "its block group uses bitmaps")?;
                place.require(data.is_empty(), || "has data")?;
                group.free.push(Extent { start, len });
                Ok(())
            }
            item_type::FREE_SPACE_BITMAP => {
                place.require(group.bitmaps, || "its block group does not use bitmaps")?;
                let sectors = len / SECTOR;
                place.require(data.len() as u64 == sectors.div_ceil(8), || {
                    format!("has {} bytes for {sectors} sectors", data.len())
                })?;
                group.bitmap(start, sectors, data);
                Ok(())
            }
            _ => Err(place.breaks("item does not belong here")),
        }
    }
}

impl GroupFreeSpace {
    fn bitmap(&mut self, start: LogicalAddr, sectors: u64, data: &[u8]) {
        let bits = data.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
        for (sector, free) in (0..sectors).zip(bits) {
            if !free {
                continue;
            }
            let at = start + sector * SECTOR;
            match self.free.last_mut() {
                Some(last) if last.start + last.len == at => last.len += SECTOR,
                _ => self.free.push(Extent { start: at, len: SECTOR }),
            }
        }
    }
}

/// Compares block groups, allocated space and free space.
pub(super) fn compare(
    reader: &Reader<'_>,
    volumes: &DeviceRecords,
    extents: &Extents,
    free_space: &FreeSpace,
    rules: Rules,
    report: &mut Report,
) {
    let allocated = extents.allocated(reader.superblock.node_size() as u64);
    let listed = reader.superblock.compat_ro().contains(CompatRo::FREE_SPACE_TREE);
    for (start, group) in volumes.groups() {
        let Some(chunk) = reader.chunks.find(start, group.len) else { continue };
        let from = allocated.partition_point(|extent| extent.start < start);
        let to = allocated.partition_point(|extent| extent.start < chunk.end());
        let used = allocated.get(from..to).unwrap_or_default();
        report.keep(check_used(start, group, chunk, used));
        if !listed {
            continue;
        }
        let place = format!("block group {start}");
        match free_space.0.get(&start) {
            Some(listed) if listed.len == group.len => {
                report.keep(check_free(start, chunk, used, listed));
            }
            _ => report.add(Violation::new(place, "not the same in the free space tree")),
        }
    }
    for (start, listed) in &free_space.0 {
        let known = volumes.groups().any(|(group, _)| group == *start);
        if rules == Rules::Detfs && !known {
            report.add(listed.place.breaks("there is no such block group"));
        }
    }
}

/// Returns the places of superblocks as addresses of a chunk.
fn superblocks(chunk: &Chunk) -> Ranges {
    let mut ranges = Vec::new();
    for &stripe in &chunk.stripes {
        for at in SUPER_OFFSETS {
            let (from, to) = (at.max(stripe), (at + STRIPE_LEN).min(stripe + chunk.len));
            if from < to {
                ranges.push(chunk.start + (from - stripe)..chunk.start + (to - stripe));
            }
        }
    }
    ranges.into_iter().collect()
}

/// Checks that the used space of a block group adds up, and that it contains no superblock.
fn check_used(start: LogicalAddr, group: BlockGroup, chunk: &Chunk, used: &[Extent]) -> Result<()> {
    let superblocks = superblocks(chunk);
    for extent in used {
        if superblocks.overlap(&extent.range()).is_some() {
            return Err(Violation::new(extent, "overlaps a copy of the superblock"));
        }
    }
    let sum: u64 = used.iter().map(|extent| extent.len).sum();
    if sum != group.used {
        let rule = format!("used is {}, and {sum} bytes are", group.used);
        return Err(Violation::new(format_args!("block group {start}"), rule));
    }
    Ok(())
}

/// Checks that used space and free space fill a block group.
///
/// Free space must be listed in as few ranges as possible. The kernel skips the places of
/// superblocks in it, so these may be missing.
fn check_free(
    start: LogicalAddr,
    chunk: &Chunk,
    used: &[Extent],
    listed: &GroupFreeSpace,
) -> Result<()> {
    let breaks = |rule: String| Err(listed.place.breaks(rule));
    if listed.free.len() as u64 != u64::from(listed.count) {
        let rule = format!("extent_count is {}, and there are {}", listed.count, listed.free.len());
        return breaks(rule);
    }
    let superblocks = superblocks(chunk);
    let mut all: Vec<_> = used.iter().map(|range| (*range, false)).collect();
    all.extend(listed.free.iter().map(|range| (*range, true)));
    all.sort_unstable();
    let (mut end, mut after_free) = (start, false);
    for (Extent { start: at, len }, free) in all {
        if at < end {
            return breaks(format!("{at} is both used and free"));
        }
        if at > end && !superblocks.contain(&(end..at)) {
            return breaks(format!("{end} is neither used nor free"));
        }
        if at == end && free && after_free {
            return breaks(format!("the free ranges before and after {at} are not merged"));
        }
        (end, after_free) = (at + len, free);
    }
    if end < chunk.end() && !superblocks.contain(&(end..chunk.end())) {
        return breaks(format!("{end} is neither used nor free"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::super::address::DeviceOffset;
    use super::super::super::super::spec::BlockGroupFlags;
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    /// A chunk of 8 MiB at logical address 0.
    fn chunk(stripes: &[u64]) -> Chunk {
        let flags = BlockGroupFlags::METADATA;
        let stripes = stripes.iter().copied().map(DeviceOffset).collect();
        Chunk { start: LogicalAddr(0), len: 8 * MIB, flags, stripes }
    }

    #[test]
    fn nothing_is_where_a_superblock_is() {
        let place = 64 * MIB;
        // Stripe offsets, an address, and whether 4096 bytes may be used at that address.
        let cases: [(&[u64], u64, bool); 15] = [
            (&[MIB], 0, true),
            (&[place], 0, false),
            (&[place], 15 * SECTOR, false),
            (&[place], 16 * SECTOR, true),
            (&[place - SECTOR], 0, true),
            (&[place - SECTOR], SECTOR, false),
            (&[place - SECTOR], 16 * SECTOR, false),
            (&[place - SECTOR], 17 * SECTOR, true),
            (&[place + 15 * SECTOR], 0, false),
            (&[place + 16 * SECTOR], 0, true),
            (&[place - 8 * MIB], 8 * MIB - SECTOR, true),
            (&[MIB, place - MIB], MIB, false),
            (&[MIB, place - MIB], MIB + STRIPE_LEN, true),
            (&[place - MIB, 256 * GIB - 2 * MIB], MIB - SECTOR, true),
            (&[MIB, 256 * GIB - 2 * MIB], 2 * MIB + 15 * SECTOR, false),
        ];
        for (stripes, at, right) in cases {
            let group = BlockGroup { len: 8 * MIB, used: SECTOR, flags: 0 };
            let used = Extent { start: LogicalAddr(at), len: SECTOR };
            let checked = check_used(LogicalAddr(0), group, &chunk(stripes), &[used]);
            assert_eq!(checked.is_ok(), right, "{stripes:?} {at}");
        }
    }

    #[test]
    fn bitmaps_are_ranges() {
        let key = |item_type, offset| Key::new(MIB, item_type, offset);
        let mut free_space = FreeSpace::default();
        let item = |key| ItemPlace { tree: 10, key };
        let info = [3, 0, 0, 0, 1, 0, 0, 0];
        let place = item(key(item_type::FREE_SPACE_INFO, 24 * SECTOR));
        free_space.item(place, &info).unwrap();
        let place = item(key(item_type::FREE_SPACE_BITMAP, 16 * SECTOR));
        free_space.item(place, &[0b0000_0110, 0b1000_0000]).unwrap();
        let next = Key::new(MIB + 16 * SECTOR, item_type::FREE_SPACE_BITMAP, 8 * SECTOR);
        free_space.item(item(next), &[0b1000_0001]).unwrap();
        let expected = [
            (MIB + SECTOR, 2 * SECTOR),
            (MIB + 15 * SECTOR, 2 * SECTOR),
            (MIB + 23 * SECTOR, SECTOR),
        ]
        .map(|(start, len)| Extent { start: LogicalAddr(start), len });
        assert_eq!(free_space.0[&LogicalAddr(MIB)].free, expected);
        let behind = Key::new(MIB + 24 * SECTOR, item_type::FREE_SPACE_BITMAP, 8 * SECTOR);
        free_space.item(item(behind), &[0]).unwrap_err();
    }
}
