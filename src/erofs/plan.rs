//! Plans the layout of a file system for a tree.

use std::sync::Arc;

use super::check::{check_options, check_tree};
use super::contents::Contents;
use super::data::Data;
use super::inode::{head_len, size};
use super::metadata::{DirectoryBlocks, Metadata, MetadataBlocks};
use super::slots::{Request, SlotAllocator};
use super::spec::{BLOCK, Incompat, SUPER_OFFSET, SuperBlock, datalayout};
use super::superblock::{SuperblockInputs, configs, superblock};
use super::xattr::Xattrs;
use super::{Options, Plan};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::tree::{HoleScan, InodeId, Kind, Tree};

/// Maximum size of an image, in bytes.
pub(super) const SIZE_MAX: u64 = u32::MAX as u64 * BLOCK;

/// Plans an erofs file system that contains a tree.
///
/// # Errors
/// [`Error::Unrepresentable`] with the first path that erofs can't store, [`Error::TooSmall`] with
/// the shortfall in bytes, [`Error::Parameter`] for an option that is out of range.
pub fn plan(
    tree: &Arc<Tree>,
    scan: &HoleScan,
    contents: &Arc<Contents>,
    options: &Options,
) -> Result<Plan> {
    check_options(options)?;
    let warnings = check_tree(tree)?;
    let xattrs = Xattrs::new(tree)?;
    let data = Data::new(tree, scan, contents, &xattrs, options);
    let compression = options.compression.filter(|_| data.is_compressed());
    let configs = configs(compression, options.cluster_size);
    let start = SUPER_OFFSET + size_of::<SuperBlock>() + configs.len();
    let (metadata, blocks) = place(tree, xattrs, data, start, options)?;

    let used = u64::from(blocks) * BLOCK;
    let size = options.size.unwrap_or(used);
    check_size(size, used)?;
    let has_fragments = metadata.data.packed_len().is_some();
    let superblock = superblock(
        options,
        SuperblockInputs {
            root_nid: u16::try_from(metadata.slots[0]).expect("the root is in the first blocks"),
            inos: tree.inodes().len() as u64 + u64::from(has_fragments),
            packed_nid: if has_fragments { metadata.packed_slot } else { 0 },
            blocks,
            xattr_blkaddr: metadata.xattr_blkaddr(),
            has_xattr_filter: metadata.xattrs.has_filter(),
            incompat: incompat(&metadata.data),
            available_compr_algs: compression.map_or(0, |it| 1 << it.number()),
        },
    );
    let mut layout = Layout::new(size);
    let data_start = u64::from(metadata.data_start) * BLOCK;
    layout.add_layout(data_start, metadata.data.content(tree));
    let metadata = Arc::new(metadata);
    for (id, inode) in tree.iter() {
        if inode.kind == Kind::Directory {
            let len = match metadata.data.layout(id) {
                datalayout::FLAT_INLINE => self::size(tree, id) / BLOCK * BLOCK,
                _ => self::size(tree, id),
            };
            let offset = u64::from(metadata.block(id)) * BLOCK;
            let metadata = Arc::clone(&metadata);
            layout.push_render(offset, len, Arc::new(DirectoryBlocks { metadata, directory: id }));
        }
    }
    layout.push_render(0, data_start, Arc::new(MetadataBlocks { metadata, superblock, configs }));
    Ok(Plan { layout, used, warnings })
}

/// Assigns slots from the byte `start` on to all inodes, the root first, and returns the number of
/// blocks of the file system.
fn place(
    tree: &Arc<Tree>,
    xattrs: Xattrs,
    data: Data,
    start: usize,
    options: &Options,
) -> Result<(Metadata, u32)> {
    let mut allocator = SlotAllocator::new(start as u64);
    let mut slots = Vec::with_capacity(tree.inodes().len());
    for (id, inode) in tree.iter() {
        let head = head_len(tree, id, options.epoch) + xattrs.body_len(inode.xattrs);
        let slot = allocator.allocate(data.request(id, head, size(tree, id)));
        // More slots than that are more blocks than that, which are refused below.
        slots.push(u32::try_from(slot).map_err(|_| too_large(allocator.blocks()))?);
    }
    let shared = Request { len: xattrs.shared.len() as u64, within_block: false };
    let shared_slot = allocator.allocate(shared);
    let packed_len = data.packed_len().unwrap_or(0);
    let packed_slot = allocator.allocate(Request { len: packed_len, within_block: false });
    let blocks = allocator.blocks() + data.blocks;
    let total = u32::try_from(blocks).map_err(|_| too_large(blocks))?;
    let data_start = u32::try_from(allocator.blocks()).expect("less than the total");
    let mut order: Vec<InodeId> = tree.iter().map(|(id, _)| id).collect();
    order.sort_by_key(|id| slots[id.index()]);
    let tree = Arc::clone(tree);
    let epoch = options.epoch;
    let metadata =
        Metadata { tree, epoch, xattrs, data, slots, order, shared_slot, packed_slot, data_start };
    Ok((metadata, total))
}

fn too_large(blocks: u64) -> Error {
    let rule = format!("the tree takes {blocks} blocks, erofs allows {}", u32::MAX);
    Error::unrepresentable("", rule, "split it")
}

fn check_size(size: u64, used: u64) -> Result<()> {
    if !size.is_multiple_of(BLOCK) {
        let rule = format!("size {size} is not a multiple of {BLOCK}");
        let remedy = format!("use {}", size.next_multiple_of(BLOCK));
        return Err(Error::parameter("size", rule, remedy));
    }
    if size > SIZE_MAX {
        let rule = format!("size {size} is more than erofs can have");
        return Err(Error::parameter("size", rule, format!("use at most {SIZE_MAX}")));
    }
    if size < used {
        return Err(Error::TooSmall {
            what: "erofs".into(),
            detail: String::new(),
            needed: used,
            available: size,
        });
    }
    Ok(())
}

/// Returns the features that a kernel must know.
fn incompat(data: &Data) -> Incompat {
    let mut incompat = Incompat::empty();
    incompat.set(Incompat::CHUNKED_FILE, data.has_chunks());
    incompat.set(Incompat::LZ4_0PADDING | Incompat::BIG_PCLUSTER, data.is_compressed());
    incompat.set(Incompat::ZTAILPACKING, data.has_inline_pieces());
    incompat.set(Incompat::FRAGMENTS, data.packed_len().is_some());
    incompat
}
