//! A partition as a file of repart.d defines it.

use std::path::PathBuf;

use super::Blocks;
use crate::disk;
use crate::error::Error;

/// A path in a tree as [`Tree::path`](crate::tree::Tree::path) gives it: without a leading slash,
/// `.`, `..`, or empty names; empty for the root.
pub type TreePath = Vec<u8>;

/// A partition as a file of repart.d defines it. Every setting is in the form that it is used in:
/// defaults that depend on other settings are resolved, specifiers are expanded.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The file, as the directory was given; `None` for one that is made of another image.
    pub file: Option<PathBuf>,
    /// The drop-ins that were read after it.
    pub drop_ins: Vec<PathBuf>,
    /// `Type=`, `Label=`, `UUID=`, sizes, weights, `Priority=`; and the attributes that follow from
    /// `Flags=`, `NoAuto=`, `ReadOnly=`, `GrowFileSystem=`, `Verity=` and `Format=`.
    pub partition: disk::Definition,
    /// `Format=`, or what follows from the type and the content; `None` for no file system.
    pub format: Option<Format>,
    /// `CopyFiles=`, in order.
    pub copy_files: Vec<CopyFiles>,
    /// `ExcludeFiles=`: paths in the source. The flag is whether only what is in the directory is
    /// left out.
    pub exclude_files: Vec<(TreePath, bool)>,
    /// `ExcludeFilesTarget=`: paths in the partition, with the same flag.
    pub exclude_files_target: Vec<(TreePath, bool)>,
    /// `MakeDirectories=`, in order.
    pub make_directories: Vec<TreePath>,
    /// `MakeSymlinks=`, in order.
    pub make_symlinks: Vec<Symlink>,
    /// `Subvolumes=`.
    pub subvolumes: Vec<Subvolume>,
    /// `DefaultSubvolume=`, one of those.
    pub default_subvolume: Option<TreePath>,
    /// `CopyBlocks=`: a path in the source.
    pub copy_blocks: Option<TreePath>,
    /// What is copied of another image.
    pub blocks: Option<Blocks>,
    /// `Minimize=`.
    pub minimize: Minimize,
    /// `Verity=`.
    pub verity: Verity,
    /// `VerityMatchKey=`, given whenever `verity` is not off.
    pub verity_match_key: Option<String>,
    /// `VerityDataBlockSizeBytes=`.
    pub verity_data_block_size: Option<u32>,
    /// `VerityHashBlockSizeBytes=`.
    pub verity_hash_block_size: Option<u32>,
    /// `Encrypt=` with anything but `off`, as it was written.
    pub encrypt: Option<String>,
    /// `EncryptedVolume=`.
    pub encrypted_volume: Option<EncryptedVolume>,
    /// `MountPoint=`, in order.
    pub mount_points: Vec<MountPoint>,
    /// `SplitName=` with the system's specifiers expanded, but `%t`, `%T`, `%U`, `%n` and `%%` not;
    /// `None` for `-`.
    pub split_name: Option<String>,
    /// `Compression=`.
    pub compression: Option<String>,
    /// `CompressionLevel=`.
    pub compression_level: Option<String>,
    /// `SupplementFor=`: the name of another definition's file, without `.conf`.
    pub supplement_for: Option<String>,
    /// Whether the root inode tells what the file system is for: `AddValidateFS=`, or yes for a
    /// format other than vfat and swap.
    pub add_validate_fs: bool,
    /// `FileSystemSectorSize=`.
    pub file_system_sector_size: Option<u32>,
    /// `FactoryReset=`.
    pub factory_reset: bool,
    /// What is only possible online and was asked for: `BlockDeviceReplace=`, `Integrity=`.
    pub online: Option<&'static str>,
}

impl Definition {
    /// A partition with everything else left out.
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

    /// The definition of a partition that also does for another one.
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

    /// An error about the definition as a whole.
    pub(super) fn fault(&self, rule: impl Into<String>, remedy: impl Into<String>) -> Error {
        let file = self.file.clone().unwrap_or_else(|| "definition".into());
        Error::Definition { file, line: 0, rule: rule.into(), remedy: remedy.into() }
    }
}

/// What a partition is formatted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// ext4.
    Ext4,
    /// btrfs.
    Btrfs,
    /// FAT32.
    Vfat,
    /// Swap space.
    Swap,
    /// Nothing, on purpose: a partition that is kept free for later.
    Empty,
    /// Any other; it can't be written.
    Other(String),
}

impl Format {
    /// Its name, as `Format=` takes it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Ext4 => "ext4",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Swap => "swap",
            Self::Empty => "empty",
            Self::Other(name) => name,
        }
    }
}

/// A line of `CopyFiles=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFiles {
    /// A path in the source.
    pub source: TreePath,
    /// Where it goes in the partition.
    pub target: TreePath,
    /// Whether fs-verity is to be taken over.
    pub fsverity: bool,
}

/// A line of `MakeSymlinks=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symlink {
    /// The path of the link in the partition.
    pub path: TreePath,
    /// Its target, verbatim.
    pub target: Vec<u8>,
}

/// One of `Subvolumes=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subvolume {
    /// Its path; empty for the top level, which is a subvolume in any case.
    pub path: TreePath,
    /// Whether nothing in it can be changed.
    pub read_only: bool,
    /// Whether content in it is written in place.
    pub nodatacow: bool,
    /// The file that names it.
    pub file: PathBuf,
    /// The line in that, from 1.
    pub line: u32,
}

/// `Minimize=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Minimize {
    /// The size does not follow from the content.
    #[default]
    Off,
    /// The smallest that leaves room to write.
    Guess,
    /// The smallest.
    Best,
}

/// `Verity=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verity {
    /// The partition has nothing to do with dm-verity.
    #[default]
    Off,
    /// It is protected by a hash tree.
    Data,
    /// It holds the hash tree.
    Hash,
    /// It holds the signature of the root hash.
    Signature,
}

/// A `MountPoint=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The absolute path.
    pub path: String,
    /// Options for fstab; may be empty.
    pub options: String,
}

/// `EncryptedVolume=`, for crypttab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedVolume {
    /// The name; empty for one made of the UUID.
    pub name: String,
    /// The key file.
    pub key_file: Option<String>,
    /// The options.
    pub options: Option<String>,
}
