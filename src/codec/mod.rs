//! Compression codecs, and a parallel pass that encodes files.
//!
//! The bytes of an encoder decide bytes of images, so encoders are part of the layout version.
//! Their versions are pinned, every buffer is encoded in one call, and the bytes of frozen test
//! vectors are checked before an encoder is first used.

mod interface;
mod lzo;
mod prepass;
mod sample;
mod spool;
#[cfg(test)]
mod tests;
mod vectors;
mod verify;
mod zlib;
mod zstd;

pub(crate) use interface::{Codec, Encoder};
pub(crate) use lzo::Lzo;
pub(crate) use prepass::{Piece, PieceEncoder, encode_pieces};
pub(crate) use spool::{Appender, Spool};
pub(crate) use verify::{encoder, verify};
pub(crate) use zlib::Zlib;
pub(crate) use zstd::Zstd;

use crate::format::CodecVersions;

/// All codecs.
const ALL: [&dyn Codec; 3] = [&Zlib, &Lzo, &Zstd];

/// Returns the versions of all encoders.
pub(crate) fn versions() -> CodecVersions {
    ALL.iter().map(|codec| (codec.name(), codec.version())).collect()
}
