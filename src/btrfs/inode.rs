//! Inode items.

use zerocopy::FromZeros;
use zerocopy::little_endian::{U32, U64};

use super::content::Contents;
use super::data::Data;
use super::names::COMPRESSION;
use super::spec::{InodeFlags, InodeItem, Timespec};
use super::subvolumes::Subvolumes;
use super::{Compression, GENERATION};
use crate::time::Timestamp;
use crate::tree::{FileFlags, InodeId, Kind, Tree};

const S_IFIFO: u32 = 0o010_000;
const S_IFCHR: u32 = 0o020_000;
pub(super) const S_IFDIR: u32 = 0o040_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFSOCK: u32 = 0o140_000;

/// Maximum major and minor device numbers that an inode can hold.
pub(super) const MAJOR_MAX: u32 = (1 << 12) - 1;
pub(super) const MINOR_MAX: u32 = (1 << 20) - 1;

pub(super) fn timespec(time: Timestamp) -> Timespec {
    Timespec { sec: U64::new(time.seconds.cast_unsigned()), nsec: U32::new(time.nanoseconds) }
}

/// Returns the inode item of an empty directory that is not in the tree, with the epoch as its
/// time.
pub(super) fn made_directory(epoch: Timestamp) -> InodeItem {
    let time = timespec(epoch);
    InodeItem {
        generation: U64::new(GENERATION),
        nlink: U32::new(1),
        mode: U32::new(S_IFDIR | 0o755),
        atime: time,
        ctime: time,
        mtime: time,
        otime: time,
        ..InodeItem::new_zeroed()
    }
}

/// Returns the item of an inode with `links` names in its subvolume.
pub(super) fn inode_item(
    subvolumes: &Subvolumes,
    contents: &Contents,
    data: &Data,
    id: InodeId,
    links: usize,
) -> InodeItem {
    let tree = &subvolumes.tree;
    let inode = tree.inode(id);
    let (size, nbytes) = sizes(tree, contents, data, id);
    let time = timespec(inode.mtime);
    InodeItem {
        generation: U64::new(GENERATION),
        transid: U64::new(GENERATION),
        size: U64::new(size),
        nbytes: U64::new(nbytes),
        nlink: U32::new(u32::try_from(links).expect("at most 65535")),
        uid: U32::new(inode.uid),
        gid: U32::new(inode.gid),
        mode: U32::new(format(inode.kind) | u32::from(inode.mode)),
        rdev: U64::new(rdev(inode.kind)),
        flags: U64::new(flags(subvolumes, contents, id).bits()),
        atime: time,
        ctime: time,
        mtime: time,
        otime: time,
        ..InodeItem::new_zeroed()
    }
}

fn format(kind: Kind) -> u32 {
    match kind {
        Kind::Directory => S_IFDIR,
        Kind::File { .. } => S_IFREG,
        Kind::Symlink => S_IFLNK,
        Kind::Fifo => S_IFIFO,
        Kind::Socket => S_IFSOCK,
        Kind::CharDevice(..) => S_IFCHR,
        Kind::BlockDevice(..) => S_IFBLK,
    }
}

/// Returns a device number as the kernel encodes it: the minor number in the low 20 bits.
fn rdev(kind: Kind) -> u64 {
    match kind {
        Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => {
            u64::from(major) << 20 | u64::from(minor)
        }
        _ => 0,
    }
}

/// Returns the size of an inode, and the number of bytes in its extents.
fn sizes(tree: &Tree, contents: &Contents, data: &Data, id: InodeId) -> (u64, u64) {
    match tree.inode(id).kind {
        Kind::Directory => {
            // Every name counts twice, once for its hash and once for its index.
            let names = tree.entries(id).iter().map(|entry| tree.name(entry).len() as u64);
            (2 * names.sum::<u64>(), 0)
        }
        Kind::File { size, .. } => match contents.inline(id) {
            Some(_) => (size, size),
            None => (size, data.parts(id).iter().map(|part| u64::from(part.len)).sum()),
        },
        Kind::Symlink => {
            let len = tree.target(id).len() as u64;
            (len, len)
        }
        _ => (0, 0),
    }
}

/// Compression setting of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Property {
    /// Compress, with this algorithm.
    Compress(Compression),
    /// Do not compress.
    None,
}

/// Returns the compression setting of an inode, from its property and its no-compress flag.
///
/// # Errors
/// The value of the property, if the kernel does not accept it.
pub(super) fn property(tree: &Tree, id: InodeId) -> Result<Option<Property>, &[u8]> {
    if tree.inode(id).flags.contains(FileFlags::NOCOMPRESS) {
        return Ok(Some(Property::None));
    }
    let xattrs = tree.xattrs(id);
    let Some(xattr) = xattrs.iter().find(|xattr| xattr.name == COMPRESSION) else {
        return Ok(None);
    };
    let value = &*xattr.value;
    if matches!(value, b"" | b"no" | b"none") {
        return Ok(Some(Property::None));
    }
    let text = std::str::from_utf8(value).map_err(|_| value)?;
    let compression = text.parse().map_err(|_| value)?;
    Ok(Some(Property::Compress(compression)))
}

fn flags(subvolumes: &Subvolumes, contents: &Contents, id: InodeId) -> InodeFlags {
    let inode = subvolumes.tree.inode(id);
    let mut flags = InodeFlags::empty();
    for (given, encoding) in [
        (FileFlags::IMMUTABLE, InodeFlags::IMMUTABLE),
        (FileFlags::APPEND, InodeFlags::APPEND),
        (FileFlags::NODUMP, InodeFlags::NODUMP),
        (FileFlags::NOATIME, InodeFlags::NOATIME),
        (FileFlags::SYNC, InodeFlags::SYNC),
        (FileFlags::DIRSYNC, InodeFlags::DIRSYNC),
    ] {
        flags.set(encoding, inode.flags.contains(given));
    }
    let regular = matches!(inode.kind, Kind::File { .. });
    if !regular && inode.kind != Kind::Directory {
        return flags;
    }
    if subvolumes.is_nodatacow(id) {
        flags |= InodeFlags::NODATACOW;
        flags.set(InodeFlags::NODATASUM, regular);
        flags.set(InodeFlags::PREALLOC, subvolumes.is_preallocated(id));
        return flags;
    }
    match property(&subvolumes.tree, id) {
        Ok(Some(Property::Compress(_))) => flags |= InodeFlags::COMPRESS,
        Ok(Some(Property::None)) => flags |= InodeFlags::NOCOMPRESS,
        // The kernel also sets `NOCOMPRESS` after a failed attempt to compress.
        _ => flags.set(InodeFlags::NOCOMPRESS, regular && contents.is_incompressible(id)),
    }
    flags
}
