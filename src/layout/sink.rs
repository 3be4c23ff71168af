//! Where an image goes.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

use positioned_io::WriteAt;

/// Zeros to write or to hash.
pub(super) static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Cuts `len` zeros into slices of [`ZEROS`].
pub(super) fn zero_slices(len: u64) -> impl Iterator<Item = &'static [u8]> {
    let mut left = len;
    std::iter::from_fn(move || {
        let take = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        left -= take as u64;
        (take > 0).then(|| &ZEROS[..take])
    })
}

/// Takes the bytes of an image. Each byte is given exactly once, in [`Sink::write`],
/// [`Sink::zeros`] or [`Sink::share`]; the calls come from several threads and in any order,
/// unless the sink is [in order](Sink::in_order).
pub trait Sink: Sync {
    /// Takes finished bytes. `offset` is in bytes from the start of the image.
    ///
    /// # Errors
    /// If they can't be written.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Takes `len` zeros. A sink whose unwritten bytes are zeros has nothing to do; by default
    /// they are written.
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

    /// Offers `len` bytes of a file, from its offset `from` on, to be shared or copied by the
    /// kernel; says how many bytes from the start it took. The others are read and written, so a
    /// sink that can't share, or fails to, takes none.
    fn share(&self, offset: u64, source: &File, from: u64, len: u64) -> u64 {
        let _ = (offset, source, from, len);
        0
    }

    /// Whether the calls have to come one by one, in ascending order and without gaps, and nothing
    /// is offered to be shared: a pipe.
    fn in_order(&self) -> bool {
        false
    }

    /// What an error message calls the sink.
    fn name(&self) -> String {
        "the image".into()
    }
}

/// A sink that writes to anything that can be written to at an offset, a `Vec<u8>` say.
#[derive(Default)]
pub struct WriteAtSink<W>(Mutex<W>);

impl<W> fmt::Debug for WriteAtSink<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteAtSink").finish_non_exhaustive()
    }
}

impl<W> WriteAtSink<W> {
    /// Wraps a writer. All bytes are written, the zeros too.
    pub fn new(writer: W) -> Self {
        Self(Mutex::new(writer))
    }

    /// Gives the writer back.
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

/// A part of another sink: from an offset on.
pub struct OffsetSink<'a> {
    /// What the bytes go to; not [in order](Sink::in_order).
    pub sink: &'a dyn Sink,
    /// Where the part starts in it, in bytes.
    pub base: u64,
}

impl fmt::Debug for OffsetSink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within").field("base", &self.base).finish_non_exhaustive()
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

/// A sink that keeps nothing: for the digests alone.
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
