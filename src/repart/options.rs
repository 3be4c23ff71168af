//! What is asked for beside the definitions.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use super::el_torito;
use super::fstab;
use crate::ext4::Profile;
use crate::gpt::{PartitionType, SectorSize};
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::verity::signature;

/// What to do with an image by what is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Empty {
    /// There has to be a GPT.
    #[default]
    Refuse,
    /// A GPT is kept; without any partition table there will be one.
    Allow,
    /// There may be no partition table of any kind.
    Require,
    /// There will be a new GPT, whatever is there.
    Force,
    /// There may be no such file.
    Create,
}

/// How large the image is to be. It is never made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Size {
    /// As it is.
    #[default]
    Keep,
    /// At least so many bytes, rounded up to 4096.
    Bytes(u64),
    /// As large as the partitions need.
    Auto,
}

/// Which definitions count, by type.
#[derive(Debug, Clone, Default)]
pub enum Filter {
    /// All.
    #[default]
    All,
    /// Only those of these types.
    Include(Vec<PartitionType>),
    /// All but those of these types.
    Exclude(Vec<PartitionType>),
}

impl Filter {
    /// Whether a partition of this type counts.
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

/// Whether a type is in a list, by its GUID.
fn is_among(types: &[PartitionType], partition_type: PartitionType) -> bool {
    types.iter().any(|one| one.guid() == partition_type.guid())
}

/// Which partitions get their room, but neither content nor an entry in the table.
#[derive(Debug, Clone, Default)]
pub struct Deferred {
    /// Those of these types.
    pub types: Vec<PartitionType>,
    /// Those with `Format=empty`.
    pub empty: bool,
    /// Those with `FactoryReset=yes`.
    pub factory_reset: bool,
}

impl Deferred {
    pub(super) fn takes(&self, definition: &super::Definition) -> bool {
        is_among(&self.types, definition.partition.partition_type)
            || self.empty && definition.format == Some(super::Format::Empty)
            || self.factory_reset && definition.factory_reset
    }
}

/// A file that is generated into the tree that files are copied from.
#[derive(Debug, Clone)]
pub struct Generated {
    /// Its path there.
    pub path: PathBuf,
    /// What to do if there is such a file.
    pub append: fstab::Append,
}

/// How to make or extend an image.
#[derive(Debug)]
pub struct Options {
    /// The image: a file or block device. `None` to learn the size that it would have.
    pub image: Option<PathBuf>,
    /// What to do with an image by what is on it.
    pub empty: Empty,
    /// Whether to leave the image as it is, but for its size and a backup table at its end.
    pub dry_run: bool,
    /// How large the image is to be.
    pub size: Size,
    /// What all ids are derived from; `None` to derive it from the content.
    pub seed: Option<Seed>,
    /// The root that `CopyBlocks=` is resolved in; `None` for that of the machine.
    pub root: Option<PathBuf>,
    /// The root that `CopyFiles=` is resolved in; `None` for that of `CopyBlocks=`.
    pub copy_source: Option<PathBuf>,
    /// Bytes in a sector, of the disk and of file systems; `None` for what is on the image.
    pub sector_size: Option<SectorSize>,
    /// What partitions are aligned to, in bytes: a power of two, at least 512; `None` for 4096 or a
    /// sector.
    pub grain: Option<u64>,
    /// Which partitions wait for another run.
    pub deferred: Deferred,
    /// Whether a file is written for each partition.
    pub split: bool,
    /// What root hashes are signed with.
    pub signer: Option<(signature::PrivateKey, signature::Certificate)>,
    /// Root hashes that are signed already.
    pub joined: Vec<signature::Signature>,
    /// An fstab to write.
    pub fstab: Option<Generated>,
    /// A crypttab to write.
    pub crypttab: Option<PathBuf>,
    /// A boot catalog to write.
    pub el_torito: Option<el_torito::ElTorito>,
    /// What ext4 file systems are made with.
    pub ext4: Profile,
    /// Bytes in a sector of FAT file systems, whatever else is said; `None` for what is.
    pub vfat_sector_size: Option<SectorSize>,
    /// The latest time of anything copied, and the time of all that is made; `None` for the newest
    /// of what is copied.
    pub epoch: Option<Timestamp>,
    /// Whether the room of new partitions that is zeros takes no space.
    pub discard: bool,
    /// Whether the image is written through to the disk, its contents before its table.
    pub sync: bool,
    /// Whether all hard links of an excluded file are excluded.
    pub excludes_by_inode: bool,
    /// Whether symlinks, pipes, sockets and devices are left out of FAT wherever they lead, and not
    /// only symlinks to what is in the partition.
    pub vfat_leaves_out: bool,
    /// How many threads work. The image does not depend on it.
    pub threads: NonZero<usize>,
    /// A directory for what is compressed until it is written. The image does not depend on it.
    pub spool: PathBuf,
}

impl Options {
    /// A new image, as large as its partitions need, of what is in a tree.
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
            sector_size: None,
            grain: None,
            deferred: Deferred::default(),
            split: false,
            signer: None,
            joined: Vec::new(),
            fstab: None,
            crypttab: None,
            el_torito: None,
            ext4: Profile::Modern,
            vfat_sector_size: None,
            epoch: None,
            discard: true,
            sync: true,
            excludes_by_inode: false,
            vfat_leaves_out: false,
            threads: NonZero::<usize>::MIN,
            spool: "/var/tmp".into(),
        }
    }

    /// The root that files are copied from.
    pub(super) fn copy_source(&self) -> &Path {
        let source = self.copy_source.as_ref().or(self.root.as_ref());
        source.map_or(Path::new("/"), PathBuf::as_path)
    }
}
