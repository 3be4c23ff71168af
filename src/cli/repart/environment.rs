//! Environment variables that systemd-repart reads.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::disk::EPOCHS;
use crate::ext4::Profile;
use crate::gpt::SectorSize;
use crate::repart::config::values::boolean;
use crate::time::Timestamp;
use crate::tree::HardLinks;

const MKFS_OPTIONS: &str = "SYSTEMD_REPART_MKFS_OPTIONS_";
const OVERRIDE: &str = "SYSTEMD_REPART_OVERRIDE_FSTYPE";
const COMPAT: &str = "DETFS_REPART_COMPAT";
const HARDLINKS: &str = "DETFS_REPART_HARDLINKS";
const SYNC: &str = "DETFS_REPART_SYNC";

/// The values of the environment variables.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Upper limit of all timestamps; `None` if it is not given or not a number.
    pub(super) epoch: Option<Timestamp>,
    /// Whether `GrowFileSystem=no` is ignored, as in systemd-repart.
    pub(super) grow: bool,
    /// Whether `Flags=` with a bit below 48 clears all attributes, as in systemd-repart.
    pub(super) flags: bool,
    /// Whether all hard links of an excluded file are excluded.
    pub(super) excludes: bool,
    /// What becomes of copied inodes with several names.
    pub(super) hard_links: HardLinks,
    /// Whether syncing to the disk is disabled.
    pub(super) no_sync: bool,
    /// Whether files that FAT can't store are left out.
    pub(super) vfat: bool,
    /// The format that replaces every `Format=`.
    pub(super) format: Option<String>,
    /// Formats by designator, in lower case.
    pub(super) formats: BTreeMap<String, String>,
    pub(super) ext4: Option<Profile>,
    /// Options of mkfs.erofs, not parsed.
    pub(super) erofs: String,
    /// Options of mksquashfs, not parsed.
    pub(super) squashfs: String,
    pub(super) vfat_sector_size: Option<SectorSize>,
    /// Whether JSON contains sizes as text in addition to numbers.
    pub(super) debug: bool,
    /// Whether the output is limited to ASCII.
    pub(super) ascii: bool,
    /// The directory for unnamed temporary files.
    pub(super) spool: PathBuf,
    /// Warnings about values that are not supported.
    pub(super) warnings: Vec<String>,
}

impl Environment {
    pub(super) fn read() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the environment is read here alone")]
        let variables = std::env::vars_os();
        Self::of(variables)
    }

    fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self { spool: "/var/tmp".into(), ..Self::default() };
        for (name, value) in variables {
            if let Some(name) = name.to_str() {
                environment.take(name, &value.to_string_lossy());
            }
        }
        environment
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            _ if value.is_empty() => {}
            "SOURCE_DATE_EPOCH" => {
                self.epoch = number(value).map(Timestamp::from_seconds);
                if self.epoch.is_none() {
                    self.warn(name, value);
                }
            }
            "SYSTEMD_LOG_LEVEL" => self.debug = matches!(value, "debug" | "7"),
            "SYSTEMD_UTF8" => self.ascii = boolean(value) == Some(false),
            "TMPDIR" => self.spool = value.into(),
            OVERRIDE => self.format = Some(value.to_owned()),
            COMPAT => {
                for part in value.split([',', ' ']) {
                    match part {
                        "grow" => self.grow = true,
                        "flags" => self.flags = true,
                        "excludes" => self.excludes = true,
                        "vfat" => self.vfat = true,
                        _ => self.warn(name, part),
                    }
                }
            }
            HARDLINKS => match HardLinks::from_str(value, false) {
                Ok(rule) => self.hard_links = rule,
                Err(_) => self.warn(name, value),
            },
            SYNC => match boolean(value) {
                Some(sync) => self.no_sync = !sync,
                None => self.warn(name, value),
            },
            _ => {
                if name.strip_prefix(MKFS_OPTIONS) == Some("EROFS") {
                    self.erofs = value.to_owned();
                } else if name.strip_prefix(MKFS_OPTIONS) == Some("SQUASHFS") {
                    self.squashfs = value.to_owned();
                } else if let Some(format) = name.strip_prefix(MKFS_OPTIONS) {
                    let words: Vec<_> = value.split_whitespace().collect();
                    self.mkfs(name, format, &words);
                } else if let Some(designator) =
                    name.strip_prefix(OVERRIDE).and_then(|rest| rest.strip_prefix('_'))
                {
                    let designator = designator.to_ascii_lowercase();
                    self.formats.insert(designator, value.to_owned());
                }
            }
        }
    }

    /// Applies the supported options of a mkfs program.
    fn mkfs(&mut self, name: &str, format: &str, words: &[&str]) {
        match (format, words) {
            ("EXT4", ["-O", features]) => {
                for feature in features.split(',') {
                    match feature {
                        "^orphan_file" | "^metadata_csum_seed" => {
                            self.ext4 = Some(Profile::Default);
                        }
                        _ => self.warn(name, feature),
                    }
                }
            }
            ("VFAT", ["-S", bytes]) => {
                let size = bytes.parse().ok().and_then(|bytes| SectorSize::new(bytes).ok());
                match size {
                    Some(size) => self.vfat_sector_size = Some(size),
                    None => self.warn(name, bytes),
                }
            }
            _ => self.warn(name, &words.join(" ")),
        }
    }

    fn warn(&mut self, name: &str, value: &str) {
        self.warnings.push(format!("{name}: {value:?} is not supported and is ignored"));
    }
}

/// Parses a time: decimal, hexadecimal with `0x`, or octal with `0`.
fn number(text: &str) -> Option<i64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let plain = digits.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    let seconds = i64::from_str_radix(digits, radix).ok().filter(|_| plain)?;
    EPOCHS.contains(&seconds).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Environment {
        Environment::of(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn epochs_are_numbers_of_three_kinds() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1750000000", Some(1_750_000_000)),
            ("0x10", Some(16)),
            ("010", Some(8)),
            ("", None),
            ("0x", None),
            ("-1", None),
            ("+1", None),
            ("09", None),
            ("1.5", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
        assert_eq!(of(&[("SOURCE_DATE_EPOCH", "x")]).warnings.len(), 1);
    }

    #[test]
    fn what_callers_set_is_understood() {
        let environment = of(&[
            ("SYSTEMD_REPART_MKFS_OPTIONS_EXT4", "-O ^orphan_file"),
            ("SYSTEMD_REPART_MKFS_OPTIONS_VFAT", "-S 512"),
            ("SYSTEMD_REPART_OVERRIDE_FSTYPE", "ext4"),
            ("SYSTEMD_REPART_OVERRIDE_FSTYPE_ROOT", "btrfs"),
            ("DETFS_REPART_COMPAT", "grow,excludes"),
            ("DETFS_REPART_HARDLINKS", "break"),
            ("DETFS_REPART_SYNC", "no"),
        ]);
        assert_eq!(environment.ext4, Some(Profile::Default));
        assert_eq!(environment.vfat_sector_size, Some(SectorSize::B512));
        assert_eq!(environment.format.as_deref(), Some("ext4"));
        assert_eq!(environment.formats["root"], "btrfs");
        assert!(environment.grow && environment.excludes && !environment.flags);
        assert_eq!(environment.hard_links, HardLinks::Break);
        assert!(environment.no_sync && !of(&[]).no_sync);
        assert!(environment.warnings.is_empty());
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for (name, value) in [
            ("SYSTEMD_REPART_MKFS_OPTIONS_EXT4", "-O ^has_journal"),
            ("SYSTEMD_REPART_MKFS_OPTIONS_EXT4", "-N 100"),
            ("SYSTEMD_REPART_MKFS_OPTIONS_VFAT", "-S 100"),
            ("SYSTEMD_REPART_MKFS_OPTIONS_BTRFS", "--csum xxhash"),
            ("DETFS_REPART_COMPAT", "everything"),
            ("DETFS_REPART_HARDLINKS", "yes"),
            ("DETFS_REPART_SYNC", "perhaps"),
        ] {
            assert_eq!(of(&[(name, value)]).warnings.len(), 1, "{name}={value}");
        }
    }
}
