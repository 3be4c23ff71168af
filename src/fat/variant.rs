//! The variants of FAT.

use std::fmt;

/// The width of the entries of the file allocation table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Variant {
    /// 12 bits; created with 1 to 4068 clusters.
    #[cfg_attr(feature = "cli", value(name = "12"))]
    Fat12,
    /// 16 bits; created with 4101 to 65,508 clusters.
    #[cfg_attr(feature = "cli", value(name = "16"))]
    Fat16,
    /// 32 bits, of which 28 are used; created with at least 65,541 clusters.
    #[cfg_attr(feature = "cli", value(name = "32"))]
    Fat32,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fat12 => "FAT12",
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
        })
    }
}
