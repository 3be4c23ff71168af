//! Compression of extents, in the formats that the kernel reads.

use std::fmt;
use std::str::FromStr;

use super::limits::COMPRESSED;
use super::lzo;
use crate::codec::{self, Codec, Encoder, Lzo, Zlib, Zstd};
use crate::error::{Error, Result};

/// Compression algorithm and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// zlib. Every kernel and boot loader with btrfs support reads it.
    Zlib {
        /// Level, from 1 to 9.
        level: u8,
    },
    /// LZO, the fastest to read.
    Lzo,
    /// Zstandard, supported since Linux 4.14.
    Zstd {
        /// Level, from 1 to 15.
        level: u8,
    },
}

/// Default level of the kernel, for both zlib and Zstandard.
const DEFAULT_LEVEL: u8 = 3;

/// Highest level of the kernel's btrfs; that of zlib is lower.
const MAX_LEVEL: u8 = 15;

impl Compression {
    /// Returns its number in `btrfs_file_extent_item.compression`.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Zlib { .. } => 1,
            Self::Lzo => 2,
            Self::Zstd { .. } => 3,
        }
    }

    fn codec(self) -> &'static dyn Codec {
        match self {
            Self::Zlib { .. } => &Zlib,
            Self::Lzo => &Lzo,
            Self::Zstd { .. } => &Zstd,
        }
    }

    /// Returns its name without the level, as in the property `btrfs.compression`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.codec().name()
    }

    /// Returns its level, if it has one.
    #[must_use]
    pub fn level(self) -> Option<u8> {
        match self {
            Self::Zlib { level } | Self::Zstd { level } => Some(level),
            Self::Lzo => None,
        }
    }

    fn encoder(self) -> Result<Encoder> {
        Ok(codec::verified(self.codec(), self.level().unwrap_or(0))?.encoder())
    }

    /// Checks that this build's encoder writes the bytes of the layout version.
    pub(super) fn verify(self) -> Result<()> {
        self.encoder().map(drop)
    }

    /// Checks the level.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the algorithm has no such level.
    pub fn check(self) -> Result<()> {
        let Some(level) = self.level() else { return Ok(()) };
        let levels = self.codec().levels();
        let (min, max) = (*levels.start(), MAX_LEVEL.min(*levels.end()));
        match (min..=max).contains(&level) {
            true => Ok(()),
            false => Err(Error::parameter(
                "btrfs.compression",
                format!("{} has no level {level}", self.name()),
                format!("use a level from {min} to {max}"),
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

/// Parses `zlib`, `lzo` or `zstd`.
///
/// Zlib and zstd may have a level after a colon; the default is 3.
impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::parameter(
                "btrfs.compression",
                format!("unknown compression `{text}`"),
                "use zstd, zlib or lzo, the first two with an optional level as in `zstd:9`",
            )
        };
        let (name, level) = codec::name_and_level(text).ok_or_else(unknown)?;
        let number = level.unwrap_or(DEFAULT_LEVEL);
        let compression = match name {
            "zlib" => Self::Zlib { level: number },
            "zstd" => Self::Zstd { level: number },
            "lzo" if level.is_none() => Self::Lzo,
            _ => return Err(unknown()),
        };
        compression.check()?;
        Ok(compression)
    }
}

/// Encoders of extents; each thread has its own.
///
/// The output does not depend on earlier calls.
#[derive(Default)]
pub(super) struct ExtentEncoders {
    encoders: Vec<(Compression, Encoder)>,
    /// Output of LZO.
    container: Vec<u8>,
}

impl ExtentEncoders {
    /// Compresses at most [`COMPRESSED`] bytes.
    pub(super) fn compress(&mut self, compression: Compression, raw: &[u8]) -> Result<&[u8]> {
        debug_assert!(raw.len() <= COMPRESSED as usize, "that is what an extent may hold");
        let known = self.encoders.iter().position(|&(known, _)| known == compression);
        let at = known.unwrap_or(self.encoders.len());
        if known.is_none() {
            self.encoders.push((compression, compression.encoder()?));
        }
        let (_, encoder) = &mut self.encoders[at];
        Ok(match compression {
            Compression::Zlib { .. } | Compression::Zstd { .. } => encoder.encode(raw),
            Compression::Lzo => {
                lzo::compress(encoder, raw, &mut self.container);
                &self.container
            }
        })
    }
}
