//! Requested subvolumes.

/// A directory that becomes a subvolume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subvolume {
    /// Path of the directory, with or without a leading slash.
    pub path: Vec<u8>,
    /// Whether the subvolume is read-only.
    pub read_only: bool,
    /// Whether its content is written in place, without checksums or compression.
    pub nodatacow: bool,
}
