//! Where the parts of a GUID partition table are on a disk: pure arithmetic on block numbers.

use crate::error::{Error, Result};

use super::spec::ENTRIES_SIZE;

/// Bytes in a logical block of a disk: a power of two from 512 to 4096.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SectorSize(u32);

impl SectorSize {
    /// What nearly every disk has.
    pub const B512: Self = Self(512);
    /// "4K native" disks.
    pub const B4096: Self = Self(4096);

    /// A sector size.
    ///
    /// # Errors
    /// [`Error::Parameter`] for anything but 512, 1024, 2048 and 4096.
    pub fn new(bytes: u32) -> Result<Self> {
        match bytes {
            512 | 1024 | 2048 | 4096 => Ok(Self(bytes)),
            _ => Err(Error::parameter(
                "--sector-size",
                format!("disks have no sectors of {bytes} bytes"),
                "use 512 or 4096",
            )),
        }
    }

    /// The size in bytes.
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

/// The number of a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lba(pub u64);

impl Lba {
    /// The sector at an offset in bytes, or `None` if no sector starts there.
    #[must_use]
    pub fn at(offset: u64, sector_size: SectorSize) -> Option<Self> {
        let size = u64::from(sector_size.bytes());
        offset.is_multiple_of(size).then_some(Self(offset / size))
    }

    /// The offset in bytes.
    #[must_use]
    pub fn offset(self, sector_size: SectorSize) -> u64 {
        self.0 * u64::from(sector_size.bytes())
    }
}

/// A disk and the places of both tables on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    sector_size: SectorSize,
    sectors: u64,
}

impl Geometry {
    /// A disk of `size` bytes.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the size is no multiple of the sector size, or leaves no sector
    /// between the tables.
    pub fn new(size: u64, sector_size: SectorSize) -> Result<Self> {
        let sector = sector_size.bytes();
        if !size.is_multiple_of(sector.into()) {
            return Err(Error::parameter(
                "--size",
                format!("{size} bytes is not a multiple of the sector size, {sector}"),
                "round it up",
            ));
        }
        let geometry = Self { sector_size, sectors: size / u64::from(sector) };
        // Protective MBR, one usable sector, and a header with its entries at each end.
        let least = 2 + 1 + 1 + 2 * geometry.entry_sectors();
        if geometry.sectors < least {
            return Err(Error::parameter(
                "--size",
                format!("{size} bytes can't hold a partition table"),
                format!("give it at least {} bytes", least * u64::from(sector)),
            ));
        }
        Ok(geometry)
    }

    /// Bytes in a sector.
    #[must_use]
    pub fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    /// Bytes before the first partition at the least: the protective MBR and the primary table.
    #[must_use]
    pub fn head(sector_size: SectorSize) -> u64 {
        2 * u64::from(sector_size.bytes()) + Self::entries_size(sector_size)
    }

    /// Bytes after the last partition at the least: the backup table.
    #[must_use]
    pub fn tail(sector_size: SectorSize) -> u64 {
        Self::entries_size(sector_size) + u64::from(sector_size.bytes())
    }

    fn entries_size(sector_size: SectorSize) -> u64 {
        (ENTRIES_SIZE as u64).next_multiple_of(sector_size.bytes().into())
    }

    fn entry_sectors(&self) -> u64 {
        Self::entries_size(self.sector_size) / u64::from(self.sector_size.bytes())
    }

    /// The primary header.
    #[must_use]
    pub fn primary_header(&self) -> Lba {
        Lba(1)
    }

    /// The first sector of the primary entries.
    #[must_use]
    pub fn primary_entries(&self) -> Lba {
        Lba(2)
    }

    /// The first sector that a partition may use: right after the primary table.
    #[must_use]
    pub fn first_usable(&self) -> Lba {
        Lba(2 + self.entry_sectors())
    }

    /// The last sector that a partition may use: right before the backup table.
    #[must_use]
    pub fn last_usable(&self) -> Lba {
        Lba(self.backup_entries().0 - 1)
    }

    /// The first sector of the backup entries.
    #[must_use]
    pub fn backup_entries(&self) -> Lba {
        Lba(self.backup_header().0 - self.entry_sectors())
    }

    /// The backup header: the last sector of the disk.
    #[must_use]
    pub fn backup_header(&self) -> Lba {
        Lba(self.sectors - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::MIB;

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
    }
}
