//! The superblock, and the options of the compressor.

use positioned_io::ReadAt;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::super::spec::{
    INVALID_BLK, METADATA_SIZE, METADATA_UNCOMPRESSED, SQUASHFS_MAGIC, SQUASHFS_MAJOR, SuperBlock,
    compression, flags,
};
use super::image::{Decode, read};
use crate::codec::{Codec, Lz4, Lzo, Xz, Zlib, Zstd};
use crate::violation::{Result, Violation};

/// Flags that are known; one of them is unused.
const KNOWN_FLAGS: u16 = 0xfff & !(1 << 2);

/// A superblock, and what follows from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Super {
    pub(super) record: SuperBlock,
    /// Start of the data, in bytes.
    pub(super) data_start: u64,
}

fn breaks(rule: impl std::fmt::Display) -> Violation {
    Violation::new("superblock", rule)
}

impl Super {
    /// Reads and checks the superblock of an image of `size` bytes.
    pub(super) fn read(source: &dyn ReadAt, size: u64) -> Result<Self> {
        let mut record = SuperBlock::new_zeroed();
        read(source, 0, record.as_mut_bytes())?;
        check(&record, size)?;
        let mut data_start = size_of::<SuperBlock>() as u64;
        if record.flags.get() & flags::COMP_OPT != 0 {
            data_start += read_options(source, &record)?;
        } else if record.compression == compression::LZ4 {
            return Err(breaks("LZ4 without options"));
        }
        if record.inode_table_start.get() < data_start {
            return Err(breaks("the inode table is not after the superblock"));
        }
        Ok(Self { record, data_start })
    }

    /// Returns the function that decompresses blocks.
    pub(super) fn decode(&self) -> Result<Decode> {
        match self.record.compression.get() {
            compression::ZLIB => Ok(|data, len| Zlib.decode(data, len)),
            compression::LZMA => Ok(decode_lzma),
            compression::LZO => Ok(|data, len| Lzo.decode(data, len)),
            compression::XZ => Ok(|data, len| Xz.decode(data, len)),
            compression::LZ4 => Ok(|data, len| Lz4.decode(data, len)),
            compression::ZSTD => Ok(|data, len| Zstd.decode(data, len)),
            other => Err(breaks(format_args!("compression {other} is unknown"))),
        }
    }

    /// Returns the start of a table, if it exists.
    pub(super) fn table(start: zerocopy::little_endian::U64) -> Option<u64> {
        Some(start.get()).filter(|&start| start != INVALID_BLK)
    }
}

/// Decodes an .lzma file, whose header has the properties, the size of the dictionary and that of
/// the content.
fn decode_lzma(data: &[u8], len: usize) -> Option<Vec<u8>> {
    let (&[props, _, _, _, _, ref size @ ..], stream) = data.split_first_chunk::<13>()?;
    let size = usize::try_from(u64::from_le_bytes(*size)).ok().filter(|&size| size <= len)?;
    Xz::decode_lzma(props, stream, size)
}

fn check(record: &SuperBlock, size: u64) -> Result<()> {
    let (block_size, flags) = (record.block_size.get(), record.flags.get());
    let is_wrong = [
        (record.s_magic != SQUASHFS_MAGIC, "not a squashfs"),
        (record.s_major != SQUASHFS_MAJOR || record.s_minor != 0, "not version 4.0"),
        (
            !block_size.is_power_of_two() || !(4096..=1 << 20).contains(&block_size),
            "block_size is not a power of two from 4096 to 1048576",
        ),
        (
            record.block_log.get() != block_size.trailing_zeros().try_into().unwrap_or(u16::MAX),
            "block_log is not the logarithm of block_size",
        ),
        (flags & !KNOWN_FLAGS != 0, "unknown flags"),
        (record.inodes == 0, "no inodes"),
        (record.no_ids == 0, "no ids"),
        (record.bytes_used.get() > size, "bytes_used is larger than the image"),
        (
            record.inode_table_start >= record.directory_table_start,
            "the directory table is not after the inode table",
        ),
        (
            (flags & flags::EXPORT != 0) != Super::table(record.lookup_table_start).is_some(),
            "the flag of the export table does not tell whether there is one",
        ),
        (
            flags & flags::NO_FRAG != 0 && record.fragments != 0,
            "fragments in spite of the flag for none",
        ),
        (
            flags & flags::NO_XATTR != 0 && Super::table(record.xattr_id_table_start).is_some(),
            "extended attributes in spite of the flag for none",
        ),
    ];
    match is_wrong.iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, rule)) => Err(breaks(rule)),
        None => Ok(()),
    }
}

/// Checks the options of the compressor after the superblock, and returns the bytes that they take.
fn read_options(source: &dyn ReadAt, record: &SuperBlock) -> Result<u64> {
    let start = size_of::<SuperBlock>() as u64;
    let mut header = [0; 2];
    read(source, start, &mut header)?;
    let header = u16::from_le_bytes(header);
    let len = match record.compression.get() {
        compression::ZLIB | compression::LZO | compression::XZ | compression::LZ4 => 8,
        compression::ZSTD => 4,
        other => return Err(breaks(format_args!("options of compression {other}"))),
    };
    if header != METADATA_UNCOMPRESSED | len {
        return Err(breaks(format_args!("options of the compressor have header {header:#x}")));
    }
    let mut options = [0; 8];
    let options = &mut options[..usize::from(len)];
    read(source, start + 2, options)?;
    let word = |at: usize| {
        options
            .get(at..)
            .and_then(|bytes| u32::read_from_prefix(bytes).ok())
            .map(|(word, _)| u32::from_le(word))
    };
    let (first, second) = (word(0).unwrap_or(0), word(4).unwrap_or(0));
    let is_valid = match record.compression.get() {
        compression::ZLIB => {
            let (window, strategies) = (second & 0xffff, second >> 16);
            (1..=9).contains(&first) && (8..=15).contains(&window) && strategies < 32
        }
        compression::LZO => first <= 4 && (second == 0 || first == 4 && second <= 9),
        // A dictionary of 2^n or 2^n + 2^(n-1) bytes, and filters of six architectures.
        compression::XZ => {
            let high = first.checked_ilog2().unwrap_or(0);
            let is_size = first.count_ones() == 1
                || first.count_ones() == 2 && first & 1 << high.saturating_sub(1) != 0;
            first as usize >= METADATA_SIZE && is_size && second < 64
        }
        compression::LZ4 => first == 1 && second <= 1,
        _ => (1..=22).contains(&first),
    };
    match is_valid {
        true => Ok(2 + u64::from(len)),
        false => Err(breaks(format_args!("options {first}, {second:#x} of the compressor"))),
    }
}
