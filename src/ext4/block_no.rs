//! Block numbers.

use std::ops::{Add, AddAssign, Sub};

/// Number of a block of the file system. A number of blocks, or the number of a block within a
/// file, is a plain integer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlockNo(pub(super) u64);

impl BlockNo {
    /// Returns the offset in the file system, in bytes.
    pub(super) fn offset(self, block_size: u64) -> u64 {
        self.0 * block_size
    }
}

impl Add<u64> for BlockNo {
    type Output = Self;

    fn add(self, blocks: u64) -> Self {
        Self(self.0 + blocks)
    }
}

impl AddAssign<u64> for BlockNo {
    fn add_assign(&mut self, blocks: u64) {
        *self = *self + blocks;
    }
}

impl Sub for BlockNo {
    type Output = u64;

    fn sub(self, start: Self) -> u64 {
        self.0 - start.0
    }
}
