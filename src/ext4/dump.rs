//! Text dump of an ext4 file system of one block group, for tests.

use zerocopy::little_endian::U32;

use super::spec::{
    DIR_ENTRY, DIR_TAIL, DX_ENTRY, DX_TAIL, DirEntry, DirEntryTail, DxCountLimit, DxEntry,
    DxRootInfo, DxTail, EXT_MAGIC, EXTENT_RECORD, ExtentHeader, ExtentIdx, ExtentRecord, GroupDesc,
    INODE_SIZE, InodeFlags, InodeRecord, JOURNAL_INO, JournalSuperBlock, OrphanBlockTail,
    RESIZE_INO, S_IFDIR, S_IFREG, SUPER_OFFSET, SuperBlock, XattrEntry, XattrHeader,
};
use crate::dump::{Dump, offset};

/// `S_IFMT`
const FORMAT: u16 = 0xf000;
/// Offset of `i_block` in an inode.
const I_BLOCK: usize = std::mem::offset_of!(InodeRecord, i_block);
/// Offset of the extended attributes in an inode.
const XATTRS: usize = std::mem::offset_of!(InodeRecord, xattrs);
/// Offset of `dx_root_info` in the root of an index, after `.` and `..`.
const DX_ROOT_INFO: usize = 24;

/// Dumps a file system.
pub(crate) fn dump(dump: &mut Dump<'_>) {
    let superblock: SuperBlock = dump.record(offset(SUPER_OFFSET));
    let block_size = 1024 << superblock.s_log_block_size.get();
    let descriptor = (offset(superblock.s_first_data_block) + 1) * block_size;
    let descriptor: GroupDesc = dump.element(descriptor, 0u32);
    let bitmap = offset(descriptor.bg_block_bitmap_lo) * block_size;
    dump.bitmap(bitmap, block_size, "block_bitmap");
    let bitmap = offset(descriptor.bg_inode_bitmap_lo) * block_size;
    dump.bitmap(bitmap, block_size, "inode_bitmap");
    let walk = Walk { block_size, orphan_file: superblock.s_orphan_file_inum.get() };
    let table = offset(descriptor.bg_inode_table_lo) * block_size;
    for ino in 1..=superblock.s_inodes_per_group.get() {
        walk.inode(dump, table + offset(ino - 1) * usize::from(INODE_SIZE), ino);
    }
}

/// A range of blocks of an inode.
struct Extent {
    /// First block of the file.
    first: usize,
    /// First block of the file system.
    start: usize,
    len: usize,
}

struct Walk {
    block_size: usize,
    /// Inode number of the orphan file, or 0.
    orphan_file: u32,
}

impl Walk {
    /// Dumps an inode and its blocks.
    fn inode(&self, dump: &mut Dump<'_>, at: usize, ino: u32) {
        let inode: InodeRecord = dump.read(at);
        let format = inode.i_mode.get() & FORMAT;
        let flags = InodeFlags::from_bits_retain(inode.i_flags.get());
        let mut extents = Vec::new();
        if flags.contains(InodeFlags::EXTENTS) {
            self.extents(dump, at + I_BLOCK, inode.i_block.len(), &mut extents);
        } else if ino == RESIZE_INO {
            // The only block is the 14th, with pointers to blocks with pointers.
            dump.field::<[U32; 15]>(at + I_BLOCK, &format!("ext4_inode[{ino}]"), "i_block");
            self.pointers(dump, dump.read::<[U32; 15]>(at + I_BLOCK)[13], 2);
        }
        self.xattrs_of(dump, at, &inode);
        dump.element::<InodeRecord>(at, ino);
        let size = offset(inode.i_size_lo);
        for Extent { first, start, len } in extents {
            let blocks = (0..len).map(|block| (first + block, (start + block) * self.block_size));
            let [first, start, len] = [first, start, len].map(|blocks| blocks * self.block_size);
            let used = size.saturating_sub(first).min(len);
            let name = format!("inode[{ino}]");
            match format {
                S_IFREG if ino == JOURNAL_INO => _ = dump.record::<JournalSuperBlock>(start),
                S_IFREG if ino == self.orphan_file => {
                    for (block, at) in blocks {
                        let tail = at + self.block_size - size_of::<OrphanBlockTail>();
                        dump.element::<OrphanBlockTail>(tail, block as u64);
                    }
                }
                S_IFREG => dump.content(start, used, &name),
                S_IFDIR => {
                    for (block, at) in blocks {
                        let is_root = block == 0 && flags.contains(InodeFlags::INDEX);
                        self.directory(dump, at, is_root);
                    }
                }
                _ => dump.bytes_field(start, used, &name, "target"),
            }
        }
    }

    /// Dumps a node of an extent tree and everything below it, and collects the extents.
    fn extents(&self, dump: &mut Dump<'_>, at: usize, len: usize, found: &mut Vec<Extent>) {
        let header: ExtentHeader = dump.record(at);
        assert_eq!(header.eh_magic.get(), EXT_MAGIC, "extent header at {at}");
        for entry in 1..=usize::from(header.eh_entries.get()) {
            let at = at + entry * EXTENT_RECORD;
            if header.eh_depth.get() > 0 {
                let index: ExtentIdx = dump.record(at);
                let child = offset(index.ei_leaf_lo) * self.block_size;
                self.extents(dump, child, self.block_size, found);
            } else {
                let extent: ExtentRecord = dump.record(at);
                let [first, start] = [extent.ee_block, extent.ee_start_lo].map(offset);
                found.push(Extent { first, start, len: extent.ee_len.get().into() });
            }
        }
        // In a block, a checksum follows the space for entries.
        let tail = (1 + usize::from(header.eh_max.get())) * EXTENT_RECORD;
        if tail < len {
            dump.field::<U32>(at + tail, "ext4_extent_tail", "et_checksum");
        }
    }

    /// Dumps a block of pointers and the blocks that it points to.
    fn pointers(&self, dump: &mut Dump<'_>, block: U32, levels: usize) {
        if levels == 0 || block == 0 {
            return;
        }
        for at in (0..self.block_size).step_by(4) {
            let at = offset(block) * self.block_size + at;
            dump.field::<U32>(at, "indirect_block", "pointer");
            if levels > 1 {
                self.pointers(dump, dump.read(at), levels - 1);
            }
        }
    }

    /// Dumps a block of a directory: entries, or the root of an index.
    fn directory(&self, dump: &mut Dump<'_>, start: usize, is_root: bool) {
        let end = start + self.block_size;
        if is_root {
            let info: DxRootInfo = dump.record(start + DX_ROOT_INFO);
            assert_eq!(info.indirect_levels, 0, "indexes of several levels");
            let entries = start + DX_ROOT_INFO + size_of::<DxRootInfo>();
            let counts: DxCountLimit = dump.record(entries);
            for entry in 0..usize::from(counts.count.get()) {
                dump.element::<DxEntry>(entries + entry * DX_ENTRY, entry as u64);
            }
            dump.record::<DxTail>(end - DX_TAIL);
        }
        let mut at = start;
        while at < end {
            if at == end - DIR_TAIL && !is_root {
                dump.record::<DirEntryTail>(at);
                break;
            }
            let entry: DirEntry = dump.record(at);
            let len = usize::from(entry.name_len);
            dump.bytes_field(at + DIR_ENTRY, len, "ext4_dir_entry_2", "name");
            at += usize::from(entry.rec_len.get());
        }
    }

    /// Dumps the extended attributes of an inode.
    fn xattrs_of(&self, dump: &mut Dump<'_>, at: usize, inode: &InodeRecord) {
        if inode.xattrs[..4] != [0; 4] {
            dump.field::<U32>(at + XATTRS, "ext4_xattr_ibody_header", "h_magic");
            xattrs(dump, at + XATTRS + 4, at + XATTRS + 4);
        }
        if inode.i_file_acl_lo != 0 {
            let block = offset(inode.i_file_acl_lo) * self.block_size;
            dump.record::<XattrHeader>(block);
            xattrs(dump, block + size_of::<XattrHeader>(), block);
        }
    }
}

/// Dumps a list of extended attributes, whose values are at offsets from `values`.
fn xattrs(dump: &mut Dump<'_>, mut at: usize, values: usize) {
    while dump.bytes(at, 4) != [0; 4] {
        let entry: XattrEntry = dump.record(at);
        let len = usize::from(entry.e_name_len);
        dump.bytes_field(at + size_of::<XattrEntry>(), len, "ext4_xattr_entry", "e_name");
        let value = values + usize::from(entry.e_value_offs.get());
        dump.bytes_field(value, offset(entry.e_value_size), "ext4_xattr_entry", "value");
        at += size_of::<XattrEntry>() + len.next_multiple_of(4);
    }
}
