//! Data of inodes: its layouts, and the blocks outside the metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Options;
use super::chunks::{Chunks, blocks};
use super::compressed::{CompressedFile, Tail};
use super::compression::Compression;
use super::contents::Contents;
use super::inode::{head_len, size};
use super::packed;
use super::slots::Request;
use super::spec::{BLOCK, NULL_ADDR, datalayout};
use super::xattr::Xattrs;
use crate::error::Result;
use crate::layout::{Layout, Region};
use crate::time::Timestamp;
use crate::tree::{HoleScan, InodeId, Kind, Tree};

/// Data layouts of compressed files.
const COMPRESSED: [u16; 2] = [datalayout::COMPRESSED_COMPACT, datalayout::COMPRESSED_FULL];

/// Data of all inodes.
pub(super) struct Data {
    /// Data layout of each inode.
    layouts: Vec<u8>,
    /// First block of each inode, counted from the start of the data; 0 for an inode without
    /// blocks.
    starts: Vec<u32>,
    chunks: BTreeMap<InodeId, Chunks>,
    /// Compressed files whose last piece has no block.
    inline_pieces: BTreeSet<InodeId>,
    /// Files whose blocks are those of another file.
    shared: BTreeSet<InodeId>,
    contents: Arc<Contents>,
    compression: Option<Compression>,
    /// First block of the packed inode, counted from the start of the data.
    packed_start: u32,
    /// Number of blocks of data.
    pub(super) blocks: u64,
}

/// A way to store the data of an inode.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Storage {
    layout: u16,
    blocks: u64,
    /// Size of what follows the inode and its attributes, in bytes.
    rest: u64,
    chunks: Option<Chunks>,
    /// Place of the last piece, if the data is compressed.
    tail: Tail,
}

impl Storage {
    fn cost(&self) -> u64 {
        self.blocks * BLOCK + self.rest
    }

    /// Data as it is, with the rest of the last block after the inode if it fits there.
    fn flat(size: u64, head: u64) -> Self {
        let tail = size % BLOCK;
        let is_inline = tail > 0 && head + tail <= BLOCK;
        Self {
            layout: if is_inline { datalayout::FLAT_INLINE } else { datalayout::FLAT_PLAIN },
            blocks: if is_inline { size / BLOCK } else { size.div_ceil(BLOCK) },
            rest: if is_inline { tail } else { 0 },
            chunks: None,
            tail: Tail::Blocks,
        }
    }

    fn chunked(chunks: Chunks) -> Self {
        Self {
            layout: datalayout::CHUNK_BASED,
            blocks: chunks.stored.iter().map(blocks).sum(),
            rest: chunks.index_len(),
            chunks: Some(chunks),
            tail: Tail::Blocks,
        }
    }

    /// Compressed data, with the last piece after the inode if it fits there.
    fn compressed(file: CompressedFile<'_>, head: u64, tail_packing: bool) -> Self {
        let inline = CompressedFile { tail: Tail::Inline, ..file };
        let is_piece_inline = tail_packing
            && file.tail == Tail::Blocks
            && (1..BLOCK).contains(&inline.inline_len())
            && head + inline.rest_len(head) <= BLOCK;
        let file = if is_piece_inline { inline } else { file };
        Self {
            layout: file.datalayout(),
            blocks: file.blocks(),
            rest: file.rest_len(head),
            chunks: None,
            tail: file.tail,
        }
    }
}

impl Data {
    /// Decides how the data of each inode is stored, and places its blocks: directories come before
    /// files, in the order of the tree.
    pub(super) fn new(
        tree: &Tree,
        scan: &HoleScan,
        contents: &Arc<Contents>,
        xattrs: &Xattrs,
        options: &Options,
    ) -> Self {
        let count = tree.inodes().len();
        let mut data = Self {
            layouts: vec![0; count],
            starts: vec![0; count],
            chunks: BTreeMap::new(),
            inline_pieces: BTreeSet::new(),
            shared: BTreeSet::new(),
            contents: Arc::clone(contents),
            compression: options.compression,
            packed_start: 0,
            blocks: 0,
        };
        // Blocks of pieces that occur more than once, by their number.
        let mut known = BTreeMap::new();
        let is_directory = |id| tree.inode(id).kind == Kind::Directory;
        for directories in [true, false] {
            let inodes = tree.iter().filter(|&(id, _)| is_directory(id) == directories);
            for (id, inode) in inodes {
                let head = head_len(tree, id, options.epoch) + xattrs.body_len(inode.xattrs);
                let size = size(tree, id);
                let storage = data.smallest(id, size, head, scan, &known, options);
                data.add(id, size, storage);
                data.record_pieces(id, size, &mut known);
            }
        }
        // Addresses beyond 32 bits are refused when the size is known.
        data.packed_start = u32::try_from(data.blocks).unwrap_or(u32::MAX);
        data.blocks += contents.packed_file().map_or(0, |file| file.blocks());
        data
    }

    /// Returns the way to store an inode that takes the least space, and of equal ones the one that
    /// is the simplest to read.
    fn smallest(
        &self,
        id: InodeId,
        size: u64,
        head: u64,
        scan: &HoleScan,
        known: &BTreeMap<u32, u32>,
        options: &Options,
    ) -> Storage {
        let file = self.contents.file(id, size);
        if let Some(file @ CompressedFile { tail: Tail::Fragment(_), .. }) = file {
            return Storage::compressed(file, head, false);
        }
        let ranges = scan.data(id).filter(|_| options.profile.chunks());
        let chunks = ranges.and_then(|ranges| Chunks::of_sparse(size, ranges, self.blocks));
        let compressed =
            file.map(|file| Storage::compressed(file, head, options.profile.tail_packing()));
        let of = self.contents.same_as(id).unwrap_or(id);
        let pieces = self.contents.repeated(of).filter(|_| of == id || self.chunks(of).is_some());
        let whole = 0..size;
        let data = ranges.unwrap_or(std::slice::from_ref(&whole));
        let shared = pieces.map(|it| Chunks::of_pieces(size, data, it, known, self.blocks));
        let chunked = [chunks, shared].into_iter().flatten().map(Storage::chunked);
        let all = std::iter::once(Storage::flat(size, head)).chain(chunked).chain(compressed);
        all.min_by_key(Storage::cost).expect("there is one")
    }

    /// Stores an inode in the next blocks, or in those of an equal file that is stored alike.
    fn add(&mut self, id: InodeId, size: u64, mut storage: Storage) {
        let index = id.index();
        self.layouts[index] = u8::try_from(storage.layout).expect("one of five");
        if storage.tail == Tail::Inline {
            self.inline_pieces.insert(id);
        }
        let same = self.contents.same_as(id).filter(|&of| {
            self.layout(of) == storage.layout
                && self.compressed(of, size).is_none_or(|file| file.tail == storage.tail)
        });
        match same {
            Some(of) => {
                self.starts[index] = self.starts[of.index()];
                storage.chunks = self.chunks.get(&of).cloned();
                self.shared.insert(id);
            }
            None if storage.blocks > 0 => {
                // Addresses beyond 32 bits are refused when the size is known.
                self.starts[index] = u32::try_from(self.blocks).unwrap_or(u32::MAX);
                self.blocks += storage.blocks;
            }
            None => {}
        }
        if let Some(chunks) = storage.chunks {
            self.chunks.insert(id, chunks);
        }
    }

    /// Records the blocks of pieces of an inode that later files may share.
    fn record_pieces(&self, id: InodeId, size: u64, known: &mut BTreeMap<u32, u32>) {
        let Some((piece, numbers)) = self.contents.repeated(id) else { return };
        let stored = match self.layout(id) {
            datalayout::FLAT_INLINE => size - size % BLOCK,
            _ => size,
        };
        for (index, &number) in numbers.iter().enumerate() {
            let from = index as u64 * piece;
            let block = match self.chunks(id) {
                Some(chunks) if BLOCK << chunks.bits == piece => chunks.blocks[index],
                None if size.min(from + piece) <= stored => {
                    let block = u64::from(self.start(id)) + from / BLOCK;
                    u32::try_from(block).unwrap_or(NULL_ADDR)
                }
                _ => NULL_ADDR,
            };
            if let Some(number) = number.filter(|_| block != NULL_ADDR) {
                known.entry(number).or_insert(block);
            }
        }
    }

    /// Returns whether a file is stored in chunks.
    pub(super) fn has_chunks(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// Returns whether a file is compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.layouts.iter().any(|&layout| COMPRESSED.contains(&layout.into()))
    }

    /// Returns the size in bytes of the packed inode with its index; `None` without fragments.
    pub(super) fn packed_len(&self) -> Option<u64> {
        self.contents.packed_file().map(|file| packed::HEAD + file.rest_len(packed::HEAD))
    }

    /// Encodes the packed inode with its index, if there are fragments.
    pub(super) fn encode_packed(&self, epoch: Timestamp, data_start: u32) -> Vec<u8> {
        let Some(file) = self.contents.packed_file() else { return Vec::new() };
        let compression = self.compression.expect("something is compressed");
        let i_ino = u32::try_from(self.layouts.len()).expect("at most 2^32 inodes").wrapping_add(1);
        packed::encode_inode(&file, compression, epoch, i_ino, data_start + self.packed_start)
    }

    /// Returns whether a piece of a compressed file follows the inode.
    pub(super) fn has_inline_pieces(&self) -> bool {
        !self.inline_pieces.is_empty()
    }

    /// Returns the data layout of an inode.
    pub(super) fn layout(&self, id: InodeId) -> u16 {
        self.layouts[id.index()].into()
    }

    /// Returns the first block of an inode, counted from the start of the data.
    pub(super) fn start(&self, id: InodeId) -> u32 {
        self.starts[id.index()]
    }

    /// Returns the chunks of a file that is stored in chunks.
    pub(super) fn chunks(&self, id: InodeId) -> Option<&Chunks> {
        self.chunks.get(&id)
    }

    /// Returns the pieces of a file that is stored compressed.
    pub(super) fn compressed(&self, id: InodeId, size: u64) -> Option<CompressedFile<'_>> {
        if !COMPRESSED.contains(&self.layout(id)) {
            return None;
        }
        let file = self.contents.file(id, size).expect("it is compressed");
        let tail = if self.inline_pieces.contains(&id) { Tail::Inline } else { file.tail };
        Some(CompressedFile { tail, ..file })
    }

    /// Encodes the index of a file in chunks or of a compressed file, with the inline piece. `head`
    /// is the size of its inode with the attributes, and `data_start` the first block of the data.
    pub(super) fn encode_index(
        &self,
        id: InodeId,
        size: u64,
        head: u64,
        data_start: u32,
    ) -> Result<Vec<u8>> {
        if let Some(chunks) = self.chunks(id) {
            return Ok(chunks.encode(data_start));
        }
        let Some(file) = self.compressed(id, size) else { return Ok(Vec::new()) };
        let compression = self.compression.expect("something is compressed");
        let mut out = file.encode(compression, head, data_start + self.start(id));
        if let (Tail::Inline, Some(last)) = (file.tail, file.pieces.last()) {
            let (index, len) = (out.len(), last.len as usize);
            out.resize(index + len, 0);
            self.spool().read_at(last.at, &mut out[index..])?;
        }
        Ok(out)
    }

    fn spool(&self) -> &Arc<crate::spool::Spool> {
        self.contents.spool.as_ref().expect("something is compressed")
    }

    /// Returns the metadata that an inode needs.
    pub(super) fn request(&self, id: InodeId, head: u64, size: u64) -> Request {
        let (rest, within_block) = match self.layout(id) {
            datalayout::FLAT_INLINE => (size % BLOCK, true),
            datalayout::CHUNK_BASED => (self.chunks[&id].index_len(), false),
            _ => match self.compressed(id, size) {
                Some(file) => (file.rest_len(head), file.tail == Tail::Inline),
                None => (0, false),
            },
        };
        Request { len: head + rest, within_block }
    }

    /// Returns the layout of the content of files and of long symlinks, from the start of the data.
    pub(super) fn content(&self, tree: &Arc<Tree>) -> Layout {
        let mut layout = Layout::new(self.blocks * BLOCK);
        let number = layout.add_tree(Arc::clone(tree));
        let spool = self.contents.spool.clone().map(|spool| layout.add_render(spool));
        for (id, inode) in tree.iter().filter(|(id, _)| !self.shared.contains(id)) {
            let mut offset = u64::from(self.start(id)) * BLOCK;
            let Kind::File { size, .. } = inode.kind else {
                if inode.kind == Kind::Symlink && self.layout(id) == datalayout::FLAT_PLAIN {
                    layout.push_bytes(offset, tree.target(id));
                }
                continue;
            };
            if let Some(file) = self.compressed(id, size) {
                for (piece, stored) in file.pieces.iter().enumerate() {
                    let (blocks, len) = (file.piece_blocks(piece), u64::from(stored.len));
                    match (blocks, len) {
                        (0, _) => {}
                        (_, 0) => {
                            let (from, len) = file.raw_range(piece);
                            layout.push_content(offset, len, number, id, from);
                        }
                        _ => {
                            // Zeros come before the data.
                            let fill = spool.expect("something is compressed");
                            let (end, from) = (offset + blocks * BLOCK, stored.at);
                            layout.push_region(Region { offset: end - len, len, from, fill });
                        }
                    }
                    offset += blocks * BLOCK;
                }
            } else if let Some(chunks) = self.chunks(id) {
                for range in &chunks.stored {
                    let len = range.end - range.start;
                    layout.push_content(offset, len, number, id, range.start);
                    offset += len.next_multiple_of(BLOCK);
                }
            } else {
                let is_inline = self.layout(id) == datalayout::FLAT_INLINE;
                let len = if is_inline { size - size % BLOCK } else { size };
                layout.push_content(offset, len, number, id, 0);
            }
        }
        let packed_offset = u64::from(self.packed_start) * BLOCK;
        packed::push_content(&mut layout, &self.contents, packed_offset);
        layout
    }
}
