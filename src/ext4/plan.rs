//! Plans the layout of a file system for a tree.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use zerocopy::IntoBytes;

use super::bitmap::{AllocationMap, BlockBitmaps, InodeBitmaps};
use super::block_no::BlockNo;
use super::check::{check_options, representable, share_xattrs};
use super::csum::CsumSeed;
use super::dir::Directories;
use super::dirhash::HashSeed;
use super::extent::ExtentMap;
use super::inode::{Inodes, XattrBlocks, Xattrs, new_record, set_size};
use super::inode_numbers::{InodeNumbers, LOST_FOUND};
use super::journal::{journal_superblock, orphan_tail};
use super::placement::{Blocks, FAST_SYMLINK_MAX, Placement, SpaceRequest};
use super::sizing::{SizedLayout, Sizing};
use super::spec::{
    FIRST_INO, INODE_SIZE, InodeFlags, InodeRecord, JOURNAL_INO, RESIZE_INO, S_IFDIR, S_IFREG,
    SUPER_OFFSET,
};
use super::superblock::{SuperblockInputs, backup, group_descs, superblock};
use super::{Options, Plan};
use crate::error::Result;
use crate::layout::{Fill, Layout, Region};
use crate::report::Warning;
use crate::seed;
use crate::tree::{HoleScan, Kind, Tree};

/// Plans an ext4 file system that contains a tree.
///
/// # Errors
/// [`Error::Unrepresentable`] with the first path that ext4 can't store, [`Error::TooSmall`] with
/// the shortfall in blocks and inodes, [`Error::Parameter`] for an option that is out of range.
///
/// [`Error::Unrepresentable`]: crate::Error::Unrepresentable
/// [`Error::TooSmall`]: crate::Error::TooSmall
/// [`Error::Parameter`]: crate::Error::Parameter
pub fn plan(tree: &Arc<Tree>, scan: &HoleScan, options: &Options) -> Result<Plan> {
    let (writer, warnings) = Assembler::new(tree, scan, options)?;
    let sized = writer.sizing().size()?;
    let (layout, used) = writer.layout(sized);
    Ok(Plan { layout, used, warnings })
}

/// Returns the smallest size in bytes that [`plan`] accepts.
///
/// # Errors
/// The errors of [`plan`], except [`TooSmall`](crate::Error::TooSmall).
pub(crate) fn minimal_size(tree: &Arc<Tree>, scan: &HoleScan, options: &Options) -> Result<u64> {
    Assembler::new(tree, scan, options)?.0.sizing().smallest_of_size()
}

/// The parts of a file system that do not depend on its size.
struct Assembler<'a> {
    options: &'a Options,
    scan: &'a HoleScan,
    inode_numbers: Arc<InodeNumbers>,
    directories: Arc<Directories>,
    xattrs: Arc<Xattrs>,
    orphan_ino: Option<u32>,
}

impl<'a> Assembler<'a> {
    /// Computes everything that does not depend on the size.
    fn new(
        tree: &Arc<Tree>,
        scan: &'a HoleScan,
        options: &'a Options,
    ) -> Result<(Self, Vec<Warning>)> {
        check_options(options)?;
        let (tree, warnings) = representable(tree, options)?;
        let profile = options.profile;
        let block_size = usize::try_from(options.block_size).expect("one of three sizes");

        let has_lost_found = tree.find(LOST_FOUND).is_some();
        let made_lost_found = profile.writable() && !has_lost_found;
        let mut first = FIRST_INO;
        let mut take = |wanted: bool| {
            let ino = wanted.then_some(first);
            first += u32::from(wanted);
            ino
        };
        let lost_found = take(made_lost_found);
        let orphan_ino = take(profile.orphan_file());
        let inode_numbers = Arc::new(InodeNumbers {
            tree: Arc::clone(&tree),
            first,
            lost_found,
            key: seed::generations(options.uuid),
            seed: CsumSeed::new(options.uuid.as_bytes()),
        });
        let hash_seed = HashSeed::new(&options.hash_seed);
        let directories =
            Arc::new(Directories::new(&inode_numbers, block_size, hash_seed, profile.leaf_fill()));
        let xattrs = Arc::new(share_xattrs(&tree, block_size)?);

        let writer = Self { options, scan, inode_numbers, directories, xattrs, orphan_ino };
        Ok((writer, warnings))
    }

    fn sizing(&self) -> Sizing<'_> {
        let profile = self.options.profile;
        Sizing {
            request: SpaceRequest {
                tree: &self.inode_numbers.tree,
                scan: profile.holes().then_some(self.scan),
                directories: Arc::clone(&self.directories),
                xattr_blocks: self.xattrs.blocks.len() as u64,
                block_size: self.block_size(),
                resize_inode: profile.writable(),
            },
            inodes: u64::from(self.inode_numbers.last()),
            options: self.options,
        }
    }

    fn block_size(&self) -> u64 {
        u64::from(self.options.block_size)
    }

    /// Returns the layout, and the number of bytes in use.
    fn layout(&self, sized: SizedLayout) -> (Layout, u64) {
        let SizedLayout { geometry, blocks, mut placement, special } = sized;
        let block_size = self.block_size();
        let mut layout = Layout::new(blocks * block_size);
        let roots = self.extent_trees(&mut placement, &mut layout);
        self.content(&placement, &mut layout);

        let allocation = Arc::new(AllocationMap {
            geometry: Arc::new(geometry),
            blocks,
            used_end: placement.end,
            last_ino: self.inode_numbers.last(),
        });
        let records = self.special_records(&placement, &allocation, &mut layout);
        let journal_blocks = special.journal_blocks;
        self.superblocks(&allocation, &records, journal_blocks, &mut layout);
        let used = blocks - allocation.overhead(journal_blocks) - allocation.all_free_blocks();
        self.bitmaps(&allocation, &mut layout);

        let placement = Arc::new(placement);
        let directories: Arc<Directories> = Arc::clone(&self.directories);
        let fill = layout.add_render(directories);
        for region in placement.directories.regions(block_size, fill) {
            layout.push_region(region);
        }
        let fill = layout.add_render(Arc::new(XattrBlocks {
            inode_numbers: Arc::clone(&self.inode_numbers),
            xattrs: Arc::clone(&self.xattrs),
            placement: Arc::clone(&placement),
            block_size: usize::try_from(block_size).expect("at most 4096"),
        }));
        for region in placement.xattrs.regions(block_size, fill) {
            layout.push_region(region);
        }
        let fill = layout.add_render(Arc::new(Inodes {
            inode_numbers: Arc::clone(&self.inode_numbers),
            directories: Arc::clone(&self.directories),
            placement,
            roots,
            xattrs: Arc::clone(&self.xattrs),
            block_size,
            special: records,
        }));
        let inode_size = u64::from(INODE_SIZE);
        for (group, place) in (0..).zip(&allocation.geometry.places) {
            layout.push_region(Region {
                offset: place.inode_table.offset(block_size),
                len: allocation.used_inodes(group) * inode_size,
                from: group * allocation.geometry.params.inodes_per_group * inode_size,
                fill,
            });
        }
        (layout, used * block_size)
    }

    /// Places the blocks of all extent trees of the tree's inodes, and returns their roots.
    fn extent_trees(&self, placement: &mut Placement, layout: &mut Layout) -> Vec<[u8; 60]> {
        let mut roots = vec![[0; 60]; placement.mappings.len()];
        for (id, _) in self.inode_numbers.tree.iter() {
            if let Blocks::Many(position, mapping) = placement.blocks(id) {
                let seed = self.inode_numbers.csum_seed(self.inode_numbers.ino(id));
                roots[position] = self.extent_tree(mapping, seed, layout);
            }
        }
        roots
    }

    fn extent_tree(&self, mapping: &ExtentMap, seed: u32, layout: &mut Layout) -> [u8; 60] {
        let block_size = usize::try_from(self.block_size()).expect("at most 4096");
        let (root, blocks) = mapping.encode(block_size, seed);
        for (block, bytes) in blocks {
            layout.push_bytes(block.offset(self.block_size()), bytes);
        }
        root
    }

    /// Places the content of files and the targets of long symlinks. Blocks of zeros need not be
    /// written.
    fn content(&self, placement: &Placement, layout: &mut Layout) {
        let tree = &self.inode_numbers.tree;
        let number = layout.add_tree(Arc::clone(tree));
        let block_size = self.block_size();
        for (id, inode) in tree.iter() {
            let mut content = |range: Range<u64>, start: BlockNo| {
                let data = self.scan.data(id).unwrap_or(std::slice::from_ref(&range));
                let first = data.partition_point(|data| data.end <= range.start);
                for data in data[first..].iter().take_while(|data| data.start < range.end) {
                    let from = data.start.max(range.start);
                    let len = data.end.min(range.end) - from;
                    let at = start.offset(block_size) + (from - range.start);
                    layout.push_content(at, len, number, id, from);
                }
            };
            match (inode.kind, placement.blocks(id)) {
                (Kind::File { size, .. }, Blocks::One(start)) => content(0..size, start),
                (Kind::File { size, .. }, Blocks::Many(_, mapping)) => {
                    for extent in &mapping.extents {
                        let from = u64::from(extent.logical) * block_size;
                        let len = (u64::from(extent.len) * block_size).min(size - from);
                        content(from..from + len, extent.start);
                    }
                }
                (Kind::Symlink, Blocks::One(start)) => {
                    debug_assert!(tree.target(id).len() > FAST_SYMLINK_MAX);
                    layout.push_bytes(start.offset(block_size), tree.target(id));
                }
                _ => {}
            }
        }
    }

    /// Creates the inodes that are not in the tree, and places their content.
    fn special_records(
        &self,
        placement: &Placement,
        allocation: &AllocationMap,
        layout: &mut Layout,
    ) -> BTreeMap<u32, InodeRecord> {
        let block_size = self.block_size();
        let mut records = BTreeMap::new();
        let mut file =
            |mapping: &ExtentMap, ino: u32, mode: u16, generation: u32, layout: &mut _| {
                let data: u64 = mapping.extents.iter().map(|extent| u64::from(extent.len)).sum();
                let seed = self.inode_numbers.seed.inode(ino, generation);
                let mut record = new_record(self.options.epoch);
                record.i_mode = mode.into();
                record.i_links_count = 1.into();
                record.i_flags = InodeFlags::EXTENTS.bits().into();
                record.i_generation = generation.into();
                record.i_block = self.extent_tree(mapping, seed, layout);
                set_size(&mut record, data * block_size, mapping.blocks(), block_size);
                records.insert(ino, record);
            };
        if let Some(ino) = self.inode_numbers.lost_found {
            let generation = self.inode_numbers.generation(ino);
            file(&placement.lost_found, ino, S_IFDIR | 0o700, generation, layout);
        }
        if let Some(first) = placement.journal.extents.first() {
            let blocks: u64 =
                placement.journal.extents.iter().map(|extent| u64::from(extent.len)).sum();
            let superblock = journal_superblock(blocks, block_size);
            layout.push_bytes(first.start.offset(block_size), superblock);
            file(&placement.journal, JOURNAL_INO, S_IFREG | 0o600, 0, layout);
        }
        if let Some(ino) = self.orphan_ino {
            let seed = CsumSeed(self.inode_numbers.seed.inode(ino, 0));
            let size = usize::try_from(block_size).expect("at most 4096");
            for extent in &placement.orphan.extents {
                for number in 0..u64::from(extent.len) {
                    let block = extent.start + number;
                    let tail = orphan_tail(seed, block, size);
                    let offset = (block + 1).offset(block_size) - tail.as_bytes().len() as u64;
                    layout.push_bytes(offset, tail.as_bytes());
                }
            }
            file(&placement.orphan, ino, S_IFREG | 0o600, 0, layout);
        }
        if let Some(ino) = self.inode_numbers.lost_found {
            records.get_mut(&ino).expect("made above").i_links_count = 2.into();
        }
        if let Some(block) = placement.resize {
            records.insert(RESIZE_INO, self.resize_inode(block, allocation, layout));
        }
        records
    }

    /// Creates the inode that reserves descriptor blocks. Its double-indirect block lists those of
    /// group 0, each of which lists its copies in the other groups.
    fn resize_inode(
        &self,
        block: BlockNo,
        allocation: &AllocationMap,
        layout: &mut Layout,
    ) -> InodeRecord {
        let params = &allocation.geometry.params;
        let block_size = self.block_size();
        let words = block_size / 4;
        let mut indirect = vec![0; usize::try_from(block_size).expect("at most 4096")];
        let (slots, _) = indirect.as_chunks_mut::<4>();
        let low = |block: BlockNo| u32::try_from(block.0).expect("within the first 2^32 blocks");
        let backups: Vec<u64> = params.backups().collect();
        for number in 0..params.reserved_gdt_blocks {
            let within_group = 1 + params.gdt_blocks() + number;
            let at = params.group_start(0) + within_group;
            let slot = (params.gdt_blocks() + number) % words;
            slots[usize::try_from(slot).expect("within a block")] = low(at).to_le_bytes();
            let copies: Vec<u8> = backups
                .iter()
                .flat_map(|&group| low(params.group_start(group) + within_group).to_le_bytes())
                .collect();
            layout.push_bytes(at.offset(block_size), copies);
        }
        layout.push_bytes(block.offset(block_size), indirect);

        let mut record = new_record(self.options.epoch);
        record.i_mode = (S_IFREG | 0o600).into();
        record.i_links_count = 1.into();
        const DIND_BLOCK: usize = 13;
        record.i_block[4 * DIND_BLOCK..][..4].copy_from_slice(&low(block).to_le_bytes());
        let size = (words * words + words + 12) * block_size;
        let blocks = 1 + params.reserved_gdt_blocks * (1 + backups.len() as u64);
        set_size(&mut record, size, blocks, block_size);
        record
    }

    /// Places the superblocks and descriptors, with their copies.
    fn superblocks(
        &self,
        allocation: &AllocationMap,
        records: &BTreeMap<u32, InodeRecord>,
        journal_blocks: u64,
        layout: &mut Layout,
    ) {
        let params = &allocation.geometry.params;
        let mut directories = vec![0; allocation.geometry.places.len()];
        let mut count = |ino: u32| {
            let group = u64::from(ino - 1) / params.inodes_per_group;
            directories[usize::try_from(group).expect("a group")] += 1;
        };
        self.inode_numbers.lost_found.iter().for_each(|&ino| count(ino));
        for (id, inode) in self.inode_numbers.tree.iter() {
            if inode.kind == Kind::Directory {
                count(self.inode_numbers.ino(id));
            }
        }
        let descs = group_descs(allocation, self.inode_numbers.seed, &directories);
        let inputs = SuperblockInputs {
            journal: records.get(&JOURNAL_INO),
            journal_blocks,
            orphan_ino: self.orphan_ino,
            large_dir: self.directories.need_large_dir(),
            seed: self.inode_numbers.seed,
        };
        let sb = superblock(self.options, allocation, &inputs);
        layout.push_bytes(SUPER_OFFSET, sb.as_bytes());
        let fill: Fill = layout.add_bytes(descs.as_bytes());
        let len = descs.as_bytes().len() as u64;
        for group in std::iter::once(0).chain(params.backups()) {
            let start = params.group_start(group);
            if group > 0 {
                let offset = start.offset(self.block_size());
                layout.push_bytes(offset, backup(&sb, group).as_bytes());
            }
            layout.push_region(Region {
                offset: (start + 1).offset(self.block_size()),
                len,
                from: 0,
                fill,
            });
        }
    }

    fn bitmaps(&self, allocation: &Arc<AllocationMap>, layout: &mut Layout) {
        let block_size = self.block_size();
        let blocks = layout.add_render(Arc::new(BlockBitmaps(Arc::clone(allocation))));
        let inodes = layout.add_render(Arc::new(InodeBitmaps(Arc::clone(allocation))));
        for (group, place) in (0..).zip(&allocation.geometry.places) {
            let from = group * block_size;
            let mut push = |block: BlockNo, fill| {
                layout.push_region(Region {
                    offset: block.offset(block_size),
                    len: block_size,
                    from,
                    fill,
                });
            };
            if !allocation.is_untouched(group) {
                push(place.block_bitmap, blocks);
            }
            push(place.inode_bitmap, inodes);
        }
    }
}
