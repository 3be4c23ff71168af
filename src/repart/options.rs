//! Options of a run, apart from the definitions.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use super::el_torito;
use crate::gpt::{PartitionType, SectorSize};
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::tree::{HardLinks, Tree};
#[cfg(feature = "verity-sign")]
use crate::verity::signature;

/// How to treat an image depending on what it contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Empty {
    /// The image must have a GPT.
    #[default]
    Refuse,
    /// A GPT is kept; an image without a partition table gets a GPT.
    Allow,
    /// The image must not have a partition table of any kind.
    Require,
    /// A new GPT is created, whatever the image contains.
    Force,
    /// The image file must not exist.
    Create,
}

/// The requested size of the image. An image is never shrunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Size {
    /// The current size.
    #[default]
    Keep,
    /// At least this many bytes, rounded up to a multiple of 4096.
    Bytes(u64),
    /// As large as the partitions need.
    Auto,
}

/// Filter that selects definitions by partition type.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Filter {
    /// All definitions.
    #[default]
    All,
    /// Only definitions with one of these types.
    Include(Vec<PartitionType>),
    /// All definitions except those with one of these types.
    Exclude(Vec<PartitionType>),
}

impl Filter {
    /// Returns whether the filter selects partitions of this type.
    #[must_use]
    pub fn takes(&self, partition_type: PartitionType) -> bool {
        let among = |types: &[PartitionType]| is_among(types, partition_type);
        match self {
            Self::All => true,
            Self::Include(types) => among(types),
            Self::Exclude(types) => !among(types),
        }
    }
}

/// Returns whether `types` contains a type with the GUID of `partition_type`.
fn is_among(types: &[PartitionType], partition_type: PartitionType) -> bool {
    types.iter().any(|one| one.guid() == partition_type.guid())
}

/// Partitions that get space allocated, but neither content nor an entry in the table.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Deferred {
    /// Partitions with one of these types.
    pub types: Vec<PartitionType>,
    /// Partitions with `Format=empty`.
    pub empty: bool,
    /// Partitions with `FactoryReset=yes`.
    pub factory_reset: bool,
}

impl Deferred {
    pub(super) fn takes(&self, definition: &super::Definition) -> bool {
        is_among(&self.types, definition.partition.partition_type)
            || self.empty && matches!(definition.format, Some(super::PartitionFormat::Empty))
            || self.factory_reset && definition.factory_reset
    }
}

/// A file that is generated in the tree that files are copied from.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The path in that tree.
    pub path: PathBuf,
    /// What to do if the file exists.
    pub append: Append,
}

/// How to create or extend an image.
#[derive(Debug)]
#[non_exhaustive]
pub struct Options {
    /// The image: a file or block device. `None` to only compute the size that it would have.
    pub image: Option<PathBuf>,
    /// How to treat the image depending on what it contains.
    pub empty: Empty,
    /// Whether to leave the image as it is, except for its size and the backup table at its end.
    pub dry_run: bool,
    /// The requested size of the image.
    pub size: Size,
    /// Seed for all UUIDs; `None` to derive the seed from the content.
    pub seed: Option<Seed>,
    /// The root that `CopyBlocks=` is resolved in; `None` for the root of the host.
    pub root: Option<PathBuf>,
    /// The root that `CopyFiles=` is resolved in; `None` for the root of `CopyBlocks=`.
    pub copy_source: Option<PathBuf>,
    /// The tree of that root after changes, such as [normalization](crate::normalize): its files
    /// are copied instead of those of the root.
    pub tree: Option<Tree>,
    /// Whether a new image may replace an existing file.
    pub replace: bool,
    /// Sector size of the disk and of file systems, in bytes; `None` for the sector size of the
    /// image.
    pub sector_size: Option<SectorSize>,
    /// Alignment of partitions, in bytes: a power of two, at least 512; `None` for 4096 or the
    /// sector size, whichever is larger.
    pub grain: Option<u64>,
    /// Partitions that are deferred to another run.
    pub deferred: Deferred,
    /// Whether to write a separate file for each partition.
    pub split: bool,
    /// Key and certificate that root hashes are signed with.
    #[cfg(feature = "verity-sign")]
    pub signer: Option<(signature::PrivateKey, signature::Certificate)>,
    /// Existing signatures of root hashes.
    #[cfg(feature = "verity-sign")]
    pub joined: Vec<signature::Signature>,
    /// The fstab to generate.
    pub fstab: Option<Generated>,
    /// The path of the crypttab to generate.
    pub crypttab: Option<PathBuf>,
    /// The boot catalog to write.
    pub el_torito: Option<el_torito::ElTorito>,
    /// Upper limit for the timestamps of copied files, and the timestamp of everything that is
    /// created; `None` for the newest timestamp among the copied files.
    pub epoch: Option<Timestamp>,
    /// Whether zeros in new partitions are discarded, so that they take no space.
    pub discard: bool,
    /// Whether the image is synced to the disk, the contents before the table.
    pub sync: bool,
    /// What becomes of copied inodes with several names.
    pub hard_links: HardLinks,
    /// Whether all hard links of an excluded file are excluded.
    pub excludes_by_inode: bool,
    /// Whether FAT leaves out all symlinks, pipes, sockets and devices, and not only symlinks to
    /// files that are in the partition.
    pub vfat_leaves_out: bool,
    /// Number of worker threads. The image does not depend on it.
    pub threads: NonZero<usize>,
    /// Directory for compressed data until it is written. The image does not depend on it.
    pub spool: PathBuf,
}

impl Options {
    /// Returns the options for a new image with the content of `tree`, as large as its partitions
    /// need.
    #[must_use]
    pub fn new(image: PathBuf, tree: PathBuf) -> Self {
        Self {
            image: Some(image),
            empty: Empty::Create,
            dry_run: false,
            size: Size::Auto,
            seed: None,
            root: Some(tree),
            copy_source: None,
            tree: None,
            replace: false,
            sector_size: None,
            grain: None,
            deferred: Deferred::default(),
            split: false,
            #[cfg(feature = "verity-sign")]
            signer: None,
            #[cfg(feature = "verity-sign")]
            joined: Vec::new(),
            fstab: None,
            crypttab: None,
            el_torito: None,
            epoch: None,
            discard: true,
            sync: true,
            hard_links: HardLinks::default(),
            excludes_by_inode: false,
            vfat_leaves_out: false,
            threads: NonZero::<usize>::MIN,
            spool: "/var/tmp".into(),
        }
    }

    /// Returns the root that files are copied from.
    pub(super) fn copy_source(&self) -> &Path {
        let source = self.copy_source.as_ref().or(self.root.as_ref());
        source.map_or(Path::new("/"), PathBuf::as_path)
    }
}

/// What to do with an existing fstab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Append {
    /// The file must not exist.
    #[default]
    No,
    /// The section that systemd-repart generated is replaced, all other lines are kept.
    Auto,
    /// The whole file is replaced.
    Replace,
}
