//! Salted hashes of blocks.

use sha2::{Digest, Sha256};

use super::spec::DIGEST;

/// Zeros, as many as in the largest block.
const ZEROS: [u8; 4096] = [0; 4096];

/// Hashes blocks, each prefixed with a salt.
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

    /// Returns whether `bytes`, at most a block, are all zeros.
    pub(super) fn is_zeros(bytes: &[u8]) -> bool {
        bytes == &ZEROS[..bytes.len()]
    }

    /// Returns the hash of a block that starts with `bytes`, followed by zeros.
    pub(super) fn block(&self, bytes: &[u8]) -> [u8; DIGEST] {
        let mut head = self.head(bytes);
        head.zeros_to(self.block_size);
        head.finish()
    }

    /// Starts the hash of a block with its first bytes.
    pub(super) fn head(&self, bytes: &[u8]) -> HashState {
        let mut hash = self.salted.clone();
        hash.update(bytes);
        HashState { hash, len: bytes.len() }
    }
}

/// The state of the hash of a block after its first bytes.
pub(super) struct HashState {
    hash: Sha256,
    len: usize,
}

impl HashState {
    /// Adds zeros up to offset `end` of the block, which must not precede the bytes added so far.
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
