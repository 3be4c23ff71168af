//! Kernels that can read a file system.

/// The oldest kernel that can read a file system.
///
/// A feature that the tree and the options do not need is not used, whatever the profile. Each
/// profile includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Profile {
    /// Linux 5.4: holes are stored as zeros.
    #[cfg_attr(feature = "cli", value(name = "linux-5.4"))]
    Linux5_4,
    /// Linux 5.10, which reads the same as 5.4.
    #[cfg_attr(feature = "cli", value(name = "linux-5.10"))]
    Linux5_10,
    /// Linux 5.15: holes are kept, and LZ4 is read.
    #[cfg_attr(feature = "cli", value(name = "linux-5.15"))]
    Linux5_15,
    /// Linux 6.1: the end of a compressed file can follow its inode, and fragments are read.
    #[cfg_attr(feature = "cli", value(name = "linux-6.1"))]
    Linux6_1,
    /// Linux 6.10: Zstandard is read, and labels can have 16 bytes.
    #[default]
    #[cfg_attr(feature = "cli", value(name = "linux-6.10"))]
    Linux6_10,
}

impl Profile {
    /// Returns the name of the profile.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux5_4 => "linux-5.4",
            Self::Linux5_10 => "linux-5.10",
            Self::Linux5_15 => "linux-5.15",
            Self::Linux6_1 => "linux-6.1",
            Self::Linux6_10 => "linux-6.10",
        }
    }

    /// Returns whether files can be stored in chunks, with holes.
    pub(super) fn chunks(self) -> bool {
        self >= Self::Linux5_15
    }

    /// Returns whether the end of a compressed file can follow its inode.
    pub(super) fn tail_packing(self) -> bool {
        self >= Self::Linux6_1
    }

    /// Returns whether short files can be compressed together.
    pub(super) fn fragments(self) -> bool {
        self >= Self::Linux6_1
    }

    /// Returns the maximum length of a label, in bytes. Kernels before 6.0 refuse one without a NUL
    /// after it.
    pub(super) fn label_max(self) -> usize {
        if self >= Self::Linux6_10 { 16 } else { 15 }
    }
}
