//! File systems in an image: their options, and the planned results.

use std::sync::Arc;

use uuid::Uuid;

use super::swap::Swapfile;
use crate::error::{Error, Result};
use crate::ext4::{self, Profile};
use crate::fat::{self, Variant};
use crate::layout::Layout;
use crate::report::Warning;
use crate::seed;
use crate::size::{Headroom, MIB};
use crate::time::Timestamp;
use crate::tree::{HoleScan, Tree};

/// Format of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ext4.
    Ext4,
    /// btrfs.
    Btrfs,
    /// FAT with long names.
    Vfat,
}

impl Format {
    /// Returns the name by which `mount` knows the format.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
        }
    }
}

/// A file system in an image.
#[derive(Debug, Clone)]
pub struct FileSystem {
    /// Format.
    pub format: Format,
    /// Width of the FAT entries. `None` for other formats.
    pub variant: Option<Variant>,
    /// UUID. The volume id of a FAT is derived from it.
    pub uuid: Uuid,
    /// Label; may be empty.
    pub label: String,
    /// Size in bytes.
    pub size: u64,
}

impl FileSystem {
    /// Returns the id in the form that `blkid` shows.
    #[must_use]
    pub fn id(&self) -> String {
        match self.format {
            Format::Ext4 | Format::Btrfs => self.uuid.to_string(),
            Format::Vfat => {
                let id = seed::fat_volume_id(self.uuid);
                format!("{:04X}-{:04X}", id >> 16, id & 0xFFFF)
            }
        }
    }
}

/// A planned file system.
#[derive(Debug)]
pub(crate) struct PlannedFs {
    pub(crate) layout: Layout,
    pub(crate) file_system: FileSystem,
    pub(crate) warnings: Vec<Warning>,
}

/// Options for an ext4 file system of a tree.
#[derive(Debug, Clone)]
pub struct Ext4 {
    /// Features and policies.
    pub profile: Profile,
    /// Block size: 1024, 2048 or 4096 bytes.
    pub block_size: u32,
    /// Label of at most 16 bytes. `None` for the name of the partition, or no label without a
    /// partition.
    pub label: Option<String>,
    /// Free space to leave if the size is not fixed. `None` for the profile's default.
    pub headroom: Option<Headroom>,
    /// Size in bytes that the file system should be able to grow to. `None` for 1024 times its own
    /// size.
    pub grow_to: Option<u64>,
    /// Number of inodes. `None` for the inodes of the tree and the headroom's share, but at least
    /// one per 16 KiB.
    pub inodes: Option<u64>,
    /// Swap file to add to the tree.
    pub swapfile: Option<Swapfile>,
}

impl Default for Ext4 {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            block_size: 4096,
            label: None,
            headroom: None,
            grow_to: None,
            inodes: None,
            swapfile: None,
        }
    }
}

impl Ext4 {
    fn options(&self, uuid: Uuid, epoch: Timestamp, size: Option<u64>) -> ext4::Options {
        ext4::Options {
            uuid,
            // The same hash seed that systemd-repart passes to mke2fs.
            hash_seed: uuid,
            label: self.label.clone().unwrap_or_default().into_bytes(),
            epoch,
            block_size: self.block_size,
            profile: self.profile,
            size,
            headroom: self.headroom,
            multiple: MIB,
            grow_to: self.grow_to,
            inodes: self.inodes,
        }
    }

    /// Returns the smallest possible size in bytes.
    pub(crate) fn minimal_size(
        &self,
        tree: &Arc<Tree>,
        scan: &HoleScan,
        epoch: Timestamp,
    ) -> Result<u64> {
        ext4::minimal_size(tree, scan, &self.options(Uuid::nil(), epoch, None))
    }

    pub(crate) fn plan(
        &self,
        tree: &Arc<Tree>,
        scan: &HoleScan,
        uuid: Uuid,
        epoch: Timestamp,
        size: Option<u64>,
    ) -> Result<PlannedFs> {
        let options = self.options(uuid, epoch, size);
        let ext4::Plan { layout, warnings } = ext4::plan(tree, scan, &options)?;
        let label = self.label.clone().unwrap_or_default();
        let size = layout.size();
        if let Some(to) = self.grow_to
            && to < size
        {
            return Err(Error::parameter(
                "--grow-to",
                format!("{to} bytes are less than the file system's own {size} bytes"),
                "give a larger size, or omit it",
            ));
        }
        let file_system = FileSystem { format: Format::Ext4, variant: None, uuid, label, size };
        Ok(PlannedFs { layout, file_system, warnings })
    }
}

/// Options for a FAT file system of a tree.
#[derive(Debug, Clone)]
pub struct Vfat {
    /// Sector size in bytes, at least that of the disk.
    pub sector_size: u32,
    /// Label of at most 11 bytes. `None` for no label.
    pub label: Option<String>,
    /// FAT variant. `None` for FAT32 if the size allows it, else FAT16, else FAT12.
    pub variant: Option<Variant>,
}

impl Vfat {
    /// Returns the options for a file system that starts `start` bytes into the image.
    fn options(&self, uuid: Uuid, epoch: Timestamp, start: u64, size: Option<u64>) -> fat::Options {
        // Only boot code uses the hidden sectors, and none of it reaches beyond what 32 bits can
        // count.
        let hidden_sectors = u32::try_from(start / u64::from(self.sector_size)).unwrap_or(0);
        fat::Options {
            size,
            sector_size: self.sector_size,
            hidden_sectors,
            volume_id: seed::fat_volume_id(uuid),
            label: self.label.clone(),
            epoch,
            variant: self.variant,
        }
    }

    /// Returns the smallest size in bytes that holds the tree.
    pub(crate) fn minimal_size(&self, tree: &Arc<Tree>, epoch: Timestamp) -> Result<u64> {
        fat::minimal_size(tree, &self.options(Uuid::nil(), epoch, 0, None))
    }

    pub(crate) fn plan(
        &self,
        tree: &Arc<Tree>,
        uuid: Uuid,
        epoch: Timestamp,
        start: u64,
        size: Option<u64>,
    ) -> Result<PlannedFs> {
        let options = self.options(uuid, epoch, start, size);
        let fat::Plan { layout, variant, warnings } = fat::plan(tree, &options)?;
        let label = self.label.clone().unwrap_or_default();
        let size = layout.size();
        let file_system =
            FileSystem { format: Format::Vfat, variant: Some(variant), uuid, label, size };
        Ok(PlannedFs { layout, file_system, warnings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, TreeBuilder};

    /// Tests a FAT that is preceded by more sectors than its boot sector can count.
    #[test]
    fn a_fat_can_start_anywhere_on_a_disk() {
        let tree = Arc::new(TreeBuilder::new(Metadata::default()).unwrap().finish().unwrap());
        let vfat = Vfat { sector_size: 512, label: None, variant: None };
        let start = 3 << 40;
        let size = Some(40 << 20);
        let plan = vfat.plan(&tree, Uuid::nil(), Timestamp::default(), start, size).unwrap();
        assert_eq!(plan.file_system.size, 40 << 20);
    }

    /// The ids are those that systemd-repart and blkid show for the file system of a first ESP.
    #[test]
    fn ids_are_shown_as_blkid_shows_them() {
        let uuid = "877a9082-e0a0-4e11-b7cd-6af00e1b357b".parse().unwrap();
        let vfat =
            FileSystem { format: Format::Vfat, variant: None, uuid, label: String::new(), size: 0 };
        assert_eq!(vfat.id(), "877A-9082");
        let ext4 = FileSystem { format: Format::Ext4, ..vfat };
        assert_eq!(ext4.id(), "877a9082-e0a0-4e11-b7cd-6af00e1b357b");
    }
}
