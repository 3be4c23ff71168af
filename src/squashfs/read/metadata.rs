//! Metadata: a stream of bytes that is stored in blocks of 8 KiB.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use zerocopy::{FromBytes, IntoBytes};

use super::super::spec::{METADATA_SIZE, METADATA_UNCOMPRESSED};
use super::image::Image;
use crate::violation::{Result, Violation};

/// Number of decompressed blocks that a table keeps.
const KEPT: usize = 32;

/// A table of metadata blocks.
#[derive(Debug)]
pub(super) struct Metadata {
    name: &'static str,
    image: Arc<Image>,
    area: Range<u64>,
    /// Offset of each block in the table.
    blocks: Vec<u64>,
    /// The decompressed blocks that were used last, with their indices.
    kept: RefCell<VecDeque<(usize, Rc<[u8]>)>>,
}

/// Size of a metadata block, from its header.
fn block_len(header: [u8; 2]) -> u16 {
    u16::from_le_bytes(header) & !METADATA_UNCOMPRESSED
}

/// Reads the metadata block at `at`, which is within `area`. Returns its content and its end.
pub(super) fn read_block(image: &Image, area: &Range<u64>, at: u64) -> Result<(Vec<u8>, u64)> {
    let breaks = |rule: &str| Violation::new(format_args!("metadata at byte {at}"), rule);
    let mut header = [0; 2];
    image.read(area, at, &mut header)?;
    let len = usize::from(block_len(header));
    if !(1..=METADATA_SIZE).contains(&len) {
        return Err(breaks("the size is not from 1 to 8192"));
    }
    let mut bytes = vec![0; len];
    image.read(area, at + 2, &mut bytes)?;
    let end = at + 2 + len as u64;
    if u16::from_le_bytes(header) & METADATA_UNCOMPRESSED == 0 {
        let decoded = (image.decode)(&bytes, METADATA_SIZE);
        bytes = decoded.ok_or_else(|| breaks("cannot be decompressed"))?;
    }
    Ok((bytes, end))
}

impl Metadata {
    /// Finds the blocks of the table in `area`.
    pub(super) fn open(name: &'static str, image: Arc<Image>, area: Range<u64>) -> Result<Self> {
        let mut blocks = Vec::new();
        let mut at = area.start;
        while at < area.end {
            blocks.push(at - area.start);
            let mut header = [0; 2];
            image.read(&area, at, &mut header)?;
            at += 2 + u64::from(block_len(header));
        }
        match at == area.end {
            true => Ok(Self { name, image, area, blocks, kept: RefCell::default() }),
            false => Err(Violation::new(name, "the last block is longer than the table")),
        }
    }

    /// Returns the maximum size of the content, in bytes.
    pub(super) fn max_size(&self) -> u64 {
        self.blocks.len() as u64 * METADATA_SIZE as u64
    }

    /// Returns the position of a byte in the content, from its block and its offset in that.
    pub(super) fn position(&self, block: u64, offset: u16) -> Result<u64> {
        let index = self.blocks.binary_search(&block).ok();
        let index = index.filter(|_| usize::from(offset) < METADATA_SIZE);
        let position = index.map(|index| (index * METADATA_SIZE) as u64 + u64::from(offset));
        position.ok_or_else(|| self.breaks(format_args!("no block {block} with byte {offset}")))
    }

    /// Returns the position of a reference, which has the block in all but the lowest 16 bits.
    pub(super) fn position_of(&self, reference: u64) -> Result<u64> {
        let [low, high, ..] = reference.to_le_bytes();
        self.position(reference >> 16, u16::from_le_bytes([low, high]))
    }

    /// Returns the block of a position in the content.
    pub(super) fn block_of(&self, position: u64) -> Option<u64> {
        let index = usize::try_from(position / METADATA_SIZE as u64).ok()?;
        self.blocks.get(index).copied()
    }

    /// Returns a cursor at a position in the content.
    pub(super) fn cursor(&self, position: u64) -> Cursor<'_> {
        Cursor { table: self, position }
    }

    fn breaks(&self, rule: impl std::fmt::Display) -> Violation {
        Violation::new(self.name, rule)
    }

    fn block(&self, index: usize) -> Result<Rc<[u8]>> {
        let mut kept = self.kept.borrow_mut();
        if let Some((_, block)) = kept.iter().find(|(kept, _)| *kept == index) {
            return Ok(Rc::clone(block));
        }
        let Some(offset) = self.blocks.get(index) else {
            return Err(self.breaks(format_args!("only {} blocks", self.blocks.len())));
        };
        let (block, _) = read_block(&self.image, &self.area, self.area.start + offset)?;
        if index + 1 < self.blocks.len() && block.len() < METADATA_SIZE {
            return Err(self.breaks(format_args!("block {offset} is not full")));
        }
        let block: Rc<[u8]> = block.into();
        if kept.len() == KEPT {
            kept.pop_back();
        }
        kept.push_front((index, Rc::clone(&block)));
        Ok(block)
    }
}

/// Position from which metadata is read.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'t> {
    table: &'t Metadata,
    pub(super) position: u64,
}

impl Cursor<'_> {
    /// Fills a buffer.
    pub(super) fn fill(&mut self, mut buffer: &mut [u8]) -> Result<()> {
        while !buffer.is_empty() {
            let index = usize::try_from(self.position / METADATA_SIZE as u64).unwrap_or(usize::MAX);
            let start = usize::try_from(self.position % METADATA_SIZE as u64).unwrap_or(usize::MAX);
            let block = self.table.block(index)?;
            let bytes = block.get(start..).filter(|bytes| !bytes.is_empty());
            let Some(bytes) = bytes else {
                return Err(self.table.breaks(format_args!("nothing at byte {}", self.position)));
            };
            let (head, rest) = buffer.split_at_mut(bytes.len().min(buffer.len()));
            head.copy_from_slice(&bytes[..head.len()]);
            self.position += head.len() as u64;
            buffer = rest;
        }
        Ok(())
    }

    /// Reads `len` bytes.
    pub(super) fn bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        // A wrong length is found before memory is allocated for it.
        if len > self.table.max_size() {
            return Err(self.table.breaks(format_args!("{len} bytes at byte {}", self.position)));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a record.
    pub(super) fn record<T: FromBytes + IntoBytes>(&mut self) -> Result<T> {
        let mut record = T::new_zeroed();
        self.fill(record.as_mut_bytes())?;
        Ok(record)
    }
}
