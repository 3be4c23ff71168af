//! Options of the prepass.

use std::num::NonZero;
use std::path::Path;

use super::compress::Compression;
use crate::progress::Observer;

/// Treatment of the content of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataPolicy {
    /// Whether the data has checksums.
    pub(crate) checksum: bool,
    /// Compression, used where it saves space.
    pub(crate) compression: Option<Compression>,
    /// Whether zeros that the scan found become holes.
    pub(crate) holes: bool,
    /// Whether extents may be shared with equal content. The kernel refuses to swap to a file with
    /// shared extents.
    pub(crate) shared: bool,
    /// Whether the content may be stored in a leaf; only for files shorter than 4096 bytes.
    pub(crate) inline: bool,
}

impl DataPolicy {
    /// Returns whether `len` bytes, possibly compressed, are stored in a leaf.
    pub(super) fn fits_inline(&self, len: u64, max_inline: u32) -> bool {
        self.inline && len <= u64::from(max_inline)
    }
}

/// Options of [`encode()`].
#[derive(Clone, Copy)]
pub(crate) struct ContentOptions<'a> {
    /// Number of threads that read. Only the offsets in the spool depend on it.
    pub(crate) threads: NonZero<usize>,
    /// Whether to find equal extents.
    pub(crate) dedup: bool,
    /// Maximum size of content stored in a leaf, in bytes.
    pub(crate) max_inline: u32,
    /// Observer of the progress.
    pub(crate) observer: Option<&'a dyn Observer>,
    /// Directory for the spool, an unnamed file; required if anything is compressed.
    pub(crate) spool: Option<&'a Path>,
}
