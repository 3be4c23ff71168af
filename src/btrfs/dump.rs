//! Text dump of a btrfs file system on one device, for tests.

use zerocopy::little_endian::{U32, U64};

use super::spec::{
    BlockGroupItem, Chunk, DevExtent, DevItem, DevStatsItem, DirItem, DiskKey, ExtentDataRef,
    ExtentInlineRef, ExtentItem, FileExtentHead, FileExtentItem, FreeSpaceInfo, Header,
    InodeExtref, InodeItem, InodeRef, ItemHead, KeyPtr, RootItem, RootRef, SUPER_OFFSETS, Stripe,
    SuperBlock, extent_type, item_type,
};
use crate::dump::{Dump, Readable, offset};

/// Dumps a file system with checksums of four bytes.
pub(crate) fn dump(dump: &mut Dump<'_>) {
    let superblock: SuperBlock = dump.read(offset(SUPER_OFFSETS[0].0));
    let mut walk = Walk { node_size: offset(superblock.nodesize), chunks: Vec::new() };
    for at in SUPER_OFFSETS.into_iter().filter(|at| at.0 < superblock.total_bytes.get()) {
        let at = offset(at.0);
        let mut array = at + std::mem::offset_of!(SuperBlock, sys_chunk_array);
        let end = array + offset(superblock.sys_chunk_array_size);
        while array < end {
            let key: DiskKey = dump.record(array);
            array += size_of::<DiskKey>();
            array += walk.chunk(dump, array, key.offset);
        }
        dump.record::<SuperBlock>(at);
    }
    walk.block(dump, superblock.chunk_root);
    walk.block(dump, superblock.root);
}

struct Walk {
    node_size: usize,
    /// Logical address, length and stripes of each chunk.
    chunks: Vec<(usize, usize, Vec<usize>)>,
}

impl Walk {
    /// Dumps a chunk and returns its size.
    fn chunk(&mut self, dump: &mut Dump<'_>, at: usize, start: U64) -> usize {
        let chunk: Chunk = dump.record(at);
        let stripe = |index| at + size_of::<Chunk>() + index * size_of::<Stripe>();
        let count = usize::from(chunk.num_stripes.get());
        let stripes = (0..count).map(|index| {
            let stripe: Stripe = dump.element(stripe(index), index as u64);
            offset(stripe.offset)
        });
        self.chunks.push((offset(start), offset(chunk.length), stripes.collect()));
        stripe(count) - at
    }

    /// Returns the offsets of all copies of an address.
    fn copies(&self, address: U64) -> Vec<usize> {
        let address = offset(address);
        let chunk =
            self.chunks.iter().find(|(start, len, _)| (*start..start + len).contains(&address));
        let (start, _, stripes) = chunk.expect("an address is in a chunk");
        stripes.iter().map(|stripe| stripe + address - start).collect()
    }

    /// Dumps a tree block, its copies, and everything that it refers to.
    fn block(&mut self, dump: &mut Dump<'_>, address: U64) {
        let copies = self.copies(address);
        let at = copies[0];
        let header: Header = dump.record(at);
        let body = at + size_of::<Header>();
        let mut trees = Vec::new();
        for index in 0..offset(header.nritems) {
            if header.level > 0 {
                let pointer = body + index * size_of::<KeyPtr>();
                let pointer: KeyPtr = dump.element(pointer, index as u64);
                trees.push(pointer.blockptr);
            } else {
                let head: ItemHead =
                    dump.element(body + index * size_of::<ItemHead>(), index as u64);
                let data = body + offset(head.offset);
                trees.extend(self.item(dump, head.key, data, offset(head.size)));
            }
        }
        for copy in &copies[1..] {
            dump.copy(*copy, at, self.node_size, "btrfs_header");
        }
        for tree in trees {
            self.block(dump, tree);
        }
    }

    /// Dumps the data of an item. Returns the root of a tree, if the item has one.
    fn item(&mut self, dump: &mut Dump<'_>, key: DiskKey, at: usize, len: usize) -> Option<U64> {
        let end = at + len;
        match key.item_type {
            item_type::INODE_ITEM => _ = dump.record::<InodeItem>(at),
            item_type::INODE_REF => {
                names::<InodeRef>(dump, at, end, |item| (item.name_len.get().into(), 0));
            }
            item_type::INODE_EXTREF => {
                names::<InodeExtref>(dump, at, end, |item| (item.name_len.get().into(), 0));
            }
            item_type::ROOT_REF | item_type::ROOT_BACKREF => {
                names::<RootRef>(dump, at, end, |item| (item.name_len.get().into(), 0));
            }
            item_type::DIR_ITEM | item_type::DIR_INDEX | item_type::XATTR_ITEM => {
                names::<DirItem>(dump, at, end, |item| {
                    (item.name_len.get().into(), item.data_len.get().into())
                });
            }
            item_type::EXTENT_DATA => self.file_extent(dump, key, at, end),
            item_type::EXTENT_CSUM => {
                for at in (at..end).step_by(4) {
                    dump.field::<U32>(at, "btrfs_csum_item", "csum");
                }
            }
            item_type::ROOT_ITEM => {
                let root: RootItem = dump.record(at);
                return (root.bytenr != 0).then_some(root.bytenr);
            }
            item_type::EXTENT_ITEM | item_type::METADATA_ITEM => extent(dump, at, end),
            item_type::EXTENT_DATA_REF => _ = dump.record::<ExtentDataRef>(at),
            item_type::BLOCK_GROUP_ITEM => _ = dump.record::<BlockGroupItem>(at),
            item_type::FREE_SPACE_INFO => _ = dump.record::<FreeSpaceInfo>(at),
            item_type::DEV_EXTENT => _ = dump.record::<DevExtent>(at),
            item_type::DEV_ITEM => _ = dump.record::<DevItem>(at),
            item_type::CHUNK_ITEM => _ = self.chunk(dump, at, key.offset),
            item_type::PERSISTENT_ITEM => _ = dump.record::<DevStatsItem>(at),
            item_type::UUID_KEY_SUBVOL => dump.field::<U64>(at, "uuid_item", "subvolume"),
            _ => assert_eq!(len, 0, "an item of an unknown type: {key:?}"),
        }
        None
    }

    /// Dumps an extent of a file, with its content if it is inline.
    fn file_extent(&self, dump: &mut Dump<'_>, key: DiskKey, at: usize, end: usize) {
        let head: FileExtentHead = dump.read(at);
        if head.extent_type == extent_type::INLINE {
            dump.record::<FileExtentHead>(at);
            let data = at + size_of::<FileExtentHead>();
            dump.bytes_field(data, end - data, FileExtentHead::NAME, "data");
            return;
        }
        let extent: FileExtentItem = dump.record(at);
        if extent.disk_bytenr != 0 {
            for at in self.copies(extent.disk_bytenr) {
                let file = format!("inode[{}]", key.objectid);
                dump.content(at, offset(extent.disk_num_bytes), &file);
            }
        }
    }
}

/// Dumps records that are each followed by a name and by data, whose lengths `len` returns.
fn names<T: Readable>(
    dump: &mut Dump<'_>,
    mut at: usize,
    end: usize,
    len: impl Fn(T) -> (usize, usize),
) {
    while at < end {
        let (name, data) = len(dump.record::<T>(at));
        at += size_of::<T>();
        dump.bytes_field(at, name, T::NAME, "name");
        dump.bytes_field(at + name, data, T::NAME, "data");
        at += name + data;
    }
}

/// Dumps an extent item and its references.
fn extent(dump: &mut Dump<'_>, mut at: usize, end: usize) {
    dump.record::<ExtentItem>(at);
    at += size_of::<ExtentItem>();
    while at < end {
        let reference: ExtentInlineRef = dump.read(at);
        if reference.ref_type == item_type::EXTENT_DATA_REF {
            dump.field::<u8>(at, "btrfs_extent_inline_ref", "ref_type");
            dump.record::<ExtentDataRef>(at + 1);
            at += 1 + size_of::<ExtentDataRef>();
        } else {
            dump.record::<ExtentInlineRef>(at);
            at += size_of::<ExtentInlineRef>();
        }
    }
}
