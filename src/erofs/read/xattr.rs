//! Extended attributes.

use xxhash_rust::xxh32::xxh32;
use zerocopy::little_endian::{U16, U32};

use super::super::spec::{
    Compat, XATTR_ALIGN, XATTR_FILTER_BITS, XATTR_FILTER_SEED, XATTR_PREFIXES, XattrEntry,
    XattrIbodyHeader,
};
use super::content::Content;
use super::image::Image;
use super::inode::Inode;
use super::superblock::Super;
use crate::tree::Xattr;
use crate::violation::{Result, Violation};

/// `PLAIN_XATTR_PFX`: long prefixes are not in the packed inode.
const PLAIN_PREFIXES: u32 = 0x10;

/// Bit of `e_name_index`: the rest is the number of a long prefix.
const LONG_PREFIX: u8 = 0x80;

/// Longest name, in bytes.
const NAME_MAX: usize = 255;

/// Maximum size of all attributes that are read, in bytes. Many inodes can share one.
pub(super) const TOTAL_MAX: usize = 256 << 20;

/// A prefix that names share.
#[derive(Debug)]
pub(super) struct LongPrefix {
    index: u8,
    infix: Vec<u8>,
}

/// Reads the table of long prefixes.
pub(super) fn long_prefixes(
    image: &Image,
    superblock: &Super,
    packed: Option<&Content>,
) -> Result<Vec<LongPrefix>> {
    let record = &superblock.record;
    let packed = packed.filter(|_| record.feature_compat.get() & PLAIN_PREFIXES == 0);
    let read = |at: u64, buffer: &mut [u8]| match packed {
        Some(packed) => packed.fill(at, buffer),
        None => image.read(at, buffer),
    };
    let mut at = u64::from(record.xattr_prefix_start.get()) * XATTR_ALIGN;
    let mut prefixes = Vec::new();
    for number in 0..record.xattr_prefix_count {
        let mut len = [0; 2];
        read(at, &mut len)?;
        let len = usize::from(u16::from_le_bytes(len));
        let mut bytes = vec![0; len];
        if !(1..=NAME_MAX + 1).contains(&len) {
            let rule = format!("a size of {len} bytes");
            return Err(Violation::new(format_args!("prefix {number}"), rule));
        }
        read(at + 2, &mut bytes)?;
        at = (at + 2 + len as u64).next_multiple_of(XATTR_ALIGN);
        let infix = bytes.split_off(1);
        prefixes.push(LongPrefix { index: bytes[0], infix });
    }
    Ok(prefixes)
}

/// Reads the attributes of an inode.
pub(super) fn read(
    image: &Image,
    superblock: &Super,
    prefixes: &[LongPrefix],
    inode: &Inode,
) -> Result<Vec<Xattr>> {
    let (start, size) = inode.xattrs;
    if size == 0 {
        return Ok(Vec::new());
    }
    let header: XattrIbodyHeader = image.record(start)?;
    let head = size_of::<XattrIbodyHeader>() as u64;
    let (mut at, end) = (start + head, start + size);
    let shared = u64::from(header.h_shared_count);
    if size == head || head + 4 * shared > size {
        return Err(inode.breaks("extended attributes without an entry"));
    }
    let mut entries = Entries { image, prefixes, inode, xattrs: Vec::new(), filter: u32::MAX };
    for _ in 0..shared {
        let id: U32 = image.record(at)?;
        let base = u64::from(superblock.record.xattr_blkaddr.get()) * image.block_size;
        entries.read(base + u64::from(id.get()) * XATTR_ALIGN)?;
        at += size_of::<U32>() as u64;
    }
    while at < end {
        at = entries.read(at)?;
    }
    let Entries { mut xattrs, filter, .. } = entries;
    if at != end {
        return Err(inode.breaks("an extended attribute is longer than the body"));
    }
    let has_filter =
        superblock.has_compat(Compat::XATTR_FILTER) && superblock.record.xattr_filter_reserved == 0;
    if has_filter && header.h_name_filter != 0 && header.h_name_filter != filter {
        return Err(inode.breaks("the filter of names is wrong"));
    }
    xattrs.sort();
    if xattrs.windows(2).any(|pair| pair[0].name == pair[1].name) {
        return Err(inode.breaks("two extended attributes have one name"));
    }
    Ok(xattrs)
}

/// Attributes that are being read.
struct Entries<'a> {
    image: &'a Image,
    prefixes: &'a [LongPrefix],
    inode: &'a Inode,
    xattrs: Vec<Xattr>,
    /// A bit is set if no name has it.
    filter: u32,
}

impl Entries<'_> {
    /// Reads the entry at a place, and returns its end.
    fn read(&mut self, at: u64) -> Result<u64> {
        let entry: XattrEntry = self.image.record(at)?;
        let long = self.prefixes.get(usize::from(entry.e_name_index & !LONG_PREFIX));
        let (index, infix) = match entry.e_name_index & LONG_PREFIX {
            0 => (entry.e_name_index, &[][..]),
            _ => match long {
                Some(LongPrefix { index, infix }) => (*index, &infix[..]),
                None => return Err(self.inode.breaks("no such long prefix")),
            },
        };
        let prefix = XATTR_PREFIXES.iter().find(|(known, _)| *known == index);
        let Some((_, prefix)) = prefix else {
            return Err(self.inode.breaks(format_args!("attribute with prefix {index}")));
        };
        let len = u64::from(entry.e_name_len);
        let name_at = at + size_of::<XattrEntry>() as u64;
        let mut name = infix.to_vec();
        name.extend(self.image.bytes(name_at, len)?);
        self.filter &=
            !(1 << (xxh32(&name, XATTR_FILTER_SEED + u32::from(index)) % XATTR_FILTER_BITS));
        let value_size: U16 = entry.e_value_size;
        let value = self.image.bytes(name_at + len, value_size.get().into())?;
        let end = name_at + len + value.len() as u64;
        self.xattrs.push(Xattr { name: [prefix, &name[..]].concat(), value });
        Ok(end.next_multiple_of(XATTR_ALIGN))
    }
}
