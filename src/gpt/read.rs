//! Reads the partition table of an image.
//!
//! A table is recognized as by libfdisk, so that nothing is overwritten that libfdisk would refuse
//! to modify. The exception is a GPT without a protective MBR: libfdisk ignores it, but here it is
//! a damaged table.

use std::io;
use std::ops::RangeInclusive;

use positioned_io::ReadAt;
use uuid::Uuid;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::spec::{
    ENTRIES_MAX, ENTRY_SIZE, HEADER_SIGNATURE, HEADER_SIZE, Header, MBR_SIGNATURE,
    MasterBootRecord, OS_TYPE_GPT_PROTECTIVE, PartitionEntry,
};
use super::table::check_overlap;
use super::{Attributes, Geometry, Lba, Partition, SectorSize, Table};
use crate::error::{Error, Result};
use crate::report::Warning;

/// The partition table of an image.
#[derive(Debug)]
pub enum TableState {
    /// No partition table. There may be a file system.
    None,
    /// A table that is not a GPT, with its name.
    Other(&'static str),
    /// A GPT that can't be used, with the reason.
    Damaged(Error),
    /// An intact GPT whose partitions are invalid, with the reason.
    Contradictory(Error),
    /// A valid GPT.
    Gpt(Box<ReadGpt>),
}

/// A GPT that was read from an image.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReadGpt {
    /// The table, for a disk of the current size of the image.
    pub table: Table,
    /// If the image has grown, the range of the backup entries and header at the previous end of
    /// the disk, in bytes.
    pub old_backup: Option<std::ops::Range<u64>>,
    /// The problem with one of the two tables, if any.
    pub warnings: Vec<Warning>,
}

/// Reads the partition table of an image of `size` bytes.
///
/// Without a sector size, the first of 512, 4096, 1024 and 2048 for which a table exists is used.
///
/// # Errors
/// [`Error::Source`] if the image can't be read.
pub fn read(image: &dyn ReadAt, size: u64, sector_size: Option<SectorSize>) -> Result<TableState> {
    let Some(mbr) = record::<MasterBootRecord>(image, size, 0)? else {
        return Ok(TableState::None);
    };
    let sizes = match sector_size {
        Some(sector_size) => vec![sector_size],
        None => [512, 4096, 1024, 2048].into_iter().map(SectorSize::new).collect::<Result<_>>()?,
    };
    let mut fault = None;
    // A primary table with any sector size takes precedence over a backup.
    for copy in [TableCopy::Primary, TableCopy::Backup] {
        for &sector_size in &sizes {
            let disk = Disk { image, sector_size, sectors: size / u64::from(sector_size.bytes()) };
            match disk.header(copy)? {
                Ok(header) => {
                    if !is_protective(&mbr) {
                        return Ok(TableState::Damaged(damaged("no protective MBR")));
                    }
                    return disk.table(copy, &header, mbr);
                }
                // Only something that looks like a header has a reason worth reporting.
                Err(Some(reason)) => fault = fault.or(Some(reason)),
                Err(None) => {}
            }
        }
    }
    Ok(match fault {
        Some(reason) => TableState::Damaged(damaged(&reason)),
        None if is_protective(&mbr) => TableState::Damaged(damaged(
            "there is a protective MBR, but neither a table nor a backup",
        )),
        None => other(&mbr).map_or(TableState::None, TableState::Other),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TableCopy {
    Primary,
    Backup,
}

fn damaged(rule: impl Into<String>) -> Error {
    Error::parameter(
        "gpt",
        format!("the GPT is damaged: {}", rule.into()),
        "repair it, or let it be replaced",
    )
}

fn is_protective(mbr: &MasterBootRecord) -> bool {
    let mut records = mbr.partition_record.iter();
    mbr.signature == MBR_SIGNATURE && records.any(|it| it.os_type == OS_TYPE_GPT_PROTECTIVE)
}

/// Detects a table of another kind by the first sector. A boot sector of FAT has the signature of
/// an MBR, too.
fn other(mbr: &MasterBootRecord) -> Option<&'static str> {
    let bytes = mbr.as_bytes();
    match (&bytes[..4], &bytes[508..]) {
        (_, [_, _, 0x55, 0xAA]) => Some("MBR"),
        (_, [0xDA, 0xBE, ..]) => Some("Sun"),
        ([0x0B, 0xE5, 0xA9, 0x41], _) => Some("SGI"),
        _ => None,
    }
}

/// Reads a record; `None` if the image is too short.
fn record<T: FromZeros + FromBytes + IntoBytes>(
    image: &dyn ReadAt,
    size: u64,
    at: u64,
) -> Result<Option<T>> {
    if at.checked_add(size_of::<T>() as u64).is_none_or(|end| end > size) {
        return Ok(None);
    }
    let mut record = T::new_zeroed();
    read_exact(image, at, record.as_mut_bytes())?;
    Ok(Some(record))
}

fn read_exact(image: &dyn ReadAt, at: u64, bytes: &mut [u8]) -> Result<()> {
    let failed = |source: io::Error| Error::source("", "cannot read the partition table", source);
    image.read_exact_at(at, bytes).map_err(failed)
}

/// An image as a disk of sectors.
struct Disk<'a> {
    image: &'a dyn ReadAt,
    sector_size: SectorSize,
    sectors: u64,
}

/// A result with the problem of a table; `None` if there is no sign of a table.
type Checked<T> = Result<T, Option<String>>;

impl Disk<'_> {
    /// Reads and checks the header of a table, including the checksum of its entries.
    fn header(&self, copy: TableCopy) -> Result<Checked<Header>> {
        let at = match copy {
            TableCopy::Primary => Lba(1),
            TableCopy::Backup => Lba(self.sectors.saturating_sub(1)),
        };
        if at.0 == 0 || at.0 >= self.sectors {
            return Ok(Err(None));
        }
        let mut sector = vec![0; self.sector_size.bytes() as usize];
        read_exact(self.image, at.offset(self.sector_size), &mut sector)?;
        let (header, _) = Header::read_from_prefix(&sector).expect("a sector holds a header");
        if header.signature != HEADER_SIGNATURE {
            return Ok(Err(None));
        }
        if let Err(reason) = self.check_header(copy, at, &header, &sector) {
            return Ok(Err(Some(format!("{}: {reason}", copy.name()))));
        }
        let mut crc32 = crc32fast::Hasher::new();
        let mut left = header.number_of_partition_entries.get() as usize * ENTRY_SIZE as usize;
        let mut from = header.partition_entry_lba.get();
        while left > 0 {
            read_exact(self.image, Lba(from).offset(self.sector_size), &mut sector)?;
            let len = left.min(sector.len());
            crc32.update(&sector[..len]);
            (from, left) = (from + 1, left - len);
        }
        if crc32.finalize() != header.partition_entry_array_crc32.get() {
            let reason = format!("{}: wrong checksum of the entries", copy.name());
            return Ok(Err(Some(reason)));
        }
        Ok(Ok(header))
    }

    fn entry_sectors(&self, header: &Header) -> u64 {
        let bytes = u64::from(header.number_of_partition_entries.get()) * u64::from(ENTRY_SIZE);
        bytes.div_ceil(self.sector_size.bytes().into())
    }

    fn check_header(
        &self,
        copy: TableCopy,
        at: Lba,
        header: &Header,
        sector: &[u8],
    ) -> Result<(), String> {
        let size = header.header_size.get();
        if !(HEADER_SIZE..=self.sector_size.bytes()).contains(&size) {
            return Err(format!("header is {size} bytes"));
        }
        let mut covered = sector[..size as usize].to_vec();
        covered[16..20].fill(0);
        if crc32fast::hash(&covered) != header.header_crc32.get() {
            return Err("wrong checksum of the header".into());
        }
        if header.my_lba != at.0 {
            return Err(format!("header at sector {} is for sector {}", at.0, header.my_lba));
        }
        let entries = header.number_of_partition_entries.get();
        if header.size_of_partition_entry != ENTRY_SIZE || !(1..=ENTRIES_MAX).contains(&entries) {
            let entry = header.size_of_partition_entry;
            return Err(format!("{entries} entries of {entry} bytes are not supported"));
        }
        let (first, last) = (header.first_usable_lba.get(), header.last_usable_lba.get());
        if first > last || last >= self.sectors {
            return Err(format!("sectors {first} to {last} are not all usable"));
        }
        let length = self.entry_sectors(header);
        let from = header.partition_entry_lba.get();
        let (room, end) = match copy {
            TableCopy::Primary => (2..first, self.sectors - 1),
            TableCopy::Backup => (last + 1..at.0, 1),
        };
        if from < room.start || from.checked_add(length).is_none_or(|end| end > room.end) {
            return Err(format!("entries at sector {from} are not next to the usable sectors"));
        }
        let other = header.alternate_lba.get();
        match copy {
            TableCopy::Primary if last < other && other <= end => Ok(()),
            TableCopy::Backup if other == end => Ok(()),
            _ => Err(format!("the other header can't be at sector {other}")),
        }
    }

    /// Reads the table of a header that was checked.
    fn table(&self, copy: TableCopy, header: &Header, mbr: MasterBootRecord) -> Result<TableState> {
        let mut warnings = Vec::new();
        let mut old_backup = None;
        let end = self.sectors - 1;
        let grown = copy == TableCopy::Primary && header.alternate_lba != end;
        let warning = |message| Warning { path: Vec::new(), message };
        if copy == TableCopy::Backup {
            let message = "the GPT at the start is damaged; the one at the end was used";
            warnings.push(warning(message.into()));
        } else if grown {
            let (last, other) = (header.last_usable_lba.get(), header.alternate_lba.get());
            let length = self.entry_sectors(header);
            let start = Lba(other.saturating_sub(length).max(last + 1)).offset(self.sector_size);
            let other = Lba(other + 1).offset(self.sector_size);
            old_backup = Some(start..other);
        } else if self.header(TableCopy::Backup)?.is_err() {
            let message = "the GPT at the end is damaged; the one at the start was used";
            warnings.push(warning(message.into()));
        }
        // Entries at another location leave space for a boot loader, which writing the table would
        // overwrite.
        if copy == TableCopy::Primary && header.partition_entry_lba != 2 {
            let at = header.partition_entry_lba;
            let rule = format!("entries are at sector {at}, only 2 is supported");
            return Ok(TableState::Damaged(damaged(rule)));
        }
        let mut entries =
            vec![PartitionEntry::new_zeroed(); header.number_of_partition_entries.get() as usize];
        let from = Lba(header.partition_entry_lba.get()).offset(self.sector_size);
        read_exact(self.image, from, entries.as_mut_slice().as_mut_bytes())?;
        let size = Lba(self.sectors).offset(self.sector_size);
        let table = || -> Result<Table> {
            let count = header.number_of_partition_entries.get();
            let whole = Geometry::with_entries(size, self.sector_size, count)?;
            let last = if grown { whole.last_usable() } else { Lba(header.last_usable_lba.get()) };
            let geometry = whole.with_usable(Lba(header.first_usable_lba.get()), last)?;
            let used = header.first_usable_lba.get()..=header.last_usable_lba.get();
            let mut partitions = entries
                .iter()
                .enumerate()
                .map(|(slot, entry)| partition(slot, entry, &used, self.sector_size))
                .collect::<Result<Vec<_>>>()?;
            let len = partitions.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            partitions.truncate(len);
            check_overlap(&partitions.iter().flatten().collect::<Vec<_>>())?;
            let uuid = Uuid::from_bytes_le(header.disk_guid);
            Ok(Table { geometry, uuid, mbr: Some(Box::new(mbr)), partitions })
        };
        Ok(match table() {
            Ok(table) => TableState::Gpt(Box::new(ReadGpt { table, old_backup, warnings })),
            Err(error) => TableState::Contradictory(error),
        })
    }
}

impl TableCopy {
    fn name(self) -> &'static str {
        match self {
            Self::Primary => "the table at the start",
            Self::Backup => "the table at the end",
        }
    }
}

/// Converts an entry to a partition; `None` if it is unused.
fn partition(
    slot: usize,
    entry: &PartitionEntry,
    usable: &RangeInclusive<u64>,
    sector_size: SectorSize,
) -> Result<Option<Partition>> {
    let partition_type = Uuid::from_bytes_le(entry.partition_type_guid);
    if partition_type.is_nil() {
        return Ok(None);
    }
    let number = slot + 1;
    let (first, last) = (entry.starting_lba.get(), entry.ending_lba.get());
    if first > last || !usable.contains(&first) || !usable.contains(&last) {
        let (least, most) = (usable.start(), usable.end());
        return Err(damaged(format!(
            "partition {number} has sectors {first} to {last}, not within {least} to {most}"
        )));
    }
    let name = entry.partition_name;
    let units: Vec<_> = name.iter().map(|unit| unit.get()).take_while(|&unit| unit != 0).collect();
    let Ok(name) = String::from_utf16(&units) else {
        return Err(damaged(format!("the name of partition {number} is not UTF-16")));
    };
    let start = Lba(first).offset(sector_size);
    Ok(Some(Partition {
        partition_type,
        uuid: Uuid::from_bytes_le(entry.unique_partition_guid),
        start,
        size: Lba(last + 1).offset(sector_size) - start,
        attributes: Attributes::from_bits_retain(entry.attributes.get()),
        name,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt::{PartitionType, plan};
    use crate::size::MIB;

    const B512: SectorSize = SectorSize::B512;
    const SIZE: u64 = 4 * MIB;
    const END: usize = 4 << 20;
    /// Offset of the backup entries, with 512-byte sectors.
    const BACKUP: usize = END - 512 - 16384;

    fn table(sector_size: SectorSize) -> Table {
        let partition = |nth: u64, start: u64| Partition {
            partition_type: PartitionType::LinuxGeneric.guid(),
            uuid: Uuid::from_u64_pair(1, nth),
            start,
            size: 64 << 10,
            attributes: Attributes::GROWFS | Attributes::LEGACY_BOOT,
            name: format!("part \u{1F980} {nth}"),
        };
        Table {
            geometry: Geometry::new(SIZE, sector_size).unwrap(),
            uuid: Uuid::from_u64_pair(7, 8),
            mbr: None,
            partitions: vec![None, Some(partition(1, 2 * MIB)), None, Some(partition(3, MIB))],
        }
    }

    fn image(sector_size: SectorSize) -> Vec<u8> {
        plan(&table(sector_size)).unwrap().seal().to_bytes()
    }

    fn label(image: &[u8]) -> TableState {
        read(&image, image.len() as u64, None).unwrap()
    }

    fn gpt(image: &[u8]) -> ReadGpt {
        match label(image) {
            TableState::Gpt(gpt) => *gpt,
            other => panic!("{other:?}"),
        }
    }

    fn fault(image: &[u8]) -> String {
        match label(image) {
            TableState::Damaged(error) | TableState::Contradictory(error) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// Updates the checksums after a change.
    fn sign(image: &mut [u8], header: usize) {
        let at = |image: &[u8], from: usize| {
            u64::from_le_bytes(image[header + from..header + from + 8].try_into().unwrap())
        };
        let entries = usize::try_from(at(image, 72)).unwrap() * 512;
        let len = usize::from(image[header + 80]) * 128;
        let crc32 = crc32fast::hash(&image[entries..entries + len]).to_le_bytes();
        image[header + 88..header + 92].copy_from_slice(&crc32);
        image[header + 16..header + 20].fill(0);
        let crc32 = crc32fast::hash(&image[header..header + 92]).to_le_bytes();
        image[header + 16..header + 20].copy_from_slice(&crc32);
    }

    #[test]
    fn what_was_written_is_read() {
        for bytes in [512, 1024, 2048, 4096] {
            let sector_size = SectorSize::new(bytes).unwrap();
            let (expected, image) = (table(sector_size), image(sector_size));
            let read = gpt(&image);
            assert!(read.warnings.is_empty() && read.old_backup.is_none());
            assert_eq!(read.table.geometry, expected.geometry);
            assert_eq!(read.table.uuid, expected.uuid);
            assert_eq!(read.table.partitions, expected.partitions);
            assert!(plan(&read.table).unwrap().seal().to_bytes() == image);
        }
    }

    #[test]
    fn other_tables_are_told_from_none() {
        let image = |at: usize, bytes: &[u8]| {
            let mut image = vec![0; 4096];
            image[at..at + bytes.len()].copy_from_slice(bytes);
            image
        };
        for (image, expected) in [
            (vec![], "None"),
            (vec![0; 511], "None"),
            (image(0, &[]), "None"),
            (image(1024 + 56, &[0x53, 0xEF]), "None"),
            (image(510, &[0x55, 0xAA]), "Other(\"MBR\")"),
            (image(508, &[0xDA, 0xBE]), "Other(\"Sun\")"),
            (image(0, &[0x0B, 0xE5, 0xA9, 0x41]), "Other(\"SGI\")"),
        ] {
            assert_eq!(format!("{:?}", label(&image)), expected);
        }
    }

    #[test]
    fn one_good_table_is_enough() {
        let good = image(B512);
        for (at, which) in [
            (512, "start is damaged"),
            (512 + 16, "start is damaged"),
            (1024 + 130, "start is damaged"),
            (END - 512, "end is damaged"),
            (END - 400, ""),
            (END - 500, "end is damaged"),
            (BACKUP, "end is damaged"),
        ] {
            let mut image = good.clone();
            image[at] ^= 1;
            let read = gpt(&image);
            assert_eq!(read.warnings.is_empty(), which.is_empty());
            assert!(read.warnings.iter().all(|it| it.message.contains(which)), "{at}");
            assert!(plan(&read.table).unwrap().seal().to_bytes()[..BACKUP] == good[..BACKUP]);
        }
        let mut image = good.clone();
        (image[600], image[END - 500]) = (1, 1);
        image[520] ^= 1;
        assert!(fault(&image).contains("wrong checksum of the header"));
        let mut image = good;
        image[446..510].fill(0);
        assert!(fault(&image).contains("no protective MBR"));
    }

    #[test]
    fn a_grown_image_is_known() {
        let mut image = image(B512);
        image.resize(6 << 20, 0);
        let read = gpt(&image);
        assert_eq!(read.table.geometry, Geometry::new(6 * MIB, B512).unwrap());
        assert_eq!(read.old_backup, Some(BACKUP as u64..SIZE));
        // If the primary is damaged too, the location of the backup is unknown.
        image[512] = 0;
        assert!(fault(&image).contains("neither a table nor a backup"));
        image.truncate(3 << 20);
        assert!(fault(&image).contains("protective MBR"));
    }

    #[test]
    fn a_part_of_a_sector_at_the_end_is_left_alone() {
        let mut image = image(B512);
        image.resize(END + 300, 0);
        assert_eq!(gpt(&image).table.geometry.size(), SIZE);
    }

    #[test]
    fn faults_under_good_checksums_are_named() {
        let second = 1024 + 128;
        let fourth = 1024 + 3 * 128;
        for (at, bytes, expected) in [
            (512 + 80, &[0, 0, 0, 0][..], "0 entries of 128 bytes"),
            (512 + 84, &[0, 1], "128 entries of 256 bytes"),
            (512 + 24, &[2], "header at sector 1 is for sector 2"),
            (512 + 40, &[0xFF; 8], "are not all usable"),
            (512 + 48, &[0xFF; 8], "are not all usable"),
            (512 + 32, &[3, 0], "the other header can't be at sector 3"),
            (512 + 72, &[1], "are not next to"),
            (second + 32, &[1, 0, 0], "partition 2 has sectors 1 to"),
            (second + 32, &[0xFF, 0xFF, 0xFF], "partition 2 has sectors"),
            (second + 40, &[0xFF; 8], "partition 2 has sectors"),
            (fourth + 40, &[0xFF, 0x1F - 0x0F], "overlap"),
            (second + 56, &[0, 0xD8, b'x', 0], "the name of partition 2"),
        ] {
            let mut image = image(B512);
            image[at..at + bytes.len()].copy_from_slice(bytes);
            if at != 512 + 80 && at != 512 + 72 {
                sign(&mut image, 512);
            } else {
                image[528..532].fill(0);
                let crc32 = crc32fast::hash(&image[512..604]).to_le_bytes();
                image[528..532].copy_from_slice(&crc32);
            }
            image[END - 512] = 0;
            let fault = fault(&image);
            assert!(fault.contains(expected), "{fault} says {expected}");
        }
    }

    /// A change of any byte of a table is detected: there is a warning, the other table is used,
    /// and the result is the same.
    #[test]
    fn every_byte_is_looked_at() {
        let good = image(B512);
        let expected = table(B512).partitions;
        let tables = [512..604, 1024..1024 + 600, END - 512..END - 420, BACKUP..BACKUP + 600];
        for at in tables.into_iter().flatten() {
            for bit in [0x01, 0x80] {
                let mut image = good.clone();
                image[at] ^= bit;
                let read = gpt(&image);
                assert_eq!(read.warnings.len(), 1, "{at}");
                assert_eq!(read.table.partitions, expected, "{at}");
            }
        }
    }
}
