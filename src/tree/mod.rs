//! The root file system tree as data: what every planner reads and no planner changes.
//!
//! A [`Tree`] holds its inodes in pre-order of the byte-sorted names, so an inode's number in the
//! tree does not depend on how the tree was made. File content is a reference, never loaded whole.

mod builder;
mod content;
pub mod dir;
mod edit;
pub mod host_xattrs;
mod merge;
mod resolve;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bitflags::bitflags;

use builder::Addition;
pub use builder::{Node, NodeId, TreeBuilder};
pub use content::ContentId;
use content::ZeroPaddedContent;
pub(crate) use content::{ContentReader, ContentSource};
pub(crate) use edit::Replacement;
pub(crate) use merge::{NameTaken, TreeMerge};
pub use scan::{GRANULE, HoleScan, HoleScanOptions, SCAN_MIN_SIZE, WINDOW, scan_holes};

use crate::error::Result;
use crate::time::Timestamp;

bitflags! {
    /// File flags that file systems keep for an inode.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct FileFlags: u8 {
        /// The file can't be changed (`chattr +i`).
        const IMMUTABLE = 1;
        /// The file can only be appended to (`chattr +a`).
        const APPEND = 2;
        /// The file is left out of dumps (`chattr +d`).
        const NODUMP = 4;
        /// Reading it does not change its access time (`chattr +A`).
        const NOATIME = 8;
        /// What is written to it goes to the disk at once (`chattr +S`).
        const SYNC = 16;
        /// Changes of the directory go to the disk at once (`chattr +D`).
        const DIRSYNC = 32;
        /// The content is overwritten in place and has no checksums (`chattr +C`). It means
        /// something to btrfs alone; other file systems leave it out.
        const NOCOW = 64;
        /// The content is not compressed (`chattr +m`). It means something to btrfs alone; other
        /// file systems leave it out. It is never read off a host: there the kernel sets it too,
        /// for files that did not compress well.
        const NOCOMPRESS = 128;
    }
}

/// One extended attribute, as the Linux system calls name and value it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// The full name with its namespace, say `security.capability`.
    pub name: Vec<u8>,
    /// The value, byte for byte. ACLs are in the form of the system call.
    pub value: Vec<u8>,
}

/// What an inode has beside its kind and content.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky, 0 to 0o7777.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When the content last changed.
    pub mtime: Timestamp,
    /// File flags.
    pub flags: FileFlags,
    /// Extended attributes in any order.
    pub xattrs: Vec<Xattr>,
}

/// An inode of one tree. The root is number 0; the order is pre-order by byte-sorted names, a
/// hard-linked inode standing where its first path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InodeId(u32);

impl InodeId {
    /// The root directory of every tree.
    pub const ROOT: Self = Self(0);

    /// The position in [`Tree::inodes`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The inode at a position; it may be past the end of a tree.
    #[must_use]
    pub fn new(index: u32) -> Self {
        Self(index)
    }
}

/// What an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory; [`Tree::entries`] lists it.
    Directory,
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// Where its bytes come from.
        content: ContentId,
    },
    /// A symbolic link; [`Tree::target`] reads it.
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

/// One inode, without its name: it may have several.
#[derive(Debug, Clone, Copy)]
pub struct Inode {
    /// When the content last changed.
    pub mtime: Timestamp,
    /// What it is.
    pub kind: Kind,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// How many names the inode has in this tree; 1 for a directory.
    pub links: u32,
    /// Number of its set of extended attributes; equal sets have equal numbers, 0 has none.
    pub xattrs: u32,
    /// Directory of the first path; the root is its own parent.
    parent: u32,
    /// The entry of the first path. Unused for the root.
    name: u32,
    /// Directory: its entries; symlink: its target in the arena.
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
    /// The inode that the name stands for.
    #[must_use]
    pub fn inode(&self) -> InodeId {
        InodeId(self.inode)
    }
}

/// A whole tree.
#[derive(Clone)]
pub struct Tree {
    inodes: Vec<Inode>,
    entries: Vec<Entry>,
    /// Names and symlink targets, one after the other.
    arena: Vec<u8>,
    xattrs: Vec<Box<[Xattr]>>,
    sources: Vec<Arc<dyn ContentSource>>,
    /// Path of this tree's root in the tree it was cut from.
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
    /// All inodes; the position is the [`InodeId`].
    #[must_use]
    pub fn inodes(&self) -> &[Inode] {
        &self.inodes
    }

    /// All inodes with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (InodeId, &Inode)> {
        (0u32..).map(InodeId).zip(&self.inodes)
    }

    /// One inode.
    ///
    /// # Panics
    /// If the number is not of this tree.
    #[must_use]
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    /// A directory's entries sorted by the bytes of their names; nothing for any other inode.
    #[must_use]
    pub fn entries(&self, id: InodeId) -> &[Entry] {
        &self.entries[self.entry_range(id)]
    }

    /// Where a directory's entries are in the list of all entries, which has
    /// [`Tree::entry_count`] of them; nothing for any other inode.
    pub(crate) fn entry_range(&self, id: InodeId) -> Range<usize> {
        let inode = self.inode(id);
        match inode.kind {
            Kind::Directory => span(inode.span.0, inode.span.1),
            _ => 0..0,
        }
    }

    /// The directory of an inode's first name, and which of its [entries](Tree::entries) that is.
    ///
    /// # Panics
    /// For the root, which has no name.
    pub(crate) fn entry_position(&self, id: InodeId) -> (InodeId, usize) {
        assert_ne!(id, InodeId::ROOT, "the root has no name");
        let inode = self.inode(id);
        let parent = InodeId(inode.parent);
        (parent, inode.name as usize - self.entry_range(parent).start)
    }

    /// How many names the tree has, the root's not counted.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// The name of an entry.
    #[must_use]
    pub fn name(&self, entry: &Entry) -> &[u8] {
        &self.arena[span(entry.at, entry.at + u32::from(entry.len))]
    }

    /// A symlink's target; nothing for any other inode.
    #[must_use]
    pub fn target(&self, id: InodeId) -> &[u8] {
        let inode = self.inode(id);
        match inode.kind {
            Kind::Symlink => &self.arena[span(inode.span.0, inode.span.1)],
            _ => &[],
        }
    }

    /// Extended attributes of an inode, sorted by name.
    #[must_use]
    pub fn xattrs(&self, id: InodeId) -> &[Xattr] {
        &self.xattrs[self.inode(id).xattrs as usize]
    }

    /// The distinct sets of extended attributes; [`Inode::xattrs`] is the position.
    #[must_use]
    pub fn xattr_sets(&self) -> &[Box<[Xattr]>] {
        &self.xattrs
    }

    /// The directory that holds an inode's first path; the root is its own.
    #[must_use]
    pub fn parent(&self, id: InodeId) -> InodeId {
        InodeId(self.inode(id).parent)
    }

    /// The first path of an inode in the source, without a leading slash; empty for the root.
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

    /// The path of a name in a directory.
    #[must_use]
    pub fn path_in(&self, directory: InodeId, name: &[u8]) -> Vec<u8> {
        let mut path = self.path(directory);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// Finds the inode of a path (no leading slash, no symlink followed).
    #[must_use]
    pub fn find(&self, path: &[u8]) -> Option<InodeId> {
        let mut at = InodeId::ROOT;
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            at = self.child(at, name)?;
        }
        Some(at)
    }

    /// Finds the directory of a path (no leading slash, no symlink followed).
    pub(crate) fn directory(&self, path: &[u8]) -> Option<InodeId> {
        self.find(path).filter(|&id| self.inode(id).kind == Kind::Directory)
    }

    /// Whether there is anything but directories below a directory.
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

    /// Finds a name in a directory.
    pub(crate) fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        let entries = self.entries(directory);
        let found = entries.binary_search_by(|entry| self.name(entry).cmp(name)).ok()?;
        Some(entries[found].inode())
    }

    /// Opens a regular file's content.
    pub(crate) fn open(&self, id: InodeId) -> Result<Box<dyn ContentReader>> {
        match self.inode(id).kind {
            Kind::File { content, .. } => {
                self.sources[usize::from(content.source)].open(content.index, &|| self.path(id))
            }
            _ => unreachable!("only regular files have content"),
        }
    }

    /// Sets every inode's modification time to the earlier of its own and `epoch`; says how many
    /// it changed.
    pub fn clamp_times(&mut self, epoch: Timestamp) -> usize {
        let later = self.inodes.iter_mut().filter(|inode| inode.mtime > epoch);
        later.map(|inode| inode.mtime = epoch).count()
    }

    /// Sets every modification time outside a range to the nearest within it.
    pub(crate) fn clamp_times_to(&mut self, min: Timestamp, max: Timestamp) {
        for inode in &mut self.inodes {
            inode.mtime = inode.mtime.clamp(min, max);
        }
    }

    /// A directory and all below it as a tree of its own. Content and paths in errors stay those
    /// of the source.
    ///
    /// # Errors
    /// If `root` is not a directory.
    pub fn subtree(&self, root: InodeId) -> Result<Self> {
        self.rebuild(root, &BTreeSet::new(), None)
    }

    /// The same tree, whose root has this path in the source.
    pub(crate) fn with_prefix(self, path: &[u8]) -> Self {
        Self { prefix: path.to_vec(), ..self }
    }

    /// The same tree with the given directories empty.
    ///
    /// # Errors
    /// None for directories of this tree.
    pub fn with_empty_dirs(&self, directories: &[InodeId]) -> Result<Self> {
        let names = directories.iter().flat_map(|&directory| self.entry_range(directory));
        self.without_entries(&names.collect())
    }

    /// The same tree with one more file, and which that is: of the bytes of `head`, and of zeros
    /// from there to its size. All inodes from its own on have a number higher by one.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`](crate::Error::Unrepresentable) if the name or the metadata is
    /// not one that a file system can have, or the directory has the name already.
    pub(crate) fn with_file(
        &self,
        directory: InodeId,
        name: &[u8],
        metadata: Metadata,
        head: Arc<[u8]>,
        size: u64,
    ) -> Result<(Self, InodeId)> {
        let source = u16::try_from(self.sources.len()).expect("a tree has a handful of sources");
        let node = Node::File { size, content: ContentId { source, index: 0 } };
        let addition = Addition { directory, name, metadata, node };
        let mut tree = self.rebuild(InodeId::ROOT, &BTreeSet::new(), Some(addition))?;
        tree.sources.push(Arc::new(ZeroPaddedContent(head)));
        let file = tree.child(directory, name).expect("directories stand before their entries");
        Ok((tree, file))
    }
}
