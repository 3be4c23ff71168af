//! Examples, exit codes and environment variables, which help and manual pages show after the
//! options.

/// Returns the text after the options of a subcommand, with its own examples.
macro_rules! after_help {
    ($($example:literal),+) => {
        concat!(
            "Examples:\n",
            $("  ", $example, "\n",)+
            "\n",
            "Exit codes:\n",
            "  0  success\n",
            "  1  normalize --check, stage check or a lock found a difference\n",
            "  2  wrong usage, or a definition or partition table that is not valid\n",
            "  3  the tree or the sizes can't be represented, or the tree is refused\n",
            "  4  input or output failed\n",
            "\n",
            "Environment:\n",
            "  SOURCE_DATE_EPOCH  latest timestamp in seconds since 1970, if none is given\n",
            "  TMPDIR             directory for temporary files [default: /var/tmp]\n",
            "  NO_COLOR           no colours, if set and not empty",
        )
    };
}

pub(super) const DETFS: &str = after_help!(
    "detfs mkimage rootfs disk.raw",
    "detfs mkimage rootfs disk.raw --seed-string 'example 1.0' --source-date-epoch 2026-11-30",
    "detfs build image.toml"
);
pub(super) const MKIMAGE: &str = after_help!(
    "detfs mkimage rootfs.tar.zst disk.raw",
    "detfs mkimage rootfs disk.raw --seed-string 'example 1.0' --source-date-epoch 2026-11-30",
    "detfs mkimage rootfs disk.raw --boot systemd-boot --cmdline console=ttyS0"
);
pub(super) const IDS: &str = after_help!(
    "detfs ids --seed 01234567-89ab-4cde-8f01-23456789abcd --architecture x86-64",
    "detfs ids --seed-string 'example 1.0' --architecture arm64 --json",
    "detfs ids --seed-string 'example 1.0' --definitions repart.d"
);
pub(super) const MKFS: &str = after_help!(
    "detfs mkfs ext4 tree root.ext4 --headroom 64M",
    "detfs mkfs btrfs tree root.btrfs --compress zstd --subvolume /home",
    "detfs mkfs vfat tree esp.img --label ESP"
);
pub(super) const MKFS_EXT4: &str = after_help!(
    "detfs mkfs ext4 tree root.ext4",
    "detfs mkfs ext4 tree root.ext4 --size 1.5G --grow-to 1T",
    "detfs mkfs ext4 tree root.ext4 --ext4-profile ro --uuid 01234567-89ab-4cde-8f01-23456789abcd"
);
pub(super) const MKFS_BTRFS: &str = after_help!(
    "detfs mkfs btrfs tree root.btrfs --compress zstd:9",
    "detfs mkfs btrfs tree root.btrfs --subvolume /home --subvolume /usr:ro",
    "detfs mkfs btrfs tree root.btrfs --subvolume /swap --swapfile /swap/swapfile:512M"
);
pub(super) const MKFS_EROFS: &str = after_help!(
    "detfs mkfs erofs tree root.erofs",
    "detfs mkfs erofs tree root.erofs --erofs-profile linux-5.10",
    "detfs mkfs erofs tree root.erofs --uuid 01234567-89ab-4cde-8f01-23456789abcd"
);
pub(super) const MKFS_SQUASHFS: &str = after_help!(
    "detfs mkfs squashfs tree root.squashfs",
    "detfs mkfs squashfs tree root.squashfs --compress zstd:19 --squashfs-block-size 1M",
    "detfs mkfs squashfs tree root.squashfs --exclude /var/cache --drop-xattr 'user.*'"
);
pub(super) const MKFS_VFAT: &str = after_help!(
    "detfs mkfs vfat esp esp.img --label ESP",
    "detfs mkfs vfat esp esp.img --size 64M",
    "detfs mkfs vfat esp - --sector-size 4096"
);
pub(super) const NORMALIZE: &str = after_help!(
    "detfs normalize --check rootfs",
    "detfs normalize --check rootfs --rules my-rules.toml --json",
    "detfs normalize --list --normalize debian"
);
pub(super) const STAGE: &str = after_help!(
    "detfs stage pacman rootfs --package base --snapshot 2026/11/23",
    "detfs stage pacman rootfs --package base --snapshot 2026/11/23 --lock image.lock",
    "detfs stage check --package base --snapshot 2026/11/23"
);
pub(super) const STAGE_PACMAN: &str = after_help!(
    "detfs stage pacman rootfs --package base --snapshot 2026/11/23",
    "detfs stage pacman rootfs --package base --package linux --snapshot 2026/11/23 --lock image.lock",
    "detfs stage pacman rootfs --lock image.lock --locked"
);
pub(super) const STAGE_CHECK: &str = after_help!(
    "detfs stage check --package base --snapshot 2026/11/23",
    "detfs stage check --package base --snapshot 2026/11/23 --json",
    "detfs stage check --package base --snapshot 2026/11/23 --rules my-rules.toml"
);
pub(super) const BUILD: &str = after_help!(
    "detfs build image.toml",
    "detfs build image.toml --force",
    "detfs build image.toml --update"
);
pub(super) const REPART: &str = "Examples:
  detfs repart disk.raw --definitions repart.d --empty create --size auto --root rootfs
  detfs repart disk.raw --definitions repart.d --dry-run no
  detfs repart disk.raw --make-ddi sysext --copy-source tree --empty create --size auto

Exit codes:
  0   success
  1   the image can't be made
  76  no image is given
  77  the image has no partition table that can be used

Environment:
  SOURCE_DATE_EPOCH                latest timestamp in seconds since 1970, if none is given
  SYSTEMD_REPART_MKFS_OPTIONS_FS   options for file systems of this format, as far as supported
  SYSTEMD_REPART_OVERRIDE_FSTYPE   format that replaces those of all definitions
  DETFS_REPART_COMPAT              deviations to undo: grow, flags, excludes, vfat
  DETFS_REPART_HARDLINKS           break hard links into copies, or refuse them [default: keep]
  DETFS_REPART_SYNC                no if the output need not be flushed to the disk
  TMPDIR                           directory for temporary files [default: /var/tmp]";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::cli::arguments::Arguments;

    /// Splits a line into words, of which some are in single quotes.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for (at, part) in line.split('\'').enumerate() {
            if at % 2 == 1 {
                *words.last_mut().unwrap() += part;
                continue;
            }
            let mut pieces = part.split(' ');
            *words.last_mut().unwrap() += pieces.next().unwrap();
            words.extend(pieces.map(str::to_owned));
        }
        words
    }

    fn check(command: &clap::Command, path: &str) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<_> =
            help.lines().filter_map(|line| line.trim().strip_prefix("detfs ")).collect();
        if path != "version" {
            assert_eq!(examples.len(), 3, "{path}");
            assert!(help.contains("Exit codes:\n") && help.contains("Environment:\n"), "{path}");
        }
        for example in examples {
            assert!(example.starts_with(path), "{path}: {example}");
            let line = format!("detfs {example}");
            if let Err(error) = Arguments::try_parse_from(words(&line)) {
                panic!("{line}: {error}");
            }
        }
        assert!(help.lines().all(|line| line.len() <= 100), "{path}");
        assert!(command.get_positionals().all(|it| it.get_help_heading().is_none()), "{path}");
        for inner in command.get_subcommands() {
            check(inner, format!("{path} {}", inner.get_name()).trim_start());
        }
    }

    #[test]
    fn examples_are_valid() {
        check(&Arguments::command(), "");
    }
}
