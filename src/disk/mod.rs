//! Many layouts to one: partitions, their ids and their places.
//!
//! What a disk is made of is said with [`Definition`]s, [`identify`] gives each its ids, and
//! [`Disk::compose`] brings the planned contents together. [`image`] is the built-in set of
//! partitions, [`single`] a single file system without a partition table.

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

/// Partitions start and end at multiples of this many bytes.
pub const ALIGNMENT: u64 = crate::size::MIB;

/// An image that is planned.
#[derive(Debug)]
pub struct Plan {
    /// What byte goes where.
    pub layout: Layout,
    /// What the image is, in words.
    pub product: ImageKind,
    /// What all its ids and times come from.
    pub resolved: ResolvedInputs,
    /// What brought the tree into its canonical form.
    pub normalization: Report,
    /// What it was asked to be.
    pub parameters: Parameters,
    /// What was not taken over from the tree as it is.
    pub warnings: Vec<Warning>,
}

/// What an image is.
#[derive(Debug, Clone)]
pub enum ImageKind {
    /// A disk with partitions.
    Disk(Disk),
    /// A file system without a partition table.
    FileSystem(FileSystem),
}

impl Plan {
    /// Whether any partition of a disk is a FAT.
    #[must_use]
    pub fn has_fat(&self) -> bool {
        let ImageKind::Disk(disk) = &self.product else { return false };
        let mut file_systems = disk.partitions.iter().filter_map(|part| part.file_system.as_ref());
        file_systems.any(|file_system| file_system.format == Format::Vfat)
    }

    /// The ranges of the image, in bytes, whose hashes a [`Manifest`] tells: the whole image and
    /// then each partition.
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
