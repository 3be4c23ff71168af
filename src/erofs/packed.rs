//! The packed inode, which holds the fragments of all files.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::compressed::CompressedFile;
use super::compression::Compression;
use super::contents::Contents;
use super::spec::{BLOCK, InodeExtended, i_format, i_mode};
use crate::layout::{Layout, Region};
use crate::time::Timestamp;

/// Size of the packed inode itself, in bytes.
pub(super) const HEAD: u64 = size_of::<InodeExtended>() as u64;

/// Encodes the packed inode with its index, for data that starts at `block`.
pub(super) fn encode_inode(
    file: &CompressedFile<'_>,
    compression: Compression,
    epoch: Timestamp,
    i_ino: u32,
    block: u32,
) -> Vec<u8> {
    let format = file.datalayout() << i_format::DATALAYOUT_BIT;
    let blocks = u32::try_from(file.blocks()).expect("within the file system");
    let inode = InodeExtended {
        i_format: U16::new(format | i_format::EXTENDED),
        i_mode: U16::new(i_mode::REG),
        i_size: U64::new(file.size),
        i_u: U32::new(blocks),
        i_ino: U32::new(i_ino),
        i_mtime: U64::new(epoch.seconds.cast_unsigned()),
        i_mtime_nsec: U32::new(epoch.nanoseconds),
        i_nlink: U32::new(1),
        ..InodeExtended::new_zeroed()
    };
    [inode.as_bytes(), &file.encode(compression, HEAD, block)].concat()
}

/// Places the content of the packed inode at `offset`.
pub(super) fn push_content(layout: &mut Layout, contents: &Contents, mut offset: u64) {
    let (Some(file), Some(spool)) = (contents.packed_file(), contents.spool.clone()) else {
        return;
    };
    let fill = layout.add_render(spool);
    for (piece, stored) in file.pieces.iter().enumerate() {
        let (end, from) = (offset + file.piece_blocks(piece) * BLOCK, stored.at);
        let (_, raw_len) = file.raw_range(piece);
        let (start, len) = match u64::from(stored.len) {
            0 => (offset, raw_len),
            // Zeros come before the data.
            len => (end - len, len),
        };
        layout.push_region(Region { offset: start, len, from, fill });
        offset = end;
    }
}
