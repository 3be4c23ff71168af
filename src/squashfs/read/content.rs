//! Content of files, which is decompressed when it is read.

use std::io;
use std::sync::Arc;

use positioned_io::ReadAt;

use super::super::spec::FragmentEntry;
use super::image::Image;
use super::inode::{File, Inode};
use crate::violation::{Result, Violation};

/// A block of a file.
#[derive(Debug, Clone, Copy)]
struct Block {
    /// Place in the image.
    at: u64,
    /// Size as it is stored; 0 for zeros.
    stored: u32,
    /// Start of the bytes of the file in the decompressed block.
    start: u32,
}

/// Content of a file.
#[derive(Debug)]
pub(super) struct Content {
    image: Arc<Image>,
    /// Number of the inode.
    number: u32,
    size: u64,
    blocks: Box<[Block]>,
    /// Whether the last block is a fragment block, which has bytes of other files as well.
    has_fragment: bool,
}

impl Content {
    /// Finds and checks the blocks of a file.
    pub(super) fn new(
        image: &Arc<Image>,
        fragments: &[FragmentEntry],
        inode: &Inode,
        file: &File,
    ) -> Result<Self> {
        let mut blocks = Vec::with_capacity(file.blocks.len() + 1);
        let mut at = file.start_block;
        for stored in &file.blocks {
            let stored = stored.get();
            blocks.push(Block { at, stored, start: 0 });
            if stored != 0 {
                at = image.check_block(at, stored)?;
            }
        }
        if file.fragment.is_none() && file.offset != 0 {
            return Err(inode.breaks("an offset without a fragment"));
        }
        if let Some(index) = file.fragment {
            let offset = file.offset;
            let fragment = usize::try_from(index).ok().and_then(|index| fragments.get(index));
            let tail = file.size % u64::from(image.block_size);
            let end = u64::from(offset) + tail;
            let fragment = fragment.filter(|_| tail > 0 && end <= image.block_size.into());
            let Some(fragment) = fragment else {
                let rule = format!("{tail} bytes at {offset} of fragment {index}");
                return Err(inode.breaks(rule));
            };
            let (at, stored) = (fragment.start_block.get(), fragment.size.get());
            blocks.push(Block { at, stored, start: offset });
        }
        let content = Self {
            image: Arc::clone(image),
            number: inode.base.inode_number.get(),
            size: file.size,
            blocks: blocks.into(),
            has_fragment: file.fragment.is_some(),
        };
        content.check_sparse(inode, file.sparse)?;
        Ok(content)
    }

    /// Checks the number of bytes in blocks of zeros, of which one byte is not counted if all are.
    /// Some versions of mksquashfs count none.
    fn check_sparse(&self, inode: &Inode, sparse: u64) -> Result<()> {
        let zeros = (0..).zip(&self.blocks).filter(|(_, block)| block.stored == 0);
        let zeros: u64 = zeros.map(|(index, _)| self.len(index)).sum();
        match sparse == 0 || sparse == zeros.min(self.size.saturating_sub(1)) {
            true => Ok(()),
            false => {
                Err(inode.breaks(format_args!("{zeros} bytes of zeros are counted as {sparse}")))
            }
        }
    }

    /// Returns the length of a block of the file.
    fn len(&self, index: u64) -> u64 {
        let block_size = u64::from(self.image.block_size);
        self.size.saturating_sub(index * block_size).min(block_size)
    }

    /// Checks that all blocks can be decompressed.
    pub(super) fn check(&self) -> Result<()> {
        for index in 0..self.blocks.len() as u64 {
            self.read_block(index * u64::from(self.image.block_size), &mut [0])?;
        }
        Ok(())
    }

    /// Reads bytes of the block with the byte at `offset`, which is below the size. Returns their
    /// number.
    fn read_block(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let block_size = u64::from(self.image.block_size);
        let index = offset / block_size;
        let (within, len) = (offset % block_size, self.len(index));
        let count = usize::try_from(len - within).unwrap_or(usize::MAX).min(buffer.len());
        let out = &mut buffer[..count];
        let block = usize::try_from(index).ok().and_then(|index| self.blocks.get(index));
        let Some(block) = block.filter(|block| block.stored != 0) else {
            out.fill(0);
            return Ok(count);
        };
        let bytes = self.image.block(block.at, block.stored)?;
        let is_fragment = self.has_fragment && self.blocks.len() as u64 == index + 1;
        let bytes = bytes.get(block.start as usize..).unwrap_or(&[]);
        let is_whole = bytes.len() as u64 == len || is_fragment && bytes.len() as u64 > len;
        let start = usize::try_from(within).unwrap_or(usize::MAX);
        match bytes.get(start..).and_then(|bytes| bytes.get(..count)).filter(|_| is_whole) {
            Some(bytes) => out.copy_from_slice(bytes),
            None => {
                let place = format_args!("inode {}", self.number);
                let rule = format!("block {index} has {} bytes instead of {len}", bytes.len());
                return Err(Violation::new(place, rule));
            }
        }
        Ok(count)
    }
}

impl ReadAt for Content {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        self.read_block(offset, buffer).map_err(io::Error::other)
    }
}
