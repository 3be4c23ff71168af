//! .xz, by lzma-rust2.

use std::io::{Read, Write};
use std::ops::RangeInclusive;

use lzma_rust2::{CheckType, LzmaReader, XzOptions, XzReader, XzWriter};

use super::interface::{Codec, EncodeFn};

/// .xz streams of one block, with a CRC32.
#[derive(Debug)]
pub(crate) struct Xz;

/// Preset of the `xz` program. Only its dictionary is another one.
const PRESET: u32 = 6;

/// Size of the smallest dictionary, in bytes: that of a metadata block of squashfs.
const MIN_DICTIONARY: usize = 8 << 10;

/// Memory of the decoder besides the dictionary, in KiB.
const DECODER_KIB: u32 = 256;

/// Returns the size of the dictionary for a buffer, in bytes: a power of two.
fn dictionary(len: usize) -> u32 {
    u32::try_from(len.max(MIN_DICTIONARY).next_power_of_two()).expect("a buffer is below 2 GiB")
}

impl Xz {
    /// Decodes the first `len` bytes of an LZMA stream, which has neither a header nor a length.
    /// Returns `None` if it is invalid or shorter.
    ///
    /// `props` are the numbers of literal context, literal position and position bits.
    pub(crate) fn decode_lzma(props: u8, data: &[u8], len: usize) -> Option<Vec<u8>> {
        // With its length, a stream of which only the start is read would be an error.
        let mut reader =
            LzmaReader::new_with_props(data, u64::MAX, props, dictionary(len), None).ok()?;
        let mut output = vec![0; len];
        reader.read_exact(&mut output).ok()?;
        Some(output)
    }
}

impl Codec for Xz {
    fn name(&self) -> &'static str {
        "xz"
    }

    fn version(&self) -> &'static str {
        "lzma-rust2 0.25.0"
    }

    fn levels(&self) -> RangeInclusive<u8> {
        0..=0
    }

    fn bound(&self, len: usize) -> usize {
        // Headers, and chunks of 64 KiB that are stored.
        len + 3 * (len >> 16) + 128
    }

    fn encoder(&self, _level: u8) -> EncodeFn {
        Box::new(|raw, output| {
            let mut options = XzOptions::with_preset(PRESET);
            options.set_check_sum_type(CheckType::Crc32);
            options.lzma_options.dict_size = dictionary(raw.len());
            let size = output.len();
            let encode = || {
                let mut writer = XzWriter::new(output, options)?;
                writer.write_all(raw)?;
                writer.finish()
            };
            size - encode().expect("the output has the size of the bound").len()
        })
    }

    /// Decodes a single stream, with a dictionary of at most what `len` bytes need.
    fn decode(&self, data: &[u8], len: usize) -> Option<Vec<u8>> {
        let memory = (dictionary(len) >> 10) + DECODER_KIB;
        let reader = XzReader::new_mem_limit(data, false, memory);
        let mut output = Vec::with_capacity(len);
        // One extra byte reveals a stream that is longer than `len`.
        reader.take(len as u64 + 1).read_to_end(&mut output).ok()?;
        (output.len() <= len).then_some(output)
    }
}
