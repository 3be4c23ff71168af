//! Content of all files: encoded, and placed in the image.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use zerocopy::little_endian::{U32, U64};

use super::blocks::{
    BlockEncoder, BlockPolicy, EncodedPiece, FileEncoder, StoredBlock, repeated_sizes, size,
};
use super::compression::Compression;
use super::fragments::{FragmentPacker, FragmentPlace};
use super::spec::FragmentEntry;
use crate::codec::{Piece, encode_pieces};
use crate::error::Result;
use crate::progress::Observer;
use crate::spool::Spool;
use crate::tree::{HoleScan, InodeId, Tree};

/// Options for encoding content.
#[derive(Clone, Copy)]
pub(super) struct ContentOptions<'a> {
    pub(super) compression: Compression,
    pub(super) policy: BlockPolicy,
    /// Number of threads. Only the offsets in the spool depend on it.
    pub(super) threads: NonZero<usize>,
    /// Directory for the spool; required if there is any content.
    pub(super) spool: Option<&'a Path>,
    /// Observer of the progress.
    pub(super) observer: Option<&'a dyn Observer>,
}

/// Location of the content of a file.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FileContent {
    /// Offset in the image of the first block that is stored.
    pub(super) start: u64,
    /// Bytes in blocks of zeros.
    pub(super) sparse: u64,
    /// Index of its first block in [`Contents::blocks`].
    first_block: u32,
    /// Number of blocks that are stored.
    block_count: u32,
    /// Place in a fragment block, of a file that is shorter than a block.
    pub(super) fragment: Option<FragmentPlace>,
}

/// A block of a file that is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileBlock {
    /// Number of the block in the file.
    pub(super) number: u32,
    /// Size, with the bit for uncompressed blocks.
    pub(super) size: u32,
}

/// Bytes of the image that are in the spool.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpoolRange {
    /// Offset in the image.
    pub(super) offset: u64,
    /// Offset in the spool.
    pub(super) at: u64,
}

/// Content of all files, with its place in the image.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// By inode.
    files: Vec<FileContent>,
    blocks: Vec<FileBlock>,
    /// Fragment blocks.
    pub(super) fragments: Vec<FragmentEntry>,
    /// Sorted by offset in the image, without gaps.
    pub(super) ranges: Vec<SpoolRange>,
    /// End in the image.
    pub(super) end: u64,
    /// `None` if there is no content.
    pub(super) spool: Option<Arc<Spool>>,
}

impl Contents {
    /// Reads and encodes the content of a tree, and places it at `start` of the image: the blocks
    /// of all files in tree order, and then the fragment blocks.
    pub(super) fn new(
        tree: &Tree,
        scan: &HoleScan,
        options: &ContentOptions<'_>,
        start: u64,
    ) -> Result<Self> {
        let &ContentOptions { compression, policy, threads, spool, observer } = options;
        let files = vec![FileContent::default(); tree.inodes().len()];
        let mut contents = Self { files, end: start, ..Self::default() };
        let codec = compression.verified()?;
        let pieces = policy.pieces(tree, scan);
        let repeated = repeated_sizes(tree);
        let spool = match pieces.is_empty() {
            true => None,
            false => Some(Arc::new(Spool::new(spool)?)),
        };
        let encoded = spool.as_deref().map(|spool| {
            let encoder = || FileEncoder {
                blocks: BlockEncoder::new(codec, spool),
                tree,
                policy,
                repeated: &repeated,
            };
            encode_pieces(tree, pieces.iter().copied(), threads, observer, encoder)
        });
        let encoded = encoded.transpose()?.into_iter().flatten();
        let mut packer = FragmentPacker::default();
        contents.place_files(tree, &pieces, encoded, policy, &mut packer);
        if let Some(spool) = &spool {
            for stored in packer.encode(codec, spool, threads, observer)? {
                let start_block = U64::new(contents.place(stored));
                let (size, unused) = (U32::new(stored.size), U32::ZERO);
                contents.fragments.push(FragmentEntry { start_block, size, unused });
            }
        }
        contents.spool = spool;
        Ok(contents)
    }

    /// Returns the location of the content of a file.
    pub(super) fn file(&self, id: InodeId) -> &FileContent {
        &self.files[id.index()]
    }

    /// Returns the blocks of a file that are stored; the others are zeros.
    pub(super) fn blocks(&self, file: &FileContent) -> &[FileBlock] {
        &self.blocks[file.first_block as usize..][..file.block_count as usize]
    }

    /// Places the blocks of all files, and packs the files that are fragments. Equal files are
    /// stored once.
    fn place_files(
        &mut self,
        tree: &Tree,
        pieces: &[Piece],
        mut encoded: impl Iterator<Item = EncodedPiece>,
        policy: BlockPolicy,
        packer: &mut FragmentPacker,
    ) {
        let block_size = u64::from(policy.block_size);
        let mut seen: BTreeMap<[u8; 32], InodeId> = BTreeMap::new();
        let mut groups = pieces.chunk_by(|a, b| a.file == b.file).peekable();
        for (id, _) in tree.iter() {
            let size = size(tree, id);
            let group = groups.next_if(|group| group[0].file == id).unwrap_or_default();
            let parts: Vec<_> = group.iter().copied().zip(encoded.by_ref()).collect();
            if let Some(digest) = digest(size, &parts) {
                let same = *seen.entry(digest).or_insert(id);
                if same != id {
                    self.files[id.index()] = self.files[same.index()];
                    continue;
                }
            }
            let mut file = FileContent { sparse: size, ..FileContent::default() };
            if let [(_, EncodedPiece { stored: Some(part), .. })] = parts[..]
                && policy.is_fragment(size)
            {
                file.fragment = Some(packer.push(part, policy.block_size));
                file.sparse = 0;
            } else {
                file.first_block = u32::try_from(self.blocks.len()).expect("counted in 32 bits");
                for (piece, EncodedPiece { stored, .. }) in parts {
                    let Some(stored) = stored else { continue };
                    let offset = self.place(stored);
                    if file.block_count == 0 {
                        file.start = offset;
                    }
                    file.block_count += 1;
                    file.sparse -= u64::from(piece.len);
                    let number = u32::try_from(piece.from / block_size).expect("checked before");
                    self.blocks.push(FileBlock { number, size: stored.size });
                }
            }
            self.files[id.index()] = file;
        }
    }

    /// Places a block after everything placed so far, and returns its offset.
    fn place(&mut self, block: StoredBlock) -> u64 {
        let offset = self.end;
        self.end += u64::from(block.len());
        let is_continued = self
            .ranges
            .last()
            .is_some_and(|last| block.at.checked_sub(last.at) == Some(offset - last.offset));
        if !is_continued {
            self.ranges.push(SpoolRange { offset, at: block.at });
        }
        offset
    }
}

/// Returns a digest of a file that no other content has, if another file may be equal.
fn digest(size: u64, parts: &[(Piece, EncodedPiece)]) -> Option<[u8; 32]> {
    let mut hash = Sha256::new_with_prefix(size.to_le_bytes());
    for (piece, encoded) in parts {
        let digest = encoded.digest.as_ref()?;
        if encoded.stored.is_some() {
            hash.update(piece.from.to_le_bytes());
            hash.update(**digest);
        }
    }
    (!parts.is_empty()).then(|| hash.finalize().into())
}
