//! Inode records, rendered when they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use zerocopy::{FromZeros, IntoBytes};

use super::csum::{high_16, high_32, low_16, low_32};
use super::dir::Directories;
use super::extent::ExtentMap;
use super::inode_numbers::InodeNumbers;
use super::placement::{Blocks, FAST_SYMLINK_MAX, Placement};
use super::spec::{
    EXTRA_ISIZE, FT_DIR, INODE_SIZE, InodeFlags, InodeRecord, LINK_MAX, S_IFBLK, S_IFCHR, S_IFDIR,
    S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK,
};
use super::xattr::XattrSet;
use crate::error::Result;
use crate::layout::{Render, render_blocks};
use crate::time::Timestamp;
use crate::tree::{FileFlags, InodeId, Kind};

/// The first and last timestamp that an inode can store.
pub(super) const TIME_MIN: Timestamp = Timestamp::from_seconds(-(1 << 31));
pub(super) const TIME_MAX: Timestamp =
    Timestamp { seconds: (1 << 34) - (1 << 31) - 1, nanoseconds: 999_999_999 };

/// The largest device numbers that an inode can store.
pub(super) const MAJOR_MAX: u32 = (1 << 12) - 1;
pub(super) const MINOR_MAX: u32 = (1 << 20) - 1;

/// The inode tables of all groups, in one sequence.
pub(super) struct Inodes {
    pub(super) inode_numbers: Arc<InodeNumbers>,
    pub(super) directories: Arc<Directories>,
    pub(super) placement: Arc<Placement>,
    /// Roots of the extent trees of `placement.mappings`.
    pub(super) roots: Vec<[u8; 60]>,
    pub(super) xattrs: Arc<Xattrs>,
    pub(super) block_size: u64,
    /// Inodes that are not in the tree, complete except for their checksum.
    pub(super) special: BTreeMap<u32, InodeRecord>,
}

/// Extended attributes of all inodes of the tree.
#[derive(Debug)]
pub(super) struct Xattrs {
    /// Attribute sets, by the tree's index of the set.
    pub(super) sets: Vec<XattrSet>,
    /// For each inode, 1 plus the index of its block, or 0. Empty if no inode has a block.
    pub(super) block_of: Vec<u32>,
    pub(super) blocks: Vec<SharedXattrs>,
}

/// An extended attribute block.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedXattrs {
    /// Index of its set.
    pub(super) set: u32,
    /// Number of inodes that share it.
    pub(super) refcount: u32,
}

impl Xattrs {
    fn block(&self, id: InodeId) -> Option<u64> {
        let number = self.block_of.get(id.index()).copied()?;
        Some(u64::from(number.checked_sub(1)?))
    }
}

/// The extended attribute blocks.
pub(super) struct XattrBlocks {
    pub(super) inode_numbers: Arc<InodeNumbers>,
    pub(super) xattrs: Arc<Xattrs>,
    pub(super) placement: Arc<Placement>,
    pub(super) block_size: usize,
}

impl Render for XattrBlocks {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        render_blocks(self.block_size, offset, out, |block, out| {
            let position = usize::try_from(block).expect("a position in a vector");
            let SharedXattrs { set, refcount } = self.xattrs.blocks[position];
            let at = self.placement.xattrs.block(block);
            let seed = self.inode_numbers.seed;
            self.xattrs.sets[set as usize].encode_block(refcount, at, seed, out);
            Ok(())
        })
    }
}

impl Render for Inodes {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        render_blocks(usize::from(INODE_SIZE), offset, out, |index, out| {
            let ino = u32::try_from(index + 1).expect("inode numbers have 32 bits");
            let mut record = match self.special.get(&ino) {
                Some(record) => *record,
                None if ino == super::spec::ROOT_INO => self.record(InodeId::ROOT),
                None if ino < self.inode_numbers.first || ino > self.inode_numbers.last() => {
                    return Ok(());
                }
                None => self.record(self.inode_numbers.id(ino)),
            };
            self.inode_numbers.seed.seal_inode(ino, &mut record);
            out.copy_from_slice(record.as_bytes());
            Ok(())
        })
    }
}

impl Inodes {
    fn record(&self, id: InodeId) -> InodeRecord {
        let tree = &self.inode_numbers.tree;
        let inode = tree.inode(id);
        let mut links = inode.links;
        let mut size = 0;
        let mut i_block = [0; 60];
        let mut flags = InodeFlags::empty();
        let format = match inode.kind {
            Kind::Directory => {
                let dir = self.directories.get(self.directories.position(id));
                size = dir.blocks * self.block_size;
                flags |= InodeFlags::EXTENTS;
                flags.set(InodeFlags::INDEX, dir.indexed);
                let listing = self.inode_numbers.entries(id);
                let directories = listing.iter().filter(|name| name.file_type == FT_DIR).count();
                links = u32::try_from(2 + directories).unwrap_or(u32::MAX);
                S_IFDIR
            }
            Kind::File { size: bytes, .. } => {
                size = bytes;
                flags |= InodeFlags::EXTENTS;
                S_IFREG
            }
            Kind::Symlink => {
                let target = tree.target(id);
                size = target.len() as u64;
                match target.len() {
                    0..=FAST_SYMLINK_MAX => i_block[..target.len()].copy_from_slice(target),
                    _ => flags |= InodeFlags::EXTENTS,
                }
                S_IFLNK
            }
            Kind::Fifo => S_IFIFO,
            Kind::Socket => S_IFSOCK,
            Kind::CharDevice(major, minor) => {
                device(major, minor, &mut i_block);
                S_IFCHR
            }
            Kind::BlockDevice(major, minor) => {
                device(major, minor, &mut i_block);
                S_IFBLK
            }
        };
        let mut blocks = 0;
        if flags.contains(InodeFlags::EXTENTS) {
            (i_block, blocks) = self.extents(id, size);
        }
        flags |= flags_on_disk(inode.flags);

        let mut record = new_record(inode.mtime);
        record.i_mode = (format | inode.mode).into();
        record.i_uid = low_16(inode.uid).into();
        record.l_i_uid_high = high_16(inode.uid).into();
        record.i_gid = low_16(inode.gid).into();
        record.l_i_gid_high = high_16(inode.gid).into();
        // The link count of a directory with too many subdirectories is stored as 1.
        let links = if links > LINK_MAX { 1 } else { links };
        record.i_links_count = low_16(links).into();
        record.i_flags = flags.bits().into();
        record.i_block = i_block;
        record.i_generation = self.inode_numbers.generation(self.inode_numbers.ino(id)).into();
        if let Some(block) = self.xattrs.block(id) {
            let block = self.placement.xattrs.block(block);
            record.i_file_acl_lo = low_32(block.0).into();
            record.l_i_file_acl_high = low_16(high_32(block.0)).into();
            blocks += 1;
        }
        let in_inode = &self.xattrs.sets[inode.xattrs as usize].in_inode;
        record.xattrs[..in_inode.len()].copy_from_slice(in_inode);
        set_size(&mut record, size, blocks, self.block_size);
        record
    }

    /// Returns the root of the extent tree of an inode of `size` bytes, and its number of blocks.
    fn extents(&self, id: InodeId, size: u64) -> ([u8; 60], u64) {
        match self.placement.blocks(id) {
            Blocks::None => (ExtentMap::default().root(), 0),
            Blocks::One(start) => {
                let mut mapping = ExtentMap::default();
                mapping.add(0, start..start + size.div_ceil(self.block_size));
                (mapping.root(), mapping.blocks())
            }
            Blocks::Many(position, mapping) => (self.roots[position], mapping.blocks()),
        }
    }
}

/// Returns the flags of a file as they are stored.
fn flags_on_disk(flags: FileFlags) -> InodeFlags {
    let stored = [
        (FileFlags::IMMUTABLE, InodeFlags::IMMUTABLE),
        (FileFlags::APPEND, InodeFlags::APPEND),
        (FileFlags::NODUMP, InodeFlags::NODUMP),
        (FileFlags::NOATIME, InodeFlags::NOATIME),
        (FileFlags::SYNC, InodeFlags::SYNC),
        (FileFlags::DIRSYNC, InodeFlags::DIRSYNC),
    ];
    let set = stored.into_iter().filter(|&(flag, _)| flags.contains(flag));
    set.map(|(_, on_disk)| on_disk).collect()
}

/// Returns a record with all its timestamps set to `time`, and otherwise empty.
pub(super) fn new_record(time: Timestamp) -> InodeRecord {
    let (seconds, extra) = encode_time(time);
    InodeRecord {
        i_atime: seconds.into(),
        i_ctime: seconds.into(),
        i_mtime: seconds.into(),
        i_crtime: seconds.into(),
        i_atime_extra: extra.into(),
        i_ctime_extra: extra.into(),
        i_mtime_extra: extra.into(),
        i_crtime_extra: extra.into(),
        i_extra_isize: EXTRA_ISIZE.into(),
        ..InodeRecord::new_zeroed()
    }
}

/// Returns the low 32 bits of the seconds, and the nanoseconds with the two bits that extend the
/// seconds.
fn encode_time(time: Timestamp) -> (u32, u32) {
    let seconds = time.seconds.cast_unsigned();
    let low = low_32(seconds);
    // The low half is read as signed, so the epoch is incremented where its sign wraps.
    let epoch = low_32(seconds.wrapping_add(1 << 31) >> 32) & 3;
    (low, time.nanoseconds << 2 | epoch)
}

/// Sets the size in bytes, and the number of file system blocks of the inode.
pub(super) fn set_size(record: &mut InodeRecord, size: u64, blocks: u64, block_size: u64) {
    let sectors = blocks * (block_size / 512);
    record.i_size_lo = low_32(size).into();
    record.i_size_high = high_32(size).into();
    record.i_blocks_lo = low_32(sectors).into();
    record.l_i_blocks_high = low_16(high_32(sectors)).into();
}

/// Encodes a device number: in the old format in the first word if it fits, otherwise in the new
/// format in the second word.
fn device(major: u32, minor: u32, i_block: &mut [u8; 60]) {
    let (words, _) = i_block.as_chunks_mut::<4>();
    if major < 256 && minor < 256 {
        words[0] = (major << 8 | minor).to_le_bytes();
    } else {
        let new = minor & 0xFF | major << 8 | (minor & !0xFF) << 12;
        words[1] = new.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the table in the kernel's documentation of inode timestamps.
    #[test]
    fn times_are_extended() {
        for (seconds, nanoseconds, low, extra) in [
            (0, 0, 0, 0),
            (-1, 999_999_999, 0xFFFF_FFFF, 999_999_999 << 2),
            (-(1 << 31), 0, 0x8000_0000, 0),
            ((1 << 31) - 1, 0, 0x7FFF_FFFF, 0),
            (1 << 31, 1, 0x8000_0000, 1 << 2 | 1),
            ((1 << 32) - 1, 0, 0xFFFF_FFFF, 1),
            (1 << 32, 0, 0, 1),
            ((1 << 32) + (1 << 31), 0, 0x8000_0000, 2),
            (TIME_MAX.seconds, 0, 0x7FFF_FFFF, 3),
        ] {
            assert_eq!(encode_time(Timestamp { seconds, nanoseconds }), (low, extra), "{seconds}");
        }
    }

    #[test]
    fn devices_have_two_forms() {
        for (major, minor, first, second) in [
            (1, 3, 0x0103, 0),
            (255, 255, 0xFFFF, 0),
            (256, 0, 0, 0x1_0000),
            (8, 256, 0, 0x10_0800),
            (MAJOR_MAX, MINOR_MAX, 0, 0xFFFF_FFFF),
        ] {
            let mut i_block = [0; 60];
            device(major, minor, &mut i_block);
            let (words, _) = i_block.as_chunks::<4>();
            assert_eq!(
                words[..2].iter().map(|word| u32::from_le_bytes(*word)).collect::<Vec<_>>(),
                [first, second]
            );
        }
    }
}
