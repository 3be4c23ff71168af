//! A partition definition from a repart.d file.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{self, Blocks};
use crate::error::Error;
use crate::format::Format;

/// A path in a tree, as [`Tree::path`](crate::tree::Tree::path) returns it: without a leading
/// slash, `.`, `..`, or empty names; empty for the root.
pub type TreePath = Vec<u8>;

/// A partition definition from a repart.d file. Settings are stored in the form that they are used
/// in: specifiers are expanded, and defaults that depend on other settings are resolved.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The path of the file: the directory as it was given, and the name. The path of the source
    /// image for a partition that is copied from one; `None` if the definition comes from neither.
    pub file: Option<PathBuf>,
    /// The drop-ins that were read after the file.
    pub drop_ins: Vec<PathBuf>,
    /// `Type=`, `Label=`, `UUID=`, sizes, weights and `Priority=`; and the attributes that follow
    /// from `Flags=`, `NoAuto=`, `ReadOnly=`, `GrowFileSystem=`, `Verity=` and `Format=`.
    pub partition: disk::Definition,
    /// `Format=`, or the default for the type and the content; `None` for no file system.
    pub format: Option<PartitionFormat>,
    /// `CopyFiles=`, in order.
    pub copy_files: Vec<CopyFiles>,
    /// `ExcludeFiles=`: paths in the source. The flag is whether only the content of the
    /// directory is left out.
    pub exclude_files: Vec<(TreePath, bool)>,
    /// `ExcludeFilesTarget=`: paths in the partition, with the same flag.
    pub exclude_files_target: Vec<(TreePath, bool)>,
    /// `MakeDirectories=`, in order.
    pub make_directories: Vec<TreePath>,
    /// `MakeSymlinks=`, in order.
    pub make_symlinks: Vec<Symlink>,
    /// `Subvolumes=`.
    pub subvolumes: Vec<Subvolume>,
    /// `DefaultSubvolume=`, one of `subvolumes`.
    pub default_subvolume: Option<TreePath>,
    /// `CopyBlocks=`: a path in the source.
    pub copy_blocks: Option<TreePath>,
    /// The range of another image that is copied.
    pub blocks: Option<Blocks>,
    /// `Minimize=`.
    pub minimize: Minimize,
    /// `Verity=`.
    pub verity: Verity,
    /// `VerityMatchKey=`, set whenever `verity` is not off.
    pub verity_match_key: Option<String>,
    /// `VerityDataBlockSizeBytes=`.
    pub verity_data_block_size: Option<u32>,
    /// `VerityHashBlockSizeBytes=`.
    pub verity_hash_block_size: Option<u32>,
    /// `Encrypt=` as it was written, unless it is `off`.
    pub encrypt: Option<String>,
    /// `EncryptedVolume=`.
    pub encrypted_volume: Option<EncryptedVolume>,
    /// `MountPoint=`, in order.
    pub mount_points: Vec<MountPoint>,
    /// `SplitName=` with all specifiers expanded except `%t`, `%T`, `%U`, `%n` and `%%`; `None` for
    /// `-`.
    pub split_name: Option<String>,
    /// `Compression=`.
    pub compression: Option<String>,
    /// `CompressionLevel=`.
    pub compression_level: Option<String>,
    /// `SupplementFor=`: the file name of another definition, without `.conf`.
    pub supplement_for: Option<String>,
    /// Whether the root inode records the purpose of the file system: `AddValidateFS=`, which
    /// defaults to yes for all formats except vfat, swap and empty.
    pub add_validate_fs: bool,
    /// `FileSystemSectorSize=`.
    pub file_system_sector_size: Option<u32>,
    /// `FactoryReset=`.
    pub factory_reset: bool,
    /// A setting that only works on a running system: `CopyBlocks=auto`, `BlockDeviceReplace=` or
    /// `Integrity=`.
    pub online: Option<&'static str>,
}

impl Definition {
    /// Returns a definition with `partition` and the defaults of all other settings.
    #[must_use]
    pub fn new(partition: disk::Definition) -> Self {
        Self {
            file: None,
            drop_ins: Vec::new(),
            partition,
            format: None,
            copy_files: Vec::new(),
            exclude_files: Vec::new(),
            exclude_files_target: Vec::new(),
            make_directories: Vec::new(),
            make_symlinks: Vec::new(),
            subvolumes: Vec::new(),
            default_subvolume: None,
            copy_blocks: None,
            blocks: None,
            minimize: Minimize::Off,
            verity: Verity::Off,
            verity_match_key: None,
            verity_data_block_size: None,
            verity_hash_block_size: None,
            encrypt: None,
            encrypted_volume: None,
            mount_points: Vec::new(),
            split_name: Some("%t".to_owned()),
            compression: None,
            compression_level: None,
            supplement_for: None,
            add_validate_fs: false,
            file_system_sector_size: None,
            factory_reset: false,
            online: None,
        }
    }

    /// Returns this definition merged with the one that supplements it.
    #[must_use]
    pub(super) fn with(&self, supplement: &Self) -> Self {
        let mut both = self.clone();
        let other = supplement.clone();
        both.copy_files.extend(other.copy_files);
        both.exclude_files.extend(other.exclude_files);
        both.exclude_files_target.extend(other.exclude_files_target);
        both.make_directories.extend(other.make_directories);
        both.make_symlinks.extend(other.make_symlinks);
        both.subvolumes.extend(other.subvolumes);
        both.mount_points.extend(other.mount_points);
        both
    }

    /// Returns the format of the file system, if it has one that can be written.
    #[must_use]
    pub fn file_system(&self) -> Option<&Arc<dyn Format>> {
        self.format.as_ref()?.file_system()
    }

    /// Returns an error about the definition as a whole.
    pub(super) fn fault(&self, rule: impl Into<String>, remedy: impl Into<String>) -> Error {
        let file = self.file.clone().unwrap_or_else(|| "definition".into());
        Error::Definition { file, line: 0, rule: rule.into(), remedy: remedy.into() }
    }
}

/// The format of a partition.
#[derive(Debug, Clone)]
pub enum PartitionFormat {
    /// A file system.
    FileSystem(Arc<dyn Format>),
    /// Swap space.
    Swap,
    /// Deliberately no file system: a partition that is kept free for later.
    Empty,
    /// Any other format; it can't be written.
    Other(String),
}

impl PartitionFormat {
    /// Returns the name, as in `Format=`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::FileSystem(format) => format.name(),
            Self::Swap => "swap",
            Self::Empty => "empty",
            Self::Other(name) => name,
        }
    }

    /// Returns the format of the file system, if it can be written.
    #[must_use]
    pub fn file_system(&self) -> Option<&Arc<dyn Format>> {
        match self {
            Self::FileSystem(format) => Some(format),
            Self::Swap | Self::Empty | Self::Other(_) => None,
        }
    }
}

/// A line of `CopyFiles=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFiles {
    /// The path in the source.
    pub source: TreePath,
    /// The path in the partition.
    pub target: TreePath,
    /// Whether fs-verity is to be copied.
    pub fsverity: bool,
}

/// A line of `MakeSymlinks=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symlink {
    /// The path of the link in the partition.
    pub path: TreePath,
    /// The target, verbatim.
    pub target: Vec<u8>,
}

/// An item of `Subvolumes=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subvolume {
    /// The path; empty for the top level, which is always a subvolume.
    pub path: TreePath,
    /// Whether the subvolume is read-only.
    pub read_only: bool,
    /// Whether its files are written in place (nodatacow).
    pub nodatacow: bool,
    /// The file that defines it.
    pub file: PathBuf,
    /// The line in `file`, from 1.
    pub line: u32,
}

/// `Minimize=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Minimize {
    /// The size does not follow from the content.
    #[default]
    Off,
    /// The smallest size that leaves free space for writing.
    Guess,
    /// The smallest size.
    Best,
}

/// `Verity=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verity {
    /// The partition does not take part in dm-verity.
    #[default]
    Off,
    /// The partition is protected by a hash tree.
    Data,
    /// The partition holds the hash tree.
    Hash,
    /// The partition holds the signature of the root hash.
    Signature,
}

/// A `MountPoint=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The absolute path of the mount point.
    pub path: String,
    /// Options for fstab; may be empty.
    pub options: String,
}

/// `EncryptedVolume=`, for crypttab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedVolume {
    /// The name; empty for a name derived from the UUID.
    pub name: String,
    /// The key file.
    pub key_file: Option<String>,
    /// The options.
    pub options: Option<String>,
}
