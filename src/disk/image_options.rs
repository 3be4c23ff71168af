//! Options for a disk image of a tree.

use std::sync::Arc;

use super::boot_method::BootMethod;
use super::esp::EspSource;
use super::swap::Swapfile;
use super::uki_hook::UkiHook;
use super::verity::Verity;
use crate::ext4::Ext4;
use crate::fat::Variant;
use crate::format::Format;
use crate::gpt::SectorSize;
use crate::size::Headroom;

/// Options for a disk image of a tree.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Format of the root file system.
    pub root: Arc<dyn Format>,
    /// Format of a file system of its own for `/usr`, which `verity` then protects instead of the
    /// root. `None` to keep `/usr` in the root.
    pub usr: Option<Arc<dyn Format>>,
    /// Label of the root file system and its partition. `None` for the name of the partition's
    /// type.
    pub label: Option<String>,
    /// Free space to leave in the root file system if the size is not fixed. `None` for the default
    /// of the format.
    pub headroom: Option<Headroom>,
    /// Swap file to add to the root file system.
    pub swapfile: Option<Swapfile>,
    /// Hash tree that protects the root file system, or that of `/usr` if there is one. The file
    /// system then has the smallest size. Its format should be for reading only, as with the ext4
    /// profile `ro`.
    pub verity: Option<Verity>,
    /// Size of the whole image in bytes; the root gets what the other partitions leave, unless it
    /// is protected. `None` for the smallest size that leaves the root's headroom.
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
    /// Boot loader and kernels that are added to the boot partitions. With any, there is an ESP
    /// even without content.
    pub boot: BootMethod,
    /// Options of the kernel in the entries of systemd-boot. `None` for those in the tree's
    /// `/etc/kernel/cmdline`. `root=`, with the GUID of this image's root partition, and `rw` are
    /// added unless they contain a `root=` or a `ro`. For a protected root, `roothash=` is added
    /// instead, and for a protected `/usr`, `usrhash=` is added too.
    pub cmdline: Option<String>,
    /// Builds the unified kernel image for the root hash of a protected file system. The image
    /// replaces those of the tree.
    pub uki_hook: Option<Arc<dyn UkiHook>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: Arc::new(Ext4::default()),
            usr: None,
            label: None,
            headroom: None,
            swapfile: None,
            verity: None,
            size: None,
            sector_size: SectorSize::default(),
            esp: EspSource::default(),
            esp_size: None,
            esp_fat: None,
            esp_sector_size: None,
            xbootldr: false,
            xbootldr_size: None,
            bios_boot: false,
            boot: BootMethod::None,
            cmdline: None,
            uki_hook: None,
        }
    }
}

impl Options {
    pub(super) fn has_xbootldr(&self) -> bool {
        self.xbootldr || self.xbootldr_size.is_some()
    }
}
