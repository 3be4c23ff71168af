//! Bytes of an image, and its clusters.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use positioned_io::ReadAt;
use zerocopy::{FromBytes, IntoBytes};

use super::decompress::Compression;
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

/// Compressed data of an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) compression: Compression,
    /// Place and size in the image, in bytes.
    pub(super) at: u64,
    pub(super) stored: u64,
    /// Size of the extent, in bytes.
    pub(super) len: u64,
}

/// The used part of an image.
pub(super) struct Image {
    source: Arc<dyn ReadAt + Send + Sync>,
    pub(super) size: u64,
    pub(super) block_size: u64,
    /// The extents that were decompressed last.
    kept: Mutex<VecDeque<(Cluster, Arc<[u8]>)>>,
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

    /// Returns the bytes of an extent.
    pub(super) fn decompress(&self, cluster: Cluster) -> Result<Arc<[u8]>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = kept.iter().find(|(known, _)| *known == cluster) {
            return Ok(Arc::clone(bytes));
        }
        let Cluster { compression, at, stored, len } = cluster;
        let data = self.bytes(at, stored)?;
        let decoded = compression.decode(&data, usize::try_from(len).unwrap_or(usize::MAX));
        let bytes: Arc<[u8]> = match decoded {
            Some(bytes) => bytes.into(),
            None => {
                let rule = format!("no {} stream of {len} bytes", compression.name());
                return Err(Violation::new(format_args!("cluster at byte {at}"), rule));
            }
        };
        if kept.len() == KEPT {
            kept.pop_back();
        }
        kept.push_front((cluster, Arc::clone(&bytes)));
        Ok(bytes)
    }
}
