//! Inodes.

use std::fmt::Display;

use super::super::spec::{
    Compat, InodeCompact, InodeExtended, XattrIbodyHeader, datalayout, i_format,
};
use super::image::Image;
use super::superblock::Super;
use crate::time::Timestamp;
use crate::violation::{Result, Violation};

/// An inode, of either size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inode {
    pub(super) nid: u64,
    pub(super) mode: u16,
    pub(super) nlink: u32,
    pub(super) size: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Timestamp,
    pub(super) layout: u16,
    /// Block address, device, number of blocks or format of chunks.
    pub(super) u: u32,
    /// Place and size of the extended attributes.
    pub(super) xattrs: (u64, u64),
    /// Place of what comes after the extended attributes.
    pub(super) end: u64,
}

impl Inode {
    /// Reads an inode.
    pub(super) fn read(image: &Image, superblock: &Super, nid: u64) -> Result<Self> {
        let breaks = |rule: String| Violation::new(format_args!("nid {nid}"), rule);
        let start = superblock.place(nid, image.block_size);
        let start = start.ok_or_else(|| breaks("not in the image".to_owned()))?;
        let compact: InodeCompact = image.record(start)?;
        let format = compact.i_format.get();
        let layout = format >> i_format::DATALAYOUT_BIT & i_format::DATALAYOUT_MASK;
        if format >> 4 != 0 || layout > datalayout::CHUNK_BASED {
            return Err(breaks(format!("format {format:#x}")));
        }
        let icount = compact.i_xattr_icount.get();
        let size = match icount {
            0 => 0,
            count => size_of::<XattrIbodyHeader>() as u64 + 4 * (u64::from(count) - 1),
        };
        let epoch = superblock.record.epoch.get().cast_signed();
        let mut inode = Self {
            nid,
            mode: compact.i_mode.get(),
            nlink: compact.i_nlink.get().into(),
            size: compact.i_size.get().into(),
            uid: compact.i_uid.get().into(),
            gid: compact.i_gid.get().into(),
            mtime: Timestamp { seconds: epoch, nanoseconds: superblock.record.fixed_nsec.get() },
            layout,
            u: compact.i_u.get(),
            xattrs: (start + size_of::<InodeCompact>() as u64, size),
            end: 0,
        };
        if format & i_format::EXTENDED != 0 {
            let extended: InodeExtended = image.record(start)?;
            inode.nlink = extended.i_nlink.get();
            inode.size = extended.i_size.get();
            (inode.uid, inode.gid) = (extended.i_uid.get(), extended.i_gid.get());
            let seconds = extended.i_mtime.get().cast_signed();
            inode.mtime = Timestamp { seconds, nanoseconds: extended.i_mtime_nsec.get() };
            inode.u = extended.i_u.get();
            inode.xattrs.0 = start + size_of::<InodeExtended>() as u64;
            if extended.i_nb != 0 || extended.i_reserved2 != [0; 16] {
                return Err(breaks("an unused field is set".to_owned()));
            }
        } else if !superblock.has_compat(Compat::MTIME) {
            return Err(breaks("a compact inode without the time of the image".to_owned()));
        }
        inode.end = inode.xattrs.0 + size;
        image.check_range(start, inode.end - start)?;
        if inode.mtime.nanoseconds >= 1_000_000_000 || inode.size > i64::MAX.cast_unsigned() {
            return Err(breaks("a time or a size out of range".to_owned()));
        }
        Ok(inode)
    }

    /// Returns a violation of this inode.
    pub(super) fn breaks(&self, rule: impl Display) -> Violation {
        Violation::new(format_args!("nid {}", self.nid), rule)
    }
}
