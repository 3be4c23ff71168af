//! Sizes of file systems.

use std::sync::Arc;

use uuid::Uuid;

use super::{Format, FsInputs};
use crate::error::Result;
use crate::tree::{HoleScan, Metadata, TreeBuilder};

/// Sizes that a file system of a format can have, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimits {
    /// Smallest size, that of an empty file system.
    pub min: u64,
    /// Upper bound of all sizes.
    pub max: u64,
    /// Unit of the sizes.
    pub multiple: u64,
}

/// Returns the size of the smallest file system of a format, in bytes: one without any file.
pub(crate) fn empty_size(format: &dyn Format, sector_size: u32) -> Result<u64> {
    let tree = Arc::new(TreeBuilder::new(Metadata::default())?.finish()?);
    let inputs = FsInputs::new(tree, HoleScan::default(), Uuid::nil());
    format.prepare(FsInputs { sector_size, ..inputs })?.minimal_size()
}
