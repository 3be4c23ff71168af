//! Parses the values of command-line arguments.

use std::num::NonZero;
use std::sync::Once;

use uuid::Uuid;

use super::arguments::{self, Mkimage, SeedArgs, SourceArgs};
use super::format_arguments::{Ext4Args, Fs};
use super::print_warning;
use super::times::{self, NotATime};
use crate::disk::{EPOCHS, Swapfile};
use crate::error::{Error, Result};
use crate::ext4::{Ext4, Profile};
use crate::gpt::{Architecture, SectorSize};
use crate::seed::Seed;
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

/// Returns the seed, if one is given as a UUID or as a text.
pub(super) fn seed(args: &SeedArgs) -> Result<Option<Seed>> {
    match (&args.seed, &args.seed_string) {
        (Some(text), _) => match text.parse::<Uuid>() {
            Ok(uuid) if uuid.is_nil() => Err(Error::parameter(
                "--seed",
                "the nil UUID is the same for everybody",
                "give another UUID, for example one printed by uuidgen",
            )),
            Ok(uuid) => Ok(Some(Seed(uuid))),
            Err(_) => Err(Error::parameter(
                "--seed",
                format!("{text:?} is not a UUID"),
                "give 32 hexadecimal digits, say 01234567-89ab-4cde-8f01-23456789abcd, or \
                 --seed-string for a seed from any text",
            )),
        },
        (None, Some(text)) if text.is_empty() => {
            Err(Error::parameter("--seed-string", "the text is empty", "give a text, or omit it"))
        }
        (None, text) => Ok(text.as_deref().map(Seed::from_text)),
    }
}

pub(super) fn bytes(parameter: &'static str, text: &str) -> Result<u64> {
    size::parse(text).ok_or_else(|| {
        let (rule, remedy) = wrong_size(text);
        Error::parameter(parameter, format!("{text:?} {rule}"), remedy)
    })
}

/// Returns the reason why a text is not a size, and a remedy.
fn wrong_size(text: &str) -> (&'static str, String) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let prefix = suffix.trim_start().get(..1).map(str::to_ascii_uppercase);
    let prefix = prefix.filter(|prefix| "KMGT".contains(&**prefix));
    let binary = prefix.as_ref().map(|prefix| format!("{number}{prefix}"));
    let binary = binary.and_then(|typed| size::parse(&typed).map(|bytes| (typed, bytes)));
    let general = "give a number of bytes, or a number with the suffix K, M, G or T";
    match (&*suffix.trim_start().to_ascii_lowercase(), prefix, binary) {
        ("kb" | "mb" | "gb" | "tb", _, Some((typed, bytes))) => (
            "may be in powers of 1000 or of 1024",
            format!("write {typed} for {bytes} bytes, or the number of bytes"),
        ),
        ("k" | "m" | "g" | "t" | "kib" | "mib" | "gib" | "tib", _, Some((typed, _))) => {
            ("is not a size", format!("write {typed}"))
        }
        ("" | "k" | "m" | "g" | "t" | "kib" | "mib" | "gib" | "tib", ..)
            if number.split('.').count() == 2
                && !number.starts_with('.')
                && !number.ends_with('.') =>
        {
            ("is not a whole number of bytes", "round it, or use a smaller unit".into())
        }
        _ => ("is not a size", general.into()),
    }
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

/// Rejects a pattern of extended attributes that are both dropped and kept.
pub(super) fn drop_or_keep(source: &SourceArgs) -> Result<()> {
    match source.keep_xattr.iter().find(|pattern| source.drop_xattr.contains(pattern)) {
        Some(pattern) => Err(Error::parameter(
            "--keep-xattr",
            format!("{pattern:?} is a pattern of --drop-xattr too"),
            "omit one of them",
        )),
        None => Ok(()),
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
    match args {
        Some(text) => typed_epoch(text).map(Some),
        None => epoch_of_environment(),
    }
}

/// Parses the value of `--source-date-epoch`.
pub(super) fn typed_epoch(text: &str) -> Result<Timestamp> {
    const OPTION: &str = "--source-date-epoch";
    match times::parse(text) {
        Ok(seconds) => storable(OPTION, text, seconds),
        Err(NotATime { rule, remedy }) => Err(Error::parameter(OPTION, rule, remedy)),
    }
}

/// Parses `SOURCE_DATE_EPOCH`, which its specification limits to seconds. An empty variable is
/// reported, once, as scripts export one by mistake.
fn epoch_of_environment() -> Result<Option<Timestamp>> {
    const VARIABLE: &str = "SOURCE_DATE_EPOCH";
    static REPORTED: Once = Once::new();
    #[expect(clippy::disallowed_methods, reason = "the environment is read here alone")]
    let variable = std::env::var_os(VARIABLE);
    let Some(text) = variable.map(|text| text.to_string_lossy().into_owned()) else {
        return Ok(None);
    };
    if text.is_empty() {
        REPORTED.call_once(|| {
            print_warning(&format_args!("{VARIABLE} is empty, which is the same as unset"));
        });
        return Ok(None);
    }
    match text.parse() {
        Ok(seconds) => storable(VARIABLE, &text, seconds).map(Some),
        Err(_) => Err(Error::parameter(
            VARIABLE,
            format!("{text:?} is not a number of seconds"),
            "set it to seconds since 1970, or give --source-date-epoch, which takes dates too",
        )),
    }
}

/// Returns the epoch after checking that all file systems can store it.
fn storable(parameter: &'static str, text: &str, seconds: i64) -> Result<Timestamp> {
    match EPOCHS.contains(&seconds) {
        true => Ok(Timestamp::from_seconds(seconds)),
        false => Err(Error::parameter(
            parameter,
            format!("{text:?} is not a time that can be stored"),
            format!("give seconds since 1970, from {} to {}", EPOCHS.start(), EPOCHS.end()),
        )),
    }
}

pub(super) fn ext4(args: &Ext4Args, default_profile: Profile) -> Result<Ext4> {
    let profile = args.ext4_profile.unwrap_or(default_profile);
    let block_size = args.ext4_block_size.as_deref().map(block_size).transpose()?;
    if args.grow_to.is_some() && profile == Profile::Ro {
        return Err(Error::parameter(
            "--grow-to",
            "the ext4 profile ro reserves nothing for growth",
            "omit it, or use another profile",
        ));
    }
    let default = Ext4::default();
    Ok(Ext4 {
        profile,
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

impl Ext4Args {
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

/// Rejects options of formats other than that of the root file system.
pub(super) fn only(args: &Mkimage) -> Result<()> {
    let groups = [
        (&[Fs::Btrfs, Fs::Erofs, Fs::Squashfs][..], args.compression.compress.given()),
        (&[Fs::Btrfs, Fs::Erofs], args.compression.given()),
        (&[Fs::Ext4], args.ext4.given()),
        (&[Fs::Btrfs], args.btrfs.given()),
        (&[Fs::Erofs], args.erofs.given()),
        (&[Fs::Squashfs], args.squashfs.given()),
    ];
    for (formats, options) in groups {
        let usr = args.usr_fs.map(Fs::from);
        let is_used = [Some(args.fs), usr].into_iter().flatten().any(|fs| formats.contains(&fs));
        let given = options.into_iter().find(|&(_, given)| given && !is_used);
        if let Some((option, _)) = given {
            let names: Vec<_> = formats.iter().map(|format| format.name()).collect();
            return Err(Error::parameter(
                option,
                format!("only valid for {}", names.join(" or ")),
                format!("omit it, or give --fs {}", names[0]),
            ));
        }
    }
    Ok(())
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
    fn wrong_sizes_have_remedies() {
        for (text, remedy) in [
            ("10GB", "write 10G for 10737418240 bytes, or the number of bytes"),
            ("64kB", "write 64K for 65536 bytes, or the number of bytes"),
            ("1.5TB", "write 1.5T for 1649267441664 bytes, or the number of bytes"),
            ("10g", "write 10G"),
            ("10 GiB", "write 10G"),
            ("64mib", "write 64M"),
            ("1.3K", "round it, or use a smaller unit"),
            ("1.5", "round it, or use a smaller unit"),
            ("ten", "give a number of bytes, or a number with the suffix K, M, G or T"),
            ("10P", "give a number of bytes, or a number with the suffix K, M, G or T"),
            ("99999999T", "give a number of bytes, or a number with the suffix K, M, G or T"),
            ("ä", "give a number of bytes, or a number with the suffix K, M, G or T"),
        ] {
            assert_eq!(wrong_size(text).1, remedy, "{text}");
            assert!(bytes("--size", text).is_err(), "{text}");
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
            ("--uuid", uuid("--uuid", "11111111-2222").map(drop)),
        ] {
            let error = result.unwrap_err();
            assert!(error.to_string().starts_with(parameter), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
