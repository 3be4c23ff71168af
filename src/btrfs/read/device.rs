//! The device of a file system.

use std::fmt;

use positioned_io::ReadAt;

use super::super::address::DeviceOffset;
use crate::violation::{Result, Violation};

/// A range of a source.
pub(super) struct Device<'a> {
    source: &'a dyn ReadAt,
    start: u64,
    size: u64,
}

impl fmt::Debug for Device<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, size, .. } = self;
        f.debug_struct("Device").field("start", start).field("size", size).finish_non_exhaustive()
    }
}

impl<'a> Device<'a> {
    pub(super) fn new(source: &'a dyn ReadAt, start: u64, size: u64) -> Self {
        Self { source, start, size }
    }

    /// Returns the size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns whether a range is within the device.
    pub(super) fn has(&self, at: DeviceOffset, len: u64) -> bool {
        at.checked_add(len).is_some_and(|end| end.0 <= self.size)
    }

    /// Fills a buffer with the bytes at an offset.
    pub(super) fn read(&self, at: DeviceOffset, buffer: &mut [u8]) -> Result<()> {
        let place = || format!("device, byte {at}");
        let offset = self.start.checked_add(at.0).filter(|_| self.has(at, buffer.len() as u64));
        let Some(offset) = offset else {
            return Err(Violation::new(
                place(),
                format_args!("device has only {} bytes", self.size),
            ));
        };
        let read = self.source.read_exact_at(offset, buffer);
        read.map_err(|error| Violation::new(place(), format_args!("cannot be read: {error}")))
    }
}
