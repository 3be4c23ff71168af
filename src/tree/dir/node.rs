//! Reads single nodes by descriptor.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fd::AsFd;
use rustix::fs::{
    AtFlags, FileType, IFlags, OFlags, Statx, StatxAttributes, StatxFlags, fgetxattr, flistxattr,
    getxattr, ioctl_getflags, listxattr, readlinkat_raw, statx,
};
use rustix::io::{Errno, Result as SysResult};

use super::descriptor::{Identity, READ, identity, open_entry, stamp, status};
use super::mounts::is_mounted;
use super::node_error::{NodeError, refused};
use crate::time::Timestamp;
use crate::tree::host_xattrs::HostXattrs;
use crate::tree::{FileFlags, Metadata, Node, Xattr};

/// An extended attribute that is left out, and the reason.
pub(super) type DroppedXattr = (Box<[u8]>, &'static str);

/// Content of a new node, as far as it is known without the node's place in the tree.
pub(super) enum NodeContent {
    /// A regular file.
    File { size: u64, stamp: u64 },
    /// Anything else that is not a directory.
    Other(Node),
}

/// Attributes that every node has.
pub(super) struct NodeStat {
    pub(super) metadata: Metadata,
    pub(super) left_out: Vec<DroppedXattr>,
    /// Whether another file system is mounted on the node.
    pub(super) is_mounted: bool,
}

/// Largest list of extended attributes and largest value, in bytes (`XATTR_LIST_MAX`,
/// `XATTR_SIZE_MAX`).
const XATTR_MAX: usize = 65_536;

/// Size in bytes that is enough for nearly all attributes. The kernel allocates as much memory as
/// the buffer has.
const XATTR_USUAL: usize = 256;

/// Size in bytes of the longest symlink target, plus one byte to detect longer targets.
const TARGET_MAX: usize = 4096;

/// Reader of nodes. Each thread has one.
pub(super) struct NodeReader<'a> {
    host_xattrs: &'a HostXattrs,
    list: Vec<u8>,
    value: Vec<u8>,
}

/// Access to the extended attributes of a descriptor.
enum Attributes<'fd> {
    Direct(BorrowedFd<'fd>),
    /// A descriptor opened with `O_PATH` provides them only under its name in `/proc`.
    ByName(String),
}

impl Attributes<'_> {
    fn listing(&self) -> &'static str {
        match self {
            Self::Direct(_) => "cannot list its extended attributes",
            Self::ByName(_) => "cannot list its extended attributes through /proc",
        }
    }

    fn list(&self, buffer: &mut [u8]) -> SysResult<usize> {
        match self {
            Self::Direct(fd) => flistxattr(fd, buffer),
            Self::ByName(path) => listxattr(path, buffer),
        }
    }

    fn get(&self, name: &CStr, buffer: &mut [u8]) -> SysResult<usize> {
        match self {
            Self::Direct(fd) => fgetxattr(fd, name, buffer),
            Self::ByName(path) => getxattr(path, name, buffer),
        }
    }

    /// Returns the flags that `statx` does not report.
    ///
    /// Linux reports them only for nodes that are open.
    fn flags(&self) -> Result<FileFlags, NodeError> {
        let Self::Direct(fd) = self else { return Ok(FileFlags::empty()) };
        match ioctl_getflags(fd) {
            Ok(flags) => Ok(chosen(
                |flag| flags.contains(flag),
                [
                    (IFlags::NOATIME, FileFlags::NOATIME),
                    (IFlags::SYNC, FileFlags::SYNC),
                    (IFlags::DIRSYNC, FileFlags::DIRSYNC),
                    (IFlags::NOCOW, FileFlags::NOCOW),
                ],
            )),
            // The file system has no flags.
            Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                Ok(FileFlags::empty())
            }
            Err(error) => Err(NodeError::Refused("cannot read its flags", error)),
        }
    }
}

/// Calls `call` with a small buffer, and again with the largest one if the small one is too small.
fn fill(buffer: &mut [u8], call: impl Fn(&mut [u8]) -> SysResult<usize>) -> SysResult<&[u8]> {
    let len = match call(&mut buffer[..XATTR_USUAL]) {
        Err(Errno::RANGE) => call(buffer)?,
        result => result?,
    };
    Ok(&buffer[..len])
}

/// Reads the type of an entry whose directory listing does not contain it.
pub(super) fn type_of(directory: impl AsFd, name: &CStr) -> Result<FileType, NodeError> {
    let status = statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)
        .map_err(refused("cannot read its status"))?;
    Ok(type_in(&status))
}

fn type_in(status: &Statx) -> FileType {
    FileType::from_raw_mode(status.stx_mode.into())
}

/// Returns whether a node has neither content nor a target.
fn is_special(kind: FileType) -> bool {
    use FileType::{BlockDevice, CharacterDevice, Fifo, Socket};
    matches!(kind, BlockDevice | CharacterDevice | Fifo | Socket)
}

impl<'a> NodeReader<'a> {
    pub(super) fn new(host_xattrs: &'a HostXattrs) -> Self {
        Self { host_xattrs, list: vec![0; XATTR_MAX], value: vec![0; XATTR_MAX] }
    }

    /// Reads the metadata of an open directory, and its identity.
    pub(super) fn directory(
        &mut self,
        fd: BorrowedFd<'_>,
    ) -> Result<(NodeStat, Identity), NodeError> {
        let status = status(fd).map_err(refused("cannot read its status"))?;
        Ok((self.stat(&status, &Attributes::Direct(fd))?, identity(&status)))
    }

    /// Reads an entry that is not a directory.
    ///
    /// If it has several names, its identity is returned too.
    ///
    /// The type in the listing only decides how the entry is opened: only a regular file is opened
    /// for reading, because opening a device or a pipe may have side effects. The status is
    /// authoritative. The two differ where a library fakes nodes that an ordinary user can't
    /// create: fakeroot stores a device as a regular file.
    pub(super) fn entry(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        listed: FileType,
    ) -> Result<(NodeStat, NodeContent, Option<Identity>), NodeError> {
        let flags = if listed == FileType::RegularFile { READ } else { OFlags::PATH };
        let fd = open_entry(directory, name, flags).map_err(refused("cannot open"))?;
        let status = status(&fd).map_err(refused("cannot read its status"))?;
        let kind = type_in(&status);
        let faked = listed == FileType::RegularFile && is_special(kind);
        if kind != listed && !faked {
            return Err(NodeError::Replaced);
        }
        let attributes = match listed {
            FileType::RegularFile => Attributes::Direct(fd.as_fd()),
            _ => Attributes::ByName(format!("/proc/self/fd/{}", fd.as_raw_fd())),
        };
        let mut stat = self.stat(&status, &attributes)?;
        if faked {
            // The flags are those of the file that stands in for the node.
            stat.metadata.flags = FileFlags::empty();
        }
        let what = match kind {
            FileType::RegularFile => {
                NodeContent::File { size: status.stx_size, stamp: stamp(&status) }
            }
            FileType::Symlink => {
                let len = readlinkat_raw(&fd, c"", &mut self.value[..TARGET_MAX])
                    .map_err(refused("cannot read the target"))?;
                NodeContent::Other(Node::Symlink(self.value[..len].to_vec()))
            }
            FileType::Fifo => NodeContent::Other(Node::Fifo),
            FileType::Socket => NodeContent::Other(Node::Socket),
            FileType::CharacterDevice => {
                NodeContent::Other(Node::CharDevice(status.stx_rdev_major, status.stx_rdev_minor))
            }
            FileType::BlockDevice => {
                NodeContent::Other(Node::BlockDevice(status.stx_rdev_major, status.stx_rdev_minor))
            }
            FileType::Directory | FileType::Unknown => {
                return Err(NodeError::Refused("cannot determine its type", Errno::OPNOTSUPP));
            }
        };
        Ok((stat, what, (status.stx_nlink > 1).then_some(identity(&status))))
    }

    fn stat(&mut self, status: &Statx, attributes: &Attributes<'_>) -> Result<NodeStat, NodeError> {
        let mut xattrs = Vec::new();
        let mut left_out = Vec::new();
        let list = match fill(&mut self.list, |buffer| attributes.list(buffer)) {
            // The file system has no extended attributes.
            Err(Errno::OPNOTSUPP) => &[],
            // Not `refused`: without /proc the name does not exist, but the node does.
            result => result.map_err(|error| NodeError::Refused(attributes.listing(), error))?,
        };
        for name in list.split_inclusive(|&byte| byte == 0) {
            let name = CStr::from_bytes_with_nul(name)
                .map_err(|_| NodeError::Refused(attributes.listing(), Errno::INVAL))?;
            if let Some(reason) = self.host_xattrs.fault(name.to_bytes()) {
                left_out.push((name.to_bytes().into(), reason));
                continue;
            }
            let value = fill(&mut self.value, |buffer| attributes.get(name, buffer))
                .map_err(refused("cannot read its extended attributes"))?;
            xattrs.push(Xattr { name: name.to_bytes().to_vec(), value: value.to_vec() });
        }
        let metadata = Metadata {
            mode: status.stx_mode & 0o7777,
            uid: status.stx_uid,
            gid: status.stx_gid,
            mtime: Timestamp {
                seconds: status.stx_mtime.tv_sec,
                nanoseconds: status.stx_mtime.tv_nsec,
            },
            flags: flags(status.stx_attributes) | attributes.flags()?,
            xattrs,
        };
        Ok(NodeStat { metadata, left_out, is_mounted: is_mounted(status) })
    }
}

fn flags(attributes: StatxAttributes) -> FileFlags {
    chosen(
        |attribute| attributes.contains(attribute),
        [
            (StatxAttributes::IMMUTABLE, FileFlags::IMMUTABLE),
            (StatxAttributes::APPEND, FileFlags::APPEND),
            (StatxAttributes::NODUMP, FileFlags::NODUMP),
        ],
    )
}

/// Returns the flags whose counterpart on the host is set.
fn chosen<T, const N: usize>(set: impl Fn(T) -> bool, flags: [(T, FileFlags); N]) -> FileFlags {
    flags.into_iter().filter_map(|(host, own)| set(host).then_some(own)).collect()
}
