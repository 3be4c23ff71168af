//! Compressors that readers of squashfs know.

use std::fmt;
use std::str::FromStr;

use super::spec::compression::{LZ4, XZ, ZLIB, ZSTD};
use crate::codec::{self, Codec, Lz4, VerifiedCodec, Xz, Zlib, Zstd};
use crate::error::{Error, Result};

/// Compression algorithm and level of a squashfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// zlib, which every reader of squashfs supports.
    Gzip {
        /// Level, from 1 to 9.
        level: u8,
    },
    /// Zstandard, supported since Linux 4.14.
    Zstd {
        /// Level, from 1 to 22.
        level: u8,
    },
    /// LZ4, the fastest to read.
    Lz4 {
        /// Level: 0 for the fast encoder, 1 to 12 for the thorough one.
        level: u8,
    },
    /// LZMA2 in .xz, the smallest and the slowest to read.
    Xz,
}

/// Default level of mksquashfs for gzip.
const GZIP_LEVEL: u8 = 9;

/// Default level of mksquashfs for Zstandard.
const ZSTD_LEVEL: u8 = 15;

/// Base-2 logarithm of the window of zlib.
const GZIP_WINDOW: u16 = 15;

/// Version of the format of LZ4 blocks: `LZ4_LEGACY`.
const LZ4_VERSION: u32 = 1;

impl Default for Compression {
    /// Returns the default of mksquashfs.
    fn default() -> Self {
        Self::Gzip { level: GZIP_LEVEL }
    }
}

impl Compression {
    /// Returns its number in `squashfs_super_block.compression`.
    pub(super) fn number(self) -> u16 {
        match self {
            Self::Gzip { .. } => ZLIB,
            Self::Zstd { .. } => ZSTD,
            Self::Lz4 { .. } => LZ4,
            Self::Xz => XZ,
        }
    }

    pub(super) fn codec(self) -> &'static dyn Codec {
        match self {
            Self::Gzip { .. } => &Zlib,
            Self::Zstd { .. } => &Zstd,
            Self::Lz4 { .. } => &Lz4,
            Self::Xz => &Xz,
        }
    }

    /// Returns its name without the level, as mksquashfs knows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip { .. } => "gzip",
            Self::Zstd { .. } => "zstd",
            Self::Lz4 { .. } => "lz4",
            Self::Xz => "xz",
        }
    }

    /// Returns its level, if it has one.
    #[must_use]
    pub fn level(self) -> Option<u8> {
        match self {
            Self::Gzip { level } | Self::Zstd { level } | Self::Lz4 { level } => Some(level),
            Self::Xz => None,
        }
    }

    pub(super) fn verified(self) -> Result<VerifiedCodec> {
        codec::verified(self.codec(), self.level().unwrap_or(0))
    }

    /// Returns the options that are stored after the superblock: none if they are the defaults,
    /// except for LZ4, which readers expect to have them.
    pub(super) fn stored_options(self) -> Option<Vec<u8>> {
        match self {
            Self::Gzip { level: GZIP_LEVEL } | Self::Zstd { level: ZSTD_LEVEL } | Self::Xz => None,
            Self::Gzip { level } => {
                let (level, strategies) = (u32::from(level).to_le_bytes(), 0u16);
                Some([&level[..], &GZIP_WINDOW.to_le_bytes(), &strategies.to_le_bytes()].concat())
            }
            Self::Zstd { level } => Some(u32::from(level).to_le_bytes().to_vec()),
            Self::Lz4 { level } => {
                let flags = u32::from(level > 0);
                Some([LZ4_VERSION.to_le_bytes(), flags.to_le_bytes()].concat())
            }
        }
    }

    /// Checks the level.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the algorithm has no such level.
    pub fn check(self) -> Result<()> {
        let Some(level) = self.level() else { return Ok(()) };
        let levels = self.codec().levels();
        match levels.contains(&level) {
            true => Ok(()),
            false => Err(Error::parameter(
                "squashfs.compression",
                format!("{} has no level {level}", self.name()),
                format!("use a level from {} to {}", levels.start(), levels.end()),
            )),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.level().map_or(Ok(()), |level| write!(f, ":{level}"))
    }
}

/// Parses `gzip`, `zstd`, `lz4` or `xz`. All but the last may have a level after a colon.
///
/// The defaults are those of mksquashfs.
impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::parameter(
                "squashfs.compression",
                format!("unknown compression `{text}`"),
                "use gzip, zstd, lz4 or xz, all but the last with an optional level as in `zstd:19`",
            )
        };
        let (name, level) = codec::name_and_level(text).ok_or_else(unknown)?;
        let compression = match name {
            "gzip" => Self::Gzip { level: level.unwrap_or(GZIP_LEVEL) },
            "zstd" => Self::Zstd { level: level.unwrap_or(ZSTD_LEVEL) },
            "lz4" => Self::Lz4 { level: level.unwrap_or(0) },
            "xz" if level.is_none() => Self::Xz,
            _ => return Err(unknown()),
        };
        compression.check()?;
        Ok(compression)
    }
}
