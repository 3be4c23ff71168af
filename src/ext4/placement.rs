//! Assigns every block of the file system, in one ascending pass.

use std::iter::once;
use std::ops::Range;
use std::sync::Arc;

use super::allocator::BlockAllocator;
use super::block_no::BlockNo;
use super::blocks::Runs;
use super::dir::Directories;
use super::extent::{ExtentMap, IN_INODE, tree_blocks};
use super::geometry::Geometry;
use super::journal::SpecialFiles;
use super::spec::EXTENT_LEN_MAX;
use crate::tree::{HoleScan, InodeId, Kind, Tree};

/// Length of the longest symlink target that is stored in the inode.
pub(super) const FAST_SYMLINK_MAX: usize = 59;

/// Everything that needs blocks, independent of the geometry.
pub(super) struct SpaceRequest<'a> {
    pub(super) tree: &'a Tree,
    /// Data ranges of files with holes; `None` maps every block.
    pub(super) scan: Option<&'a HoleScan>,
    pub(super) directories: Arc<Directories>,
    pub(super) xattr_blocks: u64,
    pub(super) block_size: u64,
    /// Whether to allocate the double-indirect block of the inode that holds the reserved
    /// descriptor blocks.
    pub(super) resize_inode: bool,
}

impl SpaceRequest<'_> {
    /// Returns the data ranges of a file with holes; `None` to map every block, as for all swap
    /// files.
    fn data_ranges(&self, file: InodeId) -> Option<&[Range<u64>]> {
        let scan = self.scan.filter(|scan| !scan.swap_files().contains(&file))?;
        scan.data(file)
    }
}

/// The blocks of one inode of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocks<'a> {
    /// No blocks.
    None,
    /// One extent for the whole file, starting at this block.
    One(BlockNo),
    /// Several extents, or one that does not cover the whole file: its index in
    /// [`Placement::mappings`].
    Many(usize, &'a ExtentMap),
}

/// The blocks assigned to each owner.
#[derive(Debug, Default)]
pub(super) struct Placement {
    /// For each inode of the tree, [`NONE`], a block, or an index into `mappings` combined with
    /// [`MANY`]. Only eight bytes each, because there may be millions.
    map: Vec<u64>,
    pub(super) mappings: Vec<ExtentMap>,
    pub(super) directories: Runs,
    pub(super) xattrs: Runs,
    pub(super) resize: Option<BlockNo>,
    pub(super) journal: ExtentMap,
    pub(super) orphan: ExtentMap,
    pub(super) lost_found: ExtentMap,
    /// Number of blocks that depend on the tree alone: directories, attributes, content and extent
    /// trees.
    pub(super) tree_blocks: u64,
    /// The first block after all assigned ones.
    pub(super) end: BlockNo,
}

const NONE: u64 = u64::MAX;
const MANY: u64 = 1 << 63;

impl Placement {
    pub(super) fn new(
        request: &SpaceRequest<'_>,
        special: SpecialFiles,
        geometry: &Geometry,
    ) -> Self {
        let mut placed = Self { map: vec![NONE; request.tree.inodes().len()], ..Self::default() };
        let mut space = ExtentAllocator {
            space: BlockAllocator::new(geometry),
            block_size: usize::try_from(request.block_size).expect("at most 4096"),
            end: BlockNo(0),
        };
        let pinned = &geometry.pinned;
        if !pinned.is_empty() {
            placed.resize = Some(pinned.start);
            placed.orphan.add(0, pinned.start + 1..pinned.end);
        } else if request.resize_inode {
            space.take(1, |blocks| placed.resize = Some(blocks.start));
        }
        placed.journal = space.mapping(once(0..special.journal_blocks), |_| {});

        let mut count = 0;
        for position in 0..request.directories.len() {
            let dir = request.directories.get(position);
            let runs = &mut placed.directories;
            let mapping = space.mapping(once(0..dir.blocks), |blocks| runs.add(blocks));
            count += mapping.blocks();
            match dir.id {
                Some(id) => placed.set(id, mapping),
                None => placed.lost_found = mapping,
            }
        }
        let runs = &mut placed.xattrs;
        space.take(request.xattr_blocks, |blocks| runs.add(blocks));
        count += request.xattr_blocks;

        for (id, inode) in request.tree.iter() {
            let blocks = match inode.kind {
                Kind::File { size, .. } => size.div_ceil(request.block_size),
                Kind::Symlink => u64::from(request.tree.target(id).len() > FAST_SYMLINK_MAX),
                _ => 0,
            };
            if blocks == 0 {
                continue;
            }
            if let Some(ranges) = request.data_ranges(id) {
                let size = request.block_size;
                let ranges =
                    ranges.iter().map(|range| range.start / size..range.end.div_ceil(size));
                let mapping = space.mapping(ranges, |_| {});
                count += mapping.blocks();
                placed.set_many(id, mapping);
            } else if let Some(start) = space.one_extent(blocks) {
                count += blocks;
                placed.map[id.index()] = start.0;
            } else {
                let mapping = space.mapping(once(0..blocks), |_| {});
                count += mapping.blocks();
                placed.set(id, mapping);
            }
        }
        placed.tree_blocks = count;
        placed.end = space.end;
        placed
    }

    /// Returns the first block after all assigned ones, if `headroom` more blocks were assigned
    /// after them.
    pub(super) fn end_with(&self, headroom: u64, geometry: &Geometry) -> BlockNo {
        let mut space = BlockAllocator::after(geometry, self.end);
        let mut end = self.end;
        space.take(headroom, |run| end = run.end);
        end
    }

    fn set(&mut self, id: InodeId, mapping: ExtentMap) {
        match mapping.extents.as_slice() {
            [whole] if mapping.tree.is_empty() => self.map[id.index()] = whole.start.0,
            _ => self.set_many(id, mapping),
        }
    }

    fn set_many(&mut self, id: InodeId, mapping: ExtentMap) {
        self.map[id.index()] = MANY | self.mappings.len() as u64;
        self.mappings.push(mapping);
    }

    pub(super) fn blocks(&self, id: InodeId) -> Blocks<'_> {
        match self.map[id.index()] {
            NONE => Blocks::None,
            many if many & MANY != 0 => {
                let position = usize::try_from(many & !MANY).expect("a position in a vector");
                Blocks::Many(position, &self.mappings[position])
            }
            start => Blocks::One(BlockNo(start)),
        }
    }
}

struct ExtentAllocator<'a> {
    space: BlockAllocator<'a>,
    block_size: usize,
    end: BlockNo,
}

impl ExtentAllocator<'_> {
    fn take(&mut self, count: u64, mut run: impl FnMut(Range<BlockNo>)) {
        let end = &mut self.end;
        self.space.take(count, |blocks| {
            *end = blocks.end;
            run(blocks);
        });
    }

    /// Allocates `count` blocks if they can form a single extent.
    fn one_extent(&mut self, count: u64) -> Option<BlockNo> {
        let start = (count <= EXTENT_LEN_MAX).then(|| self.space.take_one_run(count))??;
        self.end = start + count;
        Some(start)
    }

    /// Allocates blocks for ranges of blocks of a file, followed by the blocks of the extent tree.
    fn mapping(
        &mut self,
        ranges: impl IntoIterator<Item = Range<u64>>,
        mut run: impl FnMut(Range<BlockNo>),
    ) -> ExtentMap {
        let mut mapping = ExtentMap::default();
        for range in ranges {
            let mut logical = range.start;
            self.take(range.end - range.start, |blocks| {
                mapping.add(logical, blocks.clone());
                logical += blocks.end - blocks.start;
                run(blocks);
            });
        }
        if mapping.extents.len() > IN_INODE {
            let tree = tree_blocks(mapping.extents.len(), self.block_size);
            self.take(tree as u64, |blocks| {
                let len = blocks.end - blocks.start;
                mapping.tree.extend((0..len).map(|number| blocks.start + number));
            });
        }
        mapping
    }
}
