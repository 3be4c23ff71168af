//! Bytes of an image, and its blocks of data.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use positioned_io::ReadAt;

use super::super::spec::BLOCK_UNCOMPRESSED;
use crate::violation::{Result, Violation};

/// Decompresses a block of at most `len` bytes.
pub(super) type Decode = fn(data: &[u8], len: usize) -> Option<Vec<u8>>;

/// The used part of an image, with what is needed to decompress it.
pub(super) struct Image {
    source: Arc<dyn ReadAt + Send + Sync>,
    /// Area of the compressed content of files.
    pub(super) data: Range<u64>,
    pub(super) block_size: u32,
    pub(super) decode: Decode,
    /// Block that was decompressed last: several small files are in a fragment block.
    last: Mutex<Option<(u64, Arc<[u8]>)>>,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("data", &self.data).finish_non_exhaustive()
    }
}

/// Fills a buffer with the bytes of `source` at an offset.
pub(super) fn read(source: &dyn ReadAt, at: u64, buffer: &mut [u8]) -> Result<()> {
    source.read_exact_at(at, buffer).map_err(|error| {
        Violation::new(format_args!("byte {at}"), format_args!("cannot be read: {error}"))
    })
}

impl Image {
    pub(super) fn new(
        source: Arc<dyn ReadAt + Send + Sync>,
        data: Range<u64>,
        block_size: u32,
        decode: Decode,
    ) -> Self {
        Self { source, data, block_size, decode, last: Mutex::default() }
    }

    /// Fills a buffer with the bytes at an offset, which must be within `area`.
    pub(super) fn read(&self, area: &Range<u64>, at: u64, buffer: &mut [u8]) -> Result<()> {
        let end = at.checked_add(buffer.len() as u64);
        if at < area.start || end.is_none_or(|end| end > area.end) {
            let place = format_args!("byte {at}");
            let rule = format!("{} bytes are not within {area:?}", buffer.len());
            return Err(Violation::new(place, rule));
        }
        read(&*self.source, at, buffer)
    }

    /// Returns the decompressed block of data at an offset, from its size as it is stored.
    pub(super) fn block(&self, at: u64, stored: u32) -> Result<Arc<[u8]>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = last.as_ref().filter(|(last, _)| *last == at) {
            return Ok(Arc::clone(block));
        }
        let mut bytes = vec![0; stored_len(stored) as usize];
        self.read(&self.data, at, &mut bytes)?;
        if stored & BLOCK_UNCOMPRESSED == 0 {
            let decoded = (self.decode)(&bytes, self.block_size as usize);
            bytes = decoded.ok_or_else(|| {
                Violation::new(format_args!("block at byte {at}"), "cannot be decompressed")
            })?;
        }
        let block: Arc<[u8]> = bytes.into();
        *last = Some((at, Arc::clone(&block)));
        Ok(block)
    }

    /// Checks the place and the size of a block of data, and returns the end of the block.
    pub(super) fn check_block(&self, at: u64, stored: u32) -> Result<u64> {
        let len = stored_len(stored);
        let end = at.checked_add(u64::from(len)).filter(|&end| end <= self.data.end);
        let is_valid = stored < 2 * BLOCK_UNCOMPRESSED && (1..=self.block_size).contains(&len);
        end.filter(|_| is_valid && at >= self.data.start).ok_or_else(|| {
            let rule = format!("a block of size {stored:#x} is not within {:?}", self.data);
            Violation::new(format_args!("block at byte {at}"), rule)
        })
    }
}

/// Returns the bytes that a block takes in the image.
fn stored_len(stored: u32) -> u32 {
    stored & (BLOCK_UNCOMPRESSED - 1)
}
