//! Records of ext4, read only according to the kernel's documentation. The offsets are independent
//! of the records in the planner.

use detfs::Timestamp;

use crate::Verdict;
use crate::bytes::{slice, u16_at, u32_at};

fn halves(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// Properties of the file system from the superblock.
#[derive(Debug)]
pub struct Raw<'a> {
    pub image: &'a [u8],
    pub superblock: &'a [u8],
    pub block_size: usize,
    pub blocks: u64,
    pub first_data_block: u64,
    pub blocks_per_group: u64,
    pub inodes_per_group: u64,
    pub groups: u64,
    pub reserved_gdt_blocks: u64,
    pub gdt_blocks: u64,
    pub compat: u32,
}

/// A group descriptor.
#[derive(Debug)]
pub struct Group {
    pub block_bitmap: u64,
    pub inode_bitmap: u64,
    pub inode_table: u64,
    pub free_blocks: u64,
    pub free_inodes: u64,
    pub directories: u64,
    pub inodes_unused: u64,
    pub flags: u16,
}

impl<'a> Raw<'a> {
    pub fn read(image: &'a [u8]) -> Verdict<Self> {
        let sb = slice(image, 1024, 1024)?;
        if u16_at(sb, 0x38) != 0xef53 || u32_at(sb, 0x60) & 0x80 == 0 || u16_at(sb, 0xfe) != 64 {
            return Err("no superblock of a 64-bit file system".into());
        }
        let block_size = 1024usize << u32_at(sb, 0x18);
        let blocks = halves(u32_at(sb, 0x4), u32_at(sb, 0x150));
        if blocks * block_size as u64 != image.len() as u64 {
            return Err(format!("{blocks} blocks in an image of {} bytes", image.len()));
        }
        let first_data_block = u64::from(u32_at(sb, 0x14));
        let blocks_per_group = u64::from(u32_at(sb, 0x20));
        let groups = (blocks - first_data_block).div_ceil(blocks_per_group);
        let inodes_per_group = u64::from(u32_at(sb, 0x28));
        if u64::from(u32_at(sb, 0)) != groups * inodes_per_group {
            return Err("s_inodes_count is not that of all groups".into());
        }
        Ok(Self {
            image,
            superblock: sb,
            block_size,
            blocks,
            first_data_block,
            blocks_per_group,
            inodes_per_group,
            groups,
            reserved_gdt_blocks: u16_at(sb, 0xce).into(),
            gdt_blocks: (groups * 64).div_ceil(block_size as u64),
            compat: u32_at(sb, 0x5c),
        })
    }

    pub fn free_blocks(&self) -> u64 {
        halves(u32_at(self.superblock, 0xc), u32_at(self.superblock, 0x158))
    }

    pub fn free_inodes(&self) -> u64 {
        u32_at(self.superblock, 0x10).into()
    }

    /// Returns the inode number of the orphan file, or 0.
    pub fn orphan_file(&self) -> u32 {
        if self.compat & 0x1000 == 0 { 0 } else { u32_at(self.superblock, 0x280) }
    }

    pub fn block(&self, block: u64) -> Verdict<&'a [u8]> {
        let at = usize::try_from(block).map_err(|_| "a block number")?;
        slice(self.image, at.saturating_mul(self.block_size), self.block_size)
    }

    pub fn group(&self, group: u64) -> Verdict<Group> {
        let table = (usize::try_from(self.first_data_block).unwrap() + 1) * self.block_size;
        let desc = slice(self.image, table + 64 * usize::try_from(group).unwrap(), 64)?;
        let wide = |low, high| halves(u32_at(desc, low), u32_at(desc, high));
        let count = |low, high| u64::from(u16_at(desc, low)) | u64::from(u16_at(desc, high)) << 16;
        Ok(Group {
            block_bitmap: wide(0x0, 0x20),
            inode_bitmap: wide(0x4, 0x24),
            inode_table: wide(0x8, 0x28),
            free_blocks: count(0xc, 0x2c),
            free_inodes: count(0xe, 0x2e),
            directories: count(0x10, 0x30),
            inodes_unused: count(0x1c, 0x32),
            flags: u16_at(desc, 0x12),
        })
    }

    pub fn inode(&self, number: u32) -> Verdict<Inode<'a>> {
        let index = u64::from(number).checked_sub(1).ok_or("inode 0")?;
        let group = index / self.inodes_per_group;
        if group >= self.groups {
            return Err(format!("inode {number} is beyond the last"));
        }
        let table = usize::try_from(self.group(group)?.inode_table).unwrap() * self.block_size;
        let at = table + 256 * usize::try_from(index % self.inodes_per_group).unwrap();
        Ok(Inode { number, bytes: slice(self.image, at, 256)? })
    }
}

/// A run of blocks of a file: the first block within the file, the first block on disk, and their
/// number.
pub type Extent = (u64, u64, u64);

/// An inode of 256 bytes.
#[derive(Debug, Clone, Copy)]
pub struct Inode<'a> {
    pub number: u32,
    pub bytes: &'a [u8],
}

pub const FLAG_INDEX: u32 = 0x1000;
pub const FLAG_EXTENTS: u32 = 0x8_0000;

impl<'a> Inode<'a> {
    pub fn mode(&self) -> u16 {
        u16_at(self.bytes, 0)
    }

    pub fn uid(&self) -> u32 {
        u32::from(u16_at(self.bytes, 0x2)) | u32::from(u16_at(self.bytes, 0x78)) << 16
    }

    pub fn gid(&self) -> u32 {
        u32::from(u16_at(self.bytes, 0x18)) | u32::from(u16_at(self.bytes, 0x7a)) << 16
    }

    pub fn size(&self) -> u64 {
        halves(u32_at(self.bytes, 0x4), u32_at(self.bytes, 0x6c))
    }

    pub fn links(&self) -> u16 {
        u16_at(self.bytes, 0x1a)
    }

    /// Returns `i_blocks`, in units of 512 bytes.
    pub fn sectors(&self) -> u64 {
        halves(u32_at(self.bytes, 0x1c), u16_at(self.bytes, 0x74).into())
    }

    pub fn flags(&self) -> u32 {
        u32_at(self.bytes, 0x20)
    }

    /// Returns `i_block`.
    pub fn block_field(&self) -> &'a [u8] {
        &self.bytes[0x28..0x28 + 60]
    }

    pub fn xattr_block(&self) -> u64 {
        halves(u32_at(self.bytes, 0x68), u16_at(self.bytes, 0x76).into())
    }

    /// Returns the bytes after the fixed fields.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[128 + usize::from(u16_at(self.bytes, 0x80))..]
    }

    fn time(&self, at: usize, extra_at: usize) -> Timestamp {
        let extra = u32_at(self.bytes, extra_at);
        let low = i64::from(u32_at(self.bytes, at).cast_signed());
        Timestamp { seconds: low + (i64::from(extra & 3) << 32), nanoseconds: extra >> 2 }
    }

    /// Returns the modification, change, access and creation times.
    pub fn times(&self) -> [Timestamp; 4] {
        [(0x10, 0x88), (0xc, 0x84), (0x8, 0x8c), (0x90, 0x94)]
            .map(|(at, extra)| self.time(at, extra))
    }

    /// Returns the major and minor numbers of a device.
    pub fn device(&self) -> (u32, u32) {
        match (u32_at(self.bytes, 0x28), u32_at(self.bytes, 0x2c)) {
            (0, new) => (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00),
            (old, _) => (old >> 8 & 0xff, old & 0xff),
        }
    }

    /// Returns the extents, and the blocks of the tree that holds them.
    pub fn extents(&self, raw: &Raw<'_>) -> Verdict<(Vec<Extent>, Vec<u64>)> {
        let (mut extents, mut blocks) = (Vec::new(), Vec::new());
        if self.flags() & FLAG_EXTENTS == 0 {
            return Err("its blocks are not in extents".into());
        }
        let depth = u16_at(self.block_field(), 6);
        node(raw, self.block_field(), depth, &mut extents, &mut blocks)?;
        for pair in extents.windows(2) {
            if pair[0].0 + pair[0].2 > pair[1].0 {
                return Err(format!("extents {pair:?} overlap"));
            }
        }
        Ok((extents, blocks))
    }
}

fn node(
    raw: &Raw<'_>,
    bytes: &[u8],
    depth: u16,
    extents: &mut Vec<Extent>,
    blocks: &mut Vec<u64>,
) -> Verdict {
    let (magic, entries, max) = (u16_at(bytes, 0), u16_at(bytes, 2), u16_at(bytes, 4));
    let room = (bytes.len() - 12) / 12;
    if magic != 0xf30a || u16_at(bytes, 6) != depth || entries > max || usize::from(max) > room {
        return Err(format!("a node of extents starts with {:x?}", &bytes[..12]));
    }
    if depth > 0 && entries == 0 || depth > 5 {
        return Err(format!("a node of depth {depth} has {entries} entries"));
    }
    for entry in bytes[12..].chunks_exact(12).take(entries.into()) {
        let logical = u64::from(u32_at(entry, 0));
        if depth == 0 {
            let (len, high) = (u64::from(u16_at(entry, 4)), u16_at(entry, 6));
            if len == 0 || len > 32_768 {
                return Err(format!("an extent of {len} blocks"));
            }
            extents.push((logical, halves(u32_at(entry, 8), high.into()), len));
        } else {
            let child = halves(u32_at(entry, 4), u16_at(entry, 8).into());
            blocks.push(child);
            let before = extents.len();
            node(raw, raw.block(child)?, depth - 1, extents, blocks)?;
            if extents[before].0 != logical {
                return Err(format!("the index says {logical}, its child {}", extents[before].0));
            }
        }
    }
    Ok(())
}
