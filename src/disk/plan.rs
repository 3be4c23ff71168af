//! Planned images.

use std::iter::once;
use std::ops::Range;

use super::boot_check::{BootCheck, BootVerdict};
use super::partition::Disk;
use super::request::Request;
use super::source::ResolvedInputs;
use super::uki_hook::BuiltUki;
use super::verity::RootHash;
use crate::error::{Error, Result};
use crate::format::{CodecVersions, FileSystem};
use crate::layout::Layout;
use crate::report::{Report, Warning};

/// A planned image.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plan {
    /// Layout of the image's bytes.
    pub layout: Layout,
    /// Description of the image.
    pub product: ImageKind,
    /// Everything that was asked of the image.
    pub request: Request,
    /// Values that the ids and times of the image are derived from.
    pub resolved: ResolvedInputs,
    /// Normalization rules that fired.
    pub normalization: Report,
    /// Programs that compressed content, with their versions: other versions produce other bytes.
    /// Empty if nothing was to be compressed.
    pub codecs: CodecVersions,
    /// Root hash of the root file system or of `/usr`, if it is protected.
    pub root_hash: Option<RootHash>,
    /// Unified kernel image that a hook has built.
    pub uki: Option<BuiltUki>,
    /// Whether the disk boots. `None` for a file system without a partition table.
    pub boot: Option<BootCheck>,
    /// Warnings about parts of the tree that were changed or left out, and about what may keep the
    /// disk from booting.
    pub warnings: Vec<Warning>,
}

/// Content of an image: a disk with partitions, or one file system.
#[derive(Debug, Clone)]
#[non_exhaustive]
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
        file_systems.any(|file_system| file_system.format == "vfat")
    }

    /// Returns an error if the disk does not boot.
    ///
    /// # Errors
    /// [`Error::Unbootable`] with the reason of the [check](Self::boot). A file system without a
    /// partition table does not boot.
    pub fn require_bootable(&self) -> Result<()> {
        let reason = match &self.boot {
            Some(BootCheck { verdict: BootVerdict::Uefi(_), .. }) => return Ok(()),
            Some(BootCheck { verdict: BootVerdict::No(reason), .. }) => reason.clone(),
            None => "there is no partition table".to_owned(),
        };
        let remedy = "add what is missing to the tree, for example with `boot.method`".to_owned();
        Err(Error::Unbootable { reason, remedy })
    }

    /// Returns the ranges of the image, in bytes, whose hashes a [`Manifest`](super::Manifest)
    /// lists: the whole image, then each partition.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let partitions = match &self.product {
            ImageKind::Disk(disk) => &*disk.partitions,
            ImageKind::FileSystem(_) => &[],
        };
        let parts = partitions.iter().map(|part| part.start..part.start + part.size);
        once(0..self.layout.size()).chain(parts).collect()
    }
}
