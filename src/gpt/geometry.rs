//! Locations of the parts of a GUID partition table on a disk, computed by pure arithmetic on block
//! numbers.

use std::ops::Range;

use super::spec::{ENTRIES, ENTRIES_MAX, ENTRY_SIZE};
use crate::error::{Error, Result};
use crate::size::{MIB, exact, round_up, typed};

/// Size of a logical block of a disk, in bytes: a power of two from 512 to 4096.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SectorSize(u32);

impl SectorSize {
    /// 512 bytes, as on nearly every disk.
    pub const B512: Self = Self(512);
    /// 4096 bytes, as on "4K native" disks.
    pub const B4096: Self = Self(4096);

    /// Creates a sector size.
    ///
    /// # Errors
    /// [`Error::Parameter`] for anything but 512, 1024, 2048 and 4096.
    pub fn new(bytes: u32) -> Result<Self> {
        match bytes {
            512 | 1024 | 2048 | 4096 => Ok(Self(bytes)),
            _ => Err(Error::parameter(
                "sector_size",
                format!("sector size {bytes} is not supported"),
                "use 512 or 4096",
            )),
        }
    }

    /// Returns the size in bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        self.0
    }
}

impl Default for SectorSize {
    fn default() -> Self {
        Self::B512
    }
}

/// A logical block address: the number of a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lba(pub u64);

impl Lba {
    /// Returns the sector at an offset in bytes; `None` if no sector starts there.
    #[must_use]
    pub fn at(offset: u64, sector_size: SectorSize) -> Option<Self> {
        let size = u64::from(sector_size.bytes());
        offset.is_multiple_of(size).then_some(Self(offset / size))
    }

    /// Returns the offset in bytes.
    #[must_use]
    pub fn offset(self, sector_size: SectorSize) -> u64 {
        self.0 * u64::from(sector_size.bytes())
    }
}

/// A disk and the locations of both tables on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    sector_size: SectorSize,
    sectors: u64,
    entries: u32,
    first_usable: Lba,
    last_usable: Lba,
}

impl Geometry {
    /// Creates the geometry of a disk of `size` bytes. Partitions may use everything but the
    /// tables.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the size is not a multiple of the sector size, or leaves no sector
    /// between the tables.
    pub fn new(size: u64, sector_size: SectorSize) -> Result<Self> {
        Self::with_entries(size, sector_size, ENTRIES)
    }

    /// Creates the geometry of a disk as systemd-repart does: partitions start at 1 MiB, unless
    /// that is a quarter of the disk or more.
    ///
    /// # Errors
    /// The errors of [`Geometry::new`].
    pub fn aligned(size: u64, sector_size: SectorSize) -> Result<Self> {
        let geometry = Self::new(size, sector_size)?;
        if size <= 4 * MIB {
            return Ok(geometry);
        }
        let first_usable = Lba(MIB / u64::from(sector_size.bytes()));
        Ok(Self { first_usable, ..geometry })
    }

    /// Creates the geometry of a disk of `size` bytes whose tables have `entries` entries.
    ///
    /// # Errors
    /// The errors of [`Geometry::new`], and [`Error::Parameter`] if `entries` is 0 or more than
    /// [`ENTRIES_MAX`].
    pub fn with_entries(size: u64, sector_size: SectorSize, entries: u32) -> Result<Self> {
        let sector = u64::from(sector_size.bytes());
        if !size.is_multiple_of(sector) {
            return Err(Error::parameter(
                "size",
                format!("{} is not a multiple of the sector size, {sector}", exact(size)),
                format!("use {}", typed(round_up(size, sector))),
            ));
        }
        if !(1..=ENTRIES_MAX).contains(&entries) {
            return Err(Error::parameter(
                "gpt",
                format!("{entries} entries are not supported"),
                format!("use {ENTRIES}; up to {ENTRIES_MAX} are supported"),
            ));
        }
        let sectors = size / sector;
        let entry_sectors = entry_sectors(entries, sector_size);
        // Protective MBR, one usable sector, and a header with its entries at each end.
        let least = 2 + 1 + 1 + 2 * entry_sectors;
        if sectors < least {
            return Err(Error::parameter(
                "size",
                format!("{} is too small for a partition table", exact(size)),
                format!("use at least {}", typed(least * sector)),
            ));
        }
        let (first_usable, last_usable) =
            (Lba(2 + entry_sectors), Lba(sectors - 2 - entry_sectors));
        Ok(Self { sector_size, sectors, entries, first_usable, last_usable })
    }

    /// Restricts partitions to the sectors from `first` to `last`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the range is empty or overlaps a table.
    pub fn with_usable(self, first: Lba, last: Lba) -> Result<Self> {
        let least = Lba(2 + self.entry_sectors());
        let most = Lba(self.backup_entries().0 - 1);
        if first < least || first > last || last > most {
            return Err(Error::parameter(
                "gpt",
                format!("partitions can't use the sectors {} to {}", first.0, last.0),
                format!("use sectors from {} to {}", least.0, most.0),
            ));
        }
        Ok(Self { first_usable: first, last_usable: last, ..self })
    }

    /// Returns the size of the disk in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.sectors * u64::from(self.sector_size.bytes())
    }

    /// Returns the sector size.
    #[must_use]
    pub fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    /// Returns the maximum number of partitions in a table.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// Returns the range of the disk that partitions may use, in bytes.
    #[must_use]
    pub fn usable(&self) -> Range<u64> {
        let end = Lba(self.last_usable.0 + 1);
        self.first_usable.offset(self.sector_size)..end.offset(self.sector_size)
    }

    /// Returns the minimum offset of the first partition, after the protective MBR and the primary
    /// table, in bytes.
    #[must_use]
    pub fn head(sector_size: SectorSize) -> u64 {
        Lba(2 + entry_sectors(ENTRIES, sector_size)).offset(sector_size)
    }

    /// Returns the minimum space after the last partition, for the backup table, in bytes.
    #[must_use]
    pub fn tail(sector_size: SectorSize) -> u64 {
        Lba(entry_sectors(ENTRIES, sector_size) + 1).offset(sector_size)
    }

    /// Returns the number of sectors of the entries of one table.
    #[must_use]
    pub fn entry_sectors(&self) -> u64 {
        entry_sectors(self.entries, self.sector_size)
    }

    /// Returns the sector of the primary header.
    #[must_use]
    pub fn primary_header(&self) -> Lba {
        Lba(1)
    }

    /// Returns the first sector of the primary entries.
    #[must_use]
    pub fn primary_entries(&self) -> Lba {
        Lba(2)
    }

    /// Returns the first sector that a partition may use.
    #[must_use]
    pub fn first_usable(&self) -> Lba {
        self.first_usable
    }

    /// Returns the last sector that a partition may use.
    #[must_use]
    pub fn last_usable(&self) -> Lba {
        self.last_usable
    }

    /// Returns the first sector of the backup entries.
    #[must_use]
    pub fn backup_entries(&self) -> Lba {
        Lba(self.backup_header().0 - self.entry_sectors())
    }

    /// Returns the sector of the backup header: the last of the disk.
    #[must_use]
    pub fn backup_header(&self) -> Lba {
        Lba(self.sectors - 1)
    }
}

fn entry_sectors(entries: u32, sector_size: SectorSize) -> u64 {
    let bytes = u64::from(entries) * u64::from(ENTRY_SIZE);
    bytes.div_ceil(sector_size.bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_where_the_specification_puts_them() {
        for (sector_size, size, first, last, entries, header) in [
            (512, 64 * MIB, 34, 131_038, 131_039, 131_071),
            (4096, 64 * MIB, 6, 16_378, 16_379, 16_383),
            (512, 67 * 512 + 512, 34, 34, 35, 67),
            (4096, 12 * 4096, 6, 6, 7, 11),
        ] {
            let disk = Geometry::new(size, SectorSize::new(sector_size).unwrap()).unwrap();
            assert_eq!(disk.first_usable(), Lba(first));
            assert_eq!(disk.last_usable(), Lba(last));
            assert_eq!(disk.backup_entries(), Lba(entries));
            assert_eq!(disk.backup_header(), Lba(header));
        }
    }

    #[test]
    fn impossible_disks_are_refused() {
        assert!(Geometry::new(67 * 512, SectorSize::B512).is_err());
        assert!(Geometry::new(11 * 4096, SectorSize::B4096).is_err());
        assert!(Geometry::new(64 * MIB + 512, SectorSize::B4096).is_err());
        assert!(Geometry::new(64 * MIB + 512, SectorSize::B512).is_ok());
        for bytes in [0, 256, 520, 4095, 8192] {
            assert!(SectorSize::new(bytes).is_err(), "{bytes}");
        }
        for entries in [0, 4097, u32::MAX] {
            assert!(Geometry::with_entries(64 * MIB, SectorSize::B512, entries).is_err());
        }
    }

    /// Read from headers that systemd-repart 262.1 wrote.
    #[test]
    fn small_disks_start_right_behind_the_table() {
        for (sector_size, size, first, last) in [
            (512, 3 * MIB, 34, 6110),
            (512, 4 * MIB, 34, 8158),
            (512, 4 * MIB + 4096, 2048, 8166),
            (512, 5 * MIB, 2048, 10206),
            (4096, 4 * MIB, 6, 1018),
            (4096, 4 * MIB + 4096, 256, 1019),
        ] {
            let disk = Geometry::aligned(size, SectorSize::new(sector_size).unwrap()).unwrap();
            assert_eq!((disk.first_usable(), disk.last_usable()), (Lba(first), Lba(last)));
        }
    }

    /// As sfdisk creates tables of other lengths on 64 MiB.
    #[test]
    fn tables_have_their_own_length() {
        for (entries, last, backup) in
            [(4, 131_069, 131_070), (56, 131_056, 131_057), (256, 131_006, 131_007)]
        {
            let disk = Geometry::with_entries(64 * MIB, SectorSize::B512, entries).unwrap();
            assert_eq!((disk.last_usable(), disk.backup_entries()), (Lba(last), Lba(backup)));
            let narrow = disk.with_usable(Lba(2048), Lba(100_000)).unwrap();
            assert_eq!(narrow.usable(), 2048 * 512..100_001 * 512);
            for (first, end) in [(2, 9), (2048, last + 1), (9000, 8999), (u64::MAX, u64::MAX)] {
                assert!(disk.with_usable(Lba(first), Lba(end)).is_err(), "{first} to {end}");
            }
        }
    }
}
