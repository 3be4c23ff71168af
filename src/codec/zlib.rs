//! zlib, by zlib-rs.

use std::ops::RangeInclusive;

use zlib_rs::{
    DeflateConfig, InflateConfig, ReturnCode, compress_bound, compress_slice, decompress_slice,
};

use super::interface::{Codec, EncodeFn};

/// Deflate streams with the header and the checksum of zlib.
#[derive(Debug)]
pub(crate) struct Zlib;

/// Base-2 logarithm of the window of a stream without a header, as zlib-rs wants it.
const RAW_WINDOW: i32 = -15;

impl Zlib {
    /// Decodes the first `len` bytes of a stream without the header and the checksum of zlib, or
    /// all if it has fewer.
    pub(crate) fn inflate_start(data: &[u8], len: usize) -> Option<Vec<u8>> {
        let mut output = vec![0; len];
        let config = InflateConfig { window_bits: RAW_WINDOW };
        let (decoded, code) = decompress_slice(&mut output, data, config);
        let decoded = decoded.len();
        output.truncate(decoded);
        let is_full = code == ReturnCode::BufError && decoded == len;
        (code == ReturnCode::Ok || is_full).then_some(output)
    }
}

impl Codec for Zlib {
    fn name(&self) -> &'static str {
        "zlib"
    }

    fn version(&self) -> &'static str {
        "zlib-rs 0.6.8"
    }

    fn levels(&self) -> RangeInclusive<u8> {
        1..=9
    }

    fn bound(&self, len: usize) -> usize {
        compress_bound(len)
    }

    fn encoder(&self, level: u8) -> EncodeFn {
        let config = DeflateConfig::new(level.into());
        Box::new(move |raw, output| {
            let (encoded, code) = compress_slice(output, raw, config);
            assert!(code == ReturnCode::Ok, "the output has the size of the bound");
            encoded.len()
        })
    }

    fn decode(&self, data: &[u8], len: usize) -> Option<Vec<u8>> {
        // One extra byte of space reveals a stream that is longer than `len`.
        let mut output = vec![0; len + 1];
        let (decoded, code) = decompress_slice(&mut output, data, InflateConfig::default());
        let decoded = decoded.len();
        output.truncate(decoded);
        (code == ReturnCode::Ok && decoded <= len).then_some(output)
    }
}
