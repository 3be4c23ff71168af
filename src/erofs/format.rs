//! erofs as a format of file systems.

use std::sync::Arc;

use super::plan::SIZE_MAX;
use super::spec::BLOCK;
use super::{Options, Plan, Profile, plan};
use crate::error::{Error, Result};
use crate::format::{
    FileSystem, Format, FsInputs, Holds, Parameters, PartitionSettings, PlannedFs, PreparedFs,
    SizeLimits, empty_size, truncate,
};
use crate::size::Headroom;
use crate::tree::{HoleScan, Tree};

/// The erofs format for [`image`](crate::image) and [`single`](crate::single); its fields are the
/// options of a file system.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Erofs {
    /// Kernels that can read the file system.
    pub profile: Profile,
}

/// An erofs without its size.
struct Prepared {
    tree: Arc<Tree>,
    scan: HoleScan,
    /// Options for any size.
    options: Options,
    label: String,
}

impl Format for Erofs {
    fn name(&self) -> &'static str {
        "erofs"
    }

    fn layout_version(&self) -> u32 {
        1
    }

    fn limits(&self, sector_size: u32) -> Result<SizeLimits> {
        let min = empty_size(self, sector_size)?;
        Ok(SizeLimits { min, max: SIZE_MAX, multiple: BLOCK })
    }

    fn holds(&self) -> Holds {
        match self.profile.chunks() {
            true => Holds::UNIX | Holds::HOLES,
            false => Holds::UNIX,
        }
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn parameters(&self) -> Parameters {
        Parameters::new().with("erofs_profile", self.profile.name())
    }

    fn for_partition(&self, settings: &PartitionSettings<'_>) -> Result<Arc<dyn Format>> {
        if let Some(compression) = settings.compression {
            let rule = format!("erofs has no compression `{compression}`");
            return Err(Error::parameter("erofs.compression", rule, "omit it"));
        }
        Ok(Arc::new(self.clone()))
    }

    fn label_for(&self, partition: &str) -> Option<String> {
        Some(truncate(partition, self.profile.label_max()).to_owned())
    }

    fn prepare(&self, inputs: FsInputs<'_>) -> Result<Box<dyn PreparedFs>> {
        let FsInputs { tree, scan, uuid, label, epoch, .. } = inputs;
        let label = label.unwrap_or_default();
        let profile = self.profile;
        let options =
            Options { uuid, label: label.clone().into_bytes(), epoch, profile, size: None };
        Ok(Box::new(Prepared { tree, scan, options, label }))
    }
}

impl Prepared {
    fn plan_with(&self, size: Option<u64>) -> Result<PlannedFs> {
        let options = Options { size, ..self.options.clone() };
        let Plan { layout, used, warnings } = plan(&self.tree, &self.scan, &options)?;
        let file_system = FileSystem {
            used: Some(used),
            ..FileSystem::new("erofs", options.uuid, self.label.clone(), layout.size())
        };
        Ok(PlannedFs { layout, file_system, warnings })
    }
}

impl PreparedFs for Prepared {
    fn plan(&self, size: u64, _start: u64) -> Result<PlannedFs> {
        self.plan_with(Some(size))
    }

    /// A headroom is refused, because nothing can be written to the file system.
    fn plan_smallest(&self, headroom: Option<Headroom>) -> Result<PlannedFs> {
        match headroom {
            None | Some(Headroom::Bytes(0) | Headroom::Percent(0)) => self.plan_with(None),
            Some(_) => Err(Error::parameter(
                "headroom",
                "erofs is read-only, so free space has no use",
                "omit it",
            )),
        }
    }
}
