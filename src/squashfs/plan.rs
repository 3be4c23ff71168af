//! The whole image: content, tables and the superblock.

use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::blocks::BlockPolicy;
use super::check::{check_options, check_tree, collect_ids};
use super::content::{ContentOptions, Contents, SpoolRange};
use super::inode::{InodeTables, InodeWriter};
use super::metadata::MetadataTable;
use super::options::Options;
use super::spec::{INVALID_BLK, SQUASHFS_MAGIC, SQUASHFS_MAJOR, SuperBlock, XattrIdTable, flags};
use super::xattrs::XattrTables;
use crate::error::Result;
use crate::layout::Render;
use crate::progress::Observer;
use crate::spool::Spool;
use crate::tree::{HoleScan, Tree};

/// How content is read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) threads: NonZero<usize>,
    pub(super) spool: Option<&'a Path>,
    pub(super) observer: Option<&'a dyn Observer>,
}

/// The bytes of an image.
pub(super) struct ImageBytes {
    /// The superblock and the options of the compressor.
    head: Vec<u8>,
    /// Content, after the head.
    ranges: Vec<SpoolRange>,
    spool: Option<Arc<Spool>>,
    /// Start of the tables, after the content.
    tables_start: u64,
    tables: Vec<u8>,
}

impl fmt::Debug for ImageBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageBytes").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Reads and encodes a tree.
pub(super) fn prepare(
    tree: &Tree,
    scan: &HoleScan,
    options: &Options,
    reading: Reading<'_>,
) -> Result<ImageBytes> {
    check_options(options)?;
    check_tree(tree, options)?;
    let ids = collect_ids(tree)?;
    let Options { compression, block_size, fragments, .. } = *options;
    let stored_options = compression.stored_options();
    let compressor = stored_options.as_deref().map(MetadataTable::uncompressed).unwrap_or_default();
    let start = (size_of::<SuperBlock>() + compressor.bytes.len()) as u64;
    let content_options = ContentOptions {
        compression,
        policy: BlockPolicy { block_size, fragments },
        threads: reading.threads,
        spool: reading.spool,
        observer: reading.observer,
    };
    let contents = Contents::new(tree, scan, &content_options, start)?;
    let xattrs = XattrTables::new(tree, compression)?;
    let writer = InodeWriter { tree, contents: &contents, xattrs: &xattrs, ids: &ids, block_size };
    let inodes = writer.write(compression)?;
    let Tables { bytes: tables, mut superblock } =
        Tables::new(options, &contents, &inodes, &xattrs, &ids)?;
    superblock.flags = U16::new(
        flags::DUPLICATE
            | flags::EXPORT
            | if fragments { 0 } else { flags::NO_FRAG }
            | if compressor.bytes.is_empty() { 0 } else { flags::COMP_OPT },
    );
    let head = [superblock.as_bytes(), &compressor.bytes].concat();
    let Contents { ranges, spool, end: tables_start, .. } = contents;
    Ok(ImageBytes { head, ranges, spool, tables_start, tables })
}

/// The tables after the content, and the superblock that refers to them, without its flags.
struct Tables {
    bytes: Vec<u8>,
    superblock: SuperBlock,
}

impl Tables {
    /// Lays the tables out in the order that the kernel checks.
    fn new(
        options: &Options,
        contents: &Contents,
        inodes: &InodeTables,
        xattrs: &XattrTables,
        ids: &[u32],
    ) -> Result<Self> {
        let compression = options.compression;
        let mut bytes = Vec::new();
        let start = contents.end;
        let inode_table_start = U64::new(start);
        bytes.extend_from_slice(&inodes.inodes.bytes);
        let directory_table_start = U64::new(start + bytes.len() as u64);
        bytes.extend_from_slice(&inodes.directories.bytes);
        let mut append = |entries: &[u8]| -> Result<U64> {
            let table = MetadataTable::new(compression, entries)?;
            Ok(U64::new(table.append(start + bytes.len() as u64, &[], &mut bytes)))
        };
        let fragment_table_start = append(contents.fragments.as_bytes())?;
        let references: Vec<_> =
            inodes.places.iter().map(|place| U64::new(place.reference())).collect();
        let lookup_table_start = append(references.as_bytes())?;
        let all_ids: Vec<_> = ids.iter().copied().map(U32::new).collect();
        let id_table_start = append(all_ids.as_bytes())?;
        let mut xattr_id_table_start = U64::new(INVALID_BLK);
        if xattrs.count > 0 {
            let xattr_table_start = start + bytes.len() as u64;
            bytes.extend_from_slice(&xattrs.values.bytes);
            let head = XattrIdTable {
                xattr_table_start: U64::new(xattr_table_start),
                xattr_ids: U32::new(xattrs.count),
                unused: U32::ZERO,
            };
            let offset = start + bytes.len() as u64;
            xattr_id_table_start = U64::new(xattrs.ids.append(offset, head.as_bytes(), &mut bytes));
        }
        let count = |len: usize| U32::new(u32::try_from(len).expect("fewer than 2^32"));
        let superblock = SuperBlock {
            s_magic: U32::new(SQUASHFS_MAGIC),
            inodes: count(inodes.places.len()),
            mkfs_time: U32::new(super::inode::clamp_time(options.epoch.seconds)),
            block_size: U32::new(options.block_size),
            fragments: count(contents.fragments.len()),
            compression: U16::new(compression.number()),
            block_log: U16::new(u16::try_from(options.block_size.ilog2()).expect("at most 20")),
            flags: U16::ZERO,
            no_ids: U16::new(u16::try_from(ids.len()).expect("checked before")),
            s_major: U16::new(SQUASHFS_MAJOR),
            s_minor: U16::ZERO,
            root_inode: U64::new(inodes.places[0].reference()),
            bytes_used: U64::new(start + bytes.len() as u64),
            id_table_start,
            xattr_id_table_start,
            inode_table_start,
            directory_table_start,
            fragment_table_start,
            lookup_table_start,
        };
        Ok(Self { bytes, superblock })
    }
}

impl ImageBytes {
    /// Returns the number of bytes that are used.
    pub(super) fn len(&self) -> u64 {
        self.tables_start + self.tables.len() as u64
    }

    /// Returns the bytes at `offset` that are in memory, or the offset of the content in the spool
    /// and the number of bytes that follow there.
    fn source(&self, offset: u64) -> Source<'_> {
        if offset < self.head.len() as u64 {
            return Source::memory(&self.head, offset);
        }
        if offset >= self.tables_start {
            return Source::memory(&self.tables, offset - self.tables_start);
        }
        let next = self.ranges.partition_point(|range| range.offset <= offset);
        let range = self.ranges[next - 1];
        let end = self.ranges.get(next).map_or(self.tables_start, |next| next.offset);
        Source::Spool { at: range.at + (offset - range.offset), len: end - offset }
    }
}

/// Source of bytes of an image.
enum Source<'a> {
    Memory(&'a [u8]),
    Spool { at: u64, len: u64 },
}

impl<'a> Source<'a> {
    fn memory(bytes: &'a [u8], from: u64) -> Self {
        let from = usize::try_from(from).expect("in memory");
        Self::Memory(bytes.get(from..).unwrap_or_default())
    }
}

impl Render for ImageBytes {
    fn render(&self, mut offset: u64, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            let len = match self.source(offset) {
                Source::Memory(bytes) => {
                    let len = bytes.len().min(out.len());
                    out[..len].copy_from_slice(&bytes[..len]);
                    len
                }
                Source::Spool { at, len } => {
                    let len = usize::try_from(len).unwrap_or(usize::MAX).min(out.len());
                    let spool = self.spool.as_ref().expect("there is one if there is content");
                    spool.read_at(at, &mut out[..len])?;
                    len
                }
            };
            out = &mut out[len..];
            offset += len as u64;
        }
        Ok(())
    }
}
