//! Bytes of an image, and its clusters.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use positioned_io::ReadAt;
use zerocopy::{FromBytes, IntoBytes};

use super::super::spec::algorithm;
use crate::codec::{Codec, Lz4, Zstd};
use crate::violation::{Result, Violation};

/// Number of decompressed extents that are kept.
const KEPT: usize = 2;

/// Content of the packed inode, in which other files have fragments.
#[derive(Clone)]
pub(super) struct Packed {
    pub(super) content: Arc<dyn ReadAt + Send + Sync>,
    pub(super) size: u64,
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The used part of an image.
pub(super) struct Image {
    source: Arc<dyn ReadAt + Send + Sync>,
    pub(super) size: u64,
    pub(super) block_size: u64,
    /// The extents that were decompressed last, by their places.
    kept: Mutex<VecDeque<(u64, Arc<[u8]>)>>,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Image {
    pub(super) fn new(source: Arc<dyn ReadAt + Send + Sync>, size: u64, block_size: u64) -> Self {
        Self { source, size, block_size, kept: Mutex::default() }
    }

    /// Fills a buffer with the bytes at an offset.
    pub(super) fn read(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        let place = || format!("byte {at}");
        self.check_range(at, buffer.len() as u64)?;
        let read = self.source.read_exact_at(at, buffer);
        read.map_err(|error| Violation::new(place(), format_args!("cannot be read: {error}")))
    }

    /// Checks that a range is in the image.
    pub(super) fn check_range(&self, at: u64, len: u64) -> Result<()> {
        match at.checked_add(len).is_some_and(|end| end <= self.size) {
            true => Ok(()),
            false => {
                let rule = format!("{len} bytes are not in an image of {} bytes", self.size);
                Err(Violation::new(format_args!("byte {at}"), rule))
            }
        }
    }

    /// Reads `len` bytes.
    pub(super) fn bytes(&self, at: u64, len: u64) -> Result<Vec<u8>> {
        // A wrong length is found before memory is allocated for it.
        self.check_range(at, len)?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        self.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a record.
    pub(super) fn record<T: FromBytes + IntoBytes>(&self, at: u64) -> Result<T> {
        let mut record = T::new_zeroed();
        self.read(at, record.as_mut_bytes())?;
        Ok(record)
    }

    /// Returns the `len` bytes of an extent that is compressed in the `stored` bytes at `at`.
    pub(super) fn decompress(
        &self,
        algorithm: u8,
        at: u64,
        stored: u64,
        len: usize,
    ) -> Result<Arc<[u8]>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = kept.iter().find(|(known, _)| *known == at) {
            return Ok(Arc::clone(bytes));
        }
        let codec: &dyn Codec = match algorithm {
            algorithm::LZ4 => &Lz4,
            _ => &Zstd,
        };
        let data = self.bytes(at, stored)?;
        // The stream is at the end, after zeros.
        let start = data.iter().position(|&byte| byte != 0).unwrap_or(data.len());
        let decoded = codec.decode(&data[start..], len).filter(|decoded| decoded.len() == len);
        let bytes: Arc<[u8]> = match decoded {
            Some(bytes) => bytes.into(),
            None => {
                let rule = format!("no {} stream of {len} bytes", codec.name());
                return Err(Violation::new(format_args!("cluster at byte {at}"), rule));
            }
        };
        if kept.len() == KEPT {
            kept.pop_back();
        }
        kept.push_front((at, Arc::clone(&bytes)));
        Ok(bytes)
    }
}
