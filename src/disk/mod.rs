//! Disk images: partitions, their ids and their places.
//!
//! [`Definition`]s describe the partitions of a disk, [`identify`] assigns their ids, and
//! [`Disk::compose`] combines the planned contents into one layout. [`image`] is the built-in set
//! of partitions, and [`single`] a file system without a partition table.

mod architecture;
mod boot;
pub(crate) mod btrfs;
mod codecs;
mod definition;
mod esp;
pub(crate) mod file_system;
pub mod image;
mod image_options;
pub mod manifest;
mod parameters;
mod partition;
pub mod place;
mod plan;
pub(crate) mod root;
pub mod single;
mod single_options;
pub(crate) mod source;
mod subtree;
mod subvolume;
pub(crate) mod swap;

pub use btrfs::{Btrfs, PathFilter};
pub use definition::{Definition, SizePolicy, WEIGHT_MAX};
pub use file_system::{Ext4, FileSystem, Format, Vfat};
pub use manifest::{LAYOUT_VERSION, Manifest};
pub use parameters::Parameters;
pub use partition::{ALIGNMENT, Disk, Identity, Partition, identify};
pub use plan::{ImageKind, Plan};
pub use root::RootFs;
pub use source::{BuildInput, EPOCHS, ResolvedInputs, ValueOrigin};
pub use subvolume::Subvolume;
pub use swap::Swapfile;
