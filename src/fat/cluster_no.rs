//! Cluster numbers.

use std::ops::{Add, Sub};

/// Number of a cluster, which is the index of its FAT entry as well. A number of clusters is a
/// plain integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClusterNo(pub(super) u32);

impl ClusterNo {
    /// The first cluster of the data area.
    pub(super) const FIRST: Self = Self(2);

    /// Stands for no cluster in slots: of an empty file, of the label, and of the root directory in
    /// references to it.
    pub(super) const NONE: Self = Self(0);
}

impl Add<u32> for ClusterNo {
    type Output = Self;

    fn add(self, clusters: u32) -> Self {
        Self(self.0 + clusters)
    }
}

impl Sub for ClusterNo {
    type Output = u32;

    fn sub(self, first: Self) -> u32 {
        self.0 - first.0
    }
}
