//! Digests of an image or of parts of it.

use std::fmt;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::ordered::Block;
use super::sink::zero_slices;

/// A SHA-256. Its text form is lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes what consecutive blocks have in a range of the image.
pub(super) fn hash(range: &Range<u64>, blocks: impl Iterator<Item = impl AsRef<Block>>) -> Digest {
    let mut state = Sha256::new();
    for block in blocks {
        match block.as_ref() {
            Block::Zeros(zeros) => {
                let len = zeros.end.min(range.end) - zeros.start.max(range.start);
                zero_slices(len).for_each(|slice| state.update(slice));
            }
            Block::Bytes { offset, bytes } => {
                let bound = |at: u64| {
                    let at = usize::try_from(at.saturating_sub(*offset)).unwrap_or(usize::MAX);
                    at.min(bytes.len())
                };
                state.update(&bytes[bound(range.start)..bound(range.end)]);
            }
        }
    }
    Digest(state.finalize().into())
}
