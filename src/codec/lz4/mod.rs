//! LZ4 blocks, by encoders and a decoder of our own.
//!
//! The bytes of the C library, and of crates that follow it, depend on the size of a word and on
//! the byte order of the machine. These encoders read words as little-endian numbers on every
//! machine.

mod decode;
mod fast;
mod high;
mod sequence;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use super::interface::{Codec, EncodeFn};
use fast::Table;
use high::{MAX_LEVEL, Matches};

/// Bare LZ4 blocks, which contain neither a length nor a checksum.
///
/// Level 0 is the fast encoder. Levels from 1 on correspond to those of the C library's
/// `LZ4_compress_HC`.
#[derive(Debug)]
pub(crate) struct Lz4;

impl Lz4 {
    /// Decodes the first `len` bytes of a block, or all if it has fewer. What follows is ignored.
    pub(crate) fn decode_start(data: &[u8], len: usize) -> Option<Vec<u8>> {
        decode::decode_start(data, len)
    }
}

impl Codec for Lz4 {
    fn name(&self) -> &'static str {
        "lz4"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn levels(&self) -> RangeInclusive<u8> {
        0..=MAX_LEVEL
    }

    fn bound(&self, len: usize) -> usize {
        len + len / 255 + 16
    }

    fn encoder(&self, level: u8) -> EncodeFn {
        if level == 0 {
            let mut table = Table::new();
            return Box::new(move |raw, output| table.encode(raw, output));
        }
        let mut matches = Matches::new(level);
        Box::new(move |raw, output| matches.encode(raw, output))
    }

    fn decode(&self, data: &[u8], len: usize) -> Option<Vec<u8>> {
        decode::decode(data, len)
    }
}
