//! Blocks of rendered bytes.

use std::ops::Range;

/// Rendered bytes of the image.
pub(super) enum Block {
    /// Zeros in a range of the image.
    Zeros(Range<u64>),
    /// Other bytes.
    Bytes {
        /// Offset in the image.
        offset: u64,
        /// At most [`WRITE_SIZE`](super::work::WRITE_SIZE) bytes.
        bytes: Vec<u8>,
    },
}

impl Block {
    /// Returns the range of the image that the block fills.
    pub(super) fn range(&self) -> Range<u64> {
        match self {
            Self::Zeros(range) => range.clone(),
            Self::Bytes { offset, bytes } => *offset..*offset + bytes.len() as u64,
        }
    }
}
