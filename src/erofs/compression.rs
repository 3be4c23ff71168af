//! Compression algorithms of erofs.

use std::fmt;
use std::str::FromStr;

use zerocopy::little_endian::U16;
use zerocopy::{FromZeros, IntoBytes};

use super::profile::Profile;
use super::spec::{BLOCK, Lz4Cfgs, ZstdCfgs, algorithm};
use crate::codec::{self, Codec, Lz4, VerifiedCodec, Zstd};
use crate::error::{Error, Result};

/// Compression algorithm and level of an erofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// LZ4 by its fast encoder, supported since Linux 5.15 in the form that is written.
    Lz4,
    /// LZ4 by an encoder that looks for longer matches.
    Lz4hc {
        /// Level, from 1 to 12.
        level: u8,
    },
    /// Zstandard, supported since Linux 6.10.
    Zstd {
        /// Level, from 1 to 22.
        level: u8,
    },
}

/// Default levels, which are those of mkfs.erofs.
const LZ4HC_LEVEL: u8 = 9;
const ZSTD_LEVEL: u8 = 3;

impl Compression {
    /// Returns its number in the image.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Lz4 | Self::Lz4hc { .. } => algorithm::LZ4,
            Self::Zstd { .. } => algorithm::ZSTD,
        }
    }

    pub(super) fn codec(self) -> &'static dyn Codec {
        match self {
            Self::Lz4 | Self::Lz4hc { .. } => &Lz4,
            Self::Zstd { .. } => &Zstd,
        }
    }

    /// Returns its name without the level, as mkfs.erofs knows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Lz4hc { .. } => "lz4hc",
            Self::Zstd { .. } => "zstd",
        }
    }

    fn level(self) -> u8 {
        match self {
            Self::Lz4 => 0,
            Self::Lz4hc { level } | Self::Zstd { level } => level,
        }
    }

    pub(super) fn verified(self) -> Result<VerifiedCodec> {
        codec::verified(self.codec(), self.level())
    }

    /// Returns the oldest profile whose kernels read it.
    fn profile(self) -> Profile {
        match self {
            Self::Lz4 | Self::Lz4hc { .. } => Profile::Linux5_15,
            Self::Zstd { .. } => Profile::Linux6_10,
        }
    }

    /// Returns the record of the algorithm after the superblock, without its size.
    pub(super) fn config(self, cluster_size: u32) -> Vec<u8> {
        match self {
            Self::Lz4 | Self::Lz4hc { .. } => {
                let blocks = u64::from(cluster_size) / BLOCK;
                let config = Lz4Cfgs {
                    max_distance: U16::MAX_VALUE,
                    max_pclusterblks: U16::new(u16::try_from(blocks).expect("a few blocks")),
                    ..Lz4Cfgs::new_zeroed()
                };
                config.as_bytes().to_vec()
            }
            Self::Zstd { .. } => {
                let windowlog = u8::try_from(cluster_size.ilog2() - 10).expect("a small number");
                let config = ZstdCfgs { windowlog, ..ZstdCfgs::new_zeroed() };
                config.as_bytes().to_vec()
            }
        }
    }

    /// Checks the level, and that kernels of the profile read the algorithm.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the algorithm has no such level, or is too new for the profile.
    pub(super) fn check(self, profile: Profile) -> Result<()> {
        let (name, level) = (self.name(), self.level());
        let levels = self.codec().levels();
        let min = if self == Self::Lz4 { 0 } else { 1 };
        if !(min..=*levels.end()).contains(&level) {
            return Err(Error::parameter(
                "erofs.compression",
                format!("{name} has no level {level}"),
                format!("use a level from {min} to {}", levels.end()),
            ));
        }
        if profile < self.profile() {
            return Err(Error::parameter(
                "erofs.compression",
                format!("kernels of the profile {} don't read {name}", profile.name()),
                format!("use `erofs.profile={}`, or omit it", self.profile().name()),
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lz4 => f.write_str(self.name()),
            _ => write!(f, "{}:{}", self.name(), self.level()),
        }
    }
}

/// Parses `lz4`, `lz4hc` or `zstd`.
///
/// The last two may have a level after a colon; the default levels are those of mkfs.erofs.
impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::parameter(
                "erofs.compression",
                format!("erofs can't be written with the compression `{text}`"),
                "use zstd, lz4hc or lz4, the first two with an optional level as in `zstd:9`",
            )
        };
        let (name, level) = codec::name_and_level(text).ok_or_else(unknown)?;
        let compression = match name {
            "lz4" if level.is_none() => Self::Lz4,
            "lz4hc" => Self::Lz4hc { level: level.unwrap_or(LZ4HC_LEVEL) },
            "zstd" => Self::Zstd { level: level.unwrap_or(ZSTD_LEVEL) },
            _ => return Err(unknown()),
        };
        compression.check(Profile::default())?;
        Ok(compression)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_understood() {
        for (text, shown) in [
            ("lz4", "lz4"),
            ("lz4hc", "lz4hc:9"),
            ("lz4hc:12", "lz4hc:12"),
            ("zstd", "zstd:3"),
            ("zstd:22", "zstd:22"),
        ] {
            assert_eq!(text.parse::<Compression>().unwrap().to_string(), shown);
        }
        for text in ["", "lz4:1", "lz4hc:0", "lz4hc:13", "zstd:0", "zstd:23", "zstd:+3", "lzma"] {
            let error = text.parse::<Compression>().unwrap_err().to_string();
            assert!(error.starts_with("erofs.compression: "), "{error}");
        }
    }
}
