//! What must be known about file content before a file system can be planned: where it is zeros.
//!
//! Holes are decided by content, so that an image does not depend on how the host stores a copy of
//! the tree. A file shorter than [`EXAMINED_FROM`] is stored whole; in a longer one every
//! [`GRANULE`] of zeros is a hole. (Looking into every small file would cost more than its zeros.)

use std::collections::BTreeMap;
use std::ops::Range;

use super::InodeId;

/// A hole is made of whole granules at multiples of this many bytes.
pub const GRANULE: u64 = 4096;

/// Files of at least this many bytes may have holes.
pub const EXAMINED_FROM: u64 = 64 << 10;

/// The facts about a tree's content.
#[derive(Debug, Default)]
pub struct Survey {
    /// Files with holes, and where they hold data: sorted, disjoint, not adjacent, within the
    /// file; starts are multiples of [`GRANULE`], ends too or the file's end.
    data: BTreeMap<InodeId, Box<[Range<u64>]>>,
}

impl Survey {
    /// Where a file holds data, in bytes; `None` if it has no hole.
    #[must_use]
    pub fn data(&self, file: InodeId) -> Option<&[Range<u64>]> {
        self.data.get(&file).map(|ranges| &**ranges)
    }
}
