//! Inodes.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::dir::Names;
use super::spec::{InodeCompact, InodeExtended, i_format, i_mode};
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

/// Maximum major and minor device numbers that an inode can hold.
pub(super) const MAJOR_MAX: u32 = (1 << 12) - 1;
pub(super) const MINOR_MAX: u32 = (1 << 20) - 1;

/// Returns the size of an inode's data: content, names or target.
pub(super) fn size(tree: &Tree, id: InodeId) -> u64 {
    match tree.inode(id).kind {
        Kind::File { size, .. } => size,
        Kind::Directory => Names::new(tree, id).size(),
        Kind::Symlink => tree.target(id).len() as u64,
        _ => 0,
    }
}

/// Returns the number of names of an inode. A subdirectory is a name of its parent.
fn links(tree: &Tree, id: InodeId) -> u32 {
    match tree.inode(id).kind {
        Kind::Directory => {
            let is_directory = |id| tree.inode(id).kind == Kind::Directory;
            let entries = tree.entries(id).iter();
            let subdirectories = entries.filter(|entry| is_directory(entry.inode())).count();
            u32::try_from(2 + subdirectories).unwrap_or(1)
        }
        _ => tree.inode(id).links,
    }
}

/// Returns the size of an inode itself, in bytes.
///
/// An inode is compact only if that loses nothing: it has small fields for size, owners and links,
/// and no modification time, which is the epoch then.
pub(super) fn head_len(tree: &Tree, id: InodeId, epoch: Timestamp) -> u64 {
    let inode = tree.inode(id);
    let is_compact = inode.mtime == epoch
        && u16::try_from(inode.uid).is_ok()
        && u16::try_from(inode.gid).is_ok()
        && u16::try_from(links(tree, id)).is_ok()
        && u32::try_from(size(tree, id)).is_ok();
    if is_compact { size_of::<InodeCompact>() as u64 } else { size_of::<InodeExtended>() as u64 }
}

/// Fields of an inode that depend on its place and its attributes.
#[derive(Debug, Clone, Copy)]
pub(super) struct InodeFields {
    /// Data layout.
    pub(super) datalayout: u16,
    pub(super) i_xattr_icount: u16,
    /// Address, number of blocks or format of the data. Devices have their number instead.
    pub(super) i_u: u32,
}

/// Encodes an inode.
pub(super) fn encode(tree: &Tree, id: InodeId, epoch: Timestamp, fields: InodeFields) -> Vec<u8> {
    let inode = tree.inode(id);
    let format = fields.datalayout << i_format::DATALAYOUT_BIT;
    let i_mode = U16::new(file_type(inode.kind) | inode.mode);
    let i_u = U32::new(match inode.kind {
        Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => rdev(major, minor),
        _ => fields.i_u,
    });
    let i_ino = U32::new(u32::try_from(id.index()).expect("at most 2^32 inodes").wrapping_add(1));
    let i_xattr_icount = U16::new(fields.i_xattr_icount);
    if head_len(tree, id, epoch) == size_of::<InodeCompact>() as u64 {
        let narrow = |value: u32| U16::new(u16::try_from(value).expect("it is compact"));
        let i_size = U32::new(u32::try_from(size(tree, id)).expect("it is compact"));
        return InodeCompact {
            i_format: U16::new(format),
            i_xattr_icount,
            i_mode,
            i_nlink: narrow(links(tree, id)),
            i_size,
            i_u,
            i_ino,
            i_uid: narrow(inode.uid),
            i_gid: narrow(inode.gid),
            ..InodeCompact::new_zeroed()
        }
        .as_bytes()
        .to_vec();
    }
    InodeExtended {
        i_format: U16::new(format | i_format::EXTENDED),
        i_xattr_icount,
        i_mode,
        i_size: U64::new(size(tree, id)),
        i_u,
        i_ino,
        i_uid: U32::new(inode.uid),
        i_gid: U32::new(inode.gid),
        i_mtime: U64::new(inode.mtime.seconds.cast_unsigned()),
        i_mtime_nsec: U32::new(inode.mtime.nanoseconds),
        i_nlink: U32::new(links(tree, id)),
        ..InodeExtended::new_zeroed()
    }
    .as_bytes()
    .to_vec()
}

fn file_type(kind: Kind) -> u16 {
    match kind {
        Kind::Directory => i_mode::DIR,
        Kind::File { .. } => i_mode::REG,
        Kind::Symlink => i_mode::LNK,
        Kind::Fifo => i_mode::FIFO,
        Kind::Socket => i_mode::SOCK,
        Kind::CharDevice(..) => i_mode::CHR,
        Kind::BlockDevice(..) => i_mode::BLK,
    }
}

/// Returns a device number as the kernel encodes it (`new_encode_dev`).
fn rdev(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | major << 8 | (minor & !0xff) << 12
}
