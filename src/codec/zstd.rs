//! Zstandard, by libzstd.

use std::ops::RangeInclusive;

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer};

use super::interface::{Codec, EncodeFn};

/// Zstandard frames that contain their size.
#[derive(Debug)]
pub(crate) struct Zstd;

/// Base-2 logarithm of the largest window that is decoded whatever the length, 128 KiB.
const WINDOW_LOG: u32 = 17;

impl Zstd {
    /// Decodes the first `len` bytes of a frame, or all if it has fewer, with a window of at most
    /// 128 KiB or what `len` bytes need.
    pub(crate) fn decode_start(data: &[u8], len: usize) -> Option<Vec<u8>> {
        let (decoded, _) = decode(data, len)?;
        Some(decoded)
    }
}

impl Codec for Zstd {
    fn name(&self) -> &'static str {
        "zstd"
    }

    fn version(&self) -> &'static str {
        "1.5.7"
    }

    fn linked_version(&self) -> &'static str {
        zstd_safe::version_string()
    }

    fn levels(&self) -> RangeInclusive<u8> {
        1..=22
    }

    fn bound(&self, len: usize) -> usize {
        zstd_safe::compress_bound(len)
    }

    fn encoder(&self, level: u8) -> EncodeFn {
        let mut context = CCtx::create();
        let level = CParameter::CompressionLevel(level.into());
        context.set_parameter(level).expect("libzstd has the level");
        // All input is passed at once, so the frame contains its size, and the window is no larger.
        Box::new(move |raw, output| {
            context.compress2(output, raw).expect("the output has the size of the bound")
        })
    }

    /// Decodes a single frame, with a window of at most 128 KiB or what `len` bytes need.
    fn decode(&self, data: &[u8], len: usize) -> Option<Vec<u8>> {
        let (decoded, is_whole) = decode(data, len)?;
        is_whole.then_some(decoded)
    }
}

/// Decodes at most `len` bytes of a frame, and returns whether those are all.
fn decode(data: &[u8], len: usize) -> Option<(Vec<u8>, bool)> {
    let window_log = WINDOW_LOG.max(len.next_power_of_two().ilog2());
    let mut context = DCtx::try_create()?;
    context.set_parameter(DParameter::WindowLogMax(window_log)).ok()?;
    let mut output = vec![0; len];
    let mut to = OutBuffer::around(&mut output[..]);
    let mut from = InBuffer::around(data);
    let is_whole = loop {
        let (read, written) = (from.pos(), to.pos());
        if context.decompress_stream(&mut to, &mut from).ok()? == 0 {
            break true;
        }
        if (from.pos(), to.pos()) == (read, written) {
            break false;
        }
    };
    let written = to.pos();
    output.truncate(written);
    Some((output, is_whole))
}
