//! The root file system tree, which all planners read and none modifies.
//!
//! A [`Tree`] holds its inodes in pre-order of the byte-sorted names, so the number of an inode
//! does not depend on how the tree was built. File content is a reference and is never loaded
//! whole.

mod builder;
mod content;
#[cfg(test)]
pub(crate) mod difference;
pub mod dir;
mod dropped_xattrs;
mod edit;
mod hard_links;
pub mod host_xattrs;
mod merge;
mod ownership;
mod path_filter;
pub(crate) mod path_walk;
mod paths;
#[cfg(feature = "normalize")]
mod replace;
mod resolve;
#[cfg(test)]
pub(crate) mod sample;
mod scan;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bitflags::bitflags;

pub use builder::{Node, NodeId, TreeBuilder};
pub use content::ContentId;
pub(crate) use content::{ContentReader, ContentSource};
pub(crate) use dropped_xattrs::DroppedXattrs;
pub use hard_links::HardLinks;
#[cfg(feature = "repart")]
pub(crate) use merge::NameTaken;
pub(crate) use merge::TreeMerge;
pub use ownership::{IdMap, IdRange, Ownership};
pub use path_filter::PathFilter;
#[cfg(feature = "normalize")]
pub(crate) use replace::Replacement;
pub use scan::{GRANULE, HoleScan, HoleScanOptions, SCAN_MIN_SIZE, WINDOW, scan_holes};
pub use source::{Directory, Source};

use crate::error::Result;
use crate::time::Timestamp;

bitflags! {
    /// File flags that file systems store for an inode.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct FileFlags: u8 {
        /// The file can't be changed (`chattr +i`).
        const IMMUTABLE = 1;
        /// The file can only be appended to (`chattr +a`).
        const APPEND = 2;
        /// The file is left out of dumps (`chattr +d`).
        const NODUMP = 4;
        /// Reading the file does not update its access time (`chattr +A`).
        const NOATIME = 8;
        /// Writes to the file are synchronous (`chattr +S`).
        const SYNC = 16;
        /// Changes of the directory are synchronous (`chattr +D`).
        const DIRSYNC = 32;
        /// The content is overwritten in place and has no checksums (`chattr +C`). Only btrfs uses
        /// this flag; other file systems leave it out.
        const NOCOW = 64;
        /// The content is not compressed (`chattr +m`). Only btrfs uses this flag; other file
        /// systems leave it out. It is never read from a host, because there the kernel also sets
        /// it for files that did not compress well.
        const NOCOMPRESS = 128;
    }
}

/// An extended attribute, with name and value as in the Linux system calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Full name with its namespace, such as `security.capability`.
    pub name: Vec<u8>,
    /// Value, byte for byte. ACLs are in the format of the system calls.
    pub value: Vec<u8>,
}

/// Attributes of an inode apart from its kind and content.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky, from 0 to 0o7777.
    pub mode: u16,
    /// User id of the owner.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Time of the last change of the content.
    pub mtime: Timestamp,
    /// File flags.
    pub flags: FileFlags,
    /// Extended attributes, in any order.
    pub xattrs: Vec<Xattr>,
}

/// Number of an inode within a tree.
///
/// The root is number 0. The order is pre-order by byte-sorted names, with a hard-linked inode at
/// its first path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InodeId(u32);

impl InodeId {
    /// The root directory of every tree.
    pub const ROOT: Self = Self(0);

    /// Returns the index in [`Tree::inodes`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// Creates the number of the inode at `index`, which may be past the end of a tree.
    #[must_use]
    pub fn new(index: u32) -> Self {
        Self(index)
    }
}

/// Kind of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory, listed by [`Tree::entries`].
    Directory,
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// Reference to the content.
        content: ContentId,
    },
    /// A symbolic link, whose target is returned by [`Tree::target`].
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device with its major and minor numbers.
    CharDevice(u32, u32),
    /// A block device with its major and minor numbers.
    BlockDevice(u32, u32),
}

/// An inode, without its name: an inode may have several names.
#[derive(Debug, Clone, Copy)]
pub struct Inode {
    /// Time of the last change of the content.
    pub mtime: Timestamp,
    /// Kind of the inode.
    pub kind: Kind,
    /// User id of the owner.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Number of names that the inode has in this tree; 1 for a directory.
    pub links: u32,
    /// Index of the set of extended attributes. Equal sets have equal indices, and 0 is the empty
    /// set.
    pub xattrs: u32,
    /// Directory of the first path. The root is its own parent.
    parent: u32,
    /// Entry of the first path. Unused for the root.
    name: u32,
    /// Entries of a directory, or target of a symlink in the arena.
    span: (u32, u32),
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    /// File flags.
    pub flags: FileFlags,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    at: u32,
    inode: u32,
    len: u8,
}

impl Entry {
    /// Returns the inode that the name refers to.
    #[must_use]
    pub fn inode(&self) -> InodeId {
        InodeId(self.inode)
    }
}

/// A file system tree.
#[derive(Clone)]
pub struct Tree {
    inodes: Vec<Inode>,
    entries: Vec<Entry>,
    /// Names and symlink targets, concatenated.
    arena: Vec<u8>,
    xattrs: Vec<Box<[Xattr]>>,
    sources: Vec<Arc<dyn ContentSource>>,
    /// Path of this tree's root in the tree that it is a subtree of.
    prefix: Vec<u8>,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("inodes", &self.inodes.len())
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

fn span(start: u32, end: u32) -> Range<usize> {
    start as usize..end as usize
}

impl Tree {
    /// Returns all inodes, indexed by [`InodeId`].
    #[must_use]
    pub fn inodes(&self) -> &[Inode] {
        &self.inodes
    }

    /// Returns all inodes with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (InodeId, &Inode)> {
        (0u32..).map(InodeId).zip(&self.inodes)
    }

    /// Returns the inode with number `id`.
    ///
    /// # Panics
    /// If `id` is not a number of this tree.
    #[must_use]
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    /// Returns a directory's entries sorted by the bytes of their names, or an empty slice for any
    /// other inode.
    #[must_use]
    pub fn entries(&self, id: InodeId) -> &[Entry] {
        &self.entries[self.entry_range(id)]
    }

    /// Returns the range of a directory's entries in the list of all [`Tree::entry_count`] entries,
    /// or an empty range for any other inode.
    pub(crate) fn entry_range(&self, id: InodeId) -> Range<usize> {
        let inode = self.inode(id);
        match inode.kind {
            Kind::Directory => span(inode.span.0, inode.span.1),
            _ => 0..0,
        }
    }

    /// Returns the directory of an inode's first name, and the index of that name in the
    /// directory's [entries](Tree::entries).
    ///
    /// # Panics
    /// If `id` is the root, which has no name.
    pub(crate) fn entry_position(&self, id: InodeId) -> (InodeId, usize) {
        assert_ne!(id, InodeId::ROOT, "the root has no name");
        let inode = self.inode(id);
        let parent = InodeId(inode.parent);
        (parent, inode.name as usize - self.entry_range(parent).start)
    }

    /// Returns the number of names in the tree, not counting the root.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// Returns the name of an entry.
    #[must_use]
    pub fn name(&self, entry: &Entry) -> &[u8] {
        &self.arena[span(entry.at, entry.at + u32::from(entry.len))]
    }

    /// Returns the target of a symlink, or an empty slice for any other inode.
    #[must_use]
    pub fn target(&self, id: InodeId) -> &[u8] {
        let inode = self.inode(id);
        match inode.kind {
            Kind::Symlink => &self.arena[span(inode.span.0, inode.span.1)],
            _ => &[],
        }
    }

    /// Returns the extended attributes of an inode, sorted by name.
    #[must_use]
    pub fn xattrs(&self, id: InodeId) -> &[Xattr] {
        &self.xattrs[self.inode(id).xattrs as usize]
    }

    /// Returns the distinct sets of extended attributes, indexed by [`Inode::xattrs`].
    #[must_use]
    pub fn xattr_sets(&self) -> &[Box<[Xattr]>] {
        &self.xattrs
    }

    /// Returns the directory of an inode's first path.
    ///
    /// The root is its own parent.
    #[must_use]
    pub fn parent(&self, id: InodeId) -> InodeId {
        InodeId(self.inode(id).parent)
    }

    /// Returns the first path of an inode in the source, without a leading slash.
    ///
    /// The path of the root is empty.
    #[must_use]
    pub fn path(&self, id: InodeId) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = id;
        while at != InodeId::ROOT {
            let inode = self.inode(at);
            names.push(self.name(&self.entries[inode.name as usize]));
            at = InodeId(inode.parent);
        }
        if !self.prefix.is_empty() {
            names.push(&self.prefix);
        }
        names.reverse();
        names.join(&b'/')
    }

    /// Returns the path of `name` in `directory`.
    #[must_use]
    pub fn path_in(&self, directory: InodeId, name: &[u8]) -> Vec<u8> {
        let mut path = self.path(directory);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// Returns the inode at `path`, which has no leading slash.
    ///
    /// Symlinks are not followed.
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<InodeId> {
        let mut at = InodeId::ROOT;
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            at = self.child(at, name)?;
        }
        Some(at)
    }

    /// Returns the directory at `path`, which has no leading slash.
    ///
    /// Symlinks are not followed.
    pub(crate) fn directory(&self, path: &[u8]) -> Option<InodeId> {
        self.find(path).filter(|&id| self.inode(id).kind == Kind::Directory)
    }

    /// Returns whether there is anything other than directories below a directory.
    pub(crate) fn holds_files(&self, directory: InodeId) -> bool {
        let mut pending = vec![directory];
        while let Some(directory) = pending.pop() {
            for entry in self.entries(directory) {
                if self.inode(entry.inode()).kind != Kind::Directory {
                    return true;
                }
                pending.push(entry.inode());
            }
        }
        false
    }

    /// Returns the inode that `name` refers to in `directory`.
    pub(crate) fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        let entries = self.entries(directory);
        let found = entries.binary_search_by(|entry| self.name(entry).cmp(name)).ok()?;
        Some(entries[found].inode())
    }

    /// Opens the content of a regular file.
    pub(crate) fn open(&self, id: InodeId) -> Result<Box<dyn ContentReader>> {
        match self.inode(id).kind {
            Kind::File { content, .. } => {
                self.sources[usize::from(content.source)].open(content.index, &|| self.path(id))
            }
            _ => unreachable!("only regular files have content"),
        }
    }

    /// Sets every modification time that is later than `epoch` to `epoch`, and returns the number
    /// of inodes changed.
    pub fn clamp_times(&mut self, epoch: Timestamp) -> usize {
        let later = self.inodes.iter_mut().filter(|inode| inode.mtime > epoch);
        later.map(|inode| inode.mtime = epoch).count()
    }

    /// Clamps every modification time to the range from `min` to `max`.
    pub(crate) fn clamp_times_to(&mut self, min: Timestamp, max: Timestamp) {
        for inode in &mut self.inodes {
            inode.mtime = inode.mtime.clamp(min, max);
        }
    }

    /// Returns the tree with `path` as the path of its root in the source.
    pub(crate) fn with_prefix(self, path: &[u8]) -> Self {
        Self { prefix: path.to_vec(), ..self }
    }
}
