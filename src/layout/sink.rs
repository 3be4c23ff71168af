//! Sinks: destinations for the bytes of an image.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

use positioned_io::WriteAt;

/// Zeros for writing and hashing.
pub(super) static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Splits `len` zeros into slices of [`ZEROS`].
pub(super) fn zero_slices(len: u64) -> impl Iterator<Item = &'static [u8]> {
    let mut left = len;
    std::iter::from_fn(move || {
        let take = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        left -= take as u64;
        (take > 0).then(|| &ZEROS[..take])
    })
}

/// A destination for the bytes of an image.
///
/// Each byte is passed exactly once, in [`Sink::write`], [`Sink::zeros`] or [`Sink::share`]. The
/// calls come from several threads and in any order, unless the sink is [in order](Sink::in_order).
pub trait Sink: Sync {
    /// Writes `bytes` at `offset`, in bytes from the start of the image.
    ///
    /// # Errors
    /// If they can't be written.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Writes `len` zeros at `offset`.
    ///
    /// The default implementation writes them with [`Sink::write`]. A sink whose unwritten bytes
    /// are zeros need not do anything.
    ///
    /// # Errors
    /// If they can't be written.
    fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut at = offset;
        for zeros in zero_slices(len) {
            self.write(at, zeros)?;
            at += zeros.len() as u64;
        }
        Ok(())
    }

    /// Shares or copies `len` bytes of a file, from its offset `from` on, by means of the kernel,
    /// and returns how many bytes from the start were shared.
    ///
    /// The remaining bytes are read and written. A sink that can't share, or fails to, returns 0.
    fn share(&self, offset: u64, source: &File, from: u64, len: u64) -> u64 {
        let _ = (offset, source, from, len);
        0
    }

    /// Returns whether the calls must come one by one, in ascending order and without gaps, and
    /// without [`Sink::share`]. This is the case for a pipe.
    fn in_order(&self) -> bool {
        false
    }

    /// Returns the name of the sink for error messages.
    fn name(&self) -> String {
        "the image".into()
    }
}

/// A sink that writes to any [`WriteAt`], such as a `Vec<u8>`.
#[derive(Default)]
pub struct WriteAtSink<W>(Mutex<W>);

impl<W> fmt::Debug for WriteAtSink<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteAtSink").finish_non_exhaustive()
    }
}

impl<W> WriteAtSink<W> {
    /// Wraps a writer. All bytes are written, including zeros.
    pub fn new(writer: W) -> Self {
        Self(Mutex::new(writer))
    }

    /// Returns the writer.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: WriteAt + Send> Sink for WriteAtSink<W> {
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all_at(offset, bytes)
    }
}

/// A sink that writes to another sink, shifted by an offset.
pub struct OffsetSink<'a> {
    /// The underlying sink, which must not be [in order](Sink::in_order).
    pub sink: &'a dyn Sink,
    /// Offset added to each offset, in bytes.
    pub base: u64,
}

impl fmt::Debug for OffsetSink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OffsetSink").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Sink for OffsetSink<'_> {
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.sink.write(self.base + offset, bytes)
    }

    fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        self.sink.zeros(self.base + offset, len)
    }

    fn share(&self, offset: u64, source: &File, from: u64, len: u64) -> u64 {
        self.sink.share(self.base + offset, source, from, len)
    }

    fn name(&self) -> String {
        self.sink.name()
    }
}

/// A sink that discards all bytes, for computing digests only.
#[derive(Debug, Default, Clone, Copy)]
pub struct Discard;

impl Sink for Discard {
    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn zeros(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_cut() {
        for (len, slices) in [(0, 0), (1, 1), (1 << 16, 1), ((1 << 16) + 1, 2), (1 << 20, 16)] {
            assert_eq!(zero_slices(len).count(), slices, "{len}");
            assert_eq!(zero_slices(len).map(|zeros| zeros.len() as u64).sum::<u64>(), len);
        }
    }

    #[test]
    fn a_vector_is_a_sink() {
        let sink = WriteAtSink::new(Vec::new());
        sink.write(3, b"de").unwrap();
        sink.write(0, b"abc").unwrap();
        sink.zeros(5, 70_000).unwrap();
        let bytes = sink.into_inner();
        assert_eq!((&bytes[..5], bytes.len()), (&b"abcde"[..], 70_005));
        assert!(bytes[5..].iter().all(|&byte| byte == 0));
    }
}
