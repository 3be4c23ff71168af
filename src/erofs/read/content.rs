//! Content of files, directories and symlinks, which is read from the image when it is needed.

use std::io;
use std::sync::Arc;

use positioned_io::ReadAt;
use zerocopy::little_endian::U32;

use super::super::spec::{ChunkIndex, Incompat, NULL_ADDR, chunk_format, datalayout};
use super::compressed::Compressed;
use super::image::{Image, Packed};
use super::inode::Inode;
use super::superblock::Super;
use crate::violation::{Result, Violation};

/// Content of an inode.
#[derive(Debug)]
pub(super) struct Content {
    image: Arc<Image>,
    nid: u64,
    pub(super) size: u64,
    data: Data,
}

/// Place of the content.
#[derive(Debug)]
enum Data {
    /// Whole blocks, and the place of the rest.
    Flat {
        start: u64,
        tail_start: u64,
        tail: u64,
    },
    /// Place of the index, and the size of its entries and of a chunk.
    Chunks {
        index: u64,
        has_records: bool,
        chunk: u64,
    },
    Compressed(Compressed),
}

impl Content {
    /// Finds the content of an inode. `packed` is the packed inode, if there is one.
    pub(super) fn new(
        image: &Arc<Image>,
        superblock: &Super,
        inode: &Inode,
        packed: Option<&Packed>,
    ) -> Result<Self> {
        let block = image.block_size;
        let data = match inode.layout {
            layout @ (datalayout::FLAT_PLAIN | datalayout::FLAT_INLINE) => {
                let is_inline = layout == datalayout::FLAT_INLINE && inode.size > 0;
                let blocks = inode.size.div_ceil(block) - u64::from(is_inline);
                let (start, tail_start) = (u64::from(inode.u) * block, blocks * block);
                if blocks > 0 {
                    image.check_range(start, blocks.saturating_mul(block))?;
                }
                if is_inline && inode.end % block + (inode.size - tail_start) > block {
                    return Err(inode.breaks("inline data crosses a block"));
                }
                let tail = if is_inline { inode.end } else { start + tail_start };
                image.check_range(if is_inline { tail } else { 0 }, 0)?;
                Data::Flat { start, tail_start, tail }
            }
            datalayout::CHUNK_BASED if superblock.has(Incompat::CHUNKED_FILE) => {
                chunks(image, inode)?
            }
            datalayout::COMPRESSED_FULL | datalayout::COMPRESSED_COMPACT => {
                Data::Compressed(Compressed::read(image, superblock, inode, packed)?)
            }
            layout => return Err(inode.breaks(format_args!("layout {layout}"))),
        };
        Ok(Self { image: Arc::clone(image), nid: inode.nid, size: inode.size, data })
    }

    /// Reads all bytes of content that is at most `max` bytes.
    pub(super) fn read_all(&self, max: u64) -> Result<Vec<u8>> {
        if self.size > max {
            return Err(self.breaks(format!("{} bytes, at most {max} are expected", self.size)));
        }
        let mut bytes = vec![0; usize::try_from(self.size).unwrap_or(usize::MAX)];
        self.fill(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills a buffer with the bytes at an offset.
    pub(super) fn fill(&self, mut offset: u64, mut buffer: &mut [u8]) -> Result<()> {
        while !buffer.is_empty() {
            let count = self.read_part(offset, buffer)?;
            if count == 0 {
                return Err(self.breaks(format!("nothing at byte {offset}")));
            }
            offset += count as u64;
            buffer = &mut buffer[count..];
        }
        Ok(())
    }

    /// Checks that everything can be read.
    pub(super) fn check(&self) -> Result<()> {
        match &self.data {
            Data::Flat { .. } | Data::Chunks { .. } => Ok(()),
            Data::Compressed(compressed) => compressed.check(&self.image),
        }
    }

    fn breaks(&self, rule: String) -> Violation {
        Violation::new(format_args!("nid {}", self.nid), rule)
    }

    /// Reads bytes from `offset` on, and returns their number, which is 0 only at the end.
    fn read_part(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let rest = self.size.saturating_sub(offset).min(buffer.len() as u64);
        let first = |count: u64| usize::try_from(count.min(rest)).unwrap_or(usize::MAX);
        match &self.data {
            _ if rest == 0 => Ok(0),
            &Data::Flat { start, tail_start, tail } => {
                let (at, count) = match tail_start.checked_sub(offset).filter(|&left| left > 0) {
                    Some(left) => (start + offset, first(left)),
                    None => (tail + (offset - tail_start), first(rest)),
                };
                self.image.read(at, &mut buffer[..count])?;
                Ok(count)
            }
            &Data::Chunks { index, has_records, chunk } => {
                let count = first(chunk - offset % chunk);
                let block = chunk_block(&self.image, index, has_records, offset / chunk)?;
                match block {
                    Some(block) => {
                        let at = block * self.image.block_size + offset % chunk;
                        self.image.read(at, &mut buffer[..count])?;
                    }
                    None => buffer[..count].fill(0),
                }
                Ok(count)
            }
            Data::Compressed(compressed) => {
                let count = first(rest);
                compressed.read_part(&self.image, offset, &mut buffer[..count])
            }
        }
    }
}

/// Finds and checks the chunks of a file.
fn chunks(image: &Image, inode: &Inode) -> Result<Data> {
    let format = inode.u;
    let known = u32::from(chunk_format::BLKBITS_MASK | chunk_format::INDEXES);
    if format & !known != 0 {
        return Err(inode.breaks(format_args!("format {format:#x} of chunks")));
    }
    let has_records = format & u32::from(chunk_format::INDEXES) != 0;
    let chunk = image.block_size.checked_shl(format & u32::from(chunk_format::BLKBITS_MASK));
    let chunk = chunk.filter(|chunk| chunk.is_power_of_two());
    let chunk = chunk.ok_or_else(|| inode.breaks("a chunk is too large"))?;
    let unit = if has_records { size_of::<ChunkIndex>() } else { size_of::<U32>() } as u64;
    let (index, count) = (inode.end.next_multiple_of(unit), inode.size.div_ceil(chunk));
    image.check_range(index, count.saturating_mul(unit))?;
    for number in 0..count {
        let block = chunk_block(image, index, has_records, number)?;
        let len = (inode.size - number * chunk).min(chunk);
        if let Some(block) = block {
            image.check_range(block * image.block_size, len)?;
        }
    }
    Ok(Data::Chunks { index, has_records, chunk })
}

/// Returns the first block of a chunk, or `None` for a hole.
fn chunk_block(image: &Image, index: u64, has_records: bool, number: u64) -> Result<Option<u64>> {
    let block = if has_records {
        let at = index + number * size_of::<ChunkIndex>() as u64;
        let record: ChunkIndex = image.record(at)?;
        // A hole has an address of 48 bits in newer images.
        if record.device_id != 0 || ![0, u16::MAX].contains(&record.startblk_hi.get()) {
            let rule = "chunks on other devices are not supported";
            return Err(Violation::new(format_args!("chunk at byte {at}"), rule));
        }
        record.startblk_lo.get()
    } else {
        image.record::<U32>(index + number * size_of::<U32>() as u64)?.get()
    };
    Ok(Some(u64::from(block)).filter(|_| block != NULL_ADDR))
}

impl ReadAt for Content {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_part(offset, buffer).map_err(io::Error::other)
    }
}
