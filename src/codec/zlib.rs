//! zlib, by zlib-rs.

use std::ops::RangeInclusive;

use zlib_rs::{
    DeflateConfig, InflateConfig, ReturnCode, compress_bound, compress_slice, decompress_slice,
};

use super::interface::{Codec, EncodeFn};

/// Deflate streams with the header and the checksum of zlib.
#[derive(Debug)]
pub(crate) struct Zlib;

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
