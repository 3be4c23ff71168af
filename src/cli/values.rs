//! Parses the values of command-line arguments.

use std::num::NonZero;

use uuid::Uuid;

use super::arguments::{self, Fs};
use crate::disk::{EPOCHS, Swapfile};
use crate::error::{Error, Result};
use crate::ext4::{Ext4, Profile};
use crate::gpt::{Architecture, SectorSize};
use crate::size::{self, Headroom};
use crate::time::Timestamp;

pub(super) fn uuid(parameter: &'static str, text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| {
        Error::parameter(
            parameter,
            format!("{text:?} is not a UUID"),
            "give 32 hexadecimal digits, say 01234567-89ab-4cde-8f01-23456789abcd",
        )
    })
}

pub(super) fn bytes(parameter: &'static str, text: &str) -> Result<u64> {
    size::parse(text).ok_or_else(|| {
        Error::parameter(
            parameter,
            format!("{text:?} is not a size"),
            "give a number of bytes, or a number with the suffix K, M, G or T",
        )
    })
}

/// Parses the value of `--size`: a size in bytes, or `None` for `auto`.
pub(super) fn size(text: &str) -> Result<Option<u64>> {
    match text {
        "auto" => Ok(None),
        _ => bytes("--size", text).map(Some),
    }
}

pub(super) fn headroom(text: &str) -> Result<Headroom> {
    let Some(percent) = text.strip_suffix('%') else {
        return bytes("--headroom", text).map(Headroom::Bytes);
    };
    percent.parse().map(Headroom::Percent).map_err(|_| {
        Error::parameter(
            "--headroom",
            format!("{text:?} is not a percentage"),
            "give a whole number before the %",
        )
    })
}

/// Rejects headroom together with a fixed size, which determines the free space.
pub(super) fn headroom_or_size(headroom: Option<Headroom>, size: Option<u64>) -> Result<()> {
    match (headroom, size) {
        (Some(_), Some(_)) => Err(Error::parameter(
            "--headroom",
            "conflicts with a fixed --size, which determines the free space",
            "omit one of them",
        )),
        _ => Ok(()),
    }
}

pub(super) fn sector_size(parameter: &'static str, text: &str) -> Result<SectorSize> {
    match size::parse(text) {
        Some(512) => Ok(SectorSize::B512),
        Some(4096) => Ok(SectorSize::B4096),
        _ => Err(Error::parameter(
            parameter,
            format!("{text:?} is not a supported sector size"),
            "give 512 or 4096",
        )),
    }
}

fn block_size(text: &str) -> Result<u32> {
    match size::parse(text) {
        Some(1024) => Ok(1024),
        Some(2048) => Ok(2048),
        Some(4096) => Ok(4096),
        _ => Err(Error::parameter(
            "--ext4-block-size",
            format!("{text:?} is not a supported block size"),
            "give 1024, 2048 or 4096",
        )),
    }
}

/// Parses a number of inodes, which ext4 stores in 32 bits.
fn inodes(text: &str) -> Result<u64> {
    text.parse::<u32>().map(u64::from).map_err(|_| {
        Error::parameter(
            "--inodes",
            format!("{text:?} is not a number of inodes"),
            "give a whole number below 2^32",
        )
    })
}

pub(super) fn architecture(args: &arguments::Architecture) -> Result<Option<Architecture>> {
    args.architecture.as_deref().map(str::parse).transpose()
}

pub(super) fn threads(args: Option<&str>) -> Result<NonZero<usize>> {
    match args {
        None => Ok(std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)),
        Some(text) => text.parse().map_err(|_| {
            Error::parameter(
                "--threads",
                format!("{text:?} is not a number of threads"),
                "give 1 or more",
            )
        }),
    }
}

/// Returns the epoch from the command line or else from the environment.
pub(super) fn epoch(args: Option<&str>) -> Result<Option<Timestamp>> {
    const VARIABLE: &str = "SOURCE_DATE_EPOCH";
    if let Some(text) = args {
        return seconds("--source-date-epoch", text).map(Some);
    }
    #[expect(clippy::disallowed_methods, reason = "the environment is read here alone")]
    let variable = std::env::var_os(VARIABLE);
    variable.map(|text| seconds(VARIABLE, &text.to_string_lossy())).transpose()
}

fn seconds(parameter: &'static str, text: &str) -> Result<Timestamp> {
    match text.parse() {
        Ok(seconds) if EPOCHS.contains(&seconds) => Ok(Timestamp::from_seconds(seconds)),
        _ => Err(Error::parameter(
            parameter,
            format!("{text:?} is not a time that can be stored"),
            format!("give seconds since 1970, from {} to {}", EPOCHS.start(), EPOCHS.end()),
        )),
    }
}

pub(super) fn ext4(args: &arguments::Ext4Args) -> Result<Ext4> {
    let block_size = args.ext4_block_size.as_deref().map(block_size).transpose()?;
    if args.grow_to.is_some() && args.ext4_profile == Some(Profile::Ro) {
        return Err(Error::parameter(
            "--grow-to",
            "the ext4 profile ro reserves nothing for growth",
            "omit it, or use another profile",
        ));
    }
    let default = Ext4::default();
    Ok(Ext4 {
        profile: args.ext4_profile.unwrap_or_default(),
        block_size: block_size.unwrap_or(default.block_size),
        grow_to: args.grow_to.as_deref().map(|text| bytes("--grow-to", text)).transpose()?,
        inodes: args.inodes.as_deref().map(inodes).transpose()?,
    })
}

/// Parses a path, a colon and a size.
pub(super) fn swapfile(text: &str) -> Result<Swapfile> {
    match text.rsplit_once(':') {
        Some((path, size)) => Ok(Swapfile { path: path.into(), size: bytes("--swapfile", size)? }),
        None => Err(Error::parameter(
            "--swapfile",
            format!("{text:?} has no size"),
            "give it after a colon, as in /swap/swapfile:512M",
        )),
    }
}

impl arguments::Ext4Args {
    /// Returns the names of all options, each with whether it was given.
    fn given(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("--grow-to", self.grow_to.is_some()),
            ("--ext4-profile", self.ext4_profile.is_some()),
            ("--ext4-block-size", self.ext4_block_size.is_some()),
            ("--inodes", self.inodes.is_some()),
        ]
    }
}

/// Rejects options of the other file system.
pub(super) fn only(fs: Fs, ext4: &arguments::Ext4Args, btrfs: &arguments::BtrfsArgs) -> Result<()> {
    let (options, other) = match fs {
        Fs::Ext4 => (btrfs.given(), "btrfs"),
        Fs::Btrfs => (ext4.given(), "ext4"),
    };
    match options.into_iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Error::parameter(
            option,
            format!("only valid for {other}"),
            format!("omit it, or give --fs {other}"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_understood() {
        assert_eq!(size("auto").unwrap(), None);
        assert_eq!(size("3G").unwrap(), Some(3 << 30));
        assert_eq!(headroom("10%").unwrap(), Headroom::Percent(10));
        assert_eq!(headroom("0").unwrap(), Headroom::Bytes(0));
        assert_eq!(headroom("64M").unwrap(), Headroom::Bytes(64 << 20));
        assert_eq!(threads(Some("3")).unwrap().get(), 3);
        assert_eq!(epoch(Some("-1")).unwrap(), Some(Timestamp::from_seconds(-1)));
        for text in ["4096", "4K", "4KiB", "4096B"] {
            assert_eq!(sector_size("--sector-size", text).unwrap(), SectorSize::B4096, "{text}");
            assert_eq!(block_size(text).unwrap(), 4096, "{text}");
        }
    }

    #[test]
    fn other_values_are_refused_by_name() {
        for (parameter, result) in [
            ("--size", size("Auto").map(drop)),
            ("--size", size("").map(drop)),
            ("--headroom", headroom("%").map(drop)),
            ("--headroom", headroom("1.5%").map(drop)),
            ("--headroom", headroom("-1%").map(drop)),
            ("--threads", threads(Some("0")).map(drop)),
            ("--threads", threads(Some("many")).map(drop)),
            ("--source-date-epoch", epoch(Some("yesterday")).map(drop)),
            ("--source-date-epoch", epoch(Some("1.5")).map(drop)),
            ("--source-date-epoch", epoch(Some("")).map(drop)),
            ("--source-date-epoch", epoch(Some("15032385536")).map(drop)),
            ("--source-date-epoch", epoch(Some("-2147483649")).map(drop)),
            ("--sector-size", sector_size("--sector-size", "2048").map(drop)),
            ("--sector-size", sector_size("--sector-size", "4k").map(drop)),
            ("--ext4-block-size", block_size("8K").map(drop)),
            ("--inodes", inodes("-1").map(drop)),
            ("--inodes", inodes("4294967296").map(drop)),
            ("--inodes", inodes("64K").map(drop)),
            ("--seed", uuid("--seed", "11111111-2222").map(drop)),
        ] {
            let error = result.unwrap_err();
            assert!(error.to_string().starts_with(parameter), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
