//! Division of content into blocks, and their encoding.

use std::slice;

use sha2::{Digest, Sha256};

use super::spec::BLOCK_UNCOMPRESSED;
use crate::codec::{Encoder, Piece, PieceEncoder, VerifiedCodec};
use crate::error::Result;
use crate::spool::{Appender, Spool};
use crate::tree::{HoleScan, InodeId, Kind, Tree};

/// How files are divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPolicy {
    pub(super) block_size: u32,
    /// Whether files that are shorter than a block are packed into fragment blocks.
    pub(super) fragments: bool,
}

impl BlockPolicy {
    /// Returns whether a file of `size` bytes is a part of a fragment block.
    pub(super) fn is_fragment(&self, size: u64) -> bool {
        self.fragments && 0 < size && size < u64::from(self.block_size)
    }

    /// Returns the blocks of all files that may hold data, in tree order.
    pub(super) fn pieces(&self, tree: &Tree, scan: &HoleScan) -> Vec<Piece> {
        let block_size = u64::from(self.block_size);
        let mut pieces = Vec::new();
        for (file, inode) in tree.iter() {
            let Kind::File { size, .. } = inode.kind else { continue };
            let whole = 0..size;
            let mut end = 0;
            for range in scan.data(file).unwrap_or(slice::from_ref(&whole)) {
                // Two ranges may have data in the same block.
                let start = end.max(range.start / block_size * block_size);
                end = start.max(size.min(range.end.next_multiple_of(block_size)));
                pieces.extend(Piece::split(file, &(start..end), self.block_size));
            }
        }
        pieces
    }
}

/// A block as it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredBlock {
    /// Offset in the spool. It differs from run to run.
    pub(super) at: u64,
    /// Size, with [`BLOCK_UNCOMPRESSED`].
    pub(super) size: u32,
}

impl StoredBlock {
    /// Returns the number of bytes that are stored.
    pub(super) fn len(&self) -> u32 {
        self.size & !BLOCK_UNCOMPRESSED
    }
}

/// Result for a piece of a file.
#[derive(Debug)]
pub(super) struct EncodedPiece {
    /// The block, or a small file as it is. `None` for a block of zeros.
    pub(super) stored: Option<StoredBlock>,
    /// Digest of the content, if another file may be equal.
    pub(super) digest: Option<Box<[u8; 32]>>,
}

/// Encoder of blocks; each thread has one.
pub(super) struct BlockEncoder<'a> {
    encoder: Encoder,
    spool: Appender<'a>,
}

impl<'a> BlockEncoder<'a> {
    pub(super) fn new(codec: VerifiedCodec, spool: &'a Spool) -> Self {
        Self { encoder: codec.encoder(), spool: Appender::new(spool) }
    }

    /// Stores a block, compressed if that makes it smaller.
    pub(super) fn store(&mut self, raw: &[u8]) -> Result<StoredBlock> {
        let encoded = self.encoder.encode(raw);
        let (stored, flag) = match encoded.len() < raw.len() {
            true => (encoded, 0),
            false => (raw, BLOCK_UNCOMPRESSED),
        };
        let size = u32::try_from(stored.len()).expect("a block is at most 1 MiB") | flag;
        Ok(StoredBlock { at: self.spool.append(stored)?, size })
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        self.spool.flush()
    }
}

/// Encoder of files; each thread has one.
pub(super) struct FileEncoder<'a> {
    pub(super) blocks: BlockEncoder<'a>,
    pub(super) tree: &'a Tree,
    pub(super) policy: BlockPolicy,
    /// Sizes that several files have, sorted: other files are equal to none.
    pub(super) repeated: &'a [u64],
}

/// Returns the sizes that several files of a tree have, sorted.
pub(super) fn repeated_sizes(tree: &Tree) -> Vec<u64> {
    let sizes = tree.iter().map(|(id, _)| size(tree, id)).filter(|&size| size > 0);
    let mut sizes: Vec<_> = sizes.collect();
    sizes.sort_unstable();
    sizes.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).map(|same| same[0]).collect()
}

/// Returns the size of a file, and 0 for any other inode.
pub(super) fn size(tree: &Tree, id: InodeId) -> u64 {
    match tree.inode(id).kind {
        Kind::File { size, .. } => size,
        _ => 0,
    }
}

impl PieceEncoder for FileEncoder<'_> {
    type Output = EncodedPiece;

    fn encode(&mut self, piece: Piece, raw: &[u8]) -> Result<EncodedPiece> {
        let size = size(self.tree, piece.file);
        let may_be_equal = self.repeated.binary_search(&size).is_ok();
        let digest = may_be_equal.then(|| Box::new(Sha256::digest(raw).into()));
        let stored = if self.policy.is_fragment(size) {
            Some(StoredBlock { at: self.blocks.spool.append(raw)?, size: piece.len })
        } else if raw.iter().all(|&byte| byte == 0) {
            None
        } else {
            Some(self.blocks.store(raw)?)
        };
        Ok(EncodedPiece { stored, digest })
    }

    fn finish(&mut self) -> Result<()> {
        self.blocks.finish()
    }
}
