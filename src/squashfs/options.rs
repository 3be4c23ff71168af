//! Options of a file system.

use super::compression::Compression;
use crate::time::Timestamp;

/// Options of a squashfs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) compression: Compression,
    /// Size of a block in bytes.
    pub(super) block_size: u32,
    /// Whether files that are shorter than a block are packed into fragment blocks.
    pub(super) fragments: bool,
    /// Time of creation.
    pub(super) epoch: Timestamp,
}
