//! File systems as contents of an image: what they were asked to be and what became of them.

use std::sync::Arc;

use uuid::Uuid;

use super::Swapfile;
use crate::error::{Error, Result};
use crate::ext4::{self, Profile};
use crate::fat::{self, Variant};
use crate::layout::Layout;
use crate::report::Warning;
use crate::seed;
use crate::size::{Headroom, MIB};
use crate::time::Timestamp;
use crate::tree::{HoleScan, Tree};

/// The format of a file system.
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
    /// The name that `mount` knows.
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
    /// Its format.
    pub format: Format,
    /// The width of the entries of a FAT; `None` for other formats.
    pub variant: Option<Variant>,
    /// The UUID; that of FAT is the one its volume id is made of.
    pub uuid: Uuid,
    /// The label; may be empty.
    pub label: String,
    /// The size in bytes.
    pub size: u64,
}

impl FileSystem {
    /// The id as `blkid` shows it.
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

/// A file system that is planned.
#[derive(Debug)]
pub(crate) struct PlannedFs {
    pub(crate) layout: Layout,
    pub(crate) file_system: FileSystem,
    pub(crate) warnings: Vec<Warning>,
}

/// How to make an ext4 file system of a tree.
#[derive(Debug, Clone)]
pub struct Ext4 {
    /// Features and policies.
    pub profile: Profile,
    /// 1024, 2048 or 4096 bytes.
    pub block_size: u32,
    /// The label, at most 16 bytes; `None` for the name of the partition, or none.
    pub label: Option<String>,
    /// Without a fixed size, the free room to leave; `None` for the profile's own.
    pub headroom: Option<Headroom>,
    /// The size in bytes that the file system should be able to grow to; `None` for 1024 times
    /// its own.
    pub grow_to: Option<u64>,
    /// The number of inodes; `None` for those of the tree with the headroom's share, and at least
    /// one for 16 KiB.
    pub inodes: Option<u64>,
    /// A swap file to be added to the tree.
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
            // As systemd-repart gives it to mke2fs.
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

    /// Returns the smallest size in bytes that can be given.
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
                format!("{to} bytes are less than the {size} bytes that the file system has"),
                "give a larger size, or leave it out",
            ));
        }
        let file_system = FileSystem { format: Format::Ext4, variant: None, uuid, label, size };
        Ok(PlannedFs { layout, file_system, warnings })
    }
}

/// How to make a FAT file system of a tree.
#[derive(Debug, Clone)]
pub struct Vfat {
    /// Bytes in a sector: as many as on the disk, or more.
    pub sector_size: u32,
    /// The label, at most 11 bytes; `None` for none.
    pub label: Option<String>,
    /// The variant; `None` for FAT32 if the size allows it, else FAT16, else FAT12.
    pub variant: Option<Variant>,
}

impl Vfat {
    /// `start` is where the file system is in the image, in bytes.
    fn options(&self, uuid: Uuid, epoch: Timestamp, start: u64, size: Option<u64>) -> fat::Options {
        // Only boot code asks for them, and none of it reaches beyond what 32 bits hold.
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

    /// The smallest size in bytes that holds the tree.
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

    /// A FAT after more sectors than its boot sector can count.
    #[test]
    fn a_fat_can_start_anywhere_on_a_disk() {
        let tree = Arc::new(TreeBuilder::new(Metadata::default()).unwrap().finish().unwrap());
        let vfat = Vfat { sector_size: 512, label: None, variant: None };
        let start = 3 << 40;
        let size = Some(40 << 20);
        let plan = vfat.plan(&tree, Uuid::nil(), Timestamp::default(), start, size).unwrap();
        assert_eq!(plan.file_system.size, 40 << 20);
    }

    /// As systemd-repart and blkid show the file system of a first ESP.
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
