//! The root file system of a disk, in any of the supported formats.

use std::sync::Arc;

use uuid::Uuid;

use super::btrfs::{Btrfs, PreparedBtrfs};
use super::codecs::Codecs;
use super::file_system::{Ext4, PlannedFs};
use super::swap::{self, Swapfile};
use crate::btrfs::PrepassOptions;
use crate::error::Result;
use crate::size::Headroom;
use crate::time::Timestamp;
use crate::tree::{HoleScan, Tree};

/// Format and options of the root file system.
#[derive(Debug, Clone)]
pub enum RootFs {
    /// An ext4 file system.
    Ext4(Ext4),
    /// A btrfs file system.
    Btrfs(Btrfs),
}

impl Default for RootFs {
    fn default() -> Self {
        Self::Ext4(Ext4::default())
    }
}

/// A root file system that is ready to be planned for a size.
pub(crate) enum Planner {
    Ext4 { ext4: Ext4, tree: Arc<Tree>, scan: HoleScan, uuid: Uuid, epoch: Timestamp },
    Btrfs(PreparedBtrfs),
}

impl RootFs {
    /// Returns the requested label, if any.
    pub(crate) fn label(&self) -> Option<&String> {
        match self {
            Self::Ext4(ext4) => ext4.label.as_ref(),
            Self::Btrfs(btrfs) => btrfs.label.as_ref(),
        }
    }

    /// Returns the requested headroom, if any.
    pub(crate) fn headroom(&self) -> Option<Headroom> {
        match self {
            Self::Ext4(ext4) => ext4.headroom,
            Self::Btrfs(btrfs) => btrfs.headroom,
        }
    }

    /// Returns the requested swap file, if any.
    pub(crate) fn swapfile(&self) -> Option<&Swapfile> {
        match self {
            Self::Ext4(ext4) => ext4.swapfile.as_ref(),
            Self::Btrfs(btrfs) => btrfs.swapfile.as_ref(),
        }
    }

    /// Does all the work that does not depend on the size.
    pub(crate) fn prepare(
        &self,
        tree: Arc<Tree>,
        scan: HoleScan,
        uuid: Uuid,
        label: String,
        epoch: Timestamp,
        reading: &PrepassOptions<'_>,
    ) -> Result<Planner> {
        let label = Some(label);
        match self {
            Self::Ext4(ext4) => {
                let ext4 = Ext4 { label, ..ext4.clone() };
                let swapfile = ext4.swapfile.as_ref();
                let (tree, scan) = swap::added(swapfile, tree, scan, uuid, epoch)?;
                Ok(Planner::Ext4 { ext4, tree, scan, uuid, epoch })
            }
            Self::Btrfs(btrfs) => {
                let btrfs = Btrfs { label, ..btrfs.clone() };
                btrfs.prepare(&tree, scan, uuid, epoch, reading).map(Planner::Btrfs)
            }
        }
    }
}

impl Planner {
    /// Plans the file system with the given size, or with the smallest that leaves the headroom.
    pub(crate) fn plan(&self, size: Option<u64>, headroom: Option<Headroom>) -> Result<PlannedFs> {
        match self {
            Self::Ext4 { ext4, tree, scan, uuid, epoch } => {
                let ext4 = Ext4 { headroom, ..ext4.clone() };
                ext4.plan(tree, scan, *uuid, *epoch, size)
            }
            Self::Btrfs(prepared) => prepared.plan(size, headroom),
        }
    }

    /// Returns the smallest possible size in bytes.
    pub(crate) fn minimal_size(&self) -> Result<u64> {
        match self {
            Self::Ext4 { ext4, tree, scan, epoch, .. } => ext4.minimal_size(tree, scan, *epoch),
            Self::Btrfs(prepared) => {
                Ok(prepared.plan(None, Some(Headroom::Bytes(0)))?.file_system.size)
            }
        }
    }

    /// Returns the programs that compressed content, with their versions.
    pub(crate) fn codecs(&self) -> Codecs {
        match self {
            Self::Ext4 { .. } => Codecs::new(),
            Self::Btrfs(prepared) => prepared.codecs(),
        }
    }
}
