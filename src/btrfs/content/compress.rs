//! Compression of extents, in the formats that the kernel reads.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use zlib_rs::{DeflateConfig, ReturnCode, compress_bound, compress_slice};
use zstd_safe::{CCtx, CParameter};

use super::limits::COMPRESSED;
use super::lzo::Lzo;
use crate::error::{Error, Result};

/// Compression algorithm and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl Compression {
    /// Returns its number in `btrfs_file_extent_item.compression`.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Zlib { .. } => 1,
            Self::Lzo => 2,
            Self::Zstd { .. } => 3,
        }
    }

    /// Returns its name without the level, as in the property `btrfs.compression`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zlib { .. } => "zlib",
            Self::Lzo => "lzo",
            Self::Zstd { .. } => "zstd",
        }
    }

    /// Returns its level, if it has one.
    #[must_use]
    pub fn level(self) -> Option<u8> {
        match self {
            Self::Zlib { level } | Self::Zstd { level } => Some(level),
            Self::Lzo => None,
        }
    }

    /// Checks the level.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the algorithm has no such level.
    pub fn check(self) -> Result<()> {
        let levels: RangeInclusive<u8> = match self {
            Self::Zlib { .. } => 1..=9,
            Self::Zstd { .. } => 1..=15,
            Self::Lzo => return Ok(()),
        };
        match self.level() {
            Some(level) if !levels.contains(&level) => Err(Error::parameter(
                "btrfs.compression",
                format!("{} has no level {level}", self.name()),
                format!("use a level from {} to {}", levels.start(), levels.end()),
            )),
            _ => Ok(()),
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
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let number = match level {
            // `parse` accepts a sign.
            Some(level) if level.bytes().all(|byte| byte.is_ascii_digit()) => {
                level.parse().map_err(|_| unknown())?
            }
            Some(_) => return Err(unknown()),
            None => DEFAULT_LEVEL,
        };
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

/// Returns the compressors and their versions.
///
/// Other compressors produce other bytes from the same content.
#[must_use]
pub fn codecs() -> [(&'static str, &'static str); 3] {
    [
        ("zlib", "zlib-rs 0.6.8"),
        ("lzo", "lzokay 2.0.1"),
        // The linked version may differ from the pinned one.
        ("zstd", zstd_safe::version_string()),
    ]
}

/// Compressors; each thread has its own.
///
/// The output does not depend on earlier calls.
pub(super) struct Codecs {
    lzo: Option<Lzo>,
    zstd: Option<CCtx<'static>>,
    /// Output buffer, which starts with the compressed bytes of the last call.
    output: Vec<u8>,
}

/// Maximum number of bytes that are compressed at once.
#[expect(clippy::cast_possible_truncation, reason = "it is small")]
const RAW: usize = COMPRESSED as usize;

/// Size of the output buffer, which exceeds the compressed size of any extent.
const ROOM: usize = RAW * 5 / 4;
// The output of zlib depends on the size of the buffer if that is below the bound.
const _: () = assert!(compress_bound(RAW) <= ROOM);

impl Default for Codecs {
    fn default() -> Self {
        Self { lzo: None, zstd: None, output: vec![0; ROOM] }
    }
}

impl Codecs {
    /// Compresses at most [`COMPRESSED`] bytes.
    pub(super) fn compress(&mut self, compression: Compression, raw: &[u8]) -> &[u8] {
        debug_assert!(raw.len() as u64 <= COMPRESSED, "that is what an extent may hold");
        let len = match compression {
            Compression::Zlib { level } => zlib(level, raw, &mut self.output),
            Compression::Lzo => self.lzo.get_or_insert_default().compress(raw, &mut self.output),
            Compression::Zstd { level } => self.zstd(level, raw),
        };
        &self.output[..len]
    }

    fn zstd(&mut self, level: u8, raw: &[u8]) -> usize {
        let context = self.zstd.get_or_insert_with(CCtx::create);
        let level = CParameter::CompressionLevel(level.into());
        context.set_parameter(level).expect("the level was checked");
        // All input is passed at once, so the frame contains its size, and the window is no larger.
        context.compress2(&mut self.output[..], raw).expect("the output is large enough")
    }
}

/// Compresses in one call: the output of several calls depends on where the input is split.
fn zlib(level: u8, raw: &[u8], output: &mut [u8]) -> usize {
    let (compressed, code) = compress_slice(output, raw, DeflateConfig::new(level.into()));
    assert!(code == ReturnCode::Ok, "the output is large enough");
    compressed.len()
}
