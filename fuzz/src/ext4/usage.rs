//! Ownership of blocks and inodes, and a comparison with bitmaps and counts.

use super::raw::Raw;
use crate::Verdict;

/// Blocks and inodes that have been found so far.
#[derive(Debug)]
pub struct Usage {
    blocks: Vec<bool>,
    /// Whether each inode is used and whether it is a directory, by inode number minus one.
    inodes: Vec<(bool, bool)>,
}

/// sparse_super: whether `group` holds a backup superblock.
fn has_super(group: u64) -> bool {
    let power = |base: u64| {
        std::iter::successors(Some(base), |power| Some(power * base))
            .take_while(|&power| power <= group)
            .any(|power| power == group)
    };
    group < 2 || power(3) || power(5) || power(7)
}

impl Usage {
    /// Marks the fixed metadata as used.
    pub fn new(raw: &Raw<'_>) -> Verdict<Self> {
        let mut usage = Self {
            blocks: vec![false; usize::try_from(raw.blocks).unwrap()],
            inodes: vec![
                (false, false);
                usize::try_from(raw.groups * raw.inodes_per_group).unwrap()
            ],
        };
        usage.take(0, raw.first_data_block)?;
        let table = (raw.inodes_per_group * 256).div_ceil(raw.block_size as u64);
        for group in 0..raw.groups {
            let start = raw.first_data_block + group * raw.blocks_per_group;
            if has_super(group) {
                usage.take(start, 1 + raw.gdt_blocks + raw.reserved_gdt_blocks)?;
            }
            let desc = raw.group(group)?;
            usage.take(desc.block_bitmap, 1)?;
            usage.take(desc.inode_bitmap, 1)?;
            usage.take(desc.inode_table, table)?;
        }
        Ok(usage)
    }

    /// Marks blocks as used, and fails if one of them already is.
    pub fn take(&mut self, start: u64, count: u64) -> Verdict {
        for block in start..start + count {
            let taken = usize::try_from(block).ok().and_then(|at| self.blocks.get_mut(at));
            match taken {
                None => return Err(format!("block {block} is beyond the end")),
                Some(true) => return Err(format!("block {block} has two owners")),
                Some(taken) => *taken = true,
            }
        }
        Ok(())
    }

    /// Marks an inode as used, and fails if it already is.
    pub fn take_inode(&mut self, number: u32, is_directory: bool) -> Verdict {
        match self.inodes.get_mut(usize::try_from(number).unwrap() - 1) {
            None => Err(format!("inode {number} is beyond the last")),
            Some((true, _)) => Err(format!("inode {number} is two nodes")),
            Some(inode) => {
                *inode = (true, is_directory);
                Ok(())
            }
        }
    }

    /// Compares bitmaps and counts with the blocks and inodes that were found.
    pub fn check(&self, raw: &Raw<'_>) -> Verdict {
        let (mut free_blocks, mut free_inodes) = (0, 0);
        let blocks = self.blocks[usize::try_from(raw.first_data_block).unwrap()..]
            .chunks(usize::try_from(raw.blocks_per_group).unwrap());
        let inodes = self.inodes.chunks(usize::try_from(raw.inodes_per_group).unwrap());
        for (number, (blocks, inodes)) in (0..).zip(blocks.zip(inodes)) {
            let group = raw.group(number)?;
            let oracle_error = |what: &str| Err(format!("group {number}: {what} are wrong"));
            if raw.block(group.block_bitmap)? != bitmap(blocks.iter().copied(), raw.block_size) {
                return oracle_error("bits of blocks");
            }
            let used = inodes.iter().map(|&(used, _)| used);
            if raw.block(group.inode_bitmap)? != bitmap(used.clone(), raw.block_size) {
                return oracle_error("bits of inodes");
            }
            let free = blocks.iter().filter(|used| !**used).count() as u64;
            let unused = used.clone().filter(|used| !used).count() as u64;
            let trailing = used.clone().rev().take_while(|used| !used).count() as u64;
            let directories = inodes.iter().filter(|&&(_, directory)| directory).count() as u64;
            if (group.free_blocks, group.free_inodes) != (free, unused) {
                return oracle_error("free counts");
            }
            if group.directories != directories {
                return oracle_error("counts of directories");
            }
            const INODE_UNINIT: u16 = 1;
            const BLOCK_UNINIT: u16 = 2;
            let uninit = group.flags & INODE_UNINIT != 0;
            if group.inodes_unused > trailing || uninit && trailing != inodes.len() as u64 {
                return oracle_error("unused inodes");
            }
            if group.flags & BLOCK_UNINIT != 0 {
                return oracle_error("flags");
            }
            free_blocks += free;
            free_inodes += unused;
        }
        match (raw.free_blocks(), raw.free_inodes()) == (free_blocks, free_inodes) {
            true => Ok(()),
            false => Err(format!(
                "the superblock has {} blocks and {} inodes free, not {free_blocks} and {free_inodes}",
                raw.free_blocks(),
                raw.free_inodes(),
            )),
        }
    }
}

/// Returns a bitmap that fills a block. The bits after the last one are set.
fn bitmap(bits: impl Iterator<Item = bool>, block_size: usize) -> Vec<u8> {
    let mut bitmap = vec![0xff; block_size];
    for (at, _) in bits.enumerate().filter(|(_, used)| !used) {
        bitmap[at / 8] &= !(1 << (at % 8));
    }
    bitmap
}
