//! Directory blocks: a single block of names in byte order, or an index by hash (see `htree`).

use zerocopy::IntoBytes;

use super::csum::crc;
use super::dir_entry::{record_len, write_entry};
use super::dirhash::HashSeed;
use super::htree::Htree;
use super::inode_numbers::{InodeNumbers, Name};
use super::spec::{DIR_TAIL, DirEntryTail, FT_DIR, ROOT_INO};
use crate::error::Result;
use crate::layout::{Render, render_blocks};
use crate::tree::{InodeId, Kind};

use std::sync::Arc;

/// One directory of the file system.
#[derive(Debug)]
struct Directory {
    /// The directory's inode in the tree; `None` for a `lost+found` that is not in the tree.
    id: Option<InodeId>,
    /// The directory's first block in the sequence of all directory blocks.
    start: u64,
    htree: Option<Box<Htree>>,
}

/// All directories, with their blocks in one sequence.
#[derive(Debug)]
pub(super) struct Directories {
    inode_numbers: Arc<InodeNumbers>,
    block_size: usize,
    list: Vec<Directory>,
    blocks: u64,
}

/// Properties of a directory that its inode and its allocation depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct DirectoryInfo {
    pub(super) id: Option<InodeId>,
    pub(super) blocks: u64,
    pub(super) indexed: bool,
}

impl Directories {
    /// Packs all directories. `fill` is the used share of the leaves of an index, in percent.
    pub(super) fn new(
        inode_numbers: &Arc<InodeNumbers>,
        block_size: usize,
        hash_seed: HashSeed,
        fill: usize,
    ) -> Self {
        let mut all = Self {
            inode_numbers: Arc::clone(inode_numbers),
            block_size,
            list: Vec::new(),
            blocks: 0,
        };
        if inode_numbers.lost_found.is_some() {
            // The size that mke2fs gives it, so that e2fsck need not allocate blocks to reconnect a
            // file.
            let blocks = (16 << 10) / block_size as u64;
            all.push(None, None, blocks);
        }
        for (id, inode) in inode_numbers.tree.iter() {
            if inode.kind != Kind::Directory {
                continue;
            }
            let listing = inode_numbers.entries(id);
            let dots = record_len(b".") + record_len(b"..");
            let len = listing.iter().map(|name| record_len(name.name)).sum::<usize>() + dots;
            if len <= block_size - DIR_TAIL {
                all.push(Some(id), None, 1);
            } else {
                let htree = Htree::new(&listing, block_size, hash_seed, fill);
                let blocks = htree.blocks();
                all.push(Some(id), Some(Box::new(htree)), blocks);
            }
        }
        all
    }

    fn push(&mut self, id: Option<InodeId>, htree: Option<Box<Htree>>, blocks: u64) {
        self.list.push(Directory { id, start: self.blocks, htree });
        self.blocks += blocks;
    }

    /// Returns whether a directory has an index of three levels, which needs `large_dir`.
    pub(super) fn need_large_dir(&self) -> bool {
        self.list.iter().any(|dir| dir.htree.as_ref().is_some_and(|htree| htree.levels() > 2))
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn get(&self, position: usize) -> DirectoryInfo {
        let dir = &self.list[position];
        let end = self.list.get(position + 1).map_or(self.blocks, |next| next.start);
        DirectoryInfo { id: dir.id, blocks: end - dir.start, indexed: dir.htree.is_some() }
    }

    /// Returns the position in the list of a directory of the tree.
    pub(super) fn position(&self, id: InodeId) -> usize {
        self.list.binary_search_by_key(&Some(id), |dir| dir.id).expect("every directory is listed")
    }

    fn make_block(&self, block: u64, out: &mut [u8]) {
        let dir = &self.list[self.list.partition_point(|dir| dir.start <= block) - 1];
        let block = block - dir.start;
        let (ino, parent) = match dir.id {
            None => (self.inode_numbers.lost_found.expect("listed only then"), ROOT_INO),
            Some(id) => (
                self.inode_numbers.ino(id),
                self.inode_numbers.ino(self.inode_numbers.tree.parent(id)),
            ),
        };
        let seed = self.inode_numbers.csum_seed(ino);
        let dots = [
            Name { name: b".", ino, file_type: FT_DIR },
            Name { name: b"..", ino: parent, file_type: FT_DIR },
        ];
        match (dir.id, &dir.htree) {
            (None, _) if block == 0 => leaf(dots.into_iter(), seed, out),
            (None, _) => leaf(std::iter::empty(), seed, out),
            (Some(id), None) => {
                leaf(dots.into_iter().chain(self.inode_numbers.entries(id).iter()), seed, out);
            }
            (Some(id), Some(htree)) => match htree.leaf(block) {
                None => htree.make_index(block, dots, seed, out),
                Some(order) => {
                    let listing = self.inode_numbers.entries(id);
                    leaf(order.iter().map(|&index| listing.get(index as usize)), seed, out);
                }
            },
        }
    }
}

impl Render for Directories {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        render_blocks(self.block_size, offset, out, |block, out| {
            self.make_block(block, out);
            Ok(())
        })
    }
}

/// Encodes a block of entries, the last of which extends to the checksum tail.
fn leaf<'a>(names: impl Iterator<Item = Name<'a>>, seed: u32, out: &mut [u8]) {
    let end = out.len() - DIR_TAIL;
    let mut at = 0;
    let mut names = names.peekable();
    if names.peek().is_none() {
        write_entry(&Name { name: b"", ino: 0, file_type: 0 }, end, out);
    }
    while let Some(name) = names.next() {
        let len = match names.peek() {
            Some(_) => record_len(name.name),
            None => end - at,
        };
        write_entry(&name, len, &mut out[at..]);
        at += len;
    }
    let sum = crc(seed, &out[..end]);
    out[end..].copy_from_slice(DirEntryTail::new(sum).as_bytes());
}
