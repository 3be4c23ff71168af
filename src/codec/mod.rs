//! Compression codecs, and a parallel pass that encodes files.
//!
//! The bytes of an encoder decide bytes of images, so encoders are part of the layout version.
//! Their versions are pinned, every buffer is encoded in one call, and the bytes of frozen test
//! vectors are checked before an encoder is first used.

#[cfg(test)]
pub(crate) mod delay;
mod in_order;
mod interface;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "lzo")]
mod lzo;
mod prepass;
mod sample;
#[cfg(test)]
mod tests;
mod vectors;
mod verify;
#[cfg(feature = "xz")]
mod xz;
#[cfg(feature = "zlib")]
mod zlib;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(any(feature = "erofs", feature = "squashfs"))]
pub(crate) use in_order::encode_in_order;
pub(crate) use interface::{Codec, Encoder};
#[cfg(feature = "lz4")]
pub(crate) use lz4::Lz4;
#[cfg(feature = "lzo")]
pub(crate) use lzo::Lzo;
pub(crate) use prepass::{Piece, PieceEncoder, encode_pieces};
#[cfg(any(feature = "erofs", feature = "squashfs"))]
pub(crate) use verify::VerifiedCodec;
pub(crate) use verify::verified;
#[cfg(feature = "xz")]
pub(crate) use xz::Xz;
#[cfg(feature = "zlib")]
pub(crate) use zlib::Zlib;
#[cfg(feature = "zstd")]
pub(crate) use zstd::Zstd;

use crate::format::CodecVersions;

/// All codecs.
pub(crate) const ALL: &[&dyn Codec] = &[
    #[cfg(feature = "zlib")]
    &Zlib,
    #[cfg(feature = "lzo")]
    &Lzo,
    #[cfg(feature = "zstd")]
    &Zstd,
    #[cfg(feature = "lz4")]
    &Lz4,
    #[cfg(feature = "xz")]
    &Xz,
];

/// Returns the versions of these encoders.
pub(crate) fn versions(codecs: &[&dyn Codec]) -> CodecVersions {
    codecs.iter().map(|codec| (codec.name(), codec.version())).collect()
}

/// Splits `NAME[:LEVEL]`; `None` if the level is not a number up to 255.
pub(crate) fn name_and_level(text: &str) -> Option<(&str, Option<u8>)> {
    let Some((name, level)) = text.split_once(':') else { return Some((text, None)) };
    // `parse` accepts a sign.
    let is_number = level.bytes().all(|byte| byte.is_ascii_digit());
    let level = is_number.then(|| level.parse().ok())??;
    Some((name, Some(level)))
}
