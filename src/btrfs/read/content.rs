//! Content of files.

use std::fmt;

use super::super::address::LogicalAddr;
use super::super::spec::{FileExtentItem, extent_type, item_type};
use super::decompress::{MOST, decompress};
use super::items::{FileExtent, ItemPlace, file_extent};
use super::node::Node;
use super::reader::Reader;
use crate::violation::Result;

/// The content of a file, or the target of a symbolic link.
pub struct Content<'r> {
    reader: &'r Reader<'r>,
    tree: u64,
    size: u64,
    extents: Vec<(ItemPlace, Extent)>,
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tree, size, extents, .. } = self;
        let extents = extents.len();
        write!(f, "Content {{ tree: {tree}, size: {size}, extents: {extents} }}")
    }
}

/// An extent that does not read as zeros.
enum Extent {
    Inline(Vec<u8>),
    Stored(FileExtentItem),
}

impl Extent {
    fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Stored(item) => item.num_bytes.get(),
        }
    }
}

impl Reader<'_> {
    /// Returns the content of a file, or the target of a symbolic link.
    ///
    /// # Errors
    /// A [`Violation`](super::Violation) on the path to the extents.
    pub fn content(&self, node: Node) -> Result<Content<'_>> {
        let size = self.inode(node)?.size;
        let mut extents = Vec::new();
        for (key, data) in self.items_of(node, item_type::EXTENT_DATA)? {
            let place = ItemPlace { tree: node.subvolume, key };
            let extent = file_extent(&data).ok_or_else(|| place.breaks("not an extent"))?;
            match extent {
                FileExtent::Inline(head, bytes) if head.compression == 0 => {
                    extents.push((place, Extent::Inline(bytes.to_vec())));
                }
                FileExtent::Inline(head, bytes) => {
                    let len = usize::try_from(head.ram_bytes.get()).unwrap_or(usize::MAX);
                    let bytes = decompress(head.compression, bytes, len);
                    let mut bytes = bytes.ok_or_else(|| place.breaks("cannot be decompressed"))?;
                    bytes.resize(len, 0);
                    extents.push((place, Extent::Inline(bytes)));
                }
                FileExtent::Regular(item) => {
                    let hole = item.disk_bytenr == 0;
                    if !hole && item.head.extent_type == extent_type::REG {
                        extents.push((place, Extent::Stored(*item)));
                    }
                }
            }
        }
        Ok(Content { reader: self, tree: node.subvolume, size, extents })
    }

    /// Decompresses an extent; returns `None` if that is impossible.
    pub(super) fn decompressed(&self, item: &FileExtentItem) -> Result<Option<Vec<u8>>> {
        let size = |bytes: u64| usize::try_from(bytes).ok().filter(|&size| size <= MOST);
        let (Some(compressed), Some(len)) =
            (size(item.disk_num_bytes.get()), size(item.head.ram_bytes.get()))
        else {
            return Ok(None);
        };
        let mut data = vec![0; compressed];
        self.read_logical(LogicalAddr(item.disk_bytenr.get()), &mut data)?;
        Ok(decompress(item.head.compression, &data, len))
    }

    /// Reads from the first copy.
    fn read_logical(&self, start: LogicalAddr, buffer: &mut [u8]) -> Result<()> {
        match self.chunks.physical(start, buffer.len() as u64)?.next() {
            Some(at) => self.device.read(at, buffer),
            None => Ok(()),
        }
    }
}

impl Content<'_> {
    /// Returns the size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads bytes from `offset` into the start of `buffer`, and returns their number.
    ///
    /// The number is smaller than the length of `buffer` only at the end of the content.
    ///
    /// # Errors
    /// A [`Violation`](super::Violation) if bytes can't be read or decompressed. Checksums are not
    /// verified.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let rest = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = rest.min(buffer.len());
        let Some(buffer) = buffer.get_mut(..len) else { return Ok(0) };
        buffer.fill(0);
        let end = offset.saturating_add(len as u64);
        let behind = |(place, extent): &&(ItemPlace, Extent)| {
            place.key.offset.saturating_add(extent.len()) > offset
        };
        for (place, extent) in self.extents.iter().filter(behind) {
            let start = place.key.offset;
            if start >= end {
                break;
            }
            let (from, to) = (start.max(offset), start.saturating_add(extent.len()).min(end));
            let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let Some(out) = buffer.get_mut(index(from - offset)..index(to - offset)) else {
                continue;
            };
            self.fill(*place, extent, from - start, out)?;
        }
        Ok(len)
    }

    /// Fills `out` with the bytes of an extent from `within`.
    fn fill(&self, place: ItemPlace, extent: &Extent, within: u64, out: &mut [u8]) -> Result<()> {
        let slice = |bytes: &[u8], at: u64| {
            let at = usize::try_from(at).ok()?;
            bytes.get(at..at.checked_add(out.len())?).map(<[u8]>::to_vec)
        };
        let short = || place.breaks("shorter than its length says");
        let bytes = match extent {
            Extent::Inline(bytes) => slice(bytes, within),
            Extent::Stored(item) => {
                let within = item.offset.get().checked_add(within).ok_or_else(short)?;
                if item.head.compression == 0 {
                    let start = LogicalAddr(item.disk_bytenr.get());
                    let start = start.checked_add(within).ok_or_else(short)?;
                    return self.reader.read_logical(start, out);
                }
                let bytes = self.reader.decompressed(item)?;
                let mut bytes = bytes.ok_or_else(|| place.breaks("cannot be decompressed"))?;
                bytes.resize(bytes.len().max(MOST), 0);
                slice(&bytes, within)
            }
        };
        out.copy_from_slice(&bytes.ok_or_else(short)?);
        Ok(())
    }
}
