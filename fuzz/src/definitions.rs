//! Hostile partition definition files.

use std::fmt::Write;

use arbitrary::Arbitrary;
use detfs::Formats;
use detfs::disk::WEIGHT_MAX;
use detfs::gpt::Architecture;
use detfs::repart::config::{Compat, Context, HostInfo, Overrides, parse};
use detfs::repart::{Definition, Filter, Verity};

/// Definition files with known settings and arbitrary text.
#[derive(Debug, Arbitrary)]
pub struct BytesToDefinitions {
    files: Vec<Vec<Line>>,
    grow: bool,
    flags: bool,
    format: Option<Value>,
}

#[derive(Debug, Arbitrary)]
enum Line {
    /// A known key with a value, which may be that of another key.
    Setting(u8, Value),
    /// A type, without which all other settings are ignored.
    Type(u8),
    Text(String),
    Section,
}

#[derive(Debug, Arbitrary)]
enum Value {
    Known(u8),
    Size(u64, u8),
    Number(i64),
    Path(Vec<u8>),
    Words(Vec<Value>, u8),
    Text(String),
}

const KEYS: [&str; 45] = [
    "Type",
    "Label",
    "UUID",
    "Priority",
    "Weight",
    "PaddingWeight",
    "SizeMinBytes",
    "SizeMaxBytes",
    "PaddingMinBytes",
    "PaddingMaxBytes",
    "CopyBlocks",
    "Format",
    "CopyFiles",
    "ExcludeFiles",
    "ExcludeFilesTarget",
    "MakeDirectories",
    "MakeSymlinks",
    "Subvolumes",
    "DefaultSubvolume",
    "Encrypt",
    "Verity",
    "VerityMatchKey",
    "VerityDataBlockSizeBytes",
    "VerityHashBlockSizeBytes",
    "FactoryReset",
    "Flags",
    "NoAuto",
    "ReadOnly",
    "GrowFileSystem",
    "SplitName",
    "Minimize",
    "MountPoint",
    "EncryptedVolume",
    "KeyFile",
    "Integrity",
    "IntegrityAlgorithm",
    "Compression",
    "CompressionLevel",
    "SupplementFor",
    "AddValidateFS",
    "FileSystemSectorSize",
    "VolumeLabel",
    "TPM2PCRs",
    "Discard",
    "X-Unknown",
];

const VALUES: [&str; 34] = [
    "",
    "yes",
    "no",
    "auto",
    "data",
    "hash",
    "signature",
    "best",
    "guess",
    "ext4",
    "btrfs",
    "vfat",
    "swap",
    "empty",
    "erofs",
    "key-file",
    "null",
    "/",
    "/usr",
    "/a/b:/c",
    "/a:/b:fsverity=copy",
    "%a-%%",
    "%t",
    "%Z",
    "infinity",
    "1K",
    "10M5K3",
    "18446744073709551615",
    "4096",
    "512",
    "zstd",
    "/x:ro,nodatacow",
    "/boot:umask=0077",
    "a\\x20b",
];

const TYPES: [&str; 10] = [
    "root",
    "usr",
    "home",
    "esp",
    "xbootldr",
    "swap",
    "linux-generic",
    "root-verity",
    "usr-verity-sig",
    "12345678-9abc-4def-8123-456789abcdef",
];

fn one_of<'a>(all: &[&'a str], number: u8) -> &'a str {
    all[usize::from(number) % all.len()]
}

impl Value {
    fn write(&self, text: &mut String) {
        match self {
            Self::Known(number) => text.push_str(one_of(&VALUES, *number)),
            Self::Size(size, unit) => {
                let unit = one_of(&["", "K", "M", "G", "T", "P", "E"], *unit);
                write!(text, "{}{unit}", size % 5000).expect("a string takes all");
            }
            Self::Number(number) => write!(text, "{number}").expect("a string takes all"),
            Self::Path(path) => text.push_str(&String::from_utf8_lossy(path)),
            Self::Words(words, separator) => {
                for word in words {
                    word.write(text);
                    text.push_str(one_of(&[" ", ":", ",", "  ", "\\\n"], *separator));
                }
            }
            Self::Text(value) => text.push_str(value),
        }
    }
}

impl BytesToDefinitions {
    fn texts(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for (number, lines) in self.files.iter().enumerate() {
            let mut text = "[Partition]\n".to_owned();
            for line in lines {
                match line {
                    Line::Setting(key, value) => {
                        text.push_str(one_of(&KEYS, *key));
                        text.push('=');
                        value.write(&mut text);
                    }
                    Line::Type(number) => {
                        text.push_str("Type=");
                        text.push_str(one_of(&TYPES, *number));
                    }
                    Line::Text(line) => text.push_str(line),
                    Line::Section => text.push_str("[Partition]"),
                }
                text.push('\n');
            }
            files.push((format!("{number}.conf"), text));
        }
        files
    }

    /// Parses the files, and returns whether they define partitions.
    ///
    /// # Panics
    ///
    /// Panics if the library does, or if it breaks its promises about the results.
    pub fn check(&self) -> bool {
        let texts = self.texts();
        let files: Vec<_> = texts.iter().map(|(name, text)| (&**name, text.clone())).collect();
        let format = self.format.as_ref().map(|value| {
            let mut text = String::new();
            value.write(&mut text);
            text
        });
        let context = Context {
            root: Some("/nonexistent".into()),
            native: Architecture::X86_64,
            architecture: None,
            host: HostInfo::default(),
            formats: Formats::default(),
            overrides: Overrides { all: format, ..Overrides::default() },
            filter: Filter::All,
            compat: Compat { grow: self.grow, flags: self.flags },
        };
        match parse(&files, &context) {
            Ok((definitions, warnings)) => {
                for warning in warnings {
                    let at = String::from_utf8_lossy(&warning.path).into_owned();
                    assert!(at.contains(".conf:") && !warning.message.is_empty(), "{warning:?}");
                }
                definitions.iter().for_each(check);
                !definitions.is_empty()
            }
            Err(error) => {
                assert!(error.to_string().contains(".conf:"), "{error}");
                crate::refused(&error)
            }
        }
    }
}

/// Checks the properties of a definition on which later steps rely.
fn check(definition: &Definition) {
    let size = &definition.partition.size;
    let whole = |bytes: u64| bytes.is_multiple_of(4096) || bytes > u64::MAX - 4096;
    let bounds = [size.size_min, size.size_max, Some(size.padding_min), size.padding_max];
    assert!(bounds.into_iter().flatten().all(whole), "{size:?}");
    assert!(size.size_min.unwrap_or(0) <= size.size_max.unwrap_or(u64::MAX), "{size:?}");
    assert!(size.padding_min <= size.padding_max.unwrap_or(u64::MAX), "{size:?}");
    assert!(size.weight <= WEIGHT_MAX && size.padding_weight <= WEIGHT_MAX, "{size:?}");
    let label = definition.partition.label.as_deref().unwrap_or_default();
    assert!(label.encode_utf16().count() <= 36, "{label:?}");

    let copied = definition.copy_files.iter().flat_map(|line| [&line.source, &line.target]);
    let excluded = definition.exclude_files.iter().chain(&definition.exclude_files_target);
    let paths = copied
        .chain(excluded.map(|(path, _)| path))
        .chain(&definition.make_directories)
        .chain(definition.make_symlinks.iter().map(|link| &link.path))
        .chain(definition.subvolumes.iter().map(|subvolume| &subvolume.path))
        .chain(&definition.default_subvolume)
        .chain(&definition.copy_blocks);
    for path in paths.filter(|path| !path.is_empty()) {
        for name in path.split(|&byte| byte == b'/') {
            assert!(!matches!(name, b"" | b"." | b"..") && !name.contains(&0), "{path:?}");
        }
    }
    let default = definition.default_subvolume.as_ref();
    let is_there =
        |path: &Vec<u8>| definition.subvolumes.iter().any(|subvolume| subvolume.path == *path);
    assert!(default.is_none_or(is_there), "{default:?}");
    assert!(definition.verity == Verity::Off || definition.verity_match_key.is_some());
    let sizes = [
        definition.verity_data_block_size,
        definition.verity_hash_block_size,
        definition.file_system_sector_size,
    ];
    for size in sizes.into_iter().flatten() {
        assert!(size.is_power_of_two() && (512..=4096).contains(&size), "{size}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: Vec<Line>) -> BytesToDefinitions {
        BytesToDefinitions { files: vec![lines], grow: false, flags: false, format: None }
    }

    #[test]
    fn definitions_are_read_or_refused() {
        let weight = || Line::Setting(4, Value::Number(7));
        assert!(file(vec![Line::Type(2), weight()]).check());
        assert!(!file(vec![weight()]).check());
        assert!(!file(vec![Line::Type(2), Line::Setting(6, Value::Known(1))]).check());
    }

    #[test]
    #[should_panic(expected = "size_min")]
    fn contradictions_are_seen() {
        let partition = detfs::disk::Definition::new(detfs::gpt::PartitionType::Srv);
        let mut definition = Definition::new(partition);
        definition.partition.size.size_min = Some(8192);
        definition.partition.size.size_max = Some(4096);
        check(&definition);
    }
}
