//! Files and directories by their descriptors.

use std::hash::{DefaultHasher, Hasher};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags, openat, statx};
use rustix::io::Result;

/// Flags for opening a regular file. `O_NONBLOCK` prevents waiting if it has been replaced by a
/// pipe.
pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// Returns the status of an open file.
pub(super) fn status(fd: impl AsFd) -> Result<Statx> {
    statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
}

/// Returns the identity of the host inode.
pub(super) fn identity(status: &Statx) -> Identity {
    (status.stx_dev_major, status.stx_dev_minor, status.stx_ino)
}

/// Returns a hash of a file's inode, length and times, which changes if the file is replaced or
/// modified.
pub(super) fn stamp(status: &Statx) -> u64 {
    // Collisions are negligible: a tree has far fewer than 2^64 files, and they are not crafted to
    // collide.
    let mut hasher = DefaultHasher::new();
    hasher.write_u32(status.stx_dev_major);
    hasher.write_u32(status.stx_dev_minor);
    hasher.write_u64(status.stx_ino);
    hasher.write_u64(status.stx_size);
    for time in [status.stx_mtime, status.stx_ctime] {
        hasher.write_i64(time.tv_sec);
        hasher.write_u32(time.tv_nsec);
    }
    hasher.finish()
}

/// Identity of a directory, whatever its name: the file system and the inode number.
pub(super) type Identity = (u32, u32, u64);

/// Opens one name in a directory, never following a symlink.
pub(super) fn open_entry(
    directory: impl AsFd,
    name: impl rustix::path::Arg,
    flags: OFlags,
) -> Result<OwnedFd> {
    openat(directory, name, step(flags), Mode::empty())
}

/// Adds the flags of every call that opens one name.
pub(super) fn step(flags: OFlags) -> OFlags {
    flags | OFlags::CLOEXEC | OFlags::NOFOLLOW
}
