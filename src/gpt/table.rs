//! Encodes partition tables.

use bitflags::bitflags;
use uuid::Uuid;
use zerocopy::{FromZeros, IntoBytes};

use super::spec::{
    ENTRY_SIZE, HEADER_SIGNATURE, HEADER_SIZE, Header, MBR_SIGNATURE, MasterBootRecord,
    MbrPartitionRecord, NAME_UNITS, OS_TYPE_GPT_PROTECTIVE, PartitionEntry, REVISION,
};
use super::{Geometry, Lba};
use crate::error::{Error, Result};
use crate::layout::Layout;

bitflags! {
    /// Attribute bits of a partition. Unnamed bits are preserved.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Attributes: u64 {
        /// The platform requires the partition.
        const REQUIRED = 1;
        /// A legacy BIOS may boot from it.
        const LEGACY_BOOT = 1 << 2;
        /// The file system is grown to the size of the partition when mounted.
        const GROWFS = 1 << 59;
        /// The partition is mounted read-only.
        const READ_ONLY = 1 << 60;
        /// The partition is not automatically discovered and mounted.
        const NO_AUTO = 1 << 63;

        const _ = !0;
    }
}

/// A partition in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// GUID of the partition type; not nil.
    pub partition_type: Uuid,
    /// GUID of the partition.
    pub uuid: Uuid,
    /// Start in bytes: a multiple of the sector size.
    pub start: u64,
    /// Size in bytes: a nonzero multiple of the sector size.
    pub size: u64,
    /// Attribute bits.
    pub attributes: Attributes,
    /// Name: at most 36 UTF-16 code units, without NUL.
    pub name: String,
}

/// A partition table.
#[derive(Debug, Clone)]
pub struct Table {
    /// The disk, and the range of it that partitions may use.
    pub geometry: Geometry,
    /// GUID of the disk.
    pub uuid: Uuid,
    /// Master boot record to take the boot code from, in addition to the protective partition. A
    /// hybrid MBR, which has other partitions, is kept unchanged. `None` for no boot code.
    pub mbr: Option<Box<MasterBootRecord>>,
    /// The partitions in the order of their numbers; `None` for an unused entry.
    pub partitions: Vec<Option<Partition>>,
}

/// Plans a disk with both tables and empty partitions.
///
/// # Errors
/// [`Error::Parameter`] if there are more partitions than entries, two partitions overlap, a
/// partition is outside the usable range of the disk or not on sector boundaries, a type is nil, a
/// GUID other than nil is used twice, or a name is too long.
pub fn plan(table: &Table) -> Result<Layout> {
    let geometry = table.geometry;
    let sector_size = geometry.sector_size();
    let entries = encode_entries(&geometry, &table.partitions)?;
    let partitions: Vec<_> = table.partitions.iter().flatten().collect();
    check_overlap(&partitions)?;
    check_ids(&partitions)?;
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
            number_of_partition_entries: geometry.entries().into(),
            size_of_partition_entry: ENTRY_SIZE.into(),
            partition_entry_array_crc32: entries_crc32.into(),
        };
        header.header_crc32 = crc32fast::hash(header.as_bytes()).into();
        header
    };
    let (primary, backup) = (geometry.primary_header(), geometry.backup_header());
    let (first, second) = (geometry.primary_entries(), geometry.backup_entries());

    let mut layout = Layout::new(geometry.size());
    let mut place = |at: Lba, bytes: &[u8]| layout.push_bytes(at.offset(sector_size), bytes);
    place(Lba(0), encode_mbr(&geometry, table.mbr.as_deref()).as_bytes());
    place(primary, header(primary, backup, first).as_bytes());
    place(first, entries.as_bytes());
    place(second, entries.as_bytes());
    place(backup, header(backup, primary, second).as_bytes());
    Ok(layout)
}

fn lba(lba: Lba) -> zerocopy::little_endian::U64 {
    lba.0.into()
}

fn encode_mbr(geometry: &Geometry, existing: Option<&MasterBootRecord>) -> MasterBootRecord {
    let unused = MbrPartitionRecord::default();
    let mut mbr = existing.copied().unwrap_or_else(FromZeros::new_zeroed);
    let is_foreign = |os_type| ![0, OS_TYPE_GPT_PROTECTIVE].contains(&os_type);
    if mbr.partition_record.iter().any(|record| is_foreign(record.os_type)) {
        return mbr;
    }
    let sectors = geometry.backup_header().0;
    let protective = MbrPartitionRecord {
        boot_indicator: 0,
        // Block 1, in the conventional geometry.
        starting_chs: [0x00, 0x02, 0x00],
        os_type: OS_TYPE_GPT_PROTECTIVE,
        // The value for "out of range", which libfdisk writes for a disk of any size.
        ending_chs: [0xFF; 3],
        starting_lba: 1.into(),
        size_in_lba: u32::try_from(sectors).unwrap_or(u32::MAX).into(),
    };
    mbr.partition_record = [protective, unused, unused, unused];
    mbr.signature = MBR_SIGNATURE.into();
    mbr
}

fn encode_entries(
    geometry: &Geometry,
    partitions: &[Option<Partition>],
) -> Result<Box<[PartitionEntry]>> {
    let most = geometry.entries() as usize;
    if partitions.len() > most {
        return Err(fault(
            format!("{} partitions, the table allows {most}", partitions.len()),
            "leave some out",
        ));
    }
    let mut entries = vec![PartitionEntry::new_zeroed(); most].into_boxed_slice();
    for (entry, partition) in entries.iter_mut().zip(partitions) {
        let Some(partition) = partition else { continue };
        let (first, last) = sectors(geometry, partition)?;
        entry.partition_type_guid = partition.partition_type.to_bytes_le();
        entry.unique_partition_guid = partition.uuid.to_bytes_le();
        entry.starting_lba = lba(first);
        entry.ending_lba = lba(last);
        entry.attributes = partition.attributes.bits().into();
        let units: Vec<_> = partition.name.encode_utf16().collect();
        if units.len() > NAME_UNITS || units.contains(&0) {
            return Err(fault(
                format!("name {:?} is {} UTF-16 units", partition.name, units.len()),
                format!("use a name of at most {NAME_UNITS}, without NUL"),
            ));
        }
        for (to, unit) in entry.partition_name.iter_mut().zip(units) {
            *to = unit.into();
        }
    }
    Ok(entries)
}

/// Returns the first and the last sector of a partition.
fn sectors(geometry: &Geometry, partition: &Partition) -> Result<(Lba, Lba)> {
    let Partition { name, start, size, .. } = partition;
    let sector_size = geometry.sector_size();
    let end = start.checked_add(*size).and_then(|end| Lba::at(end, sector_size));
    let (Some(first), Some(end), 1..) = (Lba::at(*start, sector_size), end, *size) else {
        return Err(fault(
            format!("{name:?}, {size} bytes at {start}, is not aligned to whole sectors"),
            format!("align it to {} bytes", sector_size.bytes()),
        ));
    };
    let last = Lba(end.0 - 1);
    let (least, most) = (geometry.first_usable(), geometry.last_usable());
    if first < least || last > most {
        return Err(fault(
            format!("{name:?} has sectors {} to {}", first.0, last.0),
            format!("place it within {} to {}", least.0, most.0),
        ));
    }
    Ok((first, last))
}

pub(super) fn check_overlap(partitions: &[&Partition]) -> Result<()> {
    let mut sorted = partitions.to_vec();
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

fn check_ids(partitions: &[&Partition]) -> Result<()> {
    let ids = partitions.iter().map(|partition| partition.uuid);
    let mut ids: Vec<_> = ids.filter(|id| !id.is_nil()).collect();
    ids.sort();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(fault(
            format!("two partitions have the UUID {}", pair[0]),
            "use different UUIDs",
        ));
    }
    match partitions.iter().find(|partition| partition.partition_type.is_nil()) {
        Some(partition) => Err(fault(
            format!("the type of {:?} is nil", partition.name),
            "use another type, since nil marks an unused entry",
        )),
        None => Ok(()),
    }
}

fn fault(rule: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::parameter("gpt", rule, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt::{PartitionType, SectorSize};
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

    const B512: SectorSize = SectorSize::B512;

    fn disk(size: u64, sector_size: SectorSize) -> Geometry {
        Geometry::new(size, sector_size).unwrap()
    }

    fn table(partitions: Vec<Partition>) -> Table {
        Table {
            geometry: disk(256 * MIB, B512),
            uuid: "00112233-4455-6677-0809-0a0b0c0d0e0f".parse().unwrap(),
            mbr: None,
            partitions: partitions.into_iter().map(Some).collect(),
        }
    }

    /// Returns the finished bytes at an offset.
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
        let changes: [(&str, Change); 9] = [
            ("overlap", |p| p.size += 512),
            ("whole sectors", |p| p.size = u64::MAX),
            ("whole sectors", |p| p.start += 1),
            ("whole sectors", |p| p.size -= 1),
            ("whole sectors", |p| p.size = 0),
            ("to 65", |p| (p.start, p.size) = (33 * 512, 33 * 512)),
            ("to 524255", |p| (p.start, p.size) = (255 * MIB, MIB - 32 * 512)),
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

    /// Checks the fields that the specification fixes, byte by byte.
    #[test]
    fn headers_are_those_of_the_specification() {
        for (sector_size, sector) in [(SectorSize::B512, 512), (SectorSize::B4096, 4096)] {
            let geometry = disk(256 * MIB, sector_size);
            let table = Table { geometry, ..table(vec![partition(0)]) };
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
                // Mixed-endian: the first three fields of the GUID are byte-swapped.
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
            let geometry = disk(size, B512);
            let layout = plan(&Table { geometry, ..table(vec![]) }).unwrap().seal();
            let mbr = bytes_at(&layout, 0);
            assert_eq!(mbr[..446], [0; 446]);
            assert_eq!(mbr[446..458], [0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0]);
            assert_eq!(mbr[458..462], expected);
            assert_eq!(mbr[462..], [[0; 48].as_slice(), &[0x55, 0xAA]].concat());
        }
    }

    /// As systemd-repart leaves it in an image with boot code or a hybrid MBR.
    #[test]
    fn boot_code_and_hybrid_records_are_kept() {
        let mut existing = MasterBootRecord::new_zeroed();
        existing.as_mut_bytes()[..446].fill(0x90);
        let written = |existing: &MasterBootRecord| {
            let mbr = Some(Box::new(*existing));
            let layout = plan(&Table { mbr, ..table(vec![]) }).unwrap().seal();
            bytes_at(&layout, 0).to_vec()
        };
        let plain = written(&existing);
        assert_eq!(plain[..446], [0x90; 446]);
        assert_eq!(plain[446..462], [0, 0, 2, 0, 0xEE, 255, 255, 255, 1, 0, 0, 0, 255, 255, 7, 0]);
        assert_eq!(plain[510..], [0x55, 0xAA]);
        existing.partition_record[0].os_type = 0x83;
        existing.partition_record[3].os_type = 0xEE;
        assert_eq!(written(&existing), existing.as_bytes());
    }

    /// An entry is reserved for a later partition; `UUID=null` may be used several times.
    #[test]
    fn entries_may_be_unused_and_ids_nil() {
        let nil = |nth| Some(Partition { uuid: Uuid::nil(), ..partition(nth) });
        let mut table = table(vec![]);
        table.partitions = vec![nil(1), None, nil(0)];
        let layout = plan(&table).unwrap().seal();
        let entries = bytes_at(&layout, 1024);
        assert_eq!(entries[32..40], (2 * MIB / 512).to_le_bytes());
        assert_eq!(entries[128..256], [0; 128]);
        assert_eq!(entries[256 + 32..256 + 40], (MIB / 512).to_le_bytes());
    }

    #[test]
    fn usable_sectors_and_entries_are_those_of_the_geometry() {
        let geometry = Geometry::with_entries(256 * MIB, B512, 4).unwrap();
        let geometry = geometry.with_usable(Lba(4096), Lba(8191)).unwrap();
        let place = |nth| {
            let partitions = vec![Some(partition(nth))];
            plan(&Table { geometry, partitions, ..table(vec![]) })
        };
        assert!(place(0).is_err() && place(3).is_err());
        let layout = place(1).unwrap().seal();
        let header = bytes_at(&layout, 512);
        assert_eq!(header[40..56], [4096u64.to_le_bytes(), 8191u64.to_le_bytes()].concat());
        assert_eq!(header[80], 4);
        assert_eq!(bytes_at(&layout, 1024).len(), 512);
        let five = (0..5).map(partition).map(Some).collect();
        assert!(plan(&Table { geometry, partitions: five, ..table(vec![]) }).is_err());
    }
}
