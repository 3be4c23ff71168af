//! Hostile images of erofs.

use std::sync::Arc;

use arbitrary::Arbitrary;
use detfs::erofs::read::Reader;
use detfs::erofs::{Compression, Profile};
use detfs::{Erofs, Timestamp};

use crate::arbitrary_tree::{ArbitraryTree, Validity};
use crate::read_back::{self, Change};

/// An image of an arbitrary tree with some of its bytes changed, and with a right or wrong
/// checksum.
#[derive(Debug, Arbitrary)]
pub struct BytesToErofs {
    compression: u8,
    profile: bool,
    dedup: bool,
    fragments: bool,
    changes: Vec<Change>,
    resign: bool,
    tree: ArbitraryTree,
}

const SUPERBLOCK: usize = 1024;
const CHECKSUM: usize = SUPERBLOCK + 4;

/// Computes the CRC-32C of the kernel, which is not inverted at the end, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
    bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), shift))
}

/// Corrects the checksum, provided that the blocks of the superblock's size are in the image.
fn sign(image: &mut [u8]) {
    let bits = image.get(SUPERBLOCK + 12).copied().unwrap_or(0);
    let block = 1_usize.checked_shl(bits.into()).unwrap_or(0);
    let end = if block > SUPERBLOCK { block } else { SUPERBLOCK.saturating_add(block) };
    if let Some(bytes) = image.get_mut(SUPERBLOCK..end).filter(|bytes| bytes.len() >= 128) {
        bytes[CHECKSUM - SUPERBLOCK..][..4].fill(0);
        let checksum = crc32c(bytes).to_le_bytes();
        image[CHECKSUM..][..4].copy_from_slice(&checksum);
    }
}

impl BytesToErofs {
    /// Builds the image, changes it and reads it. Returns whether there was a tree that could be
    /// planned again.
    ///
    /// # Panics
    ///
    /// Panics if the library does, or if a tree that was read is another one after it was planned.
    pub fn check(&self) -> bool {
        let mut format = Erofs::default();
        format.compression = match self.compression % 4 {
            0 => None,
            1 => Some(Compression::Lz4),
            2 => Some(Compression::Lz4hc { level: 1 }),
            _ => Some(Compression::Zstd { level: 1 }),
        };
        format.profile = match format.compression {
            None if self.profile => Profile::Linux5_4,
            _ => Profile::Linux6_10,
        };
        (format.dedup, format.fragments) = (self.dedup, self.fragments);
        let Ok(grown) = self.tree.grow(self.tree.taste(Validity::Unix)) else { return false };
        // Such an inode is a compact one.
        let epoch = grown.model.last().map_or_else(Timestamp::default, |node| node.mtime);
        let mut image = match read_back::plan(&format, grown.tree, epoch) {
            Ok(image) => image,
            Err(error) => return crate::refused(&error),
        };
        self.changes.iter().for_each(|change| change.apply(&mut image));
        if self.resign {
            sign(&mut image);
        }
        let shared: Arc<Vec<u8>> = Arc::new(image.clone());
        let verdict = Reader::open(shared, image.len() as u64).and_then(|reader| reader.verify());
        if self.changes.is_empty() {
            verdict.as_ref().expect("it is an image of ours");
        }
        read_back::check(&format, image, epoch, verdict.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard check value of CRC-32C in catalogues of checksums.
    #[test]
    fn the_checksum_is_crc32c() {
        assert_eq!(!crc32c(b"123456789"), 0xE306_9283);
    }
}
