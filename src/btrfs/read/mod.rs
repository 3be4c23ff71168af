//! Reads btrfs, whoever wrote it: to check the images of detfs, and to compare images.
//!
//! Nothing that is read is trusted: what can't be right is a [`Violation`] and never a panic, and
//! no tree can make the reader follow more blocks than the image has.
//!
//! Read is what detfs can write: one device, the profiles single and DUP, trees that have no block
//! in common with another, which rules out snapshots, and no tree log, as after a clean unmount.

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
    /// Where: the tree and the key of the item, say, or the address of a block.
    pub place: String,
    /// What the rule is, with the values.
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

/// The result of everything that reads an image.
pub type Result<T> = std::result::Result<T, Violation>;

/// A file system that can be read: its superblock is right, and every address can be mapped.
#[derive(Debug)]
pub struct Reader<'a> {
    device: Device<'a>,
    superblock: Super,
    chunks: Chunks,
    /// That of the chunk tree's root, which all blocks have in their headers.
    chunk_tree_uuid: [u8; 16],
}

impl<'a> Reader<'a> {
    /// Opens the file system in `size` bytes of `source` from `start` on.
    ///
    /// # Errors
    /// A [`Violation`] of the superblock or of the chunk tree.
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

    /// Checks all of the file system, data included, against all that is known to be demanded of
    /// it. Returns what was found first, up to 1000 violations; none if it is clean.
    ///
    /// If a block or an item is wrong by itself, what trees say of each other is not compared.
    #[must_use]
    pub fn verify(&self, rules: Rules) -> Vec<Violation> {
        verify::verify(self, rules)
    }
}
