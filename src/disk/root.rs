//! The root file system of a disk, of one format or another.

use std::sync::Arc;

use uuid::Uuid;

use super::btrfs::{Btrfs, PreparedBtrfs};
use super::file_system::{Ext4, PlannedFs};
use super::manifest::Codecs;
use super::swap::{self, Swapfile};
use crate::btrfs::PrepassOptions;
use crate::error::Result;
use crate::size::Headroom;
use crate::time::Timestamp;
use crate::tree::{HoleScan, Tree};

/// How to make the root file system.
#[derive(Debug, Clone)]
pub enum RootFs {
    /// As ext4.
    Ext4(Ext4),
    /// As btrfs.
    Btrfs(Btrfs),
}

impl Default for RootFs {
    fn default() -> Self {
        Self::Ext4(Ext4::default())
    }
}

/// A root file system of which all is known but its size.
pub(crate) enum Planner {
    Ext4 { ext4: Ext4, tree: Arc<Tree>, scan: HoleScan, uuid: Uuid, epoch: Timestamp },
    Btrfs(PreparedBtrfs),
}

impl RootFs {
    /// The label, if one is asked for.
    pub(crate) fn label(&self) -> Option<&String> {
        match self {
            Self::Ext4(ext4) => ext4.label.as_ref(),
            Self::Btrfs(btrfs) => btrfs.label.as_ref(),
        }
    }

    /// The headroom, if one is asked for.
    pub(crate) fn headroom(&self) -> Option<Headroom> {
        match self {
            Self::Ext4(ext4) => ext4.headroom,
            Self::Btrfs(btrfs) => btrfs.headroom,
        }
    }

    /// The swap file, if one is asked for.
    pub(crate) fn swapfile(&self) -> Option<&Swapfile> {
        match self {
            Self::Ext4(ext4) => ext4.swapfile.as_ref(),
            Self::Btrfs(btrfs) => btrfs.swapfile.as_ref(),
        }
    }

    /// Does what has to be done before sizes are tried, with this label.
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
    /// Plans it with this size, or with the smallest that leaves the headroom.
    pub(crate) fn plan(&self, size: Option<u64>, headroom: Option<Headroom>) -> Result<PlannedFs> {
        match self {
            Self::Ext4 { ext4, tree, scan, uuid, epoch } => {
                let ext4 = Ext4 { headroom, ..ext4.clone() };
                ext4.plan(tree, scan, *uuid, *epoch, size)
            }
            Self::Btrfs(prepared) => prepared.plan(size, headroom),
        }
    }

    /// Returns the smallest size in bytes that can be given.
    pub(crate) fn minimal_size(&self) -> Result<u64> {
        match self {
            Self::Ext4 { ext4, tree, scan, epoch, .. } => ext4.minimal_size(tree, scan, *epoch),
            Self::Btrfs(prepared) => {
                Ok(prepared.plan(None, Some(Headroom::Bytes(0)))?.file_system.size)
            }
        }
    }

    /// The programs that compressed content, with their versions.
    pub(crate) fn codecs(&self) -> Codecs {
        match self {
            Self::Ext4 { .. } => Codecs::new(),
            Self::Btrfs(prepared) => prepared.codecs(),
        }
    }
}
