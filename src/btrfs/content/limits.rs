//! Sizes of sectors and compressed extents.

/// Unit in which data is stored and checksummed, in bytes.
pub(super) const SECTOR: usize = 4096;

/// Maximum number of bytes of a file that are compressed into one extent.
pub(super) const COMPRESSED: u32 = 128 << 10;
