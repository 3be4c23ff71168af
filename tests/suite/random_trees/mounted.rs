//! Compares a mounted tree with the nodes that it was built from.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use detfs::Timestamp;
use detfs::tree::FileFlags;
use rustix::buffer::spare_capacity;
use rustix::fs::IFlags;
use rustix::io::Errno;

use super::arbitrary_tree::{Expected, What};
use crate::oracle::{OracleError, Verdict};

/// The properties that file systems store differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The link count of a directory includes its subdirectories.
    Ext4,
    /// The link count of a directory is 1, and the NOCOW flag is stored.
    Btrfs {
        /// Whether the NOCOW flag is as expected in all subvolumes.
        nocow: bool,
    },
    /// The link count of a directory includes its subdirectories, and there are no file flags.
    Squashfs,
    /// The same as squashfs.
    Erofs,
}

/// Replaces ACLs by those that the kernel returns: only entries with the tags 2 and 8 have an ID,
/// whatever ID was passed to the system call.
pub fn shown(model: &mut [Expected]) {
    for node in model {
        let acls = node.xattrs.iter_mut().filter(|(name, _)| name.starts_with(b"system."));
        for entry in acls.flat_map(|(_, acl)| acl[4..].chunks_exact_mut(8)) {
            if !matches!(entry[0], 0x02 | 0x08) {
                entry[4..].fill(0xff);
            }
        }
    }
}

/// Compares every name, and every field of every node, with the expected nodes.
pub fn compare(root: &Path, model: &[Expected], kept: Kept) -> Verdict {
    let mut inodes = BTreeMap::new();
    let mut pending = vec![(0, root.to_owned())];
    while let Some((position, path)) = pending.pop() {
        let oracle_error = |text| OracleError(format!("{path:?}: {text}"));
        let metadata =
            fs::symlink_metadata(&path).map_err(|error| oracle_error(error.to_string()))?;
        // One inode for each node and one node for each inode.
        let number = (metadata.dev(), metadata.ino());
        let numbers = (*inodes.entry(position).or_insert(number), number);
        same("inode", &numbers.1, &numbers.0).map_err(oracle_error)?;
        node(&path, &metadata, &model[position], model, kept).map_err(oracle_error)?;
        if let What::Directory(names) = &model[position].what {
            let found = fs::read_dir(&path).map_err(|error| oracle_error(error.to_string()))?;
            let mut found: Vec<Vec<u8>> =
                found.map(|entry| entry.unwrap().file_name().as_bytes().to_vec()).collect();
            found.sort();
            same("names", &found.iter().collect(), &names.keys().collect::<Vec<_>>())
                .map_err(oracle_error)?;
            let below = |(name, &child): (&Vec<u8>, _)| (child, path.join(OsStr::from_bytes(name)));
            pending.extend(names.iter().map(below));
        }
    }
    let mut numbers: Vec<_> = inodes.values().collect();
    numbers.sort();
    numbers.dedup();
    same("inodes", &numbers.len(), &inodes.len()).map_err(OracleError)
}

fn same<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what} {found:?}, not {expected:?}")),
    }
}

fn node(
    path: &Path,
    metadata: &fs::Metadata,
    node: &Expected,
    model: &[Expected],
    kept: Kept,
) -> Result<(), String> {
    let kind = metadata.file_type();
    let is_directory = |&&child: &&usize| matches!(model[child].what, What::Directory(_));
    let rdev = |major, minor| rustix::fs::makedev(major, minor);
    let links = match &node.what {
        What::Directory(_) if matches!(kept, Kept::Btrfs { .. }) => 1,
        What::Directory(names) => 2 + names.values().filter(is_directory).count() as u64,
        _ => node.names.into(),
    };
    match &node.what {
        What::Directory(_) => same("directory", &kind.is_dir(), &true)?,
        What::File(bytes) => {
            same("file", &kind.is_file(), &true)?;
            let found = fs::read(path).map_err(|error| error.to_string())?;
            same("size", &metadata.len(), &(bytes.len() as u64))?;
            if found != **bytes {
                return Err("another content".into());
            }
        }
        What::Symlink(target) => {
            same("symlink", &kind.is_symlink(), &true)?;
            let found = fs::read_link(path).map_err(|error| error.to_string())?;
            same("target", &found, &PathBuf::from(OsStr::from_bytes(target)))?;
        }
        What::Fifo => same("fifo", &kind.is_fifo(), &true)?,
        What::Socket => same("socket", &kind.is_socket(), &true)?,
        What::Char(major, minor) => {
            same("character device", &kind.is_char_device(), &true)?;
            same("device", &metadata.rdev(), &rdev(*major, *minor))?;
        }
        What::Block(major, minor) => {
            same("block device", &kind.is_block_device(), &true)?;
            same("device", &metadata.rdev(), &rdev(*major, *minor))?;
        }
    }
    same("mode", &(metadata.mode() & 0o7777), &node.mode.into())?;
    same("owner", &(metadata.uid(), metadata.gid()), &(node.uid, node.gid))?;
    let Timestamp { seconds, nanoseconds } = node.mtime;
    same("mtime", &(metadata.mtime(), metadata.mtime_nsec()), &(seconds, nanoseconds.into()))?;
    let others =
        [(metadata.atime(), metadata.atime_nsec()), (metadata.ctime(), metadata.ctime_nsec())];
    same("times", &others, &[(seconds, nanoseconds.into()); 2])?;
    same("links", &metadata.nlink(), &links)?;
    let keeps = matches!(node.what, What::Directory(_) | What::File(_));
    if keeps && !matches!(kept, Kept::Squashfs | Kept::Erofs) {
        let unseen = match kept {
            Kept::Btrfs { nocow: true } => FileFlags::NOCOMPRESS,
            _ => FileFlags::NOCOW | FileFlags::NOCOMPRESS,
        };
        same("flags", &(flags(path)? - unseen), &(node.flags - unseen))?;
    }
    let shown = |name: &[u8]| {
        // The kernel hides these attributes of nodes that can't have them, wherever they come from.
        let user = keeps || !name.starts_with(b"user.");
        let acl = !matches!(node.what, What::Symlink(_)) || !name.starts_with(b"system.");
        user && acl
    };
    let expected = node.xattrs.iter().filter(|(name, _)| shown(name));
    let expected = expected.map(|(name, value)| (name.clone(), value.clone())).collect();
    same("attributes", &xattrs(path, shown)?, &expected)
}

fn flags(path: &Path) -> Result<FileFlags, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let found = rustix::fs::ioctl_getflags(&file).map_err(|error| error.to_string())?;
    let mut flags = FileFlags::empty();
    flags.set(FileFlags::IMMUTABLE, found.contains(IFlags::IMMUTABLE));
    flags.set(FileFlags::APPEND, found.contains(IFlags::APPEND));
    flags.set(FileFlags::NODUMP, found.contains(IFlags::NODUMP));
    flags.set(FileFlags::NOATIME, found.contains(IFlags::NOATIME));
    flags.set(FileFlags::SYNC, found.contains(IFlags::SYNC));
    flags.set(FileFlags::NOCOW, found.contains(IFlags::NOCOW));
    flags.set(FileFlags::DIRSYNC, found.contains(IFlags::DIRSYNC));
    Ok(flags)
}

fn xattrs(
    path: &Path,
    shown: impl Fn(&[u8]) -> bool,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, String> {
    let mut names = Vec::with_capacity(1 << 16);
    match rustix::fs::llistxattr(path, spare_capacity(&mut names)) {
        // A squashfs without extended attributes has no table of them.
        Ok(_) | Err(Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.to_string()),
    }
    let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty() && shown(name));
    let read = |name: &[u8]| {
        let mut value = Vec::with_capacity(1 << 16);
        rustix::fs::lgetxattr(path, OsStr::from_bytes(name), spare_capacity(&mut value))
            .map_err(|error| format!("attribute {}: {error}", name.escape_ascii()))?;
        Ok((name.to_vec(), value))
    };
    names.map(read).collect()
}
