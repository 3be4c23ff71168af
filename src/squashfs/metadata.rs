//! Metadata blocks: 8 KiB of content each, compressed if that makes them smaller.

use super::compression::Compression;
use super::spec::{METADATA_SIZE, METADATA_UNCOMPRESSED};
use crate::codec::Encoder;
use crate::error::Result;

/// Position in a table of metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Offset of the metadata block in the table, in bytes.
    pub(super) block: u64,
    /// Offset in the content of the block.
    pub(super) offset: u16,
}

impl Position {
    /// Returns the position as the references of inodes and attributes have it.
    pub(super) fn reference(self) -> u64 {
        self.block << 16 | u64::from(self.offset)
    }
}

/// Writer of a table of metadata.
#[derive(Debug)]
pub(super) struct MetadataWriter {
    encoder: Encoder,
    /// Content of the block under construction.
    content: Vec<u8>,
    table: MetadataTable,
}

/// A finished table of metadata.
#[derive(Debug, Default)]
pub(super) struct MetadataTable {
    /// The metadata blocks.
    pub(super) bytes: Vec<u8>,
    /// Offset of each block in `bytes`.
    pub(super) starts: Vec<u64>,
}

impl MetadataWriter {
    pub(super) fn new(compression: Compression) -> Result<Self> {
        let (content, table) = (Vec::with_capacity(METADATA_SIZE), MetadataTable::default());
        Ok(Self { encoder: compression.verified()?.encoder(), content, table })
    }

    /// Returns the position of what is written next.
    pub(super) fn position(&self) -> Position {
        let offset = u16::try_from(self.content.len()).expect("less than 8 KiB");
        Position { block: self.table.bytes.len() as u64, offset }
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let len = bytes.len().min(METADATA_SIZE - self.content.len());
            let (head, rest) = bytes.split_at(len);
            self.content.extend_from_slice(head);
            bytes = rest;
            if self.content.len() == METADATA_SIZE {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let Self { encoder, content, table } = self;
        let encoded = encoder.encode(content);
        let (stored, flag) = match encoded.len() < content.len() {
            true => (encoded, 0),
            false => (&content[..], METADATA_UNCOMPRESSED),
        };
        table.push(stored, flag);
        content.clear();
    }

    /// Completes the last block and returns the table.
    pub(super) fn finish(mut self) -> MetadataTable {
        if !self.content.is_empty() {
            self.flush();
        }
        self.table
    }
}

impl MetadataTable {
    fn push(&mut self, stored: &[u8], flag: u16) {
        self.starts.push(self.bytes.len() as u64);
        let size = u16::try_from(stored.len()).expect("at most 8 KiB") | flag;
        self.bytes.extend_from_slice(&size.to_le_bytes());
        self.bytes.extend_from_slice(stored);
    }

    /// Returns a table of a single block that is not compressed.
    pub(super) fn uncompressed(content: &[u8]) -> Self {
        let mut table = Self::default();
        table.push(content, METADATA_UNCOMPRESSED);
        table
    }

    /// Compresses a table whose entries do not cross blocks.
    pub(super) fn new(compression: Compression, content: &[u8]) -> Result<Self> {
        let mut writer = MetadataWriter::new(compression)?;
        writer.push(content);
        Ok(writer.finish())
    }

    /// Appends the table to an image that ends at `offset`, and the offsets of its blocks after
    /// `head`. Returns where `head` starts.
    pub(super) fn append(&self, offset: u64, head: &[u8], image: &mut Vec<u8>) -> u64 {
        image.extend_from_slice(&self.bytes);
        image.extend_from_slice(head);
        let starts = self.starts.iter().map(|start| (offset + start).to_le_bytes());
        image.extend(starts.flatten());
        offset + self.bytes.len() as u64
    }
}
