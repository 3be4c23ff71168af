//! A partition definition from a repart.d file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Blocks};
use crate::error::{Error, in_parentheses};
use crate::format::Format;
use crate::name::Escaped;
use crate::size::{exact, round_up};

/// A path in a tree, as [`Tree::path`](crate::tree::Tree::path) returns it: without a leading
/// slash, `.`, `..`, or empty names; empty for the root.
pub type TreePath = Vec<u8>;

/// A partition definition from a repart.d file. Settings are stored in the form that they are used
/// in: specifiers are expanded, and defaults that depend on other settings are resolved.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Definition {
    /// The path of the file: the directory as it was given, and the name. The path of the source
    /// image for a partition that is copied from one; `None` if the definition comes from neither.
    pub file: Option<PathBuf>,
    /// The drop-ins that were read after the file.
    pub drop_ins: Vec<PathBuf>,
    /// The line of each setting, by its name; the last one for a setting that is repeated.
    pub lines: BTreeMap<String, SettingLine>,
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
            lines: BTreeMap::new(),
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

    /// Returns whether the content is copied from a file or a partition as it is.
    #[must_use]
    pub fn copies_blocks(&self) -> bool {
        self.copy_blocks.is_some() || self.blocks.is_some()
    }

    /// Returns whether the partition is swap space.
    #[must_use]
    pub fn is_swap(&self) -> bool {
        matches!(self.format, Some(PartitionFormat::Swap))
    }

    /// Returns an error about the first of `settings` that the definition has, or about the
    /// definition as a whole if it has none of them.
    pub(super) fn fault(
        &self,
        settings: &[&str],
        rule: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Error {
        let (file, line) = self.location(settings);
        Error::Definition { file: file.into(), line, rule: rule.into(), remedy: remedy.into() }
    }

    /// Returns the file and line of the first of `settings` that the definition has. The line is 0
    /// if it has none of them.
    pub(super) fn location(&self, settings: &[&str]) -> (&Path, u32) {
        let at = settings.iter().find_map(|setting| self.lines.get(*setting));
        let file = match at.and_then(|at| at.drop_in) {
            Some(drop_in) => self.drop_ins.get(drop_in),
            None => self.file.as_ref(),
        };
        (file.map_or(Path::new("definition"), PathBuf::as_path), at.map_or(0, |at| at.line))
    }

    /// Returns an error that occurred while the partition was planned as an error about the setting
    /// that it results from. Errors that do not result from the definition stay as they are.
    pub(super) fn locate(&self, error: Error) -> Error {
        match error {
            Error::Parameter { field, rule, remedy } => {
                let settings = settings_of(field);
                let given = settings.iter().find(|setting| self.lines.contains_key(**setting));
                let rule = match given {
                    Some(setting) => format!("{setting}=: {rule}"),
                    None => rule,
                };
                self.fault(settings, rule, remedy)
            }
            Error::TooSmall { what, detail, needed, available } => {
                let (available, detail) = (exact(available), in_parentheses(&detail));
                let rule = format!("{what}: {available} is too small{detail}");
                let needed = round_up(needed, 4096);
                let remedy = match self.partition.size.size_max {
                    Some(size_max) if size_max < needed => {
                        format!("use SizeMinBytes={needed}, and SizeMaxBytes= of no less")
                    }
                    _ => format!("use SizeMinBytes={needed}"),
                };
                self.fault(SIZES, rule, remedy)
            }
            error => error,
        }
    }

    /// Returns an error about a path that `setting` adds to the file system as an error about the
    /// setting. Errors of reading the source stay as they are.
    pub(super) fn locate_path(&self, setting: &str, error: Error) -> Error {
        match error {
            Error::Unrepresentable { path, rule, remedy } => {
                let rule = format!("{setting}=: /{}: {rule}", Escaped(&path));
                self.fault(&[setting], rule, remedy)
            }
            error => error,
        }
    }
}

/// Settings that limit the size of a partition.
const SIZES: &[&str] = &["SizeMaxBytes", "SizeMinBytes"];

/// Returns the settings that determine an option of a file system or hash tree, whatever the
/// format.
fn settings_of(field: &str) -> &'static [&'static str] {
    match field.rsplit('.').next().unwrap_or(field) {
        "label" => &["Label"],
        "size" => SIZES,
        "sector_size" => &["FileSystemSectorSize"],
        "compression" => &["CompressionLevel", "Compression"],
        "default_subvolume" => &["DefaultSubvolume"],
        "subvolumes" => &["Subvolumes"],
        "data_block_size" => &["VerityDataBlockSizeBytes"],
        "data_size" => &["Verity"],
        "hash_block_size" => &["VerityHashBlockSizeBytes"],
        _ => &[],
    }
}

/// The location of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingLine {
    /// The index of the drop-in with the setting; `None` for the definition file itself.
    pub drop_in: Option<usize>,
    /// The line in that file, from 1.
    pub line: u32,
}

/// The format of a partition.
#[derive(Debug, Clone)]
#[non_exhaustive]
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

    /// Returns whether nothing can be written to a file system of this format.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.file_system().is_some_and(|format| format.is_read_only())
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
#[non_exhaustive]
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
#[non_exhaustive]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt::PartitionType;

    fn definition() -> Definition {
        let at = |drop_in, line| SettingLine { drop_in, line };
        let lines = [
            ("Label", at(None, 3)),
            ("Compression", at(None, 4)),
            ("CompressionLevel", at(Some(0), 2)),
            ("SizeMinBytes", at(Some(1), 5)),
        ];
        Definition {
            file: Some("10-root.conf".into()),
            drop_ins: vec!["a.conf".into(), "b.conf".into()],
            lines: lines.map(|(setting, line)| (setting.to_owned(), line)).into(),
            ..Definition::new(disk::Definition::new(PartitionType::Srv))
        }
    }

    #[test]
    fn errors_of_planning_are_located() {
        for (field, expected) in [
            ("label", "10-root.conf:3: Label=: a; b"),
            ("btrfs.compression", "a.conf:2: CompressionLevel=: a; b"),
            ("size", "b.conf:5: SizeMinBytes=: a; b"),
            ("btrfs.subvolumes", "10-root.conf: a; b"),
            ("ext4.inodes", "10-root.conf: a; b"),
        ] {
            let error = Error::parameter(field, "a", "b");
            assert_eq!(definition().locate(error).to_string(), expected);
        }
        let other = definition().locate(Error::unrepresentable(*b"path", "a", "b"));
        assert_eq!(other.to_string(), "path: a; b");
    }

    #[test]
    fn a_size_that_is_too_small_is_that_of_the_definition() {
        let error = |size_max| {
            let mut definition = definition();
            definition.partition.size.size_max = size_max;
            let (what, detail) = ("ext4".to_owned(), "5 inodes are missing".to_owned());
            let error = Error::TooSmall { what, detail, needed: 8193, available: 8192 };
            definition.locate(error).to_string()
        };
        let start = "b.conf:5: ext4: 8 KiB is too small (5 inodes are missing); \
                     use SizeMinBytes=12288";
        assert_eq!(error(None), start);
        assert_eq!(error(Some(12288)), start);
        assert_eq!(error(Some(8192)), format!("{start}, and SizeMaxBytes= of no less"));
    }
}
