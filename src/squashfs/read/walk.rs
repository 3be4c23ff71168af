//! Walk of all directories, from the root.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::Content;
use super::directory::Entry;
use super::inode::{Directory, Inode, Kind};
use super::reader::Reader;
use super::xattr::ReadSets;
use crate::time::Timestamp;
use crate::tree::{FileFlags, Metadata, Node, NodeId, Tree, TreeBuilder};
use crate::violation::{Result, Violation};

/// Everything that is reachable from the root.
pub(super) struct Walk {
    pub(super) tree: Tree,
    pub(super) contents: Vec<Arc<Content>>,
}

/// An inode that was reached.
struct Reached {
    /// Position in the inode table.
    position: u64,
    basic_type: u16,
    node: NodeId,
    /// Names that have not been found yet; 0 for a directory, which has one.
    missing: u32,
}

/// A directory whose entries are not read yet.
struct Pending {
    node: NodeId,
    number: u32,
    nlink: u32,
    directory: Directory,
}

/// State of a walk.
struct Walker<'r> {
    reader: &'r Reader,
    builder: TreeBuilder,
    reached: BTreeMap<u32, Reached>,
    pending: Vec<Pending>,
    contents: Vec<Arc<Content>>,
    sets: ReadSets,
    /// Bytes of listings, of which each is read once.
    listed: u64,
}

impl Walk {
    /// Walks and checks all directories.
    pub(super) fn of(reader: &Reader) -> Result<Self> {
        let record = &reader.superblock.record;
        let reference = record.root_inode.get();
        let (position, root) = reader.inode(reference, None)?;
        let mut sets = ReadSets::default();
        let builder = TreeBuilder::new(reader.metadata(&root, &mut sets)?);
        let builder = builder.map_err(|error| root.breaks(error))?;
        let mut walker = Walker {
            reader,
            builder,
            reached: BTreeMap::new(),
            pending: Vec::new(),
            contents: Vec::new(),
            sets,
            listed: 0,
        };
        let (number, basic_type) = (root.base.inode_number.get(), root.basic_type());
        let node = TreeBuilder::ROOT;
        walker.reached.insert(number, Reached { position, basic_type, node, missing: 0 });
        let Kind::Directory(directory) = root.kind else {
            return Err(Violation::new("superblock", "the root is not a directory"));
        };
        // mksquashfs writes a number that no inode has, as the parent of the root.
        if ![record.inodes.get().wrapping_add(1), number].contains(&directory.parent_inode) {
            return Err(Violation::new("root", format_args!("parent {}", directory.parent_inode)));
        }
        walker.pending.push(Pending { node, number, nlink: root.nlink, directory });
        while let Some(pending) = walker.pending.pop() {
            walker.read_directory(&pending)?;
        }
        walker.finish()
    }
}

impl Walker<'_> {
    fn read_directory(&mut self, pending: &Pending) -> Result<()> {
        let Pending { node, number, nlink, directory } = pending;
        let breaks = |rule: String| Violation::new(format_args!("inode {number}"), rule);
        self.listed += u64::from(directory.listing_size().unwrap_or(0));
        if self.listed > self.reader.directories.max_size() {
            return Err(breaks("a listing of another directory".to_owned()));
        }
        let before = self.pending.len();
        for entry in directory.entries(&self.reader.directories)? {
            self.add(*node, *number, &entry)?;
        }
        let subdirectories = self.pending.len() - before;
        match *nlink as usize == 2 + subdirectories {
            true => Ok(()),
            false => Err(breaks(format!("{nlink} links with {subdirectories} subdirectories"))),
        }
    }

    /// Adds an entry of the directory `parent`, which has the number `parent_number`.
    fn add(&mut self, parent: NodeId, parent_number: u32, entry: &Entry) -> Result<()> {
        let place = || format!("entry {}", entry.name.escape_ascii());
        let breaks = |rule: String| Violation::new(place(), rule);
        let position = self.reader.inodes.position(entry.block.into(), entry.offset)?;
        if let Some(reached) = self.reached.get_mut(&entry.inode_number) {
            let is_same = (reached.position, reached.basic_type) == (position, entry.basic_type);
            let Some(missing) = reached.missing.checked_sub(1).filter(|_| is_same) else {
                return Err(breaks(format!("one name too many for inode {}", entry.inode_number)));
            };
            reached.missing = missing;
            let linked = self.builder.link(parent, &entry.name, reached.node);
            return linked.map_err(|error| breaks(error.to_string()));
        }
        let (_, inode) = self
            .reader
            .inode(u64::from(entry.block) << 16 | u64::from(entry.offset), Some(entry))?;
        let metadata = self.reader.metadata(&inode, &mut self.sets)?;
        let added = self.node(&inode)?;
        let node = self.builder.add(parent, &entry.name, metadata, added);
        let node = node.map_err(|error| breaks(error.to_string()))?;
        let basic_type = inode.basic_type();
        let mut missing = 0;
        if let Kind::Directory(directory) = inode.kind {
            if directory.parent_inode != parent_number {
                return Err(breaks(format!("parent {}", directory.parent_inode)));
            }
            let (number, nlink) = (entry.inode_number, inode.nlink);
            self.pending.push(Pending { node, number, nlink, directory });
        } else {
            let nlink = inode.nlink.checked_sub(1);
            missing = nlink.ok_or_else(|| inode.breaks("no links"))?;
        }
        self.reached.insert(entry.inode_number, Reached { position, basic_type, node, missing });
        Ok(())
    }

    fn node(&mut self, inode: &Inode) -> Result<Node> {
        Ok(match &inode.kind {
            Kind::Directory(_) => Node::Directory,
            Kind::File(file) => {
                let Reader { image, fragments, .. } = self.reader;
                let content = Arc::new(Content::new(image, fragments, inode, file)?);
                self.contents.push(Arc::clone(&content));
                let content = self.builder.content(content);
                let content = content.map_err(|error| inode.breaks(error))?;
                Node::File { size: file.size, content }
            }
            Kind::Symlink(target) => Node::Symlink(target.clone()),
            Kind::CharDevice(rdev) => {
                let (major, minor) = device(*rdev);
                Node::CharDevice(major, minor)
            }
            Kind::BlockDevice(rdev) => {
                let (major, minor) = device(*rdev);
                Node::BlockDevice(major, minor)
            }
            Kind::Fifo => Node::Fifo,
            Kind::Socket => Node::Socket,
        })
    }

    fn finish(self) -> Result<Walk> {
        let inodes = self.reader.superblock.record.inodes.get();
        let count = self.reached.len();
        if count != inodes as usize {
            let rule = format!("{count} inodes are reachable, and {inodes} are counted");
            return Err(Violation::new("superblock", rule));
        }
        for (number, reached) in &self.reached {
            let breaks = |rule: String| Violation::new(format_args!("inode {number}"), rule);
            if reached.missing != 0 {
                return Err(breaks(format!("{} names are missing", reached.missing)));
            }
        }
        let tree = self.builder.finish();
        let tree = tree.map_err(|error| Violation::new("tree", error))?;
        Ok(Walk { tree, contents: self.contents })
    }
}

impl Reader {
    /// Returns the tree, with its content by reference to the image.
    ///
    /// # Errors
    /// The first [`Violation`](super::Violation) of an inode, a directory or a set of extended
    /// attributes.
    pub fn tree(&self) -> Result<Tree> {
        Ok(Walk::of(self)?.tree)
    }

    /// Checks the whole file system, including data.
    ///
    /// # Errors
    /// The first [`Violation`](super::Violation).
    pub fn verify(&self) -> Result<()> {
        let walk = Walk::of(self)?;
        walk.contents.iter().try_for_each(|content| content.check())
    }

    /// Reads an inode, and checks it against its entry. Returns its position in the table as well.
    fn inode(&self, reference: u64, entry: Option<&Entry>) -> Result<(u64, Inode)> {
        let position = self.inodes.position_of(reference)?;
        let inode = Inode::read(self.inodes.cursor(position), self.image.block_size)?;
        let number = inode.base.inode_number.get();
        if !(1..=self.superblock.record.inodes.get()).contains(&number) {
            return Err(inode.breaks("the number is too large"));
        }
        if let Some(entry) = entry
            && (number, inode.basic_type()) != (entry.inode_number, entry.basic_type)
        {
            let Entry { inode_number, basic_type, .. } = entry;
            let rule = format!("the entry is of inode {inode_number} of type {basic_type}");
            return Err(inode.breaks(rule));
        }
        if let Some(export) = &self.export
            && export.get(number as usize - 1).is_none_or(|known| *known != reference)
        {
            return Err(inode.breaks("the export table has another place"));
        }
        Ok((position, inode))
    }

    fn metadata(&self, inode: &Inode, sets: &mut ReadSets) -> Result<Metadata> {
        let id = |index: u16| {
            let id = self.ids.get(usize::from(index)).map(|id| id.get());
            id.ok_or_else(|| inode.breaks(format_args!("no id {index}")))
        };
        let xattrs = match (inode.xattr, &self.xattrs) {
            (None, _) => Vec::new(),
            (Some(index), Some(xattrs)) => xattrs.set(index, sets)?.to_vec(),
            (Some(_), None) => return Err(inode.breaks("there are no extended attributes")),
        };
        Ok(Metadata {
            mode: inode.base.mode.get(),
            uid: id(inode.base.uid.get())?,
            gid: id(inode.base.guid.get())?,
            mtime: Timestamp::from_seconds(inode.base.mtime.get().into()),
            flags: FileFlags::empty(),
            xattrs,
        })
    }
}

/// Returns the major and the minor number of a device.
fn device(rdev: u32) -> (u32, u32) {
    (rdev >> 8 & 0xfff, rdev & 0xff | rdev >> 12 & 0xf_ff00)
}
