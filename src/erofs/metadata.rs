//! Rendering of metadata: the superblock, and inodes with what follows them.

use std::sync::Arc;

use super::data::Data;
use super::dir::Names;
use super::inode::{self, InodeFields};
use super::slots::Request;
use super::spec::{BLOCK, ISLOT, NULL_ADDR, SuperBlock, datalayout};
use super::superblock;
use super::xattr::Xattrs;
use crate::error::Result;
use crate::layout::{Render, render_blocks};
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

/// A file system whose addresses are known.
pub(super) struct Metadata {
    pub(super) tree: Arc<Tree>,
    pub(super) epoch: Timestamp,
    pub(super) xattrs: Xattrs,
    pub(super) data: Data,
    /// First slot of each inode.
    pub(super) slots: Vec<u32>,
    /// Inodes in the order of their slots.
    pub(super) order: Vec<InodeId>,
    /// First slot of the shared extended attributes.
    pub(super) shared_slot: u64,
    /// First slot of the packed inode; unused without fragments.
    pub(super) packed_slot: u64,
    /// First block of the data.
    pub(super) data_start: u32,
}

impl Metadata {
    /// Returns the block that ids of shared extended attributes count from.
    pub(super) fn xattr_blkaddr(&self) -> u32 {
        u32::try_from(self.shared_slot * ISLOT / BLOCK).expect("within the file system")
    }

    /// Returns the offset of an inode, in bytes.
    fn offset(&self, id: InodeId) -> u64 {
        u64::from(self.slots[id.index()]) * ISLOT
    }

    fn nid(&self, id: InodeId) -> u64 {
        self.slots[id.index()].into()
    }

    /// Returns the first block of the data of an inode.
    pub(super) fn block(&self, id: InodeId) -> u32 {
        self.data_start + self.data.start(id)
    }

    /// Returns the metadata that an inode takes.
    fn request(&self, id: InodeId) -> Request {
        let xattrs = self.xattrs.body_len(self.tree.inode(id).xattrs);
        let head = inode::head_len(&self.tree, id, self.epoch) + xattrs;
        self.data.request(id, head, inode::size(&self.tree, id))
    }

    /// Encodes an inode with its attributes, without what follows.
    fn encode_head(&self, id: InodeId, size: u64) -> Vec<u8> {
        let set = self.tree.inode(id).xattrs;
        let layout = self.data.layout(id);
        let is_flat = matches!(layout, datalayout::FLAT_PLAIN | datalayout::FLAT_INLINE);
        let has_blocks = is_flat && (layout == datalayout::FLAT_PLAIN && size > 0 || size >= BLOCK);
        let i_u = match (self.data.chunks(id), self.data.compressed(id, size)) {
            (Some(chunks), _) => chunks.bits.into(),
            (_, Some(file)) => u32::try_from(file.blocks()).expect("within the file system"),
            _ if has_blocks => self.block(id),
            _ if is_flat => NULL_ADDR,
            // The blocks of a fragment are those of the packed inode.
            _ => 0,
        };
        let fields =
            InodeFields { datalayout: layout, i_xattr_icount: self.xattrs.icount(set), i_u };
        let mut out = inode::encode(&self.tree, id, self.epoch, fields);
        let shared_id = self.shared_slot * ISLOT % BLOCK / super::spec::XATTR_ALIGN;
        let shared_id = u32::try_from(shared_id).expect("within a block");
        out.extend_from_slice(&self.xattrs.body(set, shared_id));
        out
    }

    /// Encodes what follows an inode and its attributes: an inline tail or an index.
    /// `head` is the size of the inode with its attributes.
    fn encode_rest(&self, id: InodeId, size: u64, head: u64) -> Result<Vec<u8>> {
        if self.data.layout(id) != datalayout::FLAT_INLINE {
            return self.data.encode_index(id, size, head, self.data_start);
        }
        let len = usize::try_from(size % BLOCK).expect("less than a block");
        match self.tree.inode(id).kind {
            Kind::Directory => {
                let names = Names::new(&self.tree, id);
                let last = names.blocks().last().expect("a directory has two names");
                Ok(names.encode(&last, |id| self.nid(id)))
            }
            Kind::Symlink => Ok(self.tree.target(id).to_vec()),
            _ => {
                let mut tail = vec![0; len];
                self.tree.open(id)?.read(size - size % BLOCK, &mut tail)?;
                Ok(tail)
            }
        }
    }

    fn encode(&self, id: InodeId) -> Result<Vec<u8>> {
        let size = inode::size(&self.tree, id);
        let mut out = self.encode_head(id, size);
        out.append(&mut self.encode_rest(id, size, out.len() as u64)?);
        debug_assert_eq!(out.len() as u64, self.request(id).len, "as it was planned");
        Ok(out)
    }

    /// Fills `out` with the bytes from `offset` on, without the superblock.
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let end = offset + out.len() as u64;
        let after = self.order.partition_point(|&id| self.offset(id) <= offset);
        for &id in &self.order[after.saturating_sub(1)..] {
            let start = self.offset(id);
            if start >= end {
                break;
            }
            if start + self.request(id).len > offset {
                copy(&self.encode(id)?, start, out, offset);
            }
        }
        let packed_start = self.packed_slot * ISLOT;
        if packed_start < end && packed_start + self.data.packed_len().unwrap_or(0) > offset {
            copy(&self.data.encode_packed(self.epoch, self.data_start), packed_start, out, offset);
        }
        copy(&self.xattrs.shared, self.shared_slot * ISLOT, out, offset);
        Ok(())
    }
}

/// Copies what is in both of two buffers at different offsets of an image.
fn copy(from: &[u8], from_offset: u64, out: &mut [u8], offset: u64) {
    let start = from_offset.max(offset);
    let end = (from_offset + from.len() as u64).min(offset + out.len() as u64);
    if start < end {
        let index = |at: u64, base: u64| usize::try_from(at - base).expect("within a buffer");
        out[index(start, offset)..index(end, offset)]
            .copy_from_slice(&from[index(start, from_offset)..index(end, from_offset)]);
    }
}

/// The blocks from the start of the image to the data.
pub(super) struct MetadataBlocks {
    pub(super) metadata: Arc<Metadata>,
    pub(super) superblock: SuperBlock,
    /// Records of compression algorithms after the superblock.
    pub(super) configs: Vec<u8>,
}

impl Render for MetadataBlocks {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let block = usize::try_from(BLOCK).expect("4096");
        let len =
            out.len().min(usize::try_from(BLOCK.saturating_sub(offset)).expect("at most 4096"));
        let (first, rest) = out.split_at_mut(len);
        self.metadata.render(offset + len as u64, rest)?;
        render_blocks(block, offset, first, |_, out| {
            self.metadata.render(0, out)?;
            superblock::write(&self.superblock, &self.configs, out);
            Ok(())
        })
    }
}

/// The blocks of a directory outside the metadata.
pub(super) struct DirectoryBlocks {
    pub(super) metadata: Arc<Metadata>,
    pub(super) directory: InodeId,
}

impl Render for DirectoryBlocks {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let end = offset + out.len() as u64;
        let names = Names::new(&self.metadata.tree, self.directory);
        for (block, start) in names.blocks().zip((0..).map(|number: u64| number * BLOCK)) {
            if start >= end {
                break;
            }
            if start + BLOCK > offset {
                copy(&names.encode(&block, |id| self.metadata.nid(id)), start, out, offset);
            }
        }
        Ok(())
    }
}
