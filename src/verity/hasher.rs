//! Salted hashes of blocks.

use sha2::{Digest, Sha256};

use super::spec::DIGEST;

/// As many zeros as the largest block has.
const ZEROS: [u8; 4096] = [0; 4096];

/// Hashes blocks with a salt before them.
#[derive(Clone)]
pub(super) struct Hasher {
    salted: Sha256,
    block_size: usize,
}

impl Hasher {
    pub(super) fn new(salt: &[u8], block_size: usize) -> Self {
        Self { salted: Sha256::new_with_prefix(salt), block_size }
    }

    pub(super) fn block_size(&self) -> usize {
        self.block_size
    }

    /// Whether bytes, at most a block of them, are all zeros.
    pub(super) fn is_zeros(bytes: &[u8]) -> bool {
        bytes == &ZEROS[..bytes.len()]
    }

    /// The hash of a block whose first bytes are given; zeros follow.
    pub(super) fn block(&self, bytes: &[u8]) -> [u8; DIGEST] {
        let mut head = self.head(bytes);
        head.zeros_to(self.block_size);
        head.finish()
    }

    /// The hash of a block is begun with its first bytes.
    pub(super) fn head(&self, bytes: &[u8]) -> HashState {
        let mut hash = self.salted.clone();
        hash.update(bytes);
        HashState { hash, len: bytes.len() }
    }
}

/// The first bytes of a block, hashed.
pub(super) struct HashState {
    hash: Sha256,
    len: usize,
}

impl HashState {
    /// Goes on with zeros up to a place in the block that is not before what it has.
    pub(super) fn zeros_to(&mut self, end: usize) {
        self.hash.update(&ZEROS[..end - self.len]);
        self.len = end;
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.len += bytes.len();
    }

    pub(super) fn finish(self) -> [u8; DIGEST] {
        self.hash.finalize().into()
    }
}
