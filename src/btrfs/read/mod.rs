//! Reads btrfs file systems of any origin, to check the images of detfs and to compare images.
//!
//! No input is trusted: anything invalid is a [`Violation`] and never a panic, and no tree can make
//! the reader follow more blocks than the image has.
//!
//! The reader supports what detfs can write: one device, the profiles single and DUP, trees that
//! share no blocks (no snapshots), and no tree log, as after a clean unmount.

mod block;
mod chunks;
mod content;
mod decompress;
mod device;
mod items;
mod node;
mod superblock;
#[cfg(test)]
mod tests;
mod tree;
mod verify;

use std::fmt::{self, Display};

use positioned_io::ReadAt;

use super::spec::SUPER_OFFSETS;
use chunks::Chunks;
pub use content::Content;
use device::Device;
pub use node::{Entry, Inode, Node};
use superblock::Super;

pub use verify::Rules;

/// A rule of btrfs that an image breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Location: for example the tree and the key of the item, or the address of a block.
    pub place: String,
    /// The rule, with the values.
    pub rule: String,
}

impl Violation {
    fn new(place: impl Display, rule: impl Display) -> Self {
        Self { place: place.to_string(), rule: rule.to_string() }
    }
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.rule)
    }
}

impl std::error::Error for Violation {}

/// Result of functions that read an image.
pub type Result<T> = std::result::Result<T, Violation>;

/// A file system that can be read: its superblock is valid, and every address can be mapped.
#[derive(Debug)]
pub struct Reader<'a> {
    device: Device<'a>,
    superblock: Super,
    chunks: Chunks,
    /// UUID in the root of the chunk tree, which the headers of all blocks must contain.
    chunk_tree_uuid: [u8; 16],
}

impl<'a> Reader<'a> {
    /// Opens the file system in `size` bytes of `source`, starting at `start`.
    ///
    /// # Errors
    /// A [`Violation`] of the superblock or the chunk tree.
    pub fn open(source: &'a dyn ReadAt, start: u64, size: u64) -> Result<Self> {
        let device = Device::new(source, start, size);
        let superblock = Super::read(&device, SUPER_OFFSETS[0])?;
        superblock.check(device.size())?;
        let chunks = superblock.system_chunks()?;
        let mut reader = Self { device, superblock, chunks, chunk_tree_uuid: [0; 16] };
        let root = reader.superblock.chunk_root();
        reader.chunk_tree_uuid = reader.header(root.address)?.chunk_tree_uuid;
        reader.chunks = Chunks::from_tree(&reader, root)?;
        Ok(reader)
    }

    /// Checks the whole file system, including data, against `rules`.
    ///
    /// Returns the first violations, at most 1000; the list is empty if the file system is clean.
    /// If a block or an item is invalid by itself, references between trees are not checked.
    #[must_use]
    pub fn verify(&self, rules: Rules) -> Vec<Violation> {
        verify::verify(self, rules)
    }
}
