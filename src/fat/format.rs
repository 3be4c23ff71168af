//! FAT as a format of file systems.

use std::sync::Arc;

use uuid::Uuid;

use super::geometry::{GeometryParams, UNIT};
use super::{Options, Plan, Variant, links, minimal_size, plan};
use crate::error::Result;
use crate::format::{
    FileSystem, Format, FsInputs, Holds, LeaveOut, Parameters, PartitionSettings, PlannedFs,
    PreparedFs, SizeLimits, empty_size,
};
use crate::report::Warning;
use crate::seed;
use crate::size::{Headroom, MIB, round_up};
use crate::time::Timestamp;
use crate::tree::{InodeId, Tree};

/// The FAT format for [`single`](crate::single), with long names; its fields are the options of a
/// file system.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Vfat {
    /// Sector size in bytes, at least that of the disk. `None` for that of the disk.
    pub sector_size: Option<u32>,
    /// FAT variant. `None` for FAT32 if the size allows it, else FAT16, else FAT12.
    pub variant: Option<Variant>,
}

/// A FAT file system without its size.
struct Prepared {
    tree: Arc<Tree>,
    uuid: Uuid,
    label: Option<String>,
    epoch: Timestamp,
    sector_size: u32,
    variant: Option<Variant>,
}

impl Format for Vfat {
    fn name(&self) -> &'static str {
        "vfat"
    }

    fn layout_version(&self) -> u32 {
        1
    }

    fn limits(&self, sector_size: u32) -> Result<SizeLimits> {
        let min = empty_size(self, sector_size)?;
        let sector_size = self.sector_size.unwrap_or(sector_size);
        let max = GeometryParams::size_max(self.variant, sector_size.into());
        Ok(SizeLimits { min, max, multiple: UNIT })
    }

    fn partition_min(&self, is_boot: bool, sector_size: u32) -> Option<u64> {
        // FAT32 needs 65,525 clusters.
        is_boot.then_some(if sector_size >= 4096 { 260 * MIB } else { 100 * MIB })
    }

    fn holds(&self) -> Holds {
        Holds::empty()
    }

    fn parameters(&self) -> Parameters {
        match self.sector_size {
            Some(sector_size) => Parameters::new().with("sector_size", sector_size),
            None => Parameters::new(),
        }
    }

    fn for_partition(&self, _settings: &PartitionSettings<'_>) -> Result<Arc<dyn Format>> {
        Ok(Arc::new(self.clone()))
    }

    fn id(&self, uuid: Uuid) -> Option<String> {
        let id = seed::fat_volume_id(uuid);
        Some(format!("{:04X}-{:04X}", id >> 16, id & 0xFFFF))
    }

    fn label_for(&self, partition: &str) -> Option<String> {
        Some(super::label::from_partition(partition)).filter(|label| !label.is_empty())
    }

    fn leave_out(
        &self,
        tree: Tree,
        directory: InodeId,
        leave_out: &LeaveOut<'_>,
    ) -> Result<(Tree, Vec<Warning>)> {
        links::leave_out(tree, directory, leave_out)
    }

    fn prepare(&self, inputs: FsInputs<'_>) -> Result<Box<dyn PreparedFs>> {
        let FsInputs { tree, uuid, label, epoch, sector_size, .. } = inputs;
        let sector_size = self.sector_size.unwrap_or(sector_size);
        Ok(Box::new(Prepared { tree, uuid, label, epoch, sector_size, variant: self.variant }))
    }
}

impl Prepared {
    /// Returns the options for a file system that starts `start` bytes into the disk.
    fn options(&self, size: Option<u64>, start: u64) -> Options {
        // Only boot code uses the hidden sectors, and none of it reaches beyond what 32 bits can
        // count.
        let hidden_sectors = u32::try_from(start / u64::from(self.sector_size)).unwrap_or(0);
        Options {
            size,
            sector_size: self.sector_size,
            hidden_sectors,
            volume_id: seed::fat_volume_id(self.uuid),
            label: self.label.clone(),
            epoch: self.epoch,
            variant: self.variant,
        }
    }

    fn plan_with(&self, size: Option<u64>, start: u64) -> Result<PlannedFs> {
        let Plan { layout, used, variant, warnings } =
            plan(&self.tree, &self.options(size, start))?;
        // As it is stored.
        let label = self.label.as_ref().map_or_else(String::new, |it| it.to_ascii_uppercase());
        let file_system = FileSystem {
            variant: Some(variant.to_string()),
            used: Some(used),
            id: Vfat::default().id(self.uuid),
            ..FileSystem::new("vfat", self.uuid, label, layout.size())
        };
        Ok(PlannedFs { layout, file_system, warnings })
    }
}

impl PreparedFs for Prepared {
    fn plan(&self, size: u64, start: u64) -> Result<PlannedFs> {
        self.plan_with(Some(size), start)
    }

    /// Without headroom, the size is exact. With a headroom, it is a multiple of 1 MiB.
    fn plan_smallest(&self, headroom: Option<Headroom>) -> Result<PlannedFs> {
        let Some(headroom) = headroom else { return self.plan_with(None, 0) };
        let content = self.minimal_size()?;
        let size = content.saturating_add(headroom.bytes(content));
        self.plan_with(Some(round_up(size, MIB)), 0)
    }

    fn minimal_size(&self) -> Result<u64> {
        minimal_size(&self.tree, &self.options(None, 0))
    }

    fn smallest_size(&self) -> Result<u64> {
        self.minimal_size()
    }

    /// An update writes new files before it removes old ones.
    fn roomy_size(&self) -> Result<u64> {
        let content = self.minimal_size()?;
        Ok(round_up(content + content / 2, UNIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{HoleScan, Metadata, TreeBuilder};

    fn prepared() -> Box<dyn PreparedFs> {
        let tree = Arc::new(TreeBuilder::new(Metadata::default()).unwrap().finish().unwrap());
        let uuid = "877a9082-e0a0-4e11-b7cd-6af00e1b357b".parse().unwrap();
        Vfat::default().prepare(FsInputs::new(tree, HoleScan::default(), uuid)).unwrap()
    }

    /// Tests a FAT that is preceded by more sectors than its boot sector can count.
    #[test]
    fn a_fat_can_start_anywhere_on_a_disk() {
        let plan = prepared().plan(40 << 20, 3 << 40).unwrap();
        assert_eq!(plan.file_system.size, 40 << 20);
    }

    /// The id is the one that systemd-repart and blkid show for the file system of a first ESP.
    #[test]
    fn the_id_is_shown_as_blkid_shows_it() {
        let plan = prepared().plan_smallest(None).unwrap();
        assert_eq!(plan.file_system.id.as_deref(), Some("877A-9082"));
    }
}
