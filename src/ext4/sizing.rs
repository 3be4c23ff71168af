//! How large the file system is: from what wants blocks and inodes to a geometry that has them.
//!
//! The fixed metadata grows with the number of groups and the special files with the size, so both
//! are raised from below until they agree. Everything is monotone: the first agreement is the
//! smallest size there is.

use super::Options;
use super::geometry::{Geometry, GeometryParams};
use super::journal::{JOURNALED_FROM, SpecialFiles, journal_blocks, orphan_blocks};
use super::placement::{Placement, SpaceRequest};
use super::spec::{DESC_SIZE, INODE_SIZE};
use crate::error::{Error, Result};
use crate::size::{Headroom, MIB, round_down, round_up};

/// A file system that is to be written to has at least one inode for this many bytes.
const BYTES_PER_INODE: u64 = 16 << 10;
/// That ratio takes at most this fraction of a given size for inode tables.
const TABLES_PER_SIZE: u64 = 16;
/// Without `grow_to`, a file system can grow by this factor.
const GROWTH: u64 = 1024;

/// A size, and where everything is in it.
#[derive(Debug)]
pub(super) struct SizedLayout {
    pub(super) geometry: Geometry,
    pub(super) blocks: u64,
    pub(super) placement: Placement,
    pub(super) special: SpecialFiles,
}

/// What decides the size.
pub(super) struct Sizing<'a> {
    pub(super) request: SpaceRequest<'a>,
    /// Inodes in use, the reserved ones with them.
    pub(super) inodes: u64,
    pub(super) options: &'a Options,
}

impl Sizing<'_> {
    /// Finds the size that the options ask for.
    pub(super) fn size(&self) -> Result<SizedLayout> {
        if let Some(inodes) = self.options.inodes
            && inodes < self.inodes
        {
            return Err(Error::parameter(
                "--inodes",
                format!("{inodes} inodes are too few, the tree takes {}", self.inodes),
                format!("ask for at least {}, or leave it out", self.inodes),
            ));
        }
        match self.options.size {
            Some(bytes) => self.of_size(bytes),
            None => {
                let inodes = |groups| self.wanted_inodes(groups, None);
                self.smallest(self.headroom(), self.options.multiple, &inodes)
            }
        }
    }

    /// Returns how many inodes a file system of `groups` groups must have: those in use, and one
    /// for [`BYTES_PER_INODE`]. `size` is the one that was given, in bytes.
    fn least_inodes(&self, groups: u64, size: Option<u64>) -> u64 {
        let by_ratio = groups * self.inodes_by_ratio(groups, size);
        self.options.inodes.unwrap_or_else(|| self.inodes.max(by_ratio))
    }

    /// Returns how many inodes it should have: [`Self::least_inodes`], and those in use with the
    /// headroom's share.
    fn wanted_inodes(&self, groups: u64, size: Option<u64>) -> u64 {
        let least = self.least_inodes(groups, size);
        if self.options.inodes.is_some() {
            return least;
        }
        let spare = match self.headroom() {
            headroom @ Headroom::Percent(_) => headroom.bytes(self.inodes),
            Headroom::Bytes(bytes) => bytes / BYTES_PER_INODE,
        };
        self.inodes.saturating_add(spare).max(least)
    }

    /// Returns how many inodes a group has by the ratio, which is frozen for all groups that are
    /// added later.
    fn inodes_by_ratio(&self, groups: u64, size: Option<u64>) -> u64 {
        if !self.options.profile.writable() {
            return 0;
        }
        let shape = self.params(groups, 0, 0);
        // The only group of a file system may be one that never becomes a full one.
        let group_bytes = match self.options.grow_to {
            Some(bytes) if groups == 1 => bytes.min(shape.group_bytes()),
            _ => shape.group_bytes(),
        };
        let table_bytes = size.map_or(u64::MAX, |bytes| bytes / TABLES_PER_SIZE);
        let inodes = (group_bytes / BYTES_PER_INODE)
            .min(table_bytes / u64::from(INODE_SIZE) / groups)
            .min(self.most_inodes(groups) / groups);
        round_down(inodes, shape.inode_unit())
    }

    fn headroom(&self) -> Headroom {
        let profile = self.options.profile;
        self.options.headroom.unwrap_or(Headroom::Percent(profile.headroom_percent()))
    }

    /// The most inodes that a number of groups can have.
    fn most_inodes(&self, groups: u64) -> u64 {
        let shape = self.params(1, 0, 0);
        let per_group = u64::from(u32::MAX) / groups / shape.inode_unit() * shape.inode_unit();
        groups * per_group.min(8 * shape.block_size)
    }

    fn params(
        &self,
        groups: u64,
        inodes_per_group: u64,
        reserved_gdt_blocks: u64,
    ) -> GeometryParams {
        let block_size = self.request.block_size;
        GeometryParams { block_size, groups, inodes_per_group, reserved_gdt_blocks }
    }

    /// Returns the shape of `groups` groups with at least `inodes` inodes, or as many as
    /// [`Self::most_inodes`] allows.
    fn params_for(&self, groups: u64, inodes: u64) -> GeometryParams {
        let bare = self.params(groups, 0, 0);
        let mut reserved_gdt_blocks = 0;
        if self.options.profile.writable() {
            let group_bytes = bare.group_bytes();
            let to = self.options.grow_to.unwrap_or(groups * group_bytes * GROWTH);
            // A descriptor block is found by a 32-bit number in the resize inode.
            let to = to.min(bare.block_size << 32);
            let descs = to.div_ceil(group_bytes) * u64::from(DESC_SIZE);
            let more = descs.div_ceil(bare.block_size).saturating_sub(bare.gdt_blocks());
            reserved_gdt_blocks = more.min(bare.block_size / 4);
        }
        let per_group = round_up(inodes.div_ceil(groups), bare.inode_unit());
        let per_group = per_group.min(self.most_inodes(groups) / groups);
        self.params(groups, per_group, reserved_gdt_blocks)
    }

    /// The special files of a file system of so many blocks.
    fn special(&self, blocks: u64) -> SpecialFiles {
        let profile = self.options.profile;
        let mut blocks = blocks.max(self.options.grow_to.unwrap_or(0) / self.request.block_size);
        let mut special = SpecialFiles::default();
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

    /// Finds the smallest size with this headroom. `inodes` is asked how many inodes a number of
    /// groups should have.
    fn smallest(
        &self,
        headroom: Headroom,
        multiple: u64,
        inodes: &dyn Fn(u64) -> u64,
    ) -> Result<SizedLayout> {
        let mut special = SpecialFiles::default();
        let mut groups = 1;
        loop {
            let sized = self.smallest_with(headroom, multiple, inodes, special, &mut groups)?;
            let wanted = self.special(sized.blocks);
            if wanted == special {
                return Ok(sized);
            }
            special = SpecialFiles {
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
        inodes: &dyn Fn(u64) -> u64,
        special: SpecialFiles,
        groups: &mut u64,
    ) -> Result<SizedLayout> {
        let block_size = self.request.block_size;
        loop {
            self.check(&self.params(*groups, 0, 0))?;
            let inodes = inodes(*groups);
            if inodes > u64::from(u32::MAX) {
                return Err(too_many_inodes(inodes));
            }
            if inodes > self.most_inodes(*groups) {
                *groups += 1;
                continue;
            }
            let shape = self.params_for(*groups, inodes);
            self.check(&shape)?;
            let geometry = Geometry::new(shape, special);
            let placement = Placement::new(&self.request, special, &geometry);
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
                return Ok(SizedLayout { geometry, blocks, placement, special });
            }
            *groups += (blocks - capacity).div_ceil(shape.blocks_per_group());
        }
    }

    /// Makes a file system of a given size, with as many inodes as are wanted or as leave space
    /// for the tree.
    fn of_size(&self, bytes: u64) -> Result<SizedLayout> {
        let blocks = bytes / self.request.block_size;
        let shape = self.params(1, 0, 0);
        if blocks <= shape.first_data_block() {
            return Err(self.too_small(bytes, None));
        }
        let groups = shape.groups_of(blocks);
        self.check(&self.params(groups, 0, 0))?;
        let least = |groups| self.least_inodes(groups, Some(bytes));
        let mut fewer = 0;
        loop {
            let inodes = |groups| {
                let wanted = self.wanted_inodes(groups, Some(bytes));
                wanted.saturating_sub(groups * fewer).max(least(groups))
            };
            let missing = match self.of_size_with(blocks, &inodes)? {
                Ok(sized) => return Ok(sized),
                Err(missing) => missing,
            };
            if inodes(groups) == least(groups) {
                return Err(self.too_small(bytes, missing.blocks));
            }
            // Blocks that the tables do not take are the tree's.
            let blocks = missing.blocks.unwrap_or(0).div_ceil(groups).max(1);
            fewer += round_up(blocks * shape.inodes_per_block(), shape.inode_unit());
        }
    }

    /// Makes a file system of `blocks` blocks, whose groups have `inodes` inodes.
    fn of_size_with(
        &self,
        mut blocks: u64,
        inodes: &dyn Fn(u64) -> u64,
    ) -> Result<std::result::Result<SizedLayout, Missing>> {
        let mut groups = self.params(1, 0, 0).groups_of(blocks);
        let mut shape = self.params_for(groups, inodes(groups));
        if blocks < shape.group_start(groups - 1) + shape.last_group_minimum() && groups > 1 {
            // A last group that can't hold its own metadata is left out.
            groups -= 1;
            blocks = shape.group_start(groups);
            shape = self.params_for(groups, inodes(groups));
        }
        if self.options.inodes.unwrap_or(self.inodes) > self.most_inodes(groups) {
            return Ok(Err(Missing { blocks: None }));
        }
        self.check(&shape)?;
        let special = self.special(blocks);
        let geometry = Geometry::new(shape, special);
        let placement = Placement::new(&self.request, special, &geometry);
        let end = placement.end.max(geometry.end());
        match end.saturating_sub(blocks) {
            0 => Ok(Ok(SizedLayout { geometry, blocks, placement, special })),
            missing => Ok(Err(Missing { blocks: Some(missing) })),
        }
    }

    fn check(&self, shape: &GeometryParams) -> Result<()> {
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

    /// Returns the smallest size in bytes that [`Self::fixed`] takes.
    pub(super) fn smallest_of_size(&self) -> Result<u64> {
        // The inodes of the ratio grow with the size, and a size that has the inodes of a smaller
        // one is too small or the smallest.
        let mut bytes = 0;
        loop {
            let inodes = |groups| self.least_inodes(groups, Some(bytes));
            let blocks = self.smallest(Headroom::Bytes(0), 1, &inodes)?.blocks;
            let larger = blocks * self.request.block_size;
            if larger == bytes {
                return Ok(bytes);
            }
            bytes = larger;
        }
    }

    /// The error for a fixed size, with the size that does instead.
    fn too_small(&self, bytes: u64, missing_blocks: Option<u64>) -> Error {
        let groups = self.params(1, 0, 0).groups_of((bytes / self.request.block_size).max(2));
        let least = self.options.inodes.unwrap_or(self.inodes);
        let missing_inodes = least.saturating_sub(self.most_inodes(groups));
        let smallest = match self.smallest_of_size() {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        let missing_blocks = missing_blocks
            .unwrap_or((smallest.saturating_sub(bytes)).div_ceil(self.request.block_size));
        Error::TooSmall {
            what: "ext4".into(),
            rule: format!(
                "a file system of {bytes} bytes is too small by {missing_blocks} blocks of {} bytes and \
                 {missing_inodes} inodes",
                self.request.block_size
            ),
            remedy: format!(
                "give it at least {smallest} bytes ({} MiB), or let the size be chosen",
                smallest.div_ceil(MIB)
            ),
        }
    }
}

/// What keeps a tree out of a file system of a given size.
struct Missing {
    /// The number of missing blocks; `None` if there are too few inodes.
    blocks: Option<u64>,
}

fn too_many_inodes(inodes: u64) -> Error {
    Error::unrepresentable(
        Vec::new(),
        format!("tree and headroom take {inodes} inodes, and ext4 has at most 2^32 - 1"),
        "split the tree, or leave less headroom",
    )
}
