//! FAT12, FAT16 and FAT32: from a tree to a whole volume, every cluster decided before a byte is
//! written.
//!
//! Volumes follow Microsoft's specification and what UEFI firmware, Linux, GRUB, U-Boot, mtools
//! and dosfstools take of it. The same tree and options give the same bytes:
//!
//! - Entries stand in the order of the tree, which is that of the bytes of their names; short names
//!   are numbered in that order. A name that is short already but for its case has no long one if
//!   the flags of Windows NT can tell the case.
//! - Chains are contiguous, in pre-order; a hard-linked file is there once for each name.
//! - Times are those of the tree in UTC: modification to 2 s, creation to 10 ms, access to a day.
//!   `.` has the time of its directory and `..` that of the one above.
//! - The boot sector and FSInfo are exact: no sector of the volume is left out, no count is a hint.

mod boot;
mod directory_plan;
mod geometry;
mod label;
mod links;
mod names;
mod plan;
mod spec;
mod table;
mod time;
mod variant_selection;
mod warnings;

use std::fmt;
use std::sync::Arc;

pub(crate) use links::LeaveOut;

use boot::Identity;
use directory_plan::DirectoryPlan;
use plan::{Label, Placement};
use variant_selection::VariantSelection;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::report::Warning;
use crate::time::Timestamp;
use crate::tree::Tree;

/// The width of the entries of the file allocation table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// 12 bits: 1 to 4068 clusters here.
    Fat12,
    /// 16 bits: 4101 to 65,508 clusters here.
    Fat16,
    /// 32 bits, 28 of them used: at least 65,541 clusters here.
    Fat32,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fat12 => "FAT12",
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
        })
    }
}

/// The parameter that errors name for [`Options::size`].
pub(crate) const SIZE: &str = "FAT size";

/// How to make a FAT file system.
#[derive(Debug, Clone)]
pub struct Options {
    /// The size in bytes, a multiple of 4096; `None` for the smallest that holds the tree.
    pub size: Option<u64>,
    /// 512, 1024, 2048 or 4096 bytes: the logical sector of the disk.
    pub sector_size: u32,
    /// The start of the volume on its disk in sectors; 0 for a volume without a disk.
    pub hidden_sectors: u32,
    /// The volume id.
    pub volume_id: u32,
    /// The label: 1 to 11 ASCII characters, stored in upper case.
    pub label: Option<String>,
    /// The time of the label.
    pub epoch: Timestamp,
    /// The variant; `None` for FAT32 if the volume is large enough for it, else FAT16, else FAT12.
    pub variant: Option<Variant>,
}

/// A FAT file system that is planned.
#[derive(Debug)]
pub struct Plan {
    /// What byte goes where.
    pub layout: Layout,
    /// The variant that it is.
    pub variant: Variant,
    /// What was not taken over from the tree as it is.
    pub warnings: Vec<Warning>,
}

/// Plans a FAT file system that holds a tree.
///
/// # Errors
/// [`Error::Unrepresentable`] names the first path that FAT can't hold, [`Error::TooSmall`] the
/// shortfall in clusters and bytes, [`Error::Parameter`] an option out of range.
pub fn plan(tree: &Arc<Tree>, options: &Options) -> Result<Plan> {
    if options.epoch.nanoseconds >= 1_000_000_000 {
        return Err(Error::parameter(
            "--source-date-epoch",
            "the nanoseconds are not below 10^9",
            "give a whole time stamp",
        ));
    }
    let sector_size = sector_size(options)?;
    let label = options.label.as_deref().map(label::encode).transpose()?;
    let directory_plan = DirectoryPlan::new(tree, label.is_some())?;
    let selection = VariantSelection {
        tree,
        directory_plan: &directory_plan,
        sector_size,
        variant: options.variant,
    };
    let size = options.size.map_or_else(|| selection.minimal(), Ok)?;
    let geometry = selection.at(size)?;
    let placement = Placement::new(tree, &directory_plan, &geometry);

    let mut layout = Layout::new(size);
    let &Options { hidden_sectors, volume_id, epoch, .. } = options;
    let identity = Identity { hidden_sectors, volume_id, label };
    for (offset, sector) in boot::sectors(&geometry, &identity, placement.used) {
        layout.push_bytes(offset, sector);
    }
    placement.place_tables(&mut layout);
    let number = layout.add_tree(Arc::clone(tree));
    let label = label.map(|bytes| Label { bytes, time: epoch });
    placement.place_tree(&mut layout, number, label.as_ref());
    let cluster_size = geometry.shape.cluster_size;
    let warnings = warnings::collect(tree, cluster_size);
    Ok(Plan { layout, variant: geometry.shape.variant, warnings })
}

/// The smallest size in bytes that [`plan`] takes for a tree, whatever size the options say; every
/// larger multiple of 4096 bytes of the same variant is taken too.
///
/// # Errors
/// Those of [`plan`], and [`Error::Unrepresentable`] if no size would do.
pub fn minimal_size(tree: &Tree, options: &Options) -> Result<u64> {
    let sector_size = sector_size(options)?;
    let label = options.label.as_deref().map(label::encode).transpose()?;
    let directory_plan = DirectoryPlan::new(tree, label.is_some())?;
    VariantSelection {
        tree,
        directory_plan: &directory_plan,
        sector_size,
        variant: options.variant,
    }
    .minimal()
}

fn sector_size(options: &Options) -> Result<u64> {
    match options.sector_size {
        size @ (512 | 1024 | 2048 | 4096) => Ok(u64::from(size)),
        size => Err(Error::parameter(
            "FAT sector size",
            format!("{size} bytes are no sector"),
            "give 512, 1024, 2048 or 4096",
        )),
    }
}
