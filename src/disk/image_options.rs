//! Options for a disk image of a tree.

use super::esp::EspSource;
use super::root::RootFs;
use crate::fat::Variant;
use crate::gpt::SectorSize;

/// Options for a disk image of a tree.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Root file system.
    pub root: RootFs,
    /// Size of the whole image in bytes; the root gets what the other partitions leave. `None` for
    /// the smallest size that leaves the root's headroom.
    pub size: Option<u64>,
    /// Sector size of the disk, in bytes.
    pub sector_size: SectorSize,
    /// Source of the content of the ESP.
    pub esp: EspSource,
    /// Size of the ESP in bytes, rounded up to MiB. If it is given, there is an ESP even without
    /// content. `None` for twice the size of its content, and at least the size of a FAT32.
    pub esp_size: Option<u64>,
    /// FAT variant of an ESP or XBOOTLDR partition. `None` for FAT32, which all firmware reads.
    pub esp_fat: Option<Variant>,
    /// FAT sector size of an ESP or XBOOTLDR partition, in bytes, at least that of the disk. `None`
    /// for the sector size of the disk.
    pub esp_sector_size: Option<SectorSize>,
    /// Whether there is an XBOOTLDR partition, which holds the tree's `/boot`.
    pub xbootldr: bool,
    /// Size of the XBOOTLDR partition in bytes, rounded up to MiB. If it is given, there is an
    /// XBOOTLDR partition. `None` for the size of an ESP with the same content.
    pub xbootldr_size: Option<u64>,
    /// Whether there is a BIOS boot partition: 1 MiB for a boot loader to be installed in.
    pub bios_boot: bool,
}

impl Options {
    pub(super) fn has_xbootldr(&self) -> bool {
        self.xbootldr || self.xbootldr_size.is_some()
    }
}
