//! Location of the fixed metadata of every block group, computed by pure arithmetic.
//!
//! A flexible group (`flex_bg`) of sixteen block groups stores all its bitmaps and inode tables at
//! its start. With `sparse_super`, groups 0, 1 and the powers of 3, 5 and 7 start with a copy of
//! the superblock and of the group descriptors, followed by the descriptor blocks reserved for
//! growth. The orphan file and the block of the resize inode are at a fixed location as well.

use std::ops::Range;

use super::block_no::BlockNo;
use super::journal::SpecialFiles;
use super::spec::{DESC_SIZE, INODE_SIZE};

/// `s_log_groups_per_flex`
pub(super) const LOG_GROUPS_PER_FLEX: u8 = 4;
const GROUPS_PER_FLEX: u64 = 1 << LOG_GROUPS_PER_FLEX;

/// Location of one group's own metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupPlace {
    pub(super) block_bitmap: BlockNo,
    pub(super) inode_bitmap: BlockNo,
    /// First block of the inode table.
    pub(super) inode_table: BlockNo,
}

/// Parameters of a geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GeometryParams {
    /// Block size: 1024, 2048 or 4096 bytes.
    pub(super) block_size: u64,
    /// Number of block groups, at least 1.
    pub(super) groups: u64,
    /// Inodes per group: a multiple of [`GeometryParams::inode_unit`], at most eight times the
    /// block size.
    pub(super) inodes_per_group: u64,
    /// `s_reserved_gdt_blocks`
    pub(super) reserved_gdt_blocks: u64,
}

impl GeometryParams {
    /// Returns `s_first_data_block`: with blocks of 1024 bytes, block 0 holds only the boot sector.
    pub(super) fn first_data_block(&self) -> BlockNo {
        BlockNo(u64::from(self.block_size == 1024))
    }

    pub(super) fn blocks_per_group(&self) -> u64 {
        8 * self.block_size
    }

    /// Returns the size of a full group, in bytes.
    pub(super) fn group_bytes(&self) -> u64 {
        self.blocks_per_group() * self.block_size
    }

    pub(super) fn inodes_per_block(&self) -> u64 {
        self.block_size / u64::from(INODE_SIZE)
    }

    /// Returns the unit of the number of inodes per group: inode tables are whole blocks, and
    /// bitmaps whole bytes.
    pub(super) fn inode_unit(&self) -> u64 {
        self.inodes_per_block().max(8)
    }

    pub(super) fn inode_table_blocks(&self) -> u64 {
        (self.inodes_per_group * u64::from(INODE_SIZE)).div_ceil(self.block_size)
    }

    pub(super) fn gdt_blocks(&self) -> u64 {
        (self.groups * u64::from(DESC_SIZE)).div_ceil(self.block_size)
    }

    pub(super) fn group_start(&self, group: u64) -> BlockNo {
        self.first_data_block() + group * self.blocks_per_group()
    }

    /// Returns the number of groups of a file system of `blocks` blocks.
    pub(super) fn groups_of(&self, blocks: u64) -> u64 {
        (blocks - self.first_data_block().0).div_ceil(self.blocks_per_group())
    }

    /// Returns the number of blocks of a file system of `groups` full groups.
    pub(super) fn blocks_of(&self, groups: u64) -> u64 {
        self.group_start(groups).0
    }

    /// Returns the maximum of [`Self::super_blocks`]: they must leave enough space in the group for
    /// bitmaps and tables.
    pub(super) fn super_blocks_max(&self) -> u64 {
        self.blocks_per_group() / 4 * 3
    }

    /// Returns an upper bound of the size of a file system in bytes, whose descriptors all fit in
    /// the first group.
    pub(super) fn size_max(block_size: u64) -> u64 {
        let params = Self { block_size, groups: 1, inodes_per_group: 0, reserved_gdt_blocks: 0 };
        let descs_per_block = block_size / u64::from(DESC_SIZE);
        (params.super_blocks_max() - 1) * descs_per_block * params.group_bytes()
    }

    /// Returns the number of superblock, descriptor and reserved descriptor blocks at the start of
    /// a group.
    pub(super) fn super_blocks(&self, group: u64) -> u64 {
        match has_super(group) {
            true => 1 + self.gdt_blocks() + self.reserved_gdt_blocks,
            false => 0,
        }
    }

    /// Returns the first of the blocks that resize2fs must never have to move. They follow the
    /// first group's own metadata and the journal, and precede the metadata of other groups.
    ///
    /// resize2fs 1.47.0 does not update the checksums of an orphan file that it moves, and fails if
    /// the block of the resize inode has to move beyond the old end.
    ///
    /// - Shrinking moves all blocks beyond the new end. Everything before the pinned blocks is in
    ///   use at any size, so the new end is after them.
    /// - Growing beyond the reserved descriptor blocks moves what follows those. Bitmaps and tables
    ///   move to the first blocks that are not metadata, and the previous content of these blocks
    ///   moves elsewhere. That content is the journal, which can be moved and is long.
    fn pinned_start(&self, special: SpecialFiles) -> BlockNo {
        // When shrinking removes groups, their descriptor blocks are kept as reserved ones, up to a
        // limit.
        let descs = (self.gdt_blocks() + self.reserved_gdt_blocks).min(1 + self.block_size / 4);
        let metadata = self.first_data_block() + 1 + descs + 2 + self.inode_table_blocks();
        // The next group starts with descriptors too.
        let last = BlockNo(self.group_start(1).0 - special.pinned_blocks());
        last.min(metadata + special.journal_blocks)
    }

    /// Returns the groups after the first that hold a backup superblock.
    pub(super) fn backups(&self) -> impl Iterator<Item = u64> {
        (1..self.groups).filter(|&group| has_super(group))
    }

    /// Returns the minimum number of blocks of the last group: its superblock copy, the metadata
    /// that its flexible group stores in it, and one usable block.
    pub(super) fn last_group_minimum(&self) -> u64 {
        let last = self.groups - 1;
        let tables = match last % GROUPS_PER_FLEX {
            0 => 2 + self.inode_table_blocks(),
            _ => 0,
        };
        self.super_blocks(last) + tables + 1
    }
}

fn has_super(group: u64) -> bool {
    let power_of = |base: u64| {
        let mut power = base;
        while power < group {
            power *= base;
        }
        power == group
    };
    group <= 1 || power_of(3) || power_of(5) || power_of(7)
}

/// The locations of all fixed metadata of a file system.
#[derive(Debug)]
pub(super) struct Geometry {
    pub(super) params: GeometryParams,
    /// The metadata of each group.
    pub(super) places: Vec<GroupPlace>,
    /// If there is an orphan file, the block of the resize inode, followed by the orphan file.
    pub(super) pinned: Range<BlockNo>,
    /// All blocks of the pinned files and the fixed metadata: sorted, disjoint, not adjacent.
    pub(super) reserved: Vec<Range<BlockNo>>,
}

impl Geometry {
    pub(super) fn new(params: GeometryParams, special: SpecialFiles) -> Self {
        let mut superblocks = Vec::new();
        if params.first_data_block() > BlockNo(0) {
            superblocks.push(BlockNo(0)..params.first_data_block());
        }
        for group in std::iter::once(0).chain(params.backups()) {
            let start = params.group_start(group);
            superblocks.push(start..start + params.super_blocks(group));
        }

        let mut places = Vec::with_capacity(usize::try_from(params.groups).unwrap_or_default());
        let mut reserved = superblocks.clone();
        let mut pinned = Range::default();
        let mut at = BlockNo(0);
        let mut first = 0;
        while first < params.groups {
            let flex = first - first % GROUPS_PER_FLEX;
            let alone = first == 0 && special.pinned_blocks() > 0;
            let end = if alone { 1 } else { flex + GROUPS_PER_FLEX };
            let members = end.min(params.groups) - first;
            at = at.max(params.group_start(flex));
            let mut take = |from: BlockNo, blocks: u64| {
                at = at.max(from);
                // A table is never split: it is placed after a superblock copy in its way.
                let next = superblocks.partition_point(|range| range.end <= at);
                for range in &superblocks[next..] {
                    if range.start >= at + blocks {
                        break;
                    }
                    at = range.end;
                }
                let start = at;
                at += blocks;
                reserved.push(start..at);
                start
            };
            let bitmaps: Vec<_> = (0..2 * members).map(|_| take(BlockNo(0), 1)).collect();
            let (block_bitmaps, inode_bitmaps) = bitmaps.split_at(bitmaps.len() / 2);
            for (&block_bitmap, &inode_bitmap) in block_bitmaps.iter().zip(inode_bitmaps) {
                let inode_table = take(BlockNo(0), params.inode_table_blocks());
                places.push(GroupPlace { block_bitmap, inode_bitmap, inode_table });
            }
            if alone {
                let start = take(params.pinned_start(special), special.pinned_blocks());
                pinned = start..start + special.pinned_blocks();
            }
            first += members;
        }

        reserved.sort_by_key(|range| range.start);
        reserved.dedup_by(|next, range| {
            let adjacent = next.start == range.end;
            if adjacent {
                range.end = next.end;
            }
            adjacent
        });
        Self { params, places, pinned, reserved }
    }

    /// Returns the first block after all fixed metadata.
    pub(super) fn end(&self) -> BlockNo {
        self.reserved.last().map_or(BlockNo(0), |range| range.end)
    }

    /// Returns the parts of the fixed metadata that lie within `blocks`.
    pub(super) fn reserved_in(
        &self,
        blocks: Range<BlockNo>,
    ) -> impl Iterator<Item = Range<BlockNo>> {
        let first = self.reserved.partition_point(|range| range.end <= blocks.start);
        self.reserved[first..]
            .iter()
            .map(move |range| range.start.max(blocks.start)..range.end.min(blocks.end))
            .take_while(|range| range.start < range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_at_powers_of_3_5_and_7() {
        let with: Vec<u64> = (0..130).filter(|&group| has_super(group)).collect();
        assert_eq!(with, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn metadata_is_disjoint_and_complete() {
        let special = SpecialFiles { journal_blocks: 4096, orphan_blocks: 32 };
        for block_size in [1024, 2048, 4096] {
            for groups in [1, 2, 15, 16, 17, 40, 300] {
                for inodes_per_group in [16, 512, 8 * block_size] {
                    let params = GeometryParams {
                        block_size,
                        groups,
                        inodes_per_group,
                        reserved_gdt_blocks: 100,
                    };
                    let geometry = Geometry::new(params, special);
                    assert_eq!(geometry.places.len() as u64, groups);
                    for pair in geometry.reserved.windows(2) {
                        assert!(pair[0].end < pair[1].start, "{params:?} {pair:?}");
                    }
                    let total: u64 = geometry.reserved.iter().map(|r| r.end - r.start).sum();
                    let superblocks: u64 =
                        (0..groups).map(|group| params.super_blocks(group)).sum();
                    let tables = groups * (2 + params.inode_table_blocks());
                    let all = params.first_data_block().0
                        + superblocks
                        + tables
                        + special.pinned_blocks();
                    assert_eq!(total, all, "{params:?}");
                    for place in &geometry.places {
                        let table = place.inode_table..place.inode_table + 1;
                        assert_eq!(geometry.reserved_in(table).count(), 1);
                    }
                }
            }
        }
    }
}
