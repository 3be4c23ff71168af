//! Plans the layout of a file system from a tree.

use std::sync::Arc;

use uuid::Uuid;
use zerocopy::IntoBytes;

use super::check::check;
use super::chunks::{Chunk, Device, TreeBlockMap, copies, first_stripe};
use super::content::{Contents, Encoding};
use super::csum_tree::{Csums, Sums};
use super::data::Data;
use super::device::{Ids, block_group_items, chunk_items, dev_items, free_space_items};
use super::extent_tree::{ExtentItems, KeyedDataRefs, TreeBlocks};
use super::free_reserve::{FreeReserve, LEAST_HEADROOM, allocate};
use super::fs_tree::{FsItems, reloc_items};
use super::items::{ItemList, Items};
use super::names::Names;
use super::node::{NodeFormat, PlacedTree as BTree, TreeShape};
use super::roots::{Root, Roots, uuid_items};
use super::spec::{BlockGroupFlags, CompatRo, Incompat, SECTOR, STRIPE_LEN, objectid};
use super::subvolumes::Subvolumes;
use super::superblock::{self, SuperblockInputs};
use super::{Compat, Compression, Metadata, Options, Plan};
use crate::error::{Error, Result};
use crate::layout::{Layout, Region};
use crate::seed;
use crate::size::{Headroom, round_up};
use crate::tree::{InodeId, Tree};

/// Plans a btrfs file system that holds a tree.
///
/// `contents` must be the result of [`prepass`](super::prepass()) for the same options.
///
/// # Errors
/// [`Error::Unrepresentable`] with the first path that btrfs can't hold, [`Error::TooSmall`] with
/// the required size, and [`Error::Parameter`] for an option out of range.
pub fn plan(tree: &Arc<Tree>, contents: &Arc<Contents>, options: &Options) -> Result<Plan> {
    check(tree, options)?;
    let subvolumes = Arc::new(Subvolumes::new(tree, options)?);
    let format = Arc::new(NodeFormat {
        node_size: usize::try_from(options.node_size).expect("at most 64 KiB"),
        checksum: options.checksum,
        fsid: options.uuid,
        chunk_tree_uuid: seed::btrfs(options.uuid, b"chunk-tree"),
    });
    let names = Arc::new(Names::new(&subvolumes, format.max_item_size())?);
    let mut device = Device::new();
    let (data, regions) = Data::place(&subvolumes, contents, options, &mut device);
    let data = Arc::new(data);
    let planner = Planner { options, format, subvolumes, names, data, contents };
    planner.plan(&device, regions)
}

struct Planner<'a> {
    options: &'a Options,
    format: Arc<NodeFormat>,
    subvolumes: Arc<Subvolumes>,
    names: Arc<Names>,
    data: Arc<Data>,
    contents: &'a Arc<Contents>,
}

/// A tree whose shape is known, but whose blocks have no addresses yet.
struct SizedTree<I: Items> {
    owner: u64,
    items: I,
    shape: TreeShape<I::Cursor>,
}

impl<I: Items> SizedTree<I> {
    fn new(owner: u64, items: I, format: &NodeFormat) -> Self {
        let shape = TreeShape::new(&items, format);
        Self { owner, items, shape }
    }
}

/// Consecutive block numbers of trees.
#[derive(Default)]
struct BlockNumbering(Vec<TreeBlocks>);

impl BlockNumbering {
    fn add(&mut self, owner: u64, levels: &[usize]) {
        self.0.push(TreeBlocks { owner, first: self.blocks(), levels: levels.to_vec() });
    }

    fn blocks(&self) -> u64 {
        self.0.last().map_or(0, |last| last.first + last.levels.iter().sum::<usize>() as u64)
    }
}

/// Solution for the trees whose sizes depend on one another.
struct SolvedTrees {
    chunks: Vec<Chunk>,
    space: Arc<TreeBlockMap>,
    trees: Arc<[TreeBlocks]>,
    extents: SizedTree<ExtentItems>,
    /// Number of bytes of the device up to the end of its last chunk.
    end: u64,
}

/// Trees that depend on file content alone.
struct ContentTrees {
    subvolumes: Vec<SizedTree<FsItems>>,
    csums: SizedTree<Csums>,
    uuids: SizedTree<ItemList>,
    reloc: SizedTree<ItemList>,
}

impl Planner<'_> {
    fn plan(self, device: &Device, content: Vec<Region>) -> Result<Plan> {
        let Self { options, format, subvolumes, .. } = &self;
        let ids = Ids {
            fsid: options.uuid,
            device: seed::btrfs(options.uuid, b"device"),
            chunk_tree: format.chunk_tree_uuid,
        };
        let uuids: Vec<Uuid> = subvolumes
            .all
            .iter()
            .map(|subvolume| match subvolume.parent {
                None => seed::btrfs(options.uuid, b"top-level"),
                Some(_) => {
                    let path = subvolumes.tree.path(subvolume.root);
                    seed::btrfs(options.uuid, &[b"subvolume:", &*path].concat())
                }
            })
            .collect();
        let sums = Arc::new(Sums::new(&self.data.extents, options.checksum));
        let content_trees = self.content_trees(&uuids, &sums);
        let solve = |reserve| self.solve_tree_sizes(ids, &uuids, &content_trees, device, reserve);
        let mut solved = solve(FreeReserve::default())?;
        let total_bytes = self.size(solved.end)?;
        let mut available = total_bytes - solved.end;
        // The reserve adds items to the trees, which may no longer fit: shrink it until they do.
        while let Some(reserve) = FreeReserve::within(available, total_bytes, options.metadata) {
            let with_reserve = solve(reserve)?;
            if with_reserve.end <= total_bytes {
                solved = with_reserve;
                break;
            }
            available = available.saturating_sub((with_reserve.end - total_bytes).max(STRIPE_LEN));
        }
        let mut layout = Layout::new(total_bytes);
        // Regions refer to this tree as tree 0, and to the spool as render 0.
        layout.add_tree(Arc::clone(&subvolumes.tree));
        if let Some(spool) = self.contents.spool() {
            layout.add_render(Arc::clone(spool) as _);
        }
        content.into_iter().for_each(|region| layout.push_region(region));
        let is_data = |chunk: &&Chunk| chunk.flags.contains(BlockGroupFlags::DATA);
        if let Some(last) = solved.chunks.iter().rfind(is_data) {
            let end = first_stripe(last.start) + last.len;
            layout.observe(0..end.0, sums);
        }
        Ok(self.layout(ids, &uuids, content_trees, solved, layout))
    }

    fn content_trees(&self, uuids: &[Uuid], sums: &Arc<Sums>) -> ContentTrees {
        let Self { options, format, subvolumes, names, data, contents } = self;
        let of_volume = |subvolume: usize| {
            let items = FsItems {
                subvolumes: Arc::clone(subvolumes),
                names: Arc::clone(names),
                data: Arc::clone(data),
                contents: Arc::clone(contents),
                subvolume,
            };
            SizedTree::new(subvolumes.all[subvolume].id, items, format)
        };
        let csums = Csums::new(sums, format.leaf_data_size());
        ContentTrees {
            subvolumes: (0..subvolumes.all.len()).map(of_volume).collect(),
            csums: SizedTree::new(objectid::CSUM_TREE, csums, format),
            uuids: SizedTree::new(objectid::UUID_TREE, uuid_items(subvolumes, uuids), format),
            reloc: SizedTree::new(objectid::DATA_RELOC_TREE, reloc_items(options.epoch), format),
        }
    }

    /// Solves for the number of tree blocks.
    ///
    /// The extent tree lists all tree blocks including its own, and each of their chunks adds items
    /// to other trees. All sizes only grow, so the first fixed point is the least one.
    fn solve_tree_sizes(
        &self,
        ids: Ids,
        uuids: &[Uuid],
        content_trees: &ContentTrees,
        device: &Device,
        reserve: FreeReserve,
    ) -> Result<SolvedTrees> {
        let Self { options, format, data, .. } = self;
        let keyed_refs = Arc::new(KeyedDataRefs::new(data, format.leaf_data_size()));
        let mut extent_levels = vec![1];
        let (mut blocks, mut chunk_blocks) = (1, 1);
        loop {
            let mut device = device.clone();
            let chunks = self.allocate_chunks(&mut device, reserve, blocks, chunk_blocks);

            let listed = |items: ItemList| TreeShape::new(&items, format).levels().to_vec();
            let mut numbering = BlockNumbering::default();
            for tree in &content_trees.subvolumes {
                numbering.add(tree.owner, tree.shape.levels());
            }
            numbering.add(objectid::CSUM_TREE, content_trees.csums.shape.levels());
            numbering.add(objectid::UUID_TREE, content_trees.uuids.shape.levels());
            numbering.add(objectid::DATA_RELOC_TREE, content_trees.reloc.shape.levels());
            numbering.add(objectid::DEV_TREE, &listed(dev_items(ids, &chunks)));
            numbering.add(objectid::FREE_SPACE_TREE, &listed(free_space_items(&chunks)));
            if options.compat == Compat::Default {
                numbering.add(objectid::BLOCK_GROUP_TREE, &listed(block_group_items(&chunks)));
            }
            numbering.add(objectid::EXTENT_TREE, &extent_levels);
            let roots: Vec<_> =
                numbering.0.iter().map(|tree| (tree.owner, Root::default())).collect();
            numbering.add(objectid::ROOT_TREE, &listed(self.root_items(uuids, &roots)));
            let metadata_blocks = numbering.blocks();
            numbering.add(objectid::CHUNK_TREE, &listed(chunk_items(ids, 0, &chunks)));
            let system_blocks = numbering.blocks() - metadata_blocks;

            if (metadata_blocks, system_blocks) != (blocks, chunk_blocks) {
                (blocks, chunk_blocks) = (metadata_blocks, system_blocks);
                continue;
            }
            let trees: Arc<[TreeBlocks]> = numbering.0.into();
            let is_tree = |chunk: &&Chunk| !chunk.flags.contains(BlockGroupFlags::DATA);
            let tree_chunks = chunks.iter().filter(is_tree).copied();
            let space = Arc::new(TreeBlockMap::new(format.node_size, tree_chunks));
            let items = ExtentItems {
                data: Arc::clone(data),
                keyed_refs: Arc::clone(&keyed_refs),
                trees: Arc::clone(&trees),
                space: Arc::clone(&space),
                groups: match options.compat {
                    Compat::Default => Arc::new([]),
                    Compat::Old => chunks.as_slice().into(),
                },
            };
            let extents = SizedTree::new(objectid::EXTENT_TREE, items, format);
            if extents.shape.levels() != extent_levels {
                extent_levels = extents.shape.levels().to_vec();
                continue;
            }
            if !superblock::fits(ids, &chunks) {
                return Err(Error::parameter(
                    "btrfs.node_size",
                    "the system chunks do not fit in the superblock",
                    "use larger nodes",
                ));
            }
            return Ok(SolvedTrees { chunks, space, trees, extents, end: device.end().0 });
        }
    }

    /// Allocates the chunks for data and for the given numbers of metadata and system blocks, each
    /// with its share of the reserve.
    fn allocate_chunks(
        &self,
        device: &mut Device,
        reserve: FreeReserve,
        metadata_blocks: u64,
        system_blocks: u64,
    ) -> Vec<Chunk> {
        let profile = match self.options.metadata {
            Metadata::Dup => BlockGroupFlags::DUP,
            Metadata::Single => BlockGroupFlags::empty(),
        };
        let mut chunks = self.data.chunks.clone();
        match chunks.last_mut() {
            Some(last) => device.extend(last, reserve.data),
            None if reserve.data > 0 => {
                chunks.push(device.chunk(BlockGroupFlags::DATA, 0, reserve.data));
            }
            None => {}
        }
        let node_size = u64::from(self.options.node_size);
        for (flags, blocks, reserve) in [
            (BlockGroupFlags::METADATA, metadata_blocks, reserve.metadata),
            (BlockGroupFlags::SYSTEM, system_blocks, reserve.system),
        ] {
            chunks.extend(allocate(device, flags | profile, blocks * node_size, reserve));
        }
        chunks
    }

    /// Returns the size of the file system if all allocations end at `end`.
    fn size(&self, end: u64) -> Result<u64> {
        let options = self.options;
        if let Some(size) = options.size {
            if size < end {
                return Err(Error::TooSmall {
                    what: "btrfs".into(),
                    detail: String::new(),
                    needed: end,
                    available: size,
                });
            }
            return Ok(size / SECTOR * SECTOR);
        }
        let available = match options.headroom {
            Some(headroom) => headroom.bytes(end),
            None => Headroom::Percent(10).bytes(end).max(LEAST_HEADROOM),
        };
        match available {
            0 => Ok(end),
            _ => Ok(round_up(end.saturating_add(available), options.multiple)),
        }
    }

    fn root_items(&self, uuids: &[Uuid], roots: &[(u64, Root)]) -> ItemList {
        let default = match self.options.default_subvolume {
            Some(directory) => self.subvolumes.at(directory).map_or(objectid::FS_TREE, |at| at.id),
            None => objectid::FS_TREE,
        };
        let roots_of = Roots {
            subvolumes: &self.subvolumes,
            uuids,
            default,
            epoch: self.options.epoch,
            node_size: self.format.node_size,
        };
        roots_of.items(roots)
    }

    fn layout(
        self,
        ids: Ids,
        uuids: &[Uuid],
        content_trees: ContentTrees,
        solved: SolvedTrees,
        mut layout: Layout,
    ) -> Plan {
        let SolvedTrees { chunks, space, trees, extents, .. } = solved;
        let total_bytes = layout.size();
        let root_of = |owner| {
            let tree = trees.iter().find(|tree| tree.owner == owner);
            let TreeBlocks { first, levels, .. } = tree.expect("every tree has its blocks");
            let blocks = levels.iter().sum::<usize>() as u64;
            Root {
                bytenr: space.address(first + blocks - 1),
                level: u8::try_from(levels.len() - 1).expect("a tree has few levels"),
                bytes_used: blocks * u64::from(self.options.node_size),
            }
        };
        let in_root_tree =
            |owner: &u64| ![objectid::ROOT_TREE, objectid::CHUNK_TREE].contains(owner);
        let owners = trees.iter().map(|tree| tree.owner).filter(in_root_tree);
        let roots: Vec<_> = owners.map(|owner| (owner, root_of(owner))).collect();
        let listed = [
            (objectid::DEV_TREE, dev_items(ids, &chunks)),
            (objectid::FREE_SPACE_TREE, free_space_items(&chunks)),
            (objectid::BLOCK_GROUP_TREE, block_group_items(&chunks)),
            (objectid::ROOT_TREE, self.root_items(uuids, &roots)),
            (objectid::CHUNK_TREE, chunk_items(ids, total_bytes, &chunks)),
        ];
        let inputs = SuperblockInputs {
            ids,
            total_bytes,
            chunks: &chunks,
            root: root_of(objectid::ROOT_TREE),
            chunk_root: root_of(objectid::CHUNK_TREE),
            extent_root: root_of(objectid::EXTENT_TREE),
            fs_root: root_of(objectid::FS_TREE),
            dev_root: root_of(objectid::DEV_TREE),
            csum_root: root_of(objectid::CSUM_TREE),
            incompat: self.incompat(),
            compat_ro: self.compat_ro(),
            checksum: self.options.checksum,
            node_size: self.options.node_size,
            label: &self.options.label,
        };
        for (offset, superblock) in inputs.superblocks() {
            layout.push_bytes(offset.0, superblock.as_bytes());
        }
        let mut writer =
            LayoutWriter { layout, format: &self.format, space: &space, trees: &trees };
        content_trees.subvolumes.into_iter().for_each(|tree| writer.write(tree));
        writer.write(content_trees.csums);
        writer.write(content_trees.uuids);
        writer.write(content_trees.reloc);
        writer.write(extents);
        for (owner, items) in listed {
            writer.write(SizedTree::new(owner, items, &self.format));
        }
        // The kernel adds the reserve that it keeps for its own transactions.
        let used = chunks.iter().map(|chunk| chunk.used * copies(chunk.flags)).sum();
        Plan { layout: writer.layout, used, warnings: Vec::new() }
    }

    fn incompat(&self) -> Incompat {
        let mut incompat = Incompat::MIXED_BACKREF
            | Incompat::EXTENDED_IREF
            | Incompat::SKINNY_METADATA
            | Incompat::NO_HOLES;
        incompat.set(Incompat::BIG_METADATA, u64::from(self.options.node_size) > SECTOR);
        let default = self.options.default_subvolume;
        incompat.set(Incompat::DEFAULT_SUBVOL, default.is_some_and(|id| id != InodeId::ROOT));
        for (id, _) in self.subvolumes.tree.iter() {
            let inline = self.contents.inline(id).map(|inline| inline.encoding);
            let candidates =
                self.contents.candidates(id).iter().map(|candidate| candidate.encoding);
            for encoding in inline.into_iter().chain(candidates) {
                if let Encoding::Compressed { compression, .. } = encoding {
                    incompat |= match compression {
                        Compression::Zlib { .. } => Incompat::empty(),
                        Compression::Lzo => Incompat::COMPRESS_LZO,
                        Compression::Zstd { .. } => Incompat::COMPRESS_ZSTD,
                    };
                }
            }
        }
        incompat
    }

    fn compat_ro(&self) -> CompatRo {
        let free_space = CompatRo::FREE_SPACE_TREE | CompatRo::FREE_SPACE_TREE_VALID;
        match self.options.compat {
            Compat::Default => free_space | CompatRo::BLOCK_GROUP_TREE,
            Compat::Old => free_space,
        }
    }
}

/// Writer that adds trees to a layout.
struct LayoutWriter<'a> {
    layout: Layout,
    format: &'a Arc<NodeFormat>,
    space: &'a Arc<TreeBlockMap>,
    trees: &'a [TreeBlocks],
}

impl LayoutWriter<'_> {
    /// Adds a tree; a tree without assigned blocks is skipped.
    fn write<I: Items + 'static>(&mut self, tree: SizedTree<I>) {
        let SizedTree { owner, items, shape } = tree;
        let Some(blocks) = self.trees.iter().find(|tree| tree.owner == owner) else { return };
        assert_eq!(shape.levels(), blocks.levels, "a tree has the blocks that it was given");
        let (first, count) = (blocks.first, shape.blocks());
        let tree = BTree {
            items,
            shape,
            format: Arc::clone(self.format),
            space: Arc::clone(self.space),
            owner,
            first,
        };
        let fill = self.layout.add_render(Arc::new(tree));
        for region in self.space.regions(first, count, fill) {
            self.layout.push_region(region);
        }
    }
}
