//! Extents, by which space is allocated and listed as free.

use std::fmt::{self, Display};
use std::ops::Range;

use super::super::super::address::LogicalAddr;

/// A run of logical addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Extent {
    pub(super) start: LogicalAddr,
    /// Length in bytes.
    pub(super) len: u64,
}

impl Extent {
    /// Returns its addresses. The end saturates.
    pub(super) fn range(self) -> Range<LogicalAddr> {
        self.start..self.start.saturating_add(self.len)
    }
}

impl Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "extent of {} bytes at {}", self.len, self.start)
    }
}
