//! Parses the settings of definitions.
//!
//! `Setting::take` is longer than other functions: it has an arm for each setting.

use std::path::Path;

use uuid::Uuid;

use super::context::Context;
use super::draft::Draft;
use super::location::Location;
use super::refusal::{Refusal, SettingResult};
use super::setting_values::{absolute, boolean, integer, put, text, tristate, weight};
use super::split_words::{BARE_PARTS, LIST, OPTIONS, PARTS, QUOTED_PARTS, Words};
use super::{ini, specifiers, values};
use crate::error::Result;
use crate::name::Escaped;
use crate::repart::{
    CopyFiles, Definition, EncryptedVolume, Minimize, MountPoint, SettingLine, Subvolume, Symlink,
    TreePath, Verity,
};
use crate::report::Warning;

/// Applies the settings of a file to `draft`.
pub(super) fn take(
    draft: &mut Draft,
    file: &Path,
    text: &[u8],
    context: &Context,
    warnings: &mut Vec<Warning>,
) -> Result<()> {
    let at = Location { file, line: 0 };
    let drop_in = (file != draft.file).then_some(draft.definition.drop_ins.len());
    for ini::Assignment { line, key, value } in ini::assignments(text, at, warnings) {
        let at = Location { file, line };
        let mut setting = Setting { draft, key: &key, value: &value, at, context, warnings };
        match setting.take() {
            Ok(()) => {
                draft.definition.lines.insert(key, SettingLine { drop_in, line });
            }
            Err(Refusal::Ignored(rule)) => {
                warnings.push(at.warning(format!("{key}={value}: {rule}; ignored")));
            }
            Err(Refusal::Fatal(error)) => return Err(error),
        }
    }
    Ok(())
}

/// A setting that is being applied.
struct Setting<'a> {
    draft: &'a mut Draft,
    key: &'a str,
    value: &'a str,
    at: Location<'a>,
    context: &'a Context,
    warnings: &'a mut Vec<Warning>,
}

impl Setting<'_> {
    fn take(&mut self) -> SettingResult {
        let value = self.value;
        let empty = value.is_empty();
        let definition = &mut self.draft.definition;
        let policy = &mut definition.partition.size;
        match self.key {
            "Type" => Ok(self.partition_type()?),
            "Label" => self.label(),
            "VolumeLabel" | "EncryptKDF" | "Discard" | "KeyFile" | "TPM2PCRs" => Ok(()),
            "VolumeName" | "IntegrityAlgorithm" => Ok(()),
            "UUID" => match value {
                "" => put(&mut definition.partition.uuid, Ok(None)),
                "null" => put(&mut definition.partition.uuid, Ok(Some(Uuid::nil()))),
                _ => {
                    let uuid = value.parse().map_err(|_| "not a UUID".into());
                    put(&mut definition.partition.uuid, uuid.map(Some))
                }
            },
            "Priority" => put(&mut policy.priority, integer(value)),
            "Weight" => put(&mut policy.weight, weight(value)),
            "PaddingWeight" => put(&mut policy.padding_weight, weight(value)),
            "SizeMinBytes" => {
                let size = self.size(true)?;
                self.draft.definition.partition.size.size_min = Some(size);
                Ok(())
            }
            "SizeMaxBytes" => {
                let size = self.size(false)?;
                self.draft.definition.partition.size.size_max = Some(size);
                Ok(())
            }
            "PaddingMinBytes" => {
                let size = self.size(true)?;
                self.draft.definition.partition.size.padding_min = size;
                Ok(())
            }
            "PaddingMaxBytes" => {
                let size = self.size(false)?;
                self.draft.definition.partition.size.padding_max = Some(size);
                Ok(())
            }
            "FactoryReset" => put(&mut definition.factory_reset, boolean(value)),
            "CopyBlocks" => match value {
                "" => put(&mut definition.copy_blocks, Ok(None)),
                "auto" => {
                    definition.online = Some("CopyBlocks=auto");
                    Ok(())
                }
                _ => {
                    let path = self.path(value);
                    put(&mut self.draft.definition.copy_blocks, path.map(Some))
                }
            },
            "Format" if empty => Err("unknown format".into()),
            "Format" => {
                self.draft.format = Some(value.to_owned());
                Ok(())
            }
            "CopyFiles" => self.copy_files(),
            "ExcludeFiles" if empty => put(&mut definition.exclude_files, Ok(Vec::new())),
            "ExcludeFiles" => self.excludes(|definition| &mut definition.exclude_files),
            "ExcludeFilesTarget" if empty => {
                put(&mut definition.exclude_files_target, Ok(Vec::new()))
            }
            "ExcludeFilesTarget" => {
                self.excludes(|definition| &mut definition.exclude_files_target)
            }
            // An empty value of these three settings adds nothing, and does not reset the list.
            "MakeDirectories" => self.each(|setting, word| {
                let path = setting.path(word)?;
                setting.draft.definition.make_directories.push(path);
                Ok(())
            }),
            "MakeSymlinks" => self.each(Self::symlink),
            "Subvolumes" => self.each(Self::subvolume),
            "DefaultSubvolume" if empty => put(&mut definition.default_subvolume, Ok(None)),
            "DefaultSubvolume" => {
                let path = self.path(value);
                put(&mut self.draft.definition.default_subvolume, path.map(Some))
            }
            "Encrypt" => match (boolean(value), value) {
                (Ok(false), _) | (_, "") => put(&mut definition.encrypt, Ok(None)),
                (Ok(true), _) | (_, "key-file" | "tpm2" | "key-file+tpm2") => {
                    put(&mut definition.encrypt, Ok(Some(value.to_owned())))
                }
                _ => Err("unknown encryption mode".into()),
            },
            "Verity" => put(
                &mut definition.verity,
                match value {
                    "" | "off" => Ok(Verity::Off),
                    "data" => Ok(Verity::Data),
                    "hash" => Ok(Verity::Hash),
                    "signature" => Ok(Verity::Signature),
                    _ => Err("not one of off, data, hash and signature".into()),
                },
            ),
            "VerityMatchKey" => {
                put(&mut definition.verity_match_key, Ok((!empty).then(|| value.to_owned())))
            }
            "VerityDataBlockSizeBytes" => {
                let size = self.block_size()?;
                put(&mut self.draft.definition.verity_data_block_size, Ok(size))
            }
            "VerityHashBlockSizeBytes" => {
                let size = self.block_size()?;
                put(&mut self.draft.definition.verity_hash_block_size, Ok(size))
            }
            "FileSystemSectorSize" => {
                let size = self.block_size()?;
                put(&mut self.draft.definition.file_system_sector_size, Ok(size))
            }
            "Flags" => {
                let flags = values::unsigned(value).ok_or("not a number".into());
                put(&mut self.draft.flags, if empty { Ok(0) } else { flags })
            }
            "NoAuto" => put(&mut self.draft.no_auto, tristate(value)),
            "ReadOnly" => put(&mut self.draft.read_only, tristate(value)),
            "GrowFileSystem" => put(&mut self.draft.grow, tristate(value)),
            "AddValidateFS" => put(&mut self.draft.add_validate_fs, tristate(value)),
            "SplitName" => self.split_name(),
            "Minimize" => put(
                &mut definition.minimize,
                match (boolean(value), value) {
                    (Ok(false), _) | (_, "") => Ok(Minimize::Off),
                    (Ok(true), _) | (_, "best") => Ok(Minimize::Best),
                    (_, "guess") => Ok(Minimize::Guess),
                    _ => Err("not one of off, best and guess".into()),
                },
            ),
            "MountPoint" if empty => put(&mut definition.mount_points, Ok(Vec::new())),
            "MountPoint" => self.mount_point(),
            "EncryptedVolume" if empty => put(&mut definition.encrypted_volume, Ok(None)),
            "EncryptedVolume" => self.encrypted_volume(),
            "Compression" => {
                put(&mut definition.compression, Ok((!empty).then(|| value.to_owned())))
            }
            "CompressionLevel" => {
                put(&mut definition.compression_level, Ok((!empty).then(|| value.to_owned())))
            }
            "SupplementFor" => {
                let name = value.strip_suffix(".conf").unwrap_or(value);
                put(&mut definition.supplement_for, Ok((!empty).then(|| name.to_owned())))
            }
            "BlockDeviceReplace" => {
                definition.online = (!empty).then_some("BlockDeviceReplace=");
                Ok(())
            }
            "Integrity" => {
                let off = matches!(value, "" | "off") || values::boolean(value) == Some(false);
                definition.online = (!off).then_some("Integrity=");
                Ok(())
            }
            key if key.starts_with("X-") => Ok(()),
            _ => Err("unknown setting".into()),
        }
    }

    fn partition_type(&mut self) -> Result<()> {
        let found = self.context.partition_type(self.value).ok_or_else(|| {
            self.at.error(
                format!("unknown partition type {:?}", self.value),
                "give a name such as root, esp or linux-generic, or a UUID",
            )
        })?;
        self.draft.typed = true;
        self.draft.definition.partition.partition_type = found;
        Ok(())
    }

    fn label(&mut self) -> SettingResult {
        let label = self.expand(self.value, "")?;
        if label.encode_utf16().count() > crate::gpt::spec::NAME_UNITS {
            return Err("longer than 36 UTF-16 units".into());
        }
        if label.chars().any(char::is_control) {
            return Err("contains control characters".into());
        }
        self.draft.definition.partition.label = Some(label);
        Ok(())
    }

    /// Parses a size in bytes, and rounds it to a multiple of 4096.
    fn size(&mut self, up: bool) -> Result<u64> {
        let size = values::size(self.value).ok_or_else(|| {
            self.at.error(
                format!("{}={}: not a size", self.key, self.value),
                "give a number of bytes, or a number with the suffix K, M, G or T",
            )
        })?;
        let rounded = match up {
            true => crate::size::round_up(size, 4096),
            false => size / 4096 * 4096,
        };
        if rounded != size {
            let (key, way) = (self.key, if up { "up" } else { "down" });
            let text = format!("{key}= is rounded {way} to {rounded}, a multiple of 4096");
            self.warn(text);
        }
        Ok(rounded)
    }

    fn block_size(&self) -> Result<Option<u32>> {
        if self.value.is_empty() {
            return Ok(None);
        }
        let size = values::size(self.value).and_then(|size| u32::try_from(size).ok());
        match size.filter(|size| size.is_power_of_two() && (512..=4096).contains(size)) {
            Some(size) => Ok(Some(size)),
            None => Err(self.at.error(
                format!("{}={}: not a block size", self.key, self.value),
                "give a power of two from 512 to 4096",
            )),
        }
    }

    fn copy_files(&mut self) -> SettingResult {
        let (at, value) = (self.at, self.value);
        let fault = |rule: &str| {
            let remedy = "write source, source:target or source:target:options";
            at.error(format!("CopyFiles={value}: {rule}"), remedy)
        };
        let mut parts = Words::new(self.value.as_bytes(), BARE_PARTS);
        let mut part = || parts.next().transpose();
        let (source, target, options) = (part(), part(), part());
        let malformed = |_| fault("invalid escape sequence");
        let source = source.map_err(malformed)?.unwrap_or_default();
        let target = target.map_err(malformed)?.unwrap_or_else(|| source.clone());
        let options = options.map_err(malformed)?.unwrap_or_default();
        if parts.has_more() {
            return Err(fault("more than three parts").into());
        }
        let mut fsverity = false;
        for option in Words::new(&options, OPTIONS) {
            match &*option.map_err(malformed)? {
                b"" => {}
                b"fsverity=off" => fsverity = false,
                b"fsverity=copy" => fsverity = true,
                other => self.warn(format!("unknown option {}", Escaped(other))),
            }
        }
        let (source, target) = (self.bytes_path(&source)?, self.bytes_path(&target)?);
        self.draft.definition.copy_files.push(CopyFiles { source, target, fsverity });
        Ok(())
    }

    fn excludes(
        &mut self,
        list: fn(&mut Definition) -> &mut Vec<(TreePath, bool)>,
    ) -> SettingResult {
        self.each(|setting, word| {
            let content = word.ends_with('/');
            let path = setting.path(word)?;
            list(&mut setting.draft.definition).push((path, content));
            Ok(())
        })
    }

    fn symlink(&mut self, word: &str) -> SettingResult {
        let (path, target) = self.two_parts(word)?;
        let target = target.ok_or("not a path, a colon and a target")?;
        let path = self.path(&path)?;
        if target.is_empty() {
            let rule = format!("MakeSymlinks={word}: the target is empty");
            return Err(self.at.error(rule, "write path:target").into());
        }
        let target = self.expand(&target, "")?.into_bytes();
        self.draft.definition.make_symlinks.push(Symlink { path, target });
        Ok(())
    }

    fn subvolume(&mut self, word: &str) -> SettingResult {
        let (path, flags) = self.two_parts(word)?;
        let path = self.path(&path)?;
        let subvolumes = &mut self.draft.definition.subvolumes;
        let at = subvolumes.iter().position(|other| other.path == path).unwrap_or_else(|| {
            let (file, line) = (self.at.file.into(), self.at.line);
            let new = Subvolume { path, read_only: false, nodatacow: false, file, line };
            subvolumes.push(new);
            subvolumes.len() - 1
        });
        let Some(flags) = flags else { return Ok(()) };
        let (mut read_only, mut nodatacow) = (false, false);
        for flag in flags.split(',') {
            match flag {
                "ro" => read_only = true,
                "nodatacow" => nodatacow = true,
                // The subvolume is kept with its present flags.
                _ => {
                    self.warn(format!("unknown subvolume flag {flag:?}; {flags:?} is ignored"));
                    return Ok(());
                }
            }
        }
        let subvolume = &mut subvolumes[at];
        (subvolume.read_only, subvolume.nodatacow) = (read_only, nodatacow);
        Ok(())
    }

    /// Splits a word of a list into its two parts; the second is optional.
    fn two_parts(&mut self, word: &str) -> SettingResult<(String, Option<String>)> {
        let mut parts = Words::new(word.as_bytes(), PARTS);
        let first = parts.next().map_or(Ok(String::new()), text)?;
        let second = parts.next().map(text).transpose()?;
        if parts.has_more() {
            self.warn(format!("{word}: everything after the second part is ignored"));
        }
        Ok((first, second))
    }

    fn split_name(&mut self) -> SettingResult {
        let name = match self.value {
            "" => Some("%t".to_owned()),
            "-" => None,
            template => Some(self.expand(template, "tTUn")?),
        };
        if name.as_deref().is_some_and(|name| name.contains('/')) {
            return Err("contains a slash".into());
        }
        self.draft.definition.split_name = name;
        Ok(())
    }

    fn mount_point(&mut self) -> SettingResult {
        let parts = self.parts::<2>()?;
        let [Some(path), options] = parts else { return Err("path is missing".into()) };
        let path = absolute(&path)?;
        let path = String::from_utf8(path).map_err(|_| "the path is not UTF-8")?;
        let options = options.unwrap_or_default();
        let point = MountPoint { path: format!("/{path}"), options };
        self.draft.definition.mount_points.push(point);
        Ok(())
    }

    fn encrypted_volume(&mut self) -> SettingResult {
        let [name, key_file, options, extra] = self.parts::<4>()?;
        let name = name.unwrap_or_default();
        if !name.is_empty() && crate::name::fault(name.as_bytes()).is_some() {
            return Err("the name is not a valid file name".into());
        }
        let given = |part: Option<String>| part.filter(|text| !text.is_empty() && text != "-");
        let (key_file, options) = (given(key_file), given(options));
        if extra.is_some_and(|extra| !extra.is_empty()) {
            self.warn("fixate-volume-key and similar need a running system".into());
        }
        self.draft.definition.encrypted_volume = Some(EncryptedVolume { name, key_file, options });
        Ok(())
    }

    /// Splits the value into at most `N` parts.
    fn parts<const N: usize>(&self) -> SettingResult<[Option<String>; N]> {
        let mut words = Words::new(self.value.as_bytes(), QUOTED_PARTS);
        let mut parts = [const { None }; N];
        for part in &mut parts {
            *part = words.next().map(text).transpose()?;
        }
        match words.has_more() {
            true => Err(format!("more than {N} parts").into()),
            false => Ok(parts),
        }
    }

    /// Calls `take` for each word of a list, up to the first malformed word. A word that `take`
    /// ignores does not affect the others.
    fn each(&mut self, mut take: impl FnMut(&mut Self, &str) -> SettingResult) -> SettingResult {
        for word in Words::new(self.value.as_bytes(), LIST) {
            let word = text(word)?;
            match take(self, &word) {
                Ok(()) => {}
                Err(Refusal::Ignored(rule)) => {
                    self.warn(format!("{}={word}: {rule}; ignored", self.key));
                }
                Err(fatal) => return Err(fatal),
            }
        }
        Ok(())
    }

    fn warn(&mut self, text: String) {
        self.warnings.push(self.at.warning(text));
    }

    fn expand(&mut self, text: &str, kept: &str) -> SettingResult<String> {
        let specifiers::Expanded { text, of_host } = specifiers::expand(text, self.context, kept)?;
        for specifier in of_host {
            let text = format!(
                "%{specifier} depends on the build machine: the image differs on other machines"
            );
            self.warnings.push(self.at.warning(text));
        }
        Ok(text)
    }

    fn bytes_path(&mut self, bytes: &[u8]) -> SettingResult<TreePath> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        self.path(text)
    }

    /// Expands the specifiers of an absolute path and normalizes it.
    fn path(&mut self, text: &str) -> SettingResult<TreePath> {
        let text = self.expand(text, "")?;
        absolute(&text)
    }
}
