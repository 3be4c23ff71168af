//! Data of inodes: its layouts, and the blocks outside the metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Options;
use super::chunks::{Chunks, blocks};
use super::inode::{head_len, size};
use super::slots::Request;
use super::spec::{BLOCK, datalayout};
use super::xattr::Xattrs;
use crate::layout::Layout;
use crate::tree::{HoleScan, InodeId, Kind, Tree};

/// Data of all inodes.
pub(super) struct Data {
    /// Data layout of each inode.
    layouts: Vec<u8>,
    /// First block of each inode, counted from the start of the data; 0 for an inode without
    /// blocks.
    starts: Vec<u32>,
    chunks: BTreeMap<InodeId, Chunks>,
    /// Number of blocks of data.
    pub(super) blocks: u64,
}

impl Data {
    /// Decides how the data of each inode is stored, and places its blocks: directories come before
    /// files, in the order of the tree.
    pub(super) fn new(tree: &Tree, scan: &HoleScan, xattrs: &Xattrs, options: &Options) -> Self {
        let count = tree.inodes().len();
        let mut data = Self {
            layouts: vec![0; count],
            starts: vec![0; count],
            chunks: BTreeMap::new(),
            blocks: 0,
        };
        let is_directory = |id| tree.inode(id).kind == Kind::Directory;
        for directories in [true, false] {
            let inodes = tree.iter().filter(|&(id, _)| is_directory(id) == directories);
            for (id, inode) in inodes {
                let head = head_len(tree, id, options.epoch) + xattrs.body_len(inode.xattrs);
                match scan.data(id).filter(|_| options.profile.chunks()) {
                    Some(ranges) => data.add_sparse(id, size(tree, id), head, ranges),
                    None => data.add_flat(id, size(tree, id), head),
                }
            }
        }
        data
    }

    fn add_flat(&mut self, id: InodeId, size: u64, head: u64) {
        let tail = size % BLOCK;
        let is_inline = tail > 0 && head + tail <= BLOCK;
        let layout = if is_inline { datalayout::FLAT_INLINE } else { datalayout::FLAT_PLAIN };
        let blocks = if is_inline { size / BLOCK } else { size.div_ceil(BLOCK) };
        self.set(id, layout, blocks);
    }

    fn add_sparse(&mut self, id: InodeId, size: u64, head: u64, data: &[std::ops::Range<u64>]) {
        match Chunks::of_sparse(size, data, self.blocks) {
            Some(chunks) => {
                self.set(id, datalayout::CHUNK_BASED, chunks.stored.iter().map(blocks).sum());
                self.chunks.insert(id, chunks);
            }
            None => self.add_flat(id, size, head),
        }
    }

    /// Stores an inode in the next blocks.
    fn set(&mut self, id: InodeId, layout: u16, blocks: u64) {
        self.layouts[id.index()] = u8::try_from(layout).expect("one of five");
        if blocks > 0 {
            // Addresses beyond 32 bits are refused when the size is known.
            self.starts[id.index()] = u32::try_from(self.blocks).unwrap_or(u32::MAX);
        }
        self.blocks += blocks;
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

    /// Returns the size in bytes of what follows an inode of `size` bytes and its attributes.
    fn index_or_tail(&self, id: InodeId, size: u64) -> u64 {
        match self.layout(id) {
            datalayout::FLAT_INLINE => size % BLOCK,
            _ => self.chunks(id).map_or(0, Chunks::index_len),
        }
    }

    /// Returns the metadata that an inode needs.
    pub(super) fn request(&self, id: InodeId, head: u64, size: u64) -> Request {
        let within_block = self.layout(id) == datalayout::FLAT_INLINE;
        Request { len: head + self.index_or_tail(id, size), within_block }
    }

    /// Returns the layout of the content of files and of long symlinks, from the start of the data.
    pub(super) fn content(&self, tree: &Arc<Tree>) -> Layout {
        let mut layout = Layout::new(self.blocks * BLOCK);
        let number = layout.add_tree(Arc::clone(tree));
        for (id, inode) in tree.iter() {
            let mut offset = u64::from(self.start(id)) * BLOCK;
            match (inode.kind, self.chunks(id)) {
                (Kind::File { .. }, Some(chunks)) => {
                    for range in &chunks.stored {
                        let len = range.end - range.start;
                        layout.push_content(offset, len, number, id, range.start);
                        offset += len.next_multiple_of(BLOCK);
                    }
                }
                (Kind::File { size, .. }, None) => {
                    let len = size - self.index_or_tail(id, size);
                    layout.push_content(offset, len, number, id, 0);
                }
                (Kind::Symlink, _) if self.layout(id) == datalayout::FLAT_PLAIN => {
                    layout.push_bytes(offset, tree.target(id));
                }
                _ => {}
            }
        }
        layout
    }
}
