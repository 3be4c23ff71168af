//! Compressors that readers of squashfs know.

use std::fmt;
use std::str::FromStr;

use super::spec::compression::{ZLIB, ZSTD};
use crate::codec::{self, Codec, Encoder, Zlib, Zstd};
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
}

/// Default level of mksquashfs for gzip.
const GZIP_LEVEL: u8 = 9;

/// Default level of mksquashfs for Zstandard.
const ZSTD_LEVEL: u8 = 15;

/// Base-2 logarithm of the window of zlib.
const GZIP_WINDOW: u16 = 15;

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
        }
    }

    pub(super) fn codec(self) -> &'static dyn Codec {
        match self {
            Self::Gzip { .. } => &Zlib,
            Self::Zstd { .. } => &Zstd,
        }
    }

    /// Returns its name without the level, as mksquashfs knows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip { .. } => "gzip",
            Self::Zstd { .. } => "zstd",
        }
    }

    /// Returns its level.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::Gzip { level } | Self::Zstd { level } => level,
        }
    }

    pub(super) fn encoder(self) -> Result<Encoder> {
        codec::encoder(self.codec(), self.level())
    }

    /// Returns the options that are stored after the superblock, unless they are the defaults.
    pub(super) fn stored_options(self) -> Option<Vec<u8>> {
        let level = u32::from(self.level()).to_le_bytes();
        match self {
            Self::Gzip { level: GZIP_LEVEL } | Self::Zstd { level: ZSTD_LEVEL } => None,
            Self::Gzip { .. } => {
                let strategies = 0u16;
                Some([&level[..], &GZIP_WINDOW.to_le_bytes(), &strategies.to_le_bytes()].concat())
            }
            Self::Zstd { .. } => Some(level.to_vec()),
        }
    }

    /// Checks the level.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the algorithm has no such level.
    pub fn check(self) -> Result<()> {
        let levels = self.codec().levels();
        match levels.contains(&self.level()) {
            true => Ok(()),
            false => Err(Error::parameter(
                "squashfs.compression",
                format!("{} has no level {}", self.name(), self.level()),
                format!("use a level from {} to {}", levels.start(), levels.end()),
            )),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name(), self.level())
    }
}

/// Parses `gzip` or `zstd`, which may have a level after a colon.
///
/// The default levels are those of mksquashfs.
impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::parameter(
                "squashfs.compression",
                format!("unknown compression `{text}`"),
                "use gzip or zstd, with an optional level as in `zstd:19`",
            )
        };
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let level = match level {
            // `parse` accepts a sign.
            Some(level) if level.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(level.parse().map_err(|_| unknown())?)
            }
            Some(_) => return Err(unknown()),
            None => None,
        };
        let compression = match name {
            "gzip" => Self::Gzip { level: level.unwrap_or(GZIP_LEVEL) },
            "zstd" => Self::Zstd { level: level.unwrap_or(ZSTD_LEVEL) },
            _ => return Err(unknown()),
        };
        compression.check()?;
        Ok(compression)
    }
}
