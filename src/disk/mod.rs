//! Disk images: partitions, their ids and their places.
//!
//! [`Definition`]s describe the partitions of a disk, [`identify`] assigns their ids, and
//! [`Disk::compose`] combines the planned contents into one layout. [`image`] is the built-in set
//! of partitions, and [`single`] a file system without a partition table.

mod architecture;
pub(crate) mod assembly;
mod blocks;
mod boot;
mod boot_check;
mod boot_files;
mod boot_method;
pub(crate) mod content;
mod defaults;
mod definition;
mod esp;
pub mod image;
mod image_options;
mod layout_version;
pub mod manifest;
mod normalization;
mod parameters;
mod partition;
pub mod place;
mod plan;
mod request;
pub mod single;
mod single_options;
pub(crate) mod source;
mod subtree;
mod swap;
mod uefi;
mod uki_hook;
mod usr;
mod verity;

pub use blocks::Blocks;
pub use boot_check::{BootCheck, BootVerdict};
pub use definition::{Definition, SizePolicy, WEIGHT_MAX};
pub use layout_version::LayoutVersion;
pub use manifest::Manifest;
pub use partition::{ALIGNMENT, Disk, Identity, Partition, identify};
pub use plan::{ImageKind, Plan};
pub use request::{ImageRequest, Request};
pub use source::{BuildInput, EPOCHS, ResolvedInputs, Selection, ValueOrigin};
pub use swap::Swapfile;
pub use uki_hook::{BuiltUki, UkiContent, UkiHook, UkiInputs};
pub use verity::{RootHash, Verity, VerityTarget};
