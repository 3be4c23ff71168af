//! Inodes.

use std::ops::RangeInclusive;

use zerocopy::little_endian::U32;

use super::super::spec::{
    BaseInode, DevInode, DirIndex, DirInode, INVALID_FRAG, INVALID_XATTR, IpcInode, LdevInode,
    LdirInode, LipcInode, LregInode, RegInode, SymlinkInode, inode_type,
};
use super::metadata::Cursor;
use crate::violation::{Result, Violation};

/// Lengths of the targets of symlinks, in bytes.
const TARGETS: RangeInclusive<u32> = 1..=4095;

/// An inode.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) base: BaseInode,
    pub(super) nlink: u32,
    /// Index of the set of extended attributes.
    pub(super) xattr: Option<u32>,
    pub(super) kind: Kind,
}

/// What depends on the type of an inode.
#[derive(Debug)]
pub(super) enum Kind {
    Directory(Directory),
    File(File),
    Symlink(Vec<u8>),
    CharDevice(u32),
    BlockDevice(u32),
    Fifo,
    Socket,
}

/// Place of the listing of a directory.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) start_block: u32,
    pub(super) offset: u16,
    pub(super) file_size: u32,
    pub(super) parent_inode: u32,
    /// The index, with the name of each entry.
    pub(super) index: Vec<(DirIndex, Vec<u8>)>,
}

/// Place of the content of a file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) start_block: u64,
    pub(super) size: u64,
    pub(super) sparse: u64,
    /// Number of the fragment block with the last bytes.
    pub(super) fragment: Option<u32>,
    /// Offset of the last bytes in the fragment block.
    pub(super) offset: u32,
    /// Stored sizes of the blocks.
    pub(super) blocks: Vec<U32>,
}

impl Inode {
    /// Reads the inode at a position.
    pub(super) fn read(mut cursor: Cursor<'_>, block_size: u32) -> Result<Self> {
        let base: BaseInode = cursor.record()?;
        let place = format!("inode {}", base.inode_number);
        let breaks = |rule: String| Violation::new(&place, rule);
        if base.mode > 0o7777 {
            return Err(breaks(format!("mode {:o}", base.mode)));
        }
        let extended = base.inode_type.get() > inode_type::EXTENDED;
        let (nlink, xattr, kind) = match basic_type(&base) {
            inode_type::DIR => directory(&mut cursor, extended)?,
            inode_type::REG => file(&mut cursor, extended, block_size)?,
            inode_type::SYMLINK => {
                let SymlinkInode { nlink, symlink_size } = cursor.record()?;
                if !TARGETS.contains(&symlink_size.get()) {
                    return Err(breaks(format!("a target of {symlink_size} bytes")));
                }
                let target = cursor.bytes(symlink_size.get().into())?;
                let xattr = if extended { cursor.record()? } else { U32::new(INVALID_XATTR) };
                (nlink, xattr, Kind::Symlink(target))
            }
            basic @ (inode_type::BLKDEV | inode_type::CHRDEV) => {
                let LdevInode { nlink, rdev, xattr } = if extended {
                    cursor.record()?
                } else {
                    let DevInode { nlink, rdev } = cursor.record()?;
                    LdevInode { nlink, rdev, xattr: INVALID_XATTR.into() }
                };
                let is_block = basic == inode_type::BLKDEV;
                let kind = if is_block { Kind::BlockDevice } else { Kind::CharDevice };
                (nlink, xattr, kind(rdev.get()))
            }
            basic @ (inode_type::FIFO | inode_type::SOCKET) => {
                let LipcInode { nlink, xattr } = if extended {
                    cursor.record()?
                } else {
                    let IpcInode { nlink } = cursor.record()?;
                    LipcInode { nlink, xattr: INVALID_XATTR.into() }
                };
                let is_fifo = basic == inode_type::FIFO;
                (nlink, xattr, if is_fifo { Kind::Fifo } else { Kind::Socket })
            }
            _ => return Err(breaks(format!("type {}", base.inode_type))),
        };
        let xattr = Some(xattr.get()).filter(|&xattr| xattr != INVALID_XATTR);
        Ok(Self { base, nlink: nlink.get(), xattr, kind })
    }

    /// Returns a violation of this inode.
    pub(super) fn breaks(&self, rule: impl std::fmt::Display) -> Violation {
        Violation::new(format_args!("inode {}", self.base.inode_number), rule)
    }

    /// Returns the type of its directory entries.
    pub(super) fn basic_type(&self) -> u16 {
        basic_type(&self.base)
    }
}

fn basic_type(base: &BaseInode) -> u16 {
    let inode_type = base.inode_type.get();
    inode_type.checked_sub(inode_type::EXTENDED).filter(|&basic| basic > 0).unwrap_or(inode_type)
}

fn directory(cursor: &mut Cursor<'_>, extended: bool) -> Result<(U32, U32, Kind)> {
    if !extended {
        let DirInode { start_block, nlink, file_size, offset, parent_inode } = cursor.record()?;
        let directory = Directory {
            start_block: start_block.get(),
            offset: offset.get(),
            file_size: file_size.get().into(),
            parent_inode: parent_inode.get(),
            index: Vec::new(),
        };
        return Ok((nlink, INVALID_XATTR.into(), Kind::Directory(directory)));
    }
    let record: LdirInode = cursor.record()?;
    let mut index = Vec::new();
    for _ in 0..record.i_count.get() {
        let entry: DirIndex = cursor.record()?;
        let name = cursor.bytes(u64::from(entry.size.get()) + 1)?;
        index.push((entry, name));
    }
    let directory = Directory {
        start_block: record.start_block.get(),
        offset: record.offset.get(),
        file_size: record.file_size.get(),
        parent_inode: record.parent_inode.get(),
        index,
    };
    Ok((record.nlink, record.xattr, Kind::Directory(directory)))
}

fn file(cursor: &mut Cursor<'_>, extended: bool, block_size: u32) -> Result<(U32, U32, Kind)> {
    let record: LregInode = if extended {
        cursor.record()?
    } else {
        let RegInode { start_block, fragment, offset, file_size } = cursor.record()?;
        LregInode {
            start_block: u64::from(start_block.get()).into(),
            file_size: u64::from(file_size.get()).into(),
            sparse: 0.into(),
            nlink: 1.into(),
            fragment,
            offset,
            xattr: INVALID_XATTR.into(),
        }
    };
    let (size, block_size) = (record.file_size.get(), u64::from(block_size));
    let has_fragment = record.fragment != INVALID_FRAG;
    let count = if has_fragment { size / block_size } else { size.div_ceil(block_size) };
    let blocks = cursor.bytes(count.saturating_mul(size_of::<U32>() as u64))?;
    let (blocks, _) = blocks.as_chunks::<4>();
    let file = File {
        start_block: record.start_block.get(),
        size,
        sparse: record.sparse.get(),
        fragment: has_fragment.then_some(record.fragment.get()),
        offset: record.offset.get(),
        blocks: blocks.iter().map(|&bytes| U32::from_bytes(bytes)).collect(),
    };
    Ok((record.nlink, record.xattr, Kind::File(file)))
}
