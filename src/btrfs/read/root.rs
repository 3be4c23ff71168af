//! Roots of trees.

use super::super::address::LogicalAddr;

/// Maximum level of a root.
pub(super) const MAX_LEVEL: u8 = 7;

/// The root of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Root {
    /// The `objectid` of the tree.
    pub(super) id: u64,
    pub(super) address: LogicalAddr,
    pub(super) level: u8,
    pub(super) generation: u64,
}
