//! Makes the bytes of a partition table.

use bitflags::bitflags;
use uuid::Uuid;
use zerocopy::{FromZeros, IntoBytes};

use super::spec::{
    ENTRIES, ENTRIES_SIZE, HEADER_SIGNATURE, Header, MBR_SIGNATURE, MasterBootRecord,
    MbrPartitionRecord, NAME_UNITS, OS_TYPE_GPT_PROTECTIVE, PartitionEntry, REVISION,
};
use super::{Geometry, Lba, SectorSize};
use crate::error::{Error, Result};
use crate::layout::Layout;

bitflags! {
    /// Attribute bits of a partition. Bits without a name are kept as they are.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Attributes: u64 {
        /// The platform needs the partition.
        const REQUIRED = 1;
        /// A legacy BIOS may boot from it.
        const LEGACY_BOOT = 1 << 2;
        /// The file system is grown to the size of the partition when it is mounted.
        const GROWFS = 1 << 59;
        /// The partition is mounted read-only.
        const READ_ONLY = 1 << 60;
        /// The partition is not discovered and mounted automatically.
        const NO_AUTO = 1 << 63;

        const _ = !0;
    }
}

/// A partition in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The GUID of its type; not nil.
    pub partition_type: Uuid,
    /// Its own GUID.
    pub uuid: Uuid,
    /// Where it starts, in bytes: a multiple of the sector size.
    pub start: u64,
    /// How long it is, in bytes: a multiple of the sector size, not 0.
    pub size: u64,
    /// Attribute bits.
    pub attributes: Attributes,
    /// The name: at most 36 UTF-16 code units, no NUL.
    pub name: String,
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Bytes in a sector.
    pub sector_size: SectorSize,
    /// The size of the disk in bytes.
    pub size: u64,
    /// The GUID of the disk.
    pub uuid: Uuid,
    /// The partitions in the order of their numbers, at most 128.
    pub partitions: Vec<Partition>,
}

/// Plans a disk with both tables and nothing in its partitions.
///
/// # Errors
/// [`Error::Parameter`] if the disk is too small for the tables, there are more than 128
/// partitions, two overlap, one is outside the usable part of the disk or not on sector
/// boundaries, an id is nil or given twice, or a name is too long.
pub fn plan(table: &Table) -> Result<Layout> {
    let geometry = Geometry::new(table.size, table.sector_size)?;
    let entries = encode_entries(&geometry, &table.partitions)?;
    check_overlap(&table.partitions)?;
    check_ids(&table.partitions)?;
    let entries_crc32 = crc32fast::hash(entries.as_bytes());
    let header = |my_lba, alternate_lba, partition_entry_lba| {
        let mut header = Header {
            signature: HEADER_SIGNATURE,
            revision: REVISION.into(),
            header_size: HEADER_SIZE.into(),
            header_crc32: 0.into(),
            reserved: 0.into(),
            my_lba: lba(my_lba),
            alternate_lba: lba(alternate_lba),
            first_usable_lba: lba(geometry.first_usable()),
            last_usable_lba: lba(geometry.last_usable()),
            disk_guid: table.uuid.to_bytes_le(),
            partition_entry_lba: lba(partition_entry_lba),
            number_of_partition_entries: ENTRIES_COUNT.into(),
            size_of_partition_entry: ENTRY_SIZE.into(),
            partition_entry_array_crc32: entries_crc32.into(),
        };
        header.header_crc32 = crc32fast::hash(header.as_bytes()).into();
        header
    };
    let (primary, backup) = (geometry.primary_header(), geometry.backup_header());
    let (first, second) = (geometry.primary_entries(), geometry.backup_entries());

    let mut layout = Layout::new(table.size);
    let mut place = |at: Lba, bytes: &[u8]| layout.bytes(at.offset(table.sector_size), bytes);
    place(Lba(0), encode_protective_mbr(&geometry).as_bytes());
    place(primary, header(primary, backup, first).as_bytes());
    place(first, entries.as_bytes());
    place(second, entries.as_bytes());
    place(backup, header(backup, primary, second).as_bytes());
    Ok(layout)
}

const HEADER_SIZE: u32 = 92;
const ENTRY_SIZE: u32 = 128;
const ENTRIES_COUNT: u32 = 128;
const _: () = assert!(HEADER_SIZE as usize == size_of::<Header>());
const _: () = assert!(ENTRY_SIZE as usize * ENTRIES_COUNT as usize == ENTRIES_SIZE);

fn lba(lba: Lba) -> zerocopy::little_endian::U64 {
    lba.0.into()
}

fn encode_protective_mbr(geometry: &Geometry) -> MasterBootRecord {
    let sectors = geometry.backup_header().0;
    let protective = MbrPartitionRecord {
        boot_indicator: 0,
        // Block 1, in the geometry that everyone assumes.
        starting_chs: [0x00, 0x02, 0x00],
        os_type: OS_TYPE_GPT_PROTECTIVE,
        // "Too large to be said", as libfdisk writes it for a disk of any size.
        ending_chs: [0xFF; 3],
        starting_lba: 1.into(),
        size_in_lba: u32::try_from(sectors).unwrap_or(u32::MAX).into(),
    };
    let unused = MbrPartitionRecord::default();
    MasterBootRecord {
        boot_code: [0; 440],
        unique_mbr_disk_signature: 0.into(),
        unknown: 0.into(),
        partition_record: [protective, unused, unused, unused],
        signature: MBR_SIGNATURE.into(),
    }
}

fn encode_entries(geometry: &Geometry, partitions: &[Partition]) -> Result<Box<[PartitionEntry]>> {
    if partitions.len() > ENTRIES {
        return Err(fault(
            format!("{} partitions; a table holds {ENTRIES}", partitions.len()),
            "leave some out",
        ));
    }
    let mut entries = vec![PartitionEntry::new_zeroed(); ENTRIES].into_boxed_slice();
    for (entry, partition) in entries.iter_mut().zip(partitions) {
        let (first, last) = sectors(geometry, partition)?;
        entry.partition_type_guid = partition.partition_type.to_bytes_le();
        entry.unique_partition_guid = partition.uuid.to_bytes_le();
        entry.starting_lba = lba(first);
        entry.ending_lba = lba(last);
        entry.attributes = partition.attributes.bits().into();
        let units: Vec<_> = partition.name.encode_utf16().collect();
        if units.len() > NAME_UNITS || units.contains(&0) {
            return Err(fault(
                format!("the name {:?} has {} UTF-16 units", partition.name, units.len()),
                format!("give it a name of at most {NAME_UNITS}, without NUL"),
            ));
        }
        for (to, unit) in entry.partition_name.iter_mut().zip(units) {
            *to = unit.into();
        }
    }
    Ok(entries)
}

/// The first and the last sector of a partition.
fn sectors(geometry: &Geometry, partition: &Partition) -> Result<(Lba, Lba)> {
    let Partition { name, start, size, .. } = partition;
    let sector_size = geometry.sector_size();
    let end = start.checked_add(*size).and_then(|end| Lba::at(end, sector_size));
    let (Some(first), Some(end), 1..) = (Lba::at(*start, sector_size), end, *size) else {
        return Err(fault(
            format!("{name:?}, {size} bytes at {start}, is not made of whole sectors"),
            format!("align it to {} bytes", sector_size.bytes()),
        ));
    };
    let last = Lba(end.0 - 1);
    let (least, most) = (geometry.first_usable(), geometry.last_usable());
    if first < least || last > most {
        return Err(fault(
            format!("{name:?} has the sectors {} to {}", first.0, last.0),
            format!("place it within {} to {}", least.0, most.0),
        ));
    }
    Ok((first, last))
}

fn check_overlap(partitions: &[Partition]) -> Result<()> {
    let mut sorted: Vec<_> = partitions.iter().collect();
    sorted.sort_by_key(|partition| partition.start);
    for pair in sorted.windows(2) {
        if pair[0].start + pair[0].size > pair[1].start {
            return Err(fault(
                format!("{:?} and {:?} overlap", pair[0].name, pair[1].name),
                "place one after the other",
            ));
        }
    }
    Ok(())
}

fn check_ids(partitions: &[Partition]) -> Result<()> {
    let mut ids: Vec<_> = partitions.iter().map(|partition| partition.uuid).collect();
    ids.sort();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(fault(format!("two partitions have the id {}", pair[0]), "give each its own"));
    }
    match partitions.iter().find(|p| p.partition_type.is_nil() || p.uuid.is_nil()) {
        Some(partition) => Err(fault(
            format!("the id or type of {:?} is nil", partition.name),
            "nil stands for an unused entry",
        )),
        None => Ok(()),
    }
}

fn fault(rule: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::parameter("partition table", rule, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt::PartitionType;
    use crate::layout::Fill;
    use crate::size::{GIB, MIB};

    fn partition(nth: u64) -> Partition {
        Partition {
            partition_type: PartitionType::LinuxGeneric.guid(),
            uuid: Uuid::from_u64_pair(1, nth + 1),
            start: (nth + 1) * MIB,
            size: MIB,
            attributes: Attributes::empty(),
            name: format!("part-{nth}"),
        }
    }

    fn table(partitions: Vec<Partition>) -> Table {
        Table {
            sector_size: SectorSize::B512,
            size: 256 * MIB,
            uuid: "00112233-4455-6677-0809-0a0b0c0d0e0f".parse().unwrap(),
            partitions,
        }
    }

    /// The finished bytes at an offset.
    fn bytes_at(layout: &Layout, offset: u64) -> &[u8] {
        let region = layout.regions().iter().find(|region| region.offset == offset).unwrap();
        match region.fill {
            Fill::Bytes(number) => layout.bytes_of(number),
            _ => unreachable!(),
        }
    }

    #[test]
    fn up_to_128_partitions() {
        for count in [0, 1, 128] {
            assert!(plan(&table((0..count).map(partition).collect())).is_ok(), "{count}");
        }
        let error = plan(&table((0..129).map(partition).collect())).unwrap_err();
        assert!(error.to_string().contains("129 partitions"), "{error}");
    }

    #[test]
    fn impossible_partitions_are_refused() {
        type Change = fn(&mut Partition);
        let changes: [(&str, Change); 10] = [
            ("overlap", |p| p.size += 512),
            ("whole sectors", |p| p.size = u64::MAX),
            ("whole sectors", |p| p.start += 1),
            ("whole sectors", |p| p.size -= 1),
            ("whole sectors", |p| p.size = 0),
            ("to 65", |p| (p.start, p.size) = (33 * 512, 33 * 512)),
            ("to 524255", |p| (p.start, p.size) = (255 * MIB, MIB - 32 * 512)),
            ("nil", |p| p.uuid = Uuid::nil()),
            ("nil", |p| p.partition_type = Uuid::nil()),
            ("two partitions", |p| p.uuid = Uuid::from_u64_pair(1, 2)),
        ];
        for (expected, change) in changes {
            let mut partitions = vec![partition(0), partition(1)];
            change(&mut partitions[0]);
            let error = plan(&table(partitions)).unwrap_err();
            assert!(error.to_string().contains(expected), "{error} says {expected}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn the_usable_part_is_used_to_its_ends() {
        let whole = Partition { start: 34 * 512, size: 256 * MIB - 67 * 512, ..partition(0) };
        assert!(plan(&table(vec![whole])).is_ok());
    }

    #[test]
    fn names_are_at_most_36_units() {
        for (name, fits) in [
            ("", true),
            (&*"n".repeat(36), true),
            (&*"n".repeat(37), false),
            (&*"ö".repeat(36), true),
            (&*"\u{1F980}".repeat(18), true),
            (&*"\u{1F980}".repeat(19), false),
            ("a\0b", false),
        ] {
            let named = Partition { name: name.to_owned(), ..partition(0) };
            assert_eq!(plan(&table(vec![named])).is_ok(), fits, "{name:?}");
        }
    }

    #[test]
    fn attributes_and_names_are_where_they_belong() {
        let attributes = Attributes::GROWFS | Attributes::READ_ONLY | Attributes::NO_AUTO;
        let name = "a\u{1F980}".to_owned();
        let layout = plan(&table(vec![Partition { attributes, name, ..partition(0) }])).unwrap();
        let layout = layout.seal();
        let entry = &bytes_at(&layout, 1024)[..128];
        assert_eq!(entry[48..56], [0, 0, 0, 0, 0, 0, 0, 0x98]);
        assert_eq!(entry[56..64], [b'a', 0, 0x3E, 0xD8, 0x80, 0xDD, 0, 0]);
    }

    /// The fields that the specification fixes, byte by byte.
    #[test]
    fn headers_are_those_of_the_specification() {
        for (sector_size, sector) in [(SectorSize::B512, 512), (SectorSize::B4096, 4096)] {
            let table = Table { sector_size, ..table(vec![partition(0)]) };
            let layout = plan(&table).unwrap().seal();
            let last = 256 * MIB / sector - 1;
            let entry_sectors = 16384 / sector;
            for (at, other, entries) in [(1, last, 2), (last, 1, last - entry_sectors)] {
                let header = bytes_at(&layout, at * sector);
                let number = |from| u64::from_le_bytes(header[from..from + 8].try_into().unwrap());
                assert_eq!(&header[..8], b"EFI PART");
                assert_eq!(header[8..16], [0, 0, 1, 0, 92, 0, 0, 0]);
                assert_eq!(number(24), at);
                assert_eq!(number(32), other);
                assert_eq!(number(40), 2 + entry_sectors);
                assert_eq!(number(48), last - entry_sectors - 1);
                // Mixed-endian: the first three fields of the GUID are turned around.
                let guid =
                    [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 8, 9, 10, 11, 12, 13, 14, 15];
                assert_eq!(header[56..72], guid);
                assert_eq!(number(72), entries);
                assert_eq!(header[80..88], [128, 0, 0, 0, 128, 0, 0, 0]);
            }
        }
    }

    #[test]
    fn the_protective_mbr_covers_the_disk_as_far_as_it_can() {
        for (size, expected) in
            [(256 * MIB, [0xFF, 0xFF, 0x07, 0x00]), (3 * 1024 * GIB, [0xFF, 0xFF, 0xFF, 0xFF])]
        {
            let layout = plan(&Table { size, ..table(vec![]) }).unwrap().seal();
            let mbr = bytes_at(&layout, 0);
            assert_eq!(mbr[..446], [0; 446]);
            assert_eq!(mbr[446..458], [0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0]);
            assert_eq!(mbr[458..462], expected);
            assert_eq!(mbr[462..], [[0; 48].as_slice(), &[0x55, 0xAA]].concat());
        }
    }
}
