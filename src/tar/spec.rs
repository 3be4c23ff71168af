//! Records of tar archives: POSIX.1-2001 (ustar and pax), and those of GNU tar and star.

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Size of a block, in bytes. Headers are one block, and data is padded to blocks.
pub(super) const BLOCK: usize = 512;

/// Magic and version of POSIX archives.
pub(super) const TMAGIC: &[u8; 8] = b"ustar\x0000";
/// Magic and version of archives of GNU tar.
pub(super) const OLDGNU_MAGIC: &[u8; 8] = b"ustar  \0";
/// Last bytes of a header of star, whose prefix is shorter.
pub(super) const STAR_TRAILER: &[u8; 4] = b"tar\0";

/// A header block.
#[derive(Debug, Clone, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawHeader {
    pub(super) name: [u8; 100],
    pub(super) mode: [u8; 8],
    pub(super) uid: [u8; 8],
    pub(super) gid: [u8; 8],
    pub(super) size: [u8; 12],
    pub(super) mtime: [u8; 12],
    pub(super) chksum: [u8; 8],
    pub(super) typeflag: u8,
    pub(super) linkname: [u8; 100],
    /// `magic` and `version`.
    pub(super) magic: [u8; 8],
    pub(super) uname: [u8; 32],
    pub(super) gname: [u8; 32],
    pub(super) devmajor: [u8; 8],
    pub(super) devminor: [u8; 8],
    /// `prefix` and padding in POSIX archives, a [`RawOldGnu`] in those of GNU tar.
    pub(super) rest: [u8; 167],
}

/// The end of a header of GNU tar.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawOldGnu {
    pub(super) atime: [u8; 12],
    pub(super) ctime: [u8; 12],
    pub(super) offset: [u8; 12],
    pub(super) longnames: [u8; 4],
    pub(super) unused: u8,
    pub(super) sp: [RawSparse; 4],
    pub(super) isextended: u8,
    pub(super) realsize: [u8; 12],
    pub(super) padding: [u8; 17],
}

/// A block that continues the sparse map of a header of GNU tar.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawSparseBlock {
    pub(super) sp: [RawSparse; 21],
    pub(super) isextended: u8,
    pub(super) padding: [u8; 7],
}

/// A range of a sparse file that has data.
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RawSparse {
    pub(super) offset: [u8; 12],
    pub(super) numbytes: [u8; 12],
}
