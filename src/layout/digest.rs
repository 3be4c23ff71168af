//! SHA-256 digests of an image or of ranges of it.

use std::fmt;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::block::Block;
use super::sink::zero_slices;
use crate::hex::hex;

/// A SHA-256 digest. Its text form is lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// A hasher for the bytes of consecutive blocks that lie in a range of the image.
pub(super) struct Hasher {
    range: Range<u64>,
    state: Sha256,
}

impl Hasher {
    pub(super) fn new(range: Range<u64>) -> Self {
        Self { range, state: Sha256::new() }
    }

    pub(super) fn update(&mut self, block: &Block) {
        match block {
            Block::Zeros(zeros) => {
                let len = zeros.end.min(self.range.end) - zeros.start.max(self.range.start);
                zero_slices(len).for_each(|slice| self.state.update(slice));
            }
            Block::Bytes { offset, bytes } => {
                let bound = |at: u64| {
                    let at = usize::try_from(at.saturating_sub(*offset)).unwrap_or(usize::MAX);
                    at.min(bytes.len())
                };
                self.state.update(&bytes[bound(self.range.start)..bound(self.range.end)]);
            }
        }
    }

    pub(super) fn finish(self) -> Digest {
        Digest(self.state.finalize().into())
    }
}
