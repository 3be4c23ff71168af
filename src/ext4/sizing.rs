//! Size of a file system: finds a geometry with the blocks and inodes that are requested.
//!
//! The fixed metadata grows with the number of groups, and the special files grow with the size, so
//! both are raised until they are consistent. All quantities are monotone, so the first consistent
//! size is the smallest possible.

use super::Options;
use super::geometry::{Geometry, GeometryParams};
use super::journal::{JOURNALED_FROM, SpecialFiles, journal_blocks, orphan_blocks};
use super::placement::{Placement, SpaceRequest};
use super::spec::{DESC_SIZE, INODE_SIZE};
use crate::error::{Error, Result};
use crate::size::{Headroom, count, round_down, round_up};

/// A writable file system has at least one inode per this many bytes.
const BYTES_PER_INODE: u64 = 16 << 10;
/// Divisor of a given size that limits the tables of the inodes added for that ratio.
const TABLES_PER_SIZE: u64 = 16;
/// Factor by which a file system can grow without `grow_to`.
const GROWTH: u64 = 1024;

/// A size and the placement of everything in it.
#[derive(Debug)]
pub(super) struct SizedLayout {
    pub(super) geometry: Geometry,
    pub(super) blocks: u64,
    pub(super) placement: Placement,
    pub(super) special: SpecialFiles,
}

/// The inputs that determine the size.
pub(super) struct Sizing<'a> {
    pub(super) request: SpaceRequest<'a>,
    /// Number of inodes in use, including the reserved ones.
    pub(super) inodes: u64,
    pub(super) options: &'a Options,
}

impl Sizing<'_> {
    /// Returns the layout of the size that the options request.
    pub(super) fn size(&self) -> Result<SizedLayout> {
        if let Some(inodes) = self.options.inodes
            && inodes < self.inodes
        {
            return Err(Error::parameter(
                "ext4.inodes",
                format!("{inodes} inodes requested, the tree takes {}", self.inodes),
                format!("request at least {}, or leave out the option", self.inodes),
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

    /// Returns the minimum number of inodes of a file system of `groups` groups: those in use, and
    /// one per [`BYTES_PER_INODE`]. `size` is the requested size in bytes, if any.
    fn least_inodes(&self, groups: u64, size: Option<u64>) -> u64 {
        let by_ratio = groups * self.inodes_by_ratio(groups, size);
        self.options.inodes.unwrap_or_else(|| self.inodes.max(by_ratio))
    }

    /// Returns the desired number of inodes: [`Self::least_inodes`], and at least those in use with
    /// the headroom's share.
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

    /// Returns the number of inodes per group according to the ratio. It also applies to all groups
    /// that are added later.
    fn inodes_by_ratio(&self, groups: u64, size: Option<u64>) -> u64 {
        if !self.options.profile.writable() {
            return 0;
        }
        let params = self.params(groups, 0, 0);
        // If growth is limited, the only group of a file system may never become a full one.
        let group_bytes = match self.options.grow_to {
            Some(bytes) if groups == 1 => bytes.min(params.group_bytes()),
            _ => params.group_bytes(),
        };
        let table_bytes = size.map_or(u64::MAX, |bytes| bytes / TABLES_PER_SIZE);
        let inodes = (group_bytes / BYTES_PER_INODE)
            .min(table_bytes / u64::from(INODE_SIZE) / groups)
            .min(self.most_inodes(groups) / groups);
        round_down(inodes, params.inode_unit())
    }

    fn headroom(&self) -> Headroom {
        let profile = self.options.profile;
        self.options.headroom.unwrap_or(Headroom::Percent(profile.headroom_percent()))
    }

    /// Returns the maximum number of inodes of `groups` groups.
    fn most_inodes(&self, groups: u64) -> u64 {
        let params = self.params(1, 0, 0);
        let per_group = u64::from(u32::MAX) / groups / params.inode_unit() * params.inode_unit();
        groups * per_group.min(8 * params.block_size)
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

    /// Returns the parameters of `groups` groups with at least `inodes` inodes, or with as many as
    /// [`Self::most_inodes`] allows.
    fn params_for(&self, groups: u64, inodes: u64) -> GeometryParams {
        let bare = self.params(groups, 0, 0);
        let mut reserved_gdt_blocks = 0;
        if self.options.profile.writable() {
            let group_bytes = bare.group_bytes();
            let to = self.options.grow_to.unwrap_or(groups * group_bytes * GROWTH);
            // The resize inode stores the number of a descriptor block in 32 bits.
            let to = to.min(bare.block_size << 32);
            let descs = to.div_ceil(group_bytes) * u64::from(DESC_SIZE);
            let more = descs.div_ceil(bare.block_size).saturating_sub(bare.gdt_blocks());
            reserved_gdt_blocks = more.min(bare.block_size / 4);
        }
        let per_group = round_up(inodes.div_ceil(groups), bare.inode_unit());
        let per_group = per_group.min(self.most_inodes(groups) / groups);
        self.params(groups, per_group, reserved_gdt_blocks)
    }

    /// Returns the special files of a file system of `blocks` blocks.
    fn special(&self, blocks: u64) -> SpecialFiles {
        let profile = self.options.profile;
        let mut blocks = blocks.max(self.options.grow_to.unwrap_or(0) / self.request.block_size);
        let mut special = SpecialFiles::default();
        if profile.orphan_file() {
            special.orphan_blocks = orphan_blocks(blocks);
            // An orphan file requires a journal, however small the file system.
            blocks = blocks.max(JOURNALED_FROM);
        }
        if profile.writable() {
            special.journal_blocks = journal_blocks(blocks);
        }
        special
    }

    /// Returns the smallest layout with this headroom. `inodes` returns the number of inodes for a
    /// number of groups.
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

    /// Returns the smallest layout of at least `groups` groups that holds everything, including
    /// these special files.
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
            let params = self.params_for(*groups, inodes);
            self.check(&params)?;
            let geometry = Geometry::new(params, special);
            let placement = Placement::new(&self.request, special, &geometry);
            let available = headroom.bytes(placement.tree_blocks * block_size).div_ceil(block_size);
            let last_start = params.group_start(*groups - 1);
            let least = placement
                .end_with(available, &geometry)
                .max(geometry.end())
                .max(last_start + params.last_group_minimum())
                .0;
            let blocks = match available {
                0 => least,
                _ => {
                    let bytes = least.saturating_mul(block_size);
                    round_up(bytes, multiple.max(block_size)) / block_size
                }
            };
            let capacity = params.blocks_of(*groups);
            if blocks <= capacity {
                return Ok(SizedLayout { geometry, blocks, placement, special });
            }
            *groups += (blocks - capacity).div_ceil(params.blocks_per_group());
        }
    }

    /// Returns a layout of a given size, with the desired number of inodes, or fewer if the tree
    /// needs the space.
    fn of_size(&self, bytes: u64) -> Result<SizedLayout> {
        let blocks = bytes / self.request.block_size;
        let params = self.params(1, 0, 0);
        if blocks <= params.first_data_block().0 {
            return Err(self.too_small(bytes, None));
        }
        let groups = params.groups_of(blocks);
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
            // Blocks that the inode tables do not use become available to the tree.
            let blocks = missing.blocks.unwrap_or(0).div_ceil(groups).max(1);
            let step = round_up(blocks * params.inodes_per_block(), params.inode_unit());
            // Any number above the maximum makes the same tables, so those steps are one.
            let excess = inodes(groups).saturating_sub(self.most_inodes(groups));
            fewer += step * excess.div_ceil(groups * step).max(1);
        }
    }

    /// Returns a layout of `blocks` blocks whose groups have a total of `inodes(groups)` inodes.
    fn of_size_with(
        &self,
        mut blocks: u64,
        inodes: &dyn Fn(u64) -> u64,
    ) -> Result<std::result::Result<SizedLayout, Missing>> {
        let mut groups = self.params(1, 0, 0).groups_of(blocks);
        let mut params = self.params_for(groups, inodes(groups));
        if blocks < params.blocks_of(groups - 1) + params.last_group_minimum() && groups > 1 {
            // A last group that can't hold its own metadata is omitted.
            groups -= 1;
            blocks = params.blocks_of(groups);
            params = self.params_for(groups, inodes(groups));
        }
        if self.options.inodes.unwrap_or(self.inodes) > self.most_inodes(groups) {
            return Ok(Err(Missing { blocks: None }));
        }
        self.check(&params)?;
        let special = self.special(blocks);
        let geometry = Geometry::new(params, special);
        let placement = Placement::new(&self.request, special, &geometry);
        let end = placement.end.max(geometry.end());
        match end.0.saturating_sub(blocks) {
            0 => Ok(Ok(SizedLayout { geometry, blocks, placement, special })),
            missing => Ok(Err(Missing { blocks: Some(missing) })),
        }
    }

    fn check(&self, params: &GeometryParams) -> Result<()> {
        if params.super_blocks(0) > params.super_blocks_max()
            || params.groups >= u64::from(u32::MAX)
        {
            return Err(Error::parameter(
                "size",
                format!(
                    "with blocks of {} bytes, the descriptors of {} groups do not fit in a group",
                    params.block_size, params.groups
                ),
                "use larger blocks, a smaller size or less headroom",
            ));
        }
        Ok(())
    }

    /// Returns the smallest size in bytes that [`Self::of_size`] accepts.
    pub(super) fn smallest_of_size(&self) -> Result<u64> {
        // The number of inodes by ratio grows with the size. A size with the inodes of a smaller
        // size is either too small or the smallest.
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

    /// Returns the error for a size that is too small, with the size that would suffice.
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
        let blocks = count(missing_blocks, "block");
        let missing = format!("{blocks} of {} bytes", self.request.block_size);
        Error::TooSmall {
            what: "ext4".into(),
            detail: match missing_inodes {
                0 => format!("{missing} missing"),
                inodes => format!("{missing} and {} missing", count(inodes, "inode")),
            },
            needed: smallest,
            available: bytes,
        }
    }
}

/// The shortfall of a given size.
struct Missing {
    /// Number of missing blocks; `None` if there are too few inodes.
    blocks: Option<u64>,
}

fn too_many_inodes(inodes: u64) -> Error {
    Error::unrepresentable(
        Vec::new(),
        format!("tree and headroom take {inodes} inodes, ext4 allows 2^32 - 1"),
        "split the tree, or use less headroom",
    )
}
