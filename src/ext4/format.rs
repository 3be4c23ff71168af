//! ext4 as a format of file systems.

use std::sync::Arc;

use super::geometry::GeometryParams;
use super::{Options, Plan, Profile, minimal_size, plan};
use crate::error::{Error, Result};
use crate::format::{
    FileSystem, Format, FsInputs, Holds, Parameters, PartitionSettings, PlannedFs, PreparedFs,
    SizeLimits, empty_size, truncate,
};
use crate::size::{Headroom, MIB, exact, typed};
use crate::tree::{HoleScan, Tree};

/// The ext4 format for [`image`](crate::image) and [`single`](crate::single); its fields are the
/// options of a file system.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ext4 {
    /// Features and policies.
    pub profile: Profile,
    /// Block size: 1024, 2048 or 4096 bytes.
    pub block_size: u32,
    /// Size in bytes that the file system should be able to grow to. `None` for 1024 times its own
    /// size.
    pub grow_to: Option<u64>,
    /// Number of inodes. `None` for the inodes of the tree and the headroom's share, but at least
    /// one per 16 KiB.
    pub inodes: Option<u64>,
}

impl Default for Ext4 {
    fn default() -> Self {
        Self { profile: Profile::default(), block_size: 4096, grow_to: None, inodes: None }
    }
}

/// An ext4 file system without its size.
struct Prepared {
    tree: Arc<Tree>,
    scan: HoleScan,
    /// Options for any size.
    options: Options,
    label: String,
}

impl Format for Ext4 {
    fn name(&self) -> &'static str {
        "ext4"
    }

    fn layout_version(&self) -> u32 {
        1
    }

    fn limits(&self, sector_size: u32) -> Result<SizeLimits> {
        let min = empty_size(self, sector_size)?;
        let multiple = self.block_size.into();
        Ok(SizeLimits { min, max: GeometryParams::size_max(multiple), multiple })
    }

    fn partition_min(&self, _is_boot: bool, _sector_size: u32) -> Option<u64> {
        Some(32 * MIB)
    }

    fn holds(&self) -> Holds {
        Holds::UNIX | Holds::HOLES | Holds::SWAPFILES
    }

    fn parameters(&self) -> Parameters {
        let parameters = Parameters::new().with("grow_to", self.grow_to);
        let parameters = match self.inodes {
            Some(inodes) => parameters.with("inodes", inodes),
            None => parameters,
        };
        parameters
            .with("ext4_profile", self.profile.name())
            .with("ext4_block_size", self.block_size)
    }

    fn for_partition(&self, settings: &PartitionSettings<'_>) -> Result<Arc<dyn Format>> {
        let profile = if settings.is_protected { Profile::Ro } else { self.profile };
        Ok(Arc::new(Self { profile, ..self.clone() }))
    }

    fn label_for(&self, partition: &str) -> Option<String> {
        Some(truncate(partition, 16).to_owned())
    }

    fn prepare(&self, inputs: FsInputs<'_>) -> Result<Box<dyn PreparedFs>> {
        let FsInputs { tree, scan, uuid, label, epoch, .. } = inputs;
        let label = label.unwrap_or_default();
        let options = Options {
            uuid,
            // The same hash seed that systemd-repart passes to mke2fs.
            hash_seed: uuid,
            label: label.clone().into_bytes(),
            epoch,
            block_size: self.block_size,
            profile: self.profile,
            size: None,
            headroom: None,
            multiple: MIB,
            grow_to: self.grow_to,
            inodes: self.inodes,
        };
        Ok(Box::new(Prepared { tree, scan, options, label }))
    }
}

impl Prepared {
    fn plan_with(&self, size: Option<u64>, headroom: Option<Headroom>) -> Result<PlannedFs> {
        let options = Options { size, headroom, ..self.options.clone() };
        let Plan { layout, used, warnings } = plan(&self.tree, &self.scan, &options)?;
        let size = layout.size();
        if let Some(to) = options.grow_to
            && to < size
        {
            return Err(Error::parameter(
                "ext4.grow_to",
                format!("{} is less than the file system's own {}", exact(to), exact(size)),
                format!("use at least {}, or omit it", typed(size)),
            ));
        }
        let file_system = FileSystem {
            used: Some(used),
            ..FileSystem::new("ext4", options.uuid, self.label.clone(), size)
        };
        Ok(PlannedFs { layout, file_system, warnings })
    }
}

impl PreparedFs for Prepared {
    fn plan(&self, size: u64, _start: u64) -> Result<PlannedFs> {
        self.plan_with(Some(size), None)
    }

    fn plan_smallest(&self, headroom: Option<Headroom>) -> Result<PlannedFs> {
        self.plan_with(None, headroom)
    }

    fn minimal_size(&self) -> Result<u64> {
        minimal_size(&self.tree, &self.scan, &self.options)
    }
}
