//! How large the file system is: from what wants blocks and inodes to a geometry that has them.
//!
//! The fixed metadata grows with the number of groups and the special files with the size, so both
//! are raised from below until they agree. Everything is monotone: the first agreement is the
//! smallest size there is.

use super::Options;
use super::geometry::{Geometry, Shape};
use super::journal::{JOURNALED_FROM, journal_blocks, orphan_blocks};
use super::placement::{Demand, Placement, Special};
use super::spec::DESC_SIZE;
use crate::error::{Error, Result};
use crate::size::{Headroom, MIB, round_up};

/// One inode for so many bytes, in a file system that is to be written to.
const BYTES_PER_INODE: u64 = 16 << 10;
/// Without `grow_to`, a file system can grow by this factor.
const GROWTH: u64 = 1024;

/// A size, and where everything is in it.
#[derive(Debug)]
pub(super) struct Sized {
    pub(super) geometry: Geometry,
    pub(super) blocks: u64,
    pub(super) placement: Placement,
    pub(super) special: Special,
}

/// What decides the size.
pub(super) struct Sizing<'a> {
    pub(super) demand: Demand<'a>,
    /// Inodes in use, the reserved ones with them.
    pub(super) inodes: u64,
    pub(super) options: &'a Options,
}

impl Sizing<'_> {
    /// Finds the size that the options ask for.
    pub(super) fn size(&self) -> Result<Sized> {
        match self.options.size {
            Some(bytes) => self.fixed(bytes),
            None => self.smallest(self.headroom(), self.options.multiple),
        }
    }

    fn headroom(&self) -> Headroom {
        let profile = self.options.profile;
        self.options.headroom.unwrap_or(Headroom::Percent(profile.headroom_percent()))
    }

    /// The most inodes that a number of groups can have.
    fn most_inodes(&self, groups: u64) -> u64 {
        let shape = self.shape(1, 0, 0);
        let per_group = u64::from(u32::MAX) / groups / shape.inode_unit() * shape.inode_unit();
        groups * per_group.min(8 * shape.block_size)
    }

    fn shape(&self, groups: u64, inodes_per_group: u64, reserved_gdt_blocks: u64) -> Shape {
        let block_size = self.demand.block_size;
        Shape { block_size, groups, inodes_per_group, reserved_gdt_blocks }
    }

    /// The shape of so many groups with at least `inodes` inodes, which [`Self::most_inodes`]
    /// allows.
    fn shape_for(&self, groups: u64, inodes: u64) -> Shape {
        let bare = self.shape(groups, 0, 0);
        let mut per_group = inodes.div_ceil(groups);
        let mut reserved_gdt_blocks = 0;
        if self.options.profile.writable() {
            // The ratio is frozen for all groups that are added later.
            let by_ratio = bare.blocks_per_group() * bare.block_size / BYTES_PER_INODE;
            per_group = per_group.max(by_ratio.min(u64::from(u32::MAX) / groups));
            let group_bytes = bare.blocks_per_group() * bare.block_size;
            let to = self.options.grow_to.unwrap_or(groups * group_bytes * GROWTH);
            // A descriptor block is found by a 32-bit number in the resize inode.
            let to = to.min(bare.block_size << 32);
            let descs = to.div_ceil(group_bytes) * u64::from(DESC_SIZE);
            let more = descs.div_ceil(bare.block_size).saturating_sub(bare.gdt_blocks());
            reserved_gdt_blocks = more.min(bare.block_size / 4);
        }
        let unit = bare.inode_unit();
        let per_group = round_up(per_group, unit).min(self.most_inodes(groups) / groups);
        self.shape(groups, per_group, reserved_gdt_blocks)
    }

    /// The special files of a file system of so many blocks.
    fn special(&self, blocks: u64) -> Special {
        let profile = self.options.profile;
        let mut blocks = blocks.max(self.options.grow_to.unwrap_or(0) / self.demand.block_size);
        let mut special = Special::default();
        if profile.orphan_file() {
            special.orphan_blocks = orphan_blocks(blocks);
            // An orphan file goes with a journal, however small the file system.
            blocks = blocks.max(JOURNALED_FROM);
        }
        if profile.writable() {
            special.journal_blocks = journal_blocks(blocks);
        }
        special
    }

    fn smallest(&self, headroom: Headroom, multiple: u64) -> Result<Sized> {
        let mut special = Special::default();
        let mut groups = 1;
        loop {
            let sized = self.smallest_with(headroom, multiple, special, &mut groups)?;
            let wanted = self.special(sized.blocks);
            if wanted == special {
                return Ok(sized);
            }
            special = Special {
                journal_blocks: wanted.journal_blocks.max(special.journal_blocks),
                orphan_blocks: wanted.orphan_blocks.max(special.orphan_blocks),
            };
        }
    }

    /// The smallest size, from `groups` groups on, that holds everything and these special files.
    fn smallest_with(
        &self,
        headroom: Headroom,
        multiple: u64,
        special: Special,
        groups: &mut u64,
    ) -> Result<Sized> {
        let block_size = self.demand.block_size;
        let spare_inodes = match headroom {
            Headroom::Percent(_) => headroom.bytes(self.inodes),
            Headroom::Bytes(bytes) => bytes / BYTES_PER_INODE,
        };
        let inodes = self.inodes.saturating_add(spare_inodes);
        if inodes > u64::from(u32::MAX) {
            return Err(too_many_inodes(inodes));
        }
        loop {
            self.check(&self.shape(*groups, 0, 0))?;
            if inodes > self.most_inodes(*groups) {
                *groups += 1;
                continue;
            }
            let shape = self.shape_for(*groups, inodes);
            self.check(&shape)?;
            let geometry = Geometry::new(shape);
            let placement = Placement::new(&self.demand, special, &geometry);
            let room = headroom.bytes(placement.tree_blocks * block_size).div_ceil(block_size);
            let last_start = shape.group_start(*groups - 1);
            let least = placement
                .end_with(room, &geometry)
                .max(geometry.end())
                .max(last_start + shape.last_group_minimum());
            let blocks = match room {
                0 => least,
                _ => {
                    let bytes = least.saturating_mul(block_size);
                    round_up(bytes, multiple.max(block_size)) / block_size
                }
            };
            let capacity = shape.group_start(*groups);
            if blocks <= capacity {
                return Ok(Sized { geometry, blocks, placement, special });
            }
            *groups += (blocks - capacity).div_ceil(shape.blocks_per_group());
        }
    }

    fn fixed(&self, bytes: u64) -> Result<Sized> {
        let block_size = self.demand.block_size;
        let shape = self.shape(1, 0, 0);
        let mut blocks = bytes / block_size;
        if blocks <= shape.first_data_block() {
            return Err(self.too_small(bytes, None));
        }
        let mut groups = shape.groups_of(blocks);
        self.check(&self.shape(groups, 0, 0))?;
        if self.inodes > self.most_inodes(groups) {
            return Err(self.too_small(bytes, None));
        }
        let mut shape = self.shape_for(groups, self.inodes);
        if blocks < shape.group_start(groups - 1) + shape.last_group_minimum() && groups > 1 {
            // A last group that can't hold its own metadata is left out.
            groups -= 1;
            blocks = shape.group_start(groups);
            if self.inodes > self.most_inodes(groups) {
                return Err(self.too_small(bytes, None));
            }
            shape = self.shape_for(groups, self.inodes);
        }
        self.check(&shape)?;
        let geometry = Geometry::new(shape);
        let special = self.special(blocks);
        let placement = Placement::new(&self.demand, special, &geometry);
        let end = placement.end.max(geometry.end());
        if end > blocks {
            return Err(self.too_small(bytes, Some(end - blocks)));
        }
        Ok(Sized { geometry, blocks, placement, special })
    }

    fn check(&self, shape: &Shape) -> Result<()> {
        // What follows the superblock must leave room in the group for bitmaps and tables.
        let most = shape.blocks_per_group() / 4 * 3;
        if shape.super_blocks(0) > most || shape.groups >= u64::from(u32::MAX) {
            return Err(Error::parameter(
                "--size",
                format!(
                    "with blocks of {} bytes the descriptors of {} groups do not fit a group",
                    shape.block_size, shape.groups
                ),
                "use larger blocks, a smaller size or less headroom",
            ));
        }
        Ok(())
    }

    /// The error for a fixed size, with what would do instead.
    fn too_small(&self, bytes: u64, missing_blocks: Option<u64>) -> Error {
        let groups = self.shape(1, 0, 0).groups_of((bytes / self.demand.block_size).max(2));
        let missing_inodes = self.inodes.saturating_sub(self.most_inodes(groups));
        let smallest = match self.smallest(Headroom::Bytes(0), 1) {
            Ok(sized) => sized.blocks * self.demand.block_size,
            Err(error) => return error,
        };
        let missing_blocks = missing_blocks
            .unwrap_or((smallest.saturating_sub(bytes)).div_ceil(self.demand.block_size));
        Error::TooSmall {
            what: "ext4".into(),
            rule: format!(
                "a size of {bytes} bytes is too small by {missing_blocks} blocks of {} bytes and \
                 {missing_inodes} inodes",
                self.demand.block_size
            ),
            remedy: format!(
                "give it at least {smallest} bytes ({} MiB), or let the size be chosen",
                smallest.div_ceil(MIB)
            ),
        }
    }
}

fn too_many_inodes(inodes: u64) -> Error {
    Error::unrepresentable(
        Vec::new(),
        format!("tree and headroom take {inodes} inodes, and ext4 has at most 2^32 - 1"),
        "split the tree, or leave less headroom",
    )
}
