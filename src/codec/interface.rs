//! The interface that all codecs share.

use std::fmt;
use std::ops::RangeInclusive;

/// A compression format, with an encoder whose output is part of the layout version.
pub(crate) trait Codec: Sync {
    /// Returns the name of the format.
    fn name(&self) -> &'static str;

    /// Returns the program and version whose bytes belong to the layout version.
    fn version(&self) -> &'static str;

    /// Returns the version that is linked, which is another one if the build replaced the program.
    fn linked_version(&self) -> &'static str {
        self.version()
    }

    /// Returns the levels; only 0 if the format has none.
    fn levels(&self) -> RangeInclusive<u8>;

    /// Returns the size of the output buffer for `len` bytes, which no output exceeds.
    fn bound(&self, len: usize) -> usize;

    /// Returns a function that encodes a buffer in one call and returns the length of the output.
    ///
    /// The output does not depend on earlier calls.
    fn encoder(&self, level: u8) -> EncodeFn;

    /// Decodes a stream of at most `len` bytes.
    ///
    /// Formats that mark the end of a stream ignore the bytes after it. Returns `None` if the
    /// stream is invalid or longer.
    fn decode(&self, data: &[u8], len: usize) -> Option<Vec<u8>>;
}

/// Function that encodes the first buffer into the second, which has the size of the bound.
pub(crate) type EncodeFn = Box<dyn FnMut(&[u8], &mut [u8]) -> usize>;

/// Encoder of a codec at a level, with its output buffer; each thread has its own.
pub(crate) struct Encoder {
    codec: &'static dyn Codec,
    encode: EncodeFn,
    output: Vec<u8>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("codec", &self.codec.name()).finish_non_exhaustive()
    }
}

impl Encoder {
    /// Creates an encoder whose bytes are not verified.
    pub(super) fn new(codec: &'static dyn Codec, level: u8) -> Self {
        debug_assert!(codec.levels().contains(&level), "levels are checked before");
        Self { codec, encode: codec.encoder(level), output: Vec::new() }
    }

    /// Encodes `raw` in one call: the bytes of a stream depend on how its input is split, and may
    /// depend on the size of the output buffer if that is below the bound.
    pub(crate) fn encode(&mut self, raw: &[u8]) -> &[u8] {
        #[cfg(test)]
        super::delay::wait(raw);
        self.output.resize(self.codec.bound(raw.len()), 0);
        let len = (self.encode)(raw, &mut self.output);
        &self.output[..len]
    }
}
