//! Block and inode bitmaps, group by group.

use std::ops::Range;
use std::sync::Arc;

use super::block_no::BlockNo;
use super::geometry::Geometry;
use crate::error::Result;
use crate::layout::{Render, render_blocks};

/// The used blocks and inodes of a file system.
///
/// Blocks are allocated in ascending order, so all blocks before `used_end` are used, and after it
/// only those of the fixed metadata. Inodes are numbered without gaps.
#[derive(Debug)]
pub(super) struct AllocationMap {
    pub(super) geometry: Arc<Geometry>,
    /// Number of blocks of the file system.
    pub(super) blocks: u64,
    /// All blocks before this one are used.
    pub(super) used_end: BlockNo,
    /// The highest inode number in use.
    pub(super) last_ino: u32,
}

impl AllocationMap {
    /// Returns the blocks of a group.
    pub(super) fn group(&self, group: u64) -> Range<BlockNo> {
        let start = self.geometry.params.group_start(group);
        start..(start + self.geometry.params.blocks_per_group()).min(BlockNo(self.blocks))
    }

    /// Returns the runs of used blocks of a group.
    fn used(&self, group: u64) -> impl Iterator<Item = Range<BlockNo>> {
        let all = self.group(group);
        let end = self.used_end.clamp(all.start, all.end);
        let packed = (end > all.start).then_some(all.start..end);
        packed.into_iter().chain(self.geometry.reserved_in(end..all.end))
    }

    pub(super) fn free_blocks(&self, group: u64) -> u64 {
        let all = self.group(group);
        all.end - all.start - self.used(group).map(|run| run.end - run.start).sum::<u64>()
    }

    /// Returns the number of free blocks of all groups.
    pub(super) fn all_free_blocks(&self) -> u64 {
        (0..self.geometry.params.groups).map(|group| self.free_blocks(group)).sum()
    }

    /// s_overhead_clusters: the number of blocks that `df` does not count as part of the file
    /// system, which are those of the fixed metadata and of a journal of `journal_blocks` blocks.
    pub(super) fn overhead(&self, journal_blocks: u64) -> u64 {
        let len = |range: &Range<BlockNo>| range.end - range.start;
        let reserved: u64 = self.geometry.reserved.iter().map(len).sum();
        reserved - len(&self.geometry.pinned) + journal_blocks
    }

    pub(super) fn used_inodes(&self, group: u64) -> u64 {
        let per_group = self.geometry.params.inodes_per_group;
        u64::from(self.last_ino).saturating_sub(group * per_group).min(per_group)
    }

    /// Returns whether a group's block bitmap is all zeros.
    pub(super) fn is_untouched(&self, group: u64) -> bool {
        let all = self.group(group);
        all.end - all.start == self.geometry.params.blocks_per_group()
            && self.used(group).next().is_none()
    }

    pub(super) fn block_bitmap(&self, group: u64, out: &mut [u8]) {
        let all = self.group(group);
        for run in self.used(group) {
            set(out, run.start - all.start..run.end - all.start);
        }
        // Blocks beyond the end of the file system are marked as used.
        set(out, all.end - all.start..8 * out.len() as u64);
    }

    pub(super) fn inode_bitmap(&self, group: u64, out: &mut [u8]) {
        set(out, 0..self.used_inodes(group));
        set(out, self.geometry.params.inodes_per_group..8 * out.len() as u64);
    }
}

/// Sets a range of bits, the lowest of each byte first.
fn set(bitmap: &mut [u8], bits: Range<u64>) {
    let position = |bit: u64| usize::try_from(bit / 8).expect("a bitmap is one block");
    let mask_from = |bit: u64| 0xFF_u8 << (bit % 8);
    if bits.is_empty() {
        return;
    }
    let (first, last) = (position(bits.start), position(bits.end));
    if first == last {
        bitmap[first] |= mask_from(bits.start) & !mask_from(bits.end);
        return;
    }
    bitmap[first] |= mask_from(bits.start);
    bitmap[first + 1..last].fill(0xFF);
    if !bits.end.is_multiple_of(8) {
        bitmap[last] |= !mask_from(bits.end);
    }
}

/// The block bitmaps of all groups, one after the other.
#[derive(Debug)]
pub(super) struct BlockBitmaps(pub(super) Arc<AllocationMap>);

/// The inode bitmaps of all groups, one after the other.
#[derive(Debug)]
pub(super) struct InodeBitmaps(pub(super) Arc<AllocationMap>);

fn block_size(allocation: &AllocationMap) -> usize {
    usize::try_from(allocation.geometry.params.block_size).expect("at most 4096")
}

impl Render for BlockBitmaps {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        render_blocks(block_size(&self.0), offset, out, |group, out| {
            self.0.block_bitmap(group, out);
            Ok(())
        })
    }
}

impl Render for InodeBitmaps {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        render_blocks(block_size(&self.0), offset, out, |group, out| {
            self.0.inode_bitmap(group, out);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_bits_are_set() {
        for (bits, expected) in [
            (0..0, [0, 0, 0]),
            (0..1, [1, 0, 0]),
            (3..5, [0b0001_1000, 0, 0]),
            (0..8, [0xFF, 0, 0]),
            (7..9, [0x80, 1, 0]),
            (1..23, [0xFE, 0xFF, 0x7F]),
            (8..24, [0, 0xFF, 0xFF]),
            (24..24, [0, 0, 0]),
        ] {
            let mut bitmap = [0; 3];
            set(&mut bitmap, bits.clone());
            assert_eq!(bitmap, expected, "{bits:?}");
        }
    }
}
