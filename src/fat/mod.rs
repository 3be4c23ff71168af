//! FAT12, FAT16 and FAT32: plans a complete volume for a tree, with every cluster fixed before any
//! byte is written.
//!
//! Volumes follow Microsoft's specification, to the extent that UEFI firmware, Linux, GRUB, U-Boot,
//! mtools and dosfstools support it. The same tree and options give the same bytes:
//!
//! - Entries are in tree order, which sorts by the bytes of their names; short names are numbered
//!   in that order. A name that is a valid short name except for its case has no long name if the
//!   flags of Windows NT can represent the case.
//! - Chains are contiguous, in pre-order. A hard-linked file is stored once for each name.
//! - Times are those of the tree, in UTC: modification to 2 s, creation to 10 ms, access to a day.
//!   `.` has the time of its directory, and `..` that of the parent.
//! - The boot sector and FSInfo are exact: they cover all sectors of the volume, and all counts are
//!   correct.

mod boot;
mod cluster_no;
mod directory_plan;
#[cfg(test)]
pub(crate) mod dump;
mod format;
mod geometry;
mod label;
mod links;
mod names;
mod plan;
mod spec;
mod table;
mod time;
mod variant;
mod variant_selection;
mod warnings;

use std::sync::Arc;

pub use format::Vfat;
pub use variant::Variant;

use boot::Identity;
use directory_plan::DirectoryPlan;
use plan::{Label, Placement};
use variant_selection::VariantSelection;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::report::Warning;
use crate::time::Timestamp;
use crate::tree::Tree;

/// Options of a FAT file system.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size in bytes, a multiple of 4096; `None` for the smallest that holds the tree.
    pub size: Option<u64>,
    /// Logical sector size of the disk: 512, 1024, 2048 or 4096 bytes.
    pub sector_size: u32,
    /// Start of the volume on its disk, in sectors; 0 for a volume without a disk.
    pub hidden_sectors: u32,
    /// Volume id.
    pub volume_id: u32,
    /// Label: 1 to 11 ASCII characters, stored in upper case.
    pub label: Option<String>,
    /// Timestamp of the label.
    pub epoch: Timestamp,
    /// Variant; `None` for FAT32 if the volume is large enough for it, else FAT16, else FAT12.
    pub variant: Option<Variant>,
}

/// A planned FAT file system.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The layout of the image.
    pub layout: Layout,
    /// Bytes that are in use, as `df` counts them.
    pub used: u64,
    /// The variant of the file system.
    pub variant: Variant,
    /// Properties of the tree that could not be stored as they are.
    pub warnings: Vec<Warning>,
}

/// Plans a FAT file system that contains a tree.
///
/// # Errors
/// [`Error::Unrepresentable`] with the first path that FAT can't store, [`Error::TooSmall`] with
/// the shortfall in clusters and bytes, [`Error::Parameter`] for an option that is out of range.
pub fn plan(tree: &Arc<Tree>, options: &Options) -> Result<Plan> {
    if options.epoch.nanoseconds >= 1_000_000_000 {
        return Err(Error::parameter(
            "epoch",
            "nanoseconds are not below 10^9",
            "use a whole number of seconds",
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
    let cluster_size = geometry.params.cluster_size;
    let warnings = warnings::collect(tree, cluster_size);
    let used = placement.used * cluster_size;
    Ok(Plan { layout, used, variant: geometry.params.variant, warnings })
}

/// Returns the smallest size in bytes that [`plan`] accepts for a tree.
///
/// [`Options::size`] is ignored. Every larger multiple of 4096 bytes of the same variant is
/// accepted too.
///
/// # Errors
/// The errors of [`plan`], and [`Error::Unrepresentable`] if no size is large enough.
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
            "sector_size",
            format!("sector size {size} is not supported"),
            "use 512, 1024, 2048 or 4096",
        )),
    }
}
