//! The head of a device, which identifies its content and is therefore written last.
//!
//! The head holds the partition table and the superblocks of all file systems. A run that is killed
//! leaves a device without any recognizable content, instead of one that looks complete.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Size of the head, in bytes. The last superblock in it is that of btrfs, at 64 KiB.
const LEN: u64 = 128 << 10;

/// The first bytes of a device that is being written.
#[derive(Debug)]
pub(super) struct Head(Mutex<Vec<u8>>);

impl Head {
    /// Zeroes the head of a device for an image of `size` bytes.
    pub(super) fn clear(device: &File, size: u64) -> io::Result<Self> {
        let bytes = vec![0; usize::try_from(size.min(LEN)).expect("128 KiB at most")];
        device.write_all_at(&bytes, 0)?;
        Ok(Self(Mutex::new(bytes)))
    }

    /// Stores those of `bytes` that lie in the head, and returns how many they are.
    pub(super) fn take(&self, offset: u64, bytes: &[u8]) -> usize {
        let mut head = self.bytes();
        let start = usize::try_from(offset).map_or(head.len(), |offset| offset.min(head.len()));
        let taken = bytes.len().min(head.len() - start);
        head[start..start + taken].copy_from_slice(&bytes[..taken]);
        taken
    }

    /// Returns how many of the `len` bytes at `offset` lie in the head.
    pub(super) fn covers(&self, offset: u64, len: u64) -> u64 {
        (self.bytes().len() as u64).saturating_sub(offset).min(len)
    }

    /// Writes the head to the device.
    pub(super) fn write(&self, device: &File) -> io::Result<()> {
        device.write_all_at(&self.bytes(), 0)
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
