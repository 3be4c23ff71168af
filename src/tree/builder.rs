//! Builds a [`Tree`] from nodes that are added in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use positioned_io::ReadAt;

use super::content::UserContent;
use super::{ContentId, ContentSource, Entry, Inode, InodeId, Kind, Metadata, Tree, Xattr};
use crate::error::{Error, Result};
use crate::name;

/// Kind of a new node, with the content of a file or the target of a symlink. [`Kind`] is that of a
/// node in a tree.
#[derive(Debug, Clone)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// Reference to the content.
        content: ContentId,
    },
    /// A symbolic link with its target, which is 1 to 4095 bytes long and has no NUL.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device with its major and minor numbers.
    CharDevice(u32, u32),
    /// A block device with its major and minor numbers.
    BlockDevice(u32, u32),
}

/// Handle of a node, valid only in the [`TreeBuilder`] that returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId(u32);

struct Name {
    parent: u32,
    at: u32,
    inode: u32,
    len: u8,
}

/// A builder that collects nodes in any order; [`TreeBuilder::finish`] sorts them into canonical
/// order.
pub struct TreeBuilder {
    inodes: Vec<Inode>,
    names: Vec<Name>,
    arena: Vec<u8>,
    xattrs: BTreeMap<Box<[Xattr]>, u32>,
    supplied: UserContent,
    sources: Vec<Option<Arc<dyn ContentSource>>>,
    prefix: Vec<u8>,
    /// Directories that were added by path, each with whether it was only implied.
    pub(super) directories: BTreeMap<Vec<u8>, (NodeId, bool)>,
}

impl fmt::Debug for TreeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeBuilder").field("inodes", &self.inodes.len()).finish_non_exhaustive()
    }
}

/// Source that [`TreeBuilder::content`] adds to.
const USER_CONTENT: u16 = 0;

impl TreeBuilder {
    /// The root directory.
    pub const ROOT: NodeId = NodeId(0);

    /// Creates a builder with a root directory.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] if the metadata is out of range.
    pub fn new(root: Metadata) -> Result<Self> {
        let mut builder = Self {
            inodes: Vec::new(),
            names: Vec::new(),
            arena: Vec::new(),
            xattrs: BTreeMap::from([(Box::default(), 0)]),
            supplied: UserContent::default(),
            sources: vec![None],
            prefix: Vec::new(),
            directories: BTreeMap::new(),
        };
        builder.inode(root, Node::Directory, &|| Vec::new())?;
        Ok(builder)
    }

    /// Adds content that does not come from a directory tree: a `Vec<u8>`, or anything that can be
    /// read at an offset.
    ///
    /// # Errors
    /// If there are 2^32 contents already.
    pub fn content(&mut self, reader: Arc<dyn ReadAt + Send + Sync>) -> Result<ContentId> {
        let index = u32::try_from(self.supplied.0.len()).map_err(|_| too_large(Vec::new()))?;
        self.supplied.0.push(reader);
        Ok(ContentId { source: USER_CONTENT, index })
    }

    /// Reserves the number of a source, which must be passed to [`Self::set_source`] before
    /// `finish`.
    pub(crate) fn reserve_source(&mut self) -> u16 {
        self.sources.push(None);
        u16::try_from(self.sources.len() - 1).expect("a tree has a handful of sources")
    }

    pub(crate) fn set_source(&mut self, number: u16, source: Arc<dyn ContentSource>) {
        self.sources[usize::from(number)] = Some(source);
    }

    /// Adds a node under a name in a directory.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] if the name, target or metadata is not valid in a file system, or
    /// if the tree has become too large. Duplicate names are only detected by `finish`.
    pub fn add(
        &mut self,
        parent: NodeId,
        name: &[u8],
        metadata: Metadata,
        node: Node,
    ) -> Result<NodeId> {
        // Errors are rare and paths are expensive, so the name stands in for the path until the
        // tree is complete.
        let id = self.inode(metadata, node, &|| name.to_vec())?;
        if let Err(error) = self.link(parent, name, id) {
            // Remove the inode again: an inode needs a name.
            self.inodes.pop();
            return Err(error);
        }
        Ok(id)
    }

    /// Adds another name to a node (a hard link).
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] if the name is not valid in a file system, or if a directory
    /// would get a second name.
    pub fn link(&mut self, parent: NodeId, name: &[u8], node: NodeId) -> Result<()> {
        let fail = |rule: &str| {
            Err(Error::unrepresentable(name, rule, "give it a name of 1 to 255 other bytes"))
        };
        if let Some(fault) = name::fault(name) {
            return fail(fault);
        }
        if self.inodes[parent.0 as usize].kind != Kind::Directory {
            return fail("its parent is not a directory");
        }
        let inode = &mut self.inodes[node.0 as usize];
        inode.links += 1;
        if inode.kind == Kind::Directory && inode.links > 1 || node == Self::ROOT {
            return fail("a directory can't have a second name");
        }
        let at = self.store(name).map_err(|()| too_large(name.to_vec()))?;
        let len = u8::try_from(name.len()).expect("names are at most 255 bytes");
        self.names.push(Name { parent: parent.0, at, inode: node.0, len });
        Ok(())
    }

    /// Returns the metadata of the root directory, without its extended attributes.
    pub(super) fn root_metadata(&self) -> Metadata {
        let Inode { mtime, uid, gid, mode, flags, .. } = self.inodes[0];
        Metadata { mtime, uid, gid, mode, flags, xattrs: Vec::new() }
    }

    /// Replaces the metadata of a directory.
    pub(super) fn set_metadata(&mut self, id: NodeId, metadata: Metadata) -> Result<()> {
        self.inode(metadata, Node::Directory, &|| Vec::new())?;
        let new = self.inodes.pop().expect("one was added");
        let inode = &mut self.inodes[id.0 as usize];
        *inode = Inode { links: inode.links, ..new };
        Ok(())
    }

    fn store(&mut self, bytes: &[u8]) -> Result<u32, ()> {
        let at = u32::try_from(self.arena.len()).map_err(|_| ())?;
        u32::try_from(self.arena.len() + bytes.len()).map_err(|_| ())?;
        self.arena.extend_from_slice(bytes);
        Ok(at)
    }

    fn inode(
        &mut self,
        mut metadata: Metadata,
        node: Node,
        path: &dyn Fn() -> Vec<u8>,
    ) -> Result<NodeId> {
        let fail = |rule: &str, remedy: &str| Err(Error::unrepresentable(path(), rule, remedy));
        if metadata.mode > 0o7777 {
            return fail("the mode has bits beyond 07777", "give only permission bits");
        }
        if metadata.mtime.nanoseconds >= 1_000_000_000 {
            return fail("the nanoseconds are not below 10^9", "give nanoseconds below 10^9");
        }
        let id = u32::try_from(self.inodes.len()).map_err(|_| too_large(path()))?;
        let mut span = (0, 0);
        let kind = match node {
            Node::Directory => Kind::Directory,
            Node::File { size, content } => Kind::File { size, content },
            Node::Symlink(target) => {
                if target.is_empty() || target.len() > 4095 || target.contains(&0) {
                    return fail(
                        "a symlink's target is 1 to 4095 bytes without NUL",
                        "give a target of 1 to 4095 bytes without NUL",
                    );
                }
                let at = self.store(&target).map_err(|()| too_large(path()))?;
                span = (at, at + u32::try_from(target.len()).expect("checked above"));
                Kind::Symlink
            }
            Node::Fifo => Kind::Fifo,
            Node::Socket => Kind::Socket,
            Node::CharDevice(major, minor) => Kind::CharDevice(major, minor),
            Node::BlockDevice(major, minor) => Kind::BlockDevice(major, minor),
        };
        metadata.xattrs.sort();
        if metadata.xattrs.windows(2).any(|pair| pair[0].name == pair[1].name) {
            return fail("an extended attribute occurs twice", "give each attribute once");
        }
        let next = u32::try_from(self.xattrs.len()).map_err(|_| too_large(path()))?;
        let xattrs = match metadata.xattrs.is_empty() {
            true => 0,
            false => *self.xattrs.entry(metadata.xattrs.into_boxed_slice()).or_insert(next),
        };
        self.inodes.push(Inode {
            mtime: metadata.mtime,
            kind,
            uid: metadata.uid,
            gid: metadata.gid,
            links: 0,
            xattrs,
            parent: 0,
            name: 0,
            span,
            mode: metadata.mode,
            flags: metadata.flags,
        });
        Ok(NodeId(id))
    }

    /// Builds the tree, with the nodes in canonical order.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] if a directory has a name twice.
    pub fn finish(mut self) -> Result<Tree> {
        let arena = std::mem::take(&mut self.arena);
        let text = |name: &Name| &arena[name.at as usize..name.at as usize + usize::from(name.len)];
        let mut names = std::mem::take(&mut self.names);
        names.sort_by(|a, b| a.parent.cmp(&b.parent).then_with(|| text(a).cmp(text(b))));

        // A tree may have millions of inodes and names, so both are renumbered in place: until the
        // end, inodes keep the builder's numbers, and the `span` of a directory and the `name` of
        // an inode are indices into `names`.
        let mut start = 0;
        for group in names.chunk_by(|a, b| a.parent == b.parent) {
            let end = start + group.len();
            let bounds = (u32::try_from(start), u32::try_from(end));
            let (Ok(from), Ok(to)) = bounds else { return Err(too_large(Vec::new())) };
            self.inodes[group[0].parent as usize].span = (from, to);
            start = end;
        }
        let (order, mut number) = pre_order(&mut self.inodes, &names);
        let (entries, place) = list_entries(&mut self.inodes, &names, &order, &number);
        drop(names);

        let mut sets = vec![Box::default(); self.xattrs.len()];
        let mut set_number = vec![UNSEEN; self.xattrs.len()];
        for (set, at) in self.xattrs {
            sets[at as usize] = set;
        }
        let mut xattrs: Vec<Box<[Xattr]>> = vec![Box::default()];
        set_number[0] = 0;
        for old in order {
            let inode = &mut self.inodes[old as usize];
            if old != 0 {
                inode.parent = number[inode.parent as usize];
                inode.name = place[inode.name as usize];
            }
            inode.links = inode.links.max(1);
            let set = &mut set_number[inode.xattrs as usize];
            if *set == UNSEEN {
                *set = u32::try_from(xattrs.len()).expect("as many as before");
                xattrs.push(std::mem::take(&mut sets[inode.xattrs as usize]));
            }
            inode.xattrs = *set;
        }
        // Move every inode to its new number, in place.
        let mut inodes = self.inodes;
        for at in 0..inodes.len() {
            while number[at] as usize != at {
                let to = number[at] as usize;
                inodes.swap(at, to);
                number.swap(at, to);
            }
        }
        self.sources[usize::from(USER_CONTENT)] = Some(Arc::new(self.supplied));
        let sources = self.sources.into_iter().map(|source| source.expect("reserved and set"));
        let tree = Tree {
            inodes,
            entries,
            arena,
            xattrs,
            sources: sources.collect(),
            prefix: self.prefix,
        };
        tree.check_names()?;
        Ok(tree)
    }
}

/// Number of an inode or a set of attributes that has not been met yet.
const UNSEEN: u32 = u32::MAX;

/// Numbers inodes in pre-order, and sets the parent and name of each to those it was met by first.
///
/// Returns the old numbers in the new order, and the new number of each old one.
fn pre_order(inodes: &mut [Inode], names: &[Name]) -> (Vec<u32>, Vec<u32>) {
    let mut order: Vec<u32> = Vec::with_capacity(inodes.len());
    let mut number = vec![UNSEEN; inodes.len()];
    let mut stack = vec![(0u32, inodes[0].span.0)];
    order.push(0);
    number[0] = 0;
    while let Some((directory, next)) = stack.last_mut() {
        if *next == inodes[*directory as usize].span.1 {
            stack.pop();
            continue;
        }
        let at = *next;
        *next += 1;
        let child = names[at as usize].inode;
        if number[child as usize] != UNSEEN {
            continue;
        }
        number[child as usize] = u32::try_from(order.len()).expect("as many as inodes");
        order.push(child);
        let inode = &mut inodes[child as usize];
        (inode.parent, inode.name) = (*directory, at);
        if inode.kind == Kind::Directory {
            stack.push((child, inode.span.0));
        }
    }
    (order, number)
}

/// Lists the entries, in the order of the new numbers of their directories, and sets the spans of
/// directories to them. Returns the index of each name among the entries as well.
fn list_entries(
    inodes: &mut [Inode],
    names: &[Name],
    order: &[u32],
    number: &[u32],
) -> (Vec<Entry>, Vec<u32>) {
    let mut entries = Vec::with_capacity(names.len());
    let mut place = vec![0u32; names.len()];
    let index = |at: usize| u32::try_from(at).expect("as many as names");
    for &old in order {
        let inode = &mut inodes[old as usize];
        if inode.kind != Kind::Directory {
            continue;
        }
        let (from, to) = inode.span;
        let start = entries.len();
        for at in from..to {
            let name = &names[at as usize];
            place[at as usize] = index(entries.len());
            let inode = number[name.inode as usize];
            entries.push(Entry { at: name.at, len: name.len, inode });
        }
        inode.span = (index(start), index(entries.len()));
    }
    (entries, place)
}

pub(super) fn too_large(path: Vec<u8>) -> Error {
    Error::unrepresentable(
        path,
        "the tree has more than 2^32 inodes or names, or 4 GiB of names and targets",
        "split the tree",
    )
}

/// A node to add to a tree.
pub(super) struct Addition<'a> {
    pub(super) directory: InodeId,
    pub(super) name: &'a [u8],
    pub(super) metadata: Metadata,
    pub(super) node: Node,
}

impl Tree {
    /// Returns the metadata that an inode was created with.
    pub(super) fn metadata(&self, id: InodeId) -> Metadata {
        let inode = self.inode(id);
        Metadata {
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            mtime: inode.mtime,
            flags: inode.flags,
            xattrs: self.xattrs(id).to_vec(),
        }
    }

    /// Returns the node that an inode was created from.
    pub(super) fn node(&self, id: InodeId) -> Node {
        match self.inode(id).kind {
            Kind::Directory => Node::Directory,
            Kind::File { size, content } => Node::File { size, content },
            Kind::Symlink => Node::Symlink(self.target(id).to_vec()),
            Kind::Fifo => Node::Fifo,
            Kind::Socket => Node::Socket,
            Kind::CharDevice(major, minor) => Node::CharDevice(major, minor),
            Kind::BlockDevice(major, minor) => Node::BlockDevice(major, minor),
        }
    }

    fn check_names(&self) -> Result<()> {
        for (id, inode) in self.iter() {
            if inode.kind != Kind::Directory {
                continue;
            }
            for pair in self.entries(id).windows(2) {
                if self.name(&pair[0]) == self.name(&pair[1]) {
                    return Err(Error::unrepresentable(
                        self.path_in(id, self.name(&pair[0])),
                        "two nodes have this name",
                        "give each node a different name",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Builds a tree from the directory `root` without the names in `removed`, which are indices
    /// into the list of all entries, and with `addition`, if any.
    ///
    /// New content gets a source after those of this tree.
    pub(super) fn rebuild(
        &self,
        root: InodeId,
        removed: &BTreeSet<usize>,
        mut addition: Option<Addition<'_>>,
    ) -> Result<Self> {
        if self.inode(root).kind != Kind::Directory {
            return Err(Error::unrepresentable(
                self.path(root),
                "not a directory",
                "build the tree from a directory",
            ));
        }
        let mut builder = TreeBuilder::new(self.metadata(root))?;
        builder.prefix = self.path(root);
        builder.sources.clear();
        let mut made: BTreeMap<InodeId, NodeId> = BTreeMap::new(); // only inodes with several names
        let mut pending = vec![(root, TreeBuilder::ROOT)];
        while let Some((from, to)) = pending.pop() {
            if let Some(Addition { name, metadata, node, .. }) =
                addition.take_if(|addition| addition.directory == from)
            {
                builder.add(to, name, metadata, node)?;
            }
            for (at, entry) in self.entry_range(from).zip(self.entries(from)) {
                if removed.contains(&at) {
                    continue;
                }
                let id = entry.inode();
                let name = self.name(entry);
                if let Some(&node) = made.get(&id) {
                    builder.link(to, name, node)?;
                    continue;
                }
                let inode = self.inode(id);
                let node = builder.add(to, name, self.metadata(id), self.node(id))?;
                if inode.links > 1 {
                    made.insert(id, node);
                }
                if inode.kind == Kind::Directory {
                    pending.push((id, node));
                }
            }
        }
        // Content keeps its numbers, so the sources are copied unchanged.
        builder.sources.push(None);
        let mut tree = builder.finish()?;
        tree.sources = self.sources.clone();
        Ok(tree)
    }
}
