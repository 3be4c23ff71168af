//! Disk images: partitions, their ids and their places.
//!
//! [`Definition`]s describe the partitions of a disk, [`identify`] assigns their ids, and
//! [`Disk::compose`] combines the planned contents into one layout. [`image`] is the built-in set
//! of partitions, and [`single`] a file system without a partition table.

mod architecture;
mod boot;
pub(crate) mod btrfs;
mod definition;
mod esp;
pub(crate) mod file_system;
pub mod image;
pub mod manifest;
mod partition;
pub mod place;
pub(crate) mod root;
pub mod single;
pub(crate) mod source;
pub(crate) mod swap;

use crate::layout::Layout;
use crate::normalize::Report;
use crate::report::Warning;

pub use btrfs::{Btrfs, PathFilter, Subvolume};
pub use definition::{Definition, SizePolicy, WEIGHT_MAX};
pub use file_system::{Ext4, FileSystem, Format, Vfat};
use manifest::Parameters;
pub use manifest::{LAYOUT_VERSION, Manifest};
pub use partition::{Disk, Identity, Partition, identify};
pub use root::RootFs;
pub use source::{BuildInput, EPOCHS, ResolvedInputs, ValueOrigin};
pub use swap::Swapfile;

/// Alignment of partitions, in bytes.
pub const ALIGNMENT: u64 = crate::size::MIB;

/// A planned image.
#[derive(Debug)]
pub struct Plan {
    /// Layout of the image's bytes.
    pub layout: Layout,
    /// Description of the image.
    pub product: ImageKind,
    /// Values that the ids and times of the image are derived from.
    pub resolved: ResolvedInputs,
    /// Normalization rules that fired.
    pub normalization: Report,
    /// Requested parameters.
    pub parameters: Parameters,
    /// Warnings about parts of the tree that were changed or left out.
    pub warnings: Vec<Warning>,
}

/// Kind of an image.
#[derive(Debug, Clone)]
pub enum ImageKind {
    /// A disk with partitions.
    Disk(Disk),
    /// A file system without a partition table.
    FileSystem(FileSystem),
}

impl Plan {
    /// Returns whether any partition of a disk is a FAT.
    #[must_use]
    pub fn has_fat(&self) -> bool {
        let ImageKind::Disk(disk) = &self.product else { return false };
        let mut file_systems = disk.partitions.iter().filter_map(|part| part.file_system.as_ref());
        file_systems.any(|file_system| file_system.format == Format::Vfat)
    }

    /// Returns the ranges of the image, in bytes, whose hashes a [`Manifest`] lists: the whole
    /// image, then each partition.
    #[must_use]
    pub fn ranges(&self) -> Vec<std::ops::Range<u64>> {
        let partitions = match &self.product {
            ImageKind::Disk(disk) => &*disk.partitions,
            ImageKind::FileSystem(_) => &[],
        };
        let parts = partitions.iter().map(|part| part.start..part.start + part.size);
        std::iter::once(0..self.layout.size()).chain(parts).collect()
    }
}
