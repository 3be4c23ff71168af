//! LZO1X, by lzokay.

use std::ops::RangeInclusive;

use lzokay::compress::{Dict, compress_no_alloc, compress_worst_size};
use lzokay::decompress::decompress;

use super::interface::{Codec, EncodeFn};

/// Bare LZO1X streams, which contain neither a length nor a checksum.
#[derive(Debug)]
pub(crate) struct Lzo;

impl Codec for Lzo {
    fn name(&self) -> &'static str {
        "lzo"
    }

    fn version(&self) -> &'static str {
        "lzokay 2.0.1"
    }

    fn levels(&self) -> RangeInclusive<u8> {
        0..=0
    }

    fn bound(&self, len: usize) -> usize {
        compress_worst_size(len)
    }

    fn encoder(&self, _level: u8) -> EncodeFn {
        let mut dict = Dict::new();
        Box::new(move |raw, output| {
            compress_no_alloc(raw, output, &mut dict).expect("the output has the size of the bound")
        })
    }

    /// Decodes a stream that must fill `data`.
    fn decode(&self, data: &[u8], len: usize) -> Option<Vec<u8>> {
        let mut output = vec![0; len];
        let decoded = decompress(data, &mut output).ok()?;
        output.truncate(decoded);
        Some(output)
    }
}
