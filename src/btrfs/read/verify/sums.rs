//! Checksums of data.

use std::ops::Range;

use super::super::super::address::LogicalAddr;
use super::super::super::key::Key;
use super::super::super::spec::{SECTOR, extent_type, item_type, objectid};
use super::super::items::ItemPlace;
use super::super::reader::Reader;
use super::super::root::Root;
use super::super::superblock::Super;
use super::extent::Extent;
use super::files::Use;
use super::ranges::Ranges;
use super::report::Report;
use crate::violation::{Result, Violation};

/// Number of sectors that are read at once.
const READ: usize = 256;

/// Data with checksums.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// In ascending order.
    ranges: Vec<Range<LogicalAddr>>,
}

impl Sums {
    pub(super) fn item(&mut self, superblock: &Super, place: ItemPlace, data: &[u8]) -> Result<()> {
        let Key { objectid, item_type, offset } = place.key;
        let belongs = objectid == objectid::EXTENT_CSUM && item_type == item_type::EXTENT_CSUM;
        place.require(belongs, || "item does not belong here")?;
        let start = LogicalAddr(offset);
        place.require(start.is_multiple_of(SECTOR), || "not aligned")?;
        let size = superblock.checksum.size();
        place.require(!data.is_empty() && data.len().is_multiple_of(size), || {
            format!("has {} bytes, but a checksum has {size}", data.len())
        })?;
        let len = (data.len() / size) as u64 * SECTOR;
        let end =
            start.checked_add(len).ok_or_else(|| place.breaks("end is not a valid address"))?;
        let before = self.ranges.last().map_or(LogicalAddr(0), |last| last.end);
        place.require(before <= start, || "overlaps the previous one")?;
        self.ranges.push(start..end);
        Ok(())
    }

    /// Checks that the data of files has checksums, and that nothing else has.
    ///
    /// The data of nodatasum inodes and preallocated extents must not have checksums.
    pub(super) fn compare(&self, uses: &[Use], report: &mut Report) {
        let summed: Ranges = self.ranges.iter().cloned().collect();
        let mut with = Vec::new();
        for one in uses {
            let extent = one.extent();
            let whole = extent.range();
            let item = &one.item;
            let part = if item.head.compression == 0 {
                let start = extent.start.saturating_add(item.offset.get());
                Extent { start, len: item.num_bytes.get() }.range()
            } else {
                whole.clone()
            };
            let prealloc = item.head.extent_type == extent_type::PREALLOC;
            if one.nodatasum || prealloc {
                if summed.overlap(&part).is_some() {
                    report.add(one.place.breaks("data has checksums, but should not"));
                }
            } else {
                if !summed.contain(&part) {
                    report.add(one.place.breaks("data lacks some of its checksums"));
                }
                with.push(whole);
            }
        }
        let with: Ranges = with.into_iter().collect();
        for range in summed.iter().filter(|range| !with.contain(range)) {
            let place =
                format!("checksums of {} bytes at {}", range.end - range.start, range.start);
            report.add(Violation::new(place, "not all of that is data that needs them"));
        }
    }

    /// Compares all copies of all data with their checksums.
    pub(super) fn check_data(&self, reader: &Reader<'_>, root: Option<Root>, report: &mut Report) {
        let Some(root) = root else { return };
        let size = reader.superblock.checksum.size();
        for leaf in reader.leaves(root, Key::MIN..=Key::MAX) {
            let Some(leaf) = report.keep(leaf) else { continue };
            for (key, sums) in leaf.items() {
                let mut start = LogicalAddr(key.offset);
                for sums in sums.chunks(READ * size) {
                    report.keep(check(reader, start, sums));
                    start = start.saturating_add((sums.len() / size) as u64 * SECTOR);
                }
            }
        }
    }
}

/// Compares consecutive sectors with their checksums.
fn check(reader: &Reader<'_>, start: LogicalAddr, sums: &[u8]) -> Result<()> {
    let checksum = reader.superblock.checksum;
    let sector = usize::try_from(SECTOR).unwrap_or(usize::MAX);
    let mut data = vec![0; sums.len() / checksum.size() * sector];
    for at in reader.chunks.physical(start, data.len() as u64)? {
        reader.device.read(at, &mut data)?;
        let sectors = data.chunks(sector).zip(sums.chunks(checksum.size()));
        for (number, (data, sum)) in (0..).zip(sectors) {
            if checksum.digest(data).get(..sum.len()) != Some(sum) {
                let within = number * SECTOR;
                let place = format!("data at {}, on the device at {}", start + within, at + within);
                return Err(Violation::new(place, "wrong checksum"));
            }
        }
    }
    Ok(())
}
