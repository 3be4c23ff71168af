//! Walk of all directories, from the root.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::spec::{datalayout, file_type, i_mode};
use super::content::Content;
use super::directory::{Entry, parse};
use super::inode::Inode;
use super::reader::Reader;
use super::xattr::{self, TOTAL_MAX};
use crate::tree::{FileFlags, Metadata, Node, NodeId, Tree, TreeBuilder};
use crate::violation::{Result, Violation};

/// Longest target of a symlink, in bytes.
const TARGET_MAX: u64 = 4095;

/// Everything that is reachable from the root.
struct Walk {
    tree: Tree,
    contents: Vec<Arc<Content>>,
}

/// An inode that was reached.
struct Reached {
    node: NodeId,
    file_type: u8,
    /// Names that have not been found yet; 0 for a directory, which has one.
    missing: u32,
}

/// A directory whose entries are not read yet.
struct Pending {
    node: NodeId,
    inode: Inode,
    parent: u64,
}

/// State of a walk.
struct Walker<'r> {
    reader: &'r Reader,
    builder: TreeBuilder,
    reached: BTreeMap<u64, Reached>,
    pending: Vec<Pending>,
    contents: Vec<Arc<Content>>,
    /// Bytes of directories, of which each is read once.
    listed: u64,
    /// Bytes of extended attributes.
    attributes: usize,
}

impl Reader {
    /// Returns the tree, with its content by reference to the image.
    ///
    /// # Errors
    /// The first [`Violation`](super::Violation) of an inode or a directory.
    pub fn tree(&self) -> Result<Tree> {
        Ok(Walk::of(self)?.tree)
    }

    /// Checks the whole file system, including data.
    ///
    /// # Errors
    /// The first [`Violation`](super::Violation).
    pub fn verify(&self) -> Result<()> {
        let walk = Walk::of(self)?;
        walk.contents.iter().chain(&self.packed).try_for_each(|content| content.check())
    }

    fn inode(&self, nid: u64) -> Result<Inode> {
        Inode::read(&self.image, &self.superblock, nid)
    }

    fn content(&self, inode: &Inode) -> Result<Content> {
        Content::new(&self.image, &self.superblock, inode, self.packed().as_ref())
    }

    fn metadata(&self, inode: &Inode, attributes: &mut usize) -> Result<Metadata> {
        let xattrs = xattr::read(&self.image, &self.superblock, &self.prefixes, inode)?;
        *attributes +=
            xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum::<usize>();
        if *attributes > TOTAL_MAX {
            return Err(inode.breaks("more than 256 MiB of extended attributes"));
        }
        Ok(Metadata {
            mode: inode.mode & !i_mode::FMT,
            uid: inode.uid,
            gid: inode.gid,
            mtime: inode.mtime,
            flags: FileFlags::empty(),
            xattrs,
        })
    }
}

impl Walk {
    /// Walks and checks all directories.
    fn of(reader: &Reader) -> Result<Self> {
        let root = reader.inode(reader.superblock.record.rootnid_2b.get().into())?;
        let mut attributes = 0;
        let builder = TreeBuilder::new(reader.metadata(&root, &mut attributes)?);
        let builder = builder.map_err(|error| root.breaks(error))?;
        if type_of(&root)? != file_type::DIR {
            return Err(root.breaks("the root is not a directory"));
        }
        let mut walker = Walker {
            reader,
            builder,
            reached: BTreeMap::new(),
            pending: Vec::new(),
            contents: Vec::new(),
            listed: 0,
            attributes,
        };
        let (node, parent) = (TreeBuilder::ROOT, root.nid);
        walker.reached.insert(root.nid, Reached { node, file_type: file_type::DIR, missing: 0 });
        walker.pending.push(Pending { node, inode: root, parent });
        while let Some(pending) = walker.pending.pop() {
            walker.read_directory(&pending)?;
        }
        walker.finish()
    }
}

impl Walker<'_> {
    fn read_directory(&mut self, pending: &Pending) -> Result<()> {
        let &Pending { node, inode, parent } = pending;
        let image = &self.reader.image;
        let content = self.reader.content(&inode)?;
        self.listed = self.listed.saturating_add(inode.size);
        if self.listed > image.size {
            return Err(inode.breaks("directories are larger than the image"));
        }
        let mut entries = Vec::new();
        let mut at = 0;
        while at < inode.size {
            let len = image.block_size.min(inode.size - at);
            let mut block = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
            content.fill(at, &mut block)?;
            parse(&inode, &block, &mut entries)?;
            at += len;
        }
        let before = self.pending.len();
        let mut dots = Vec::new();
        for entry in entries {
            match &entry.name[..] {
                b"." | b".." => dots.push((entry.nid, entry.file_type)),
                _ => self.add(node, inode.nid, &entry)?,
            }
        }
        let subdirectories = self.pending.len() - before;
        if dots != [(inode.nid, file_type::DIR), (parent, file_type::DIR)] {
            return Err(inode.breaks("`.` or `..` is wrong"));
        }
        match inode.nlink as usize == 2 + subdirectories {
            true => Ok(()),
            false => {
                let rule = format!("{} links with {subdirectories} subdirectories", inode.nlink);
                Err(inode.breaks(rule))
            }
        }
    }

    /// Adds an entry of the directory `parent`, whose inode is `parent_nid`.
    fn add(&mut self, parent: NodeId, parent_nid: u64, entry: &Entry) -> Result<()> {
        let breaks = |rule: String| {
            Violation::new(format_args!("entry {}", entry.name.escape_ascii()), rule)
        };
        if let Some(reached) = self.reached.get_mut(&entry.nid) {
            let is_same = reached.file_type == entry.file_type;
            let Some(missing) = reached.missing.checked_sub(1).filter(|_| is_same) else {
                return Err(breaks(format!("one name too many for nid {}", entry.nid)));
            };
            reached.missing = missing;
            let linked = self.builder.link(parent, &entry.name, reached.node);
            return linked.map_err(|error| breaks(error.to_string()));
        }
        let inode = self.reader.inode(entry.nid)?;
        let file_type = type_of(&inode)?;
        if file_type != entry.file_type {
            return Err(breaks(format!("type {} of nid {}", entry.file_type, entry.nid)));
        }
        let metadata = self.reader.metadata(&inode, &mut self.attributes)?;
        let new = self.node(&inode, file_type)?;
        let node = self.builder.add(parent, &entry.name, metadata, new);
        let node = node.map_err(|error| breaks(error.to_string()))?;
        let mut missing = 0;
        if file_type == file_type::DIR {
            self.pending.push(Pending { node, inode, parent: parent_nid });
        } else {
            let links = inode.nlink.checked_sub(1);
            missing = links.ok_or_else(|| inode.breaks("no links"))?;
        }
        self.reached.insert(entry.nid, Reached { node, file_type, missing });
        Ok(())
    }

    fn node(&mut self, inode: &Inode, file_type: u8) -> Result<Node> {
        let (major, minor) = (inode.u >> 8 & 0xfff, inode.u & 0xff | inode.u >> 12 & 0xf_ff00);
        if ![file_type::DIR, file_type::REG_FILE, file_type::SYMLINK].contains(&file_type)
            && (inode.size, inode.layout) != (0, datalayout::FLAT_PLAIN)
        {
            return Err(inode.breaks("a special file with content"));
        }
        Ok(match file_type {
            file_type::DIR => Node::Directory,
            file_type::REG_FILE => {
                let content = Arc::new(self.reader.content(inode)?);
                self.contents.push(Arc::clone(&content));
                let content = self.builder.content(content);
                let content = content.map_err(|error| inode.breaks(error))?;
                Node::File { size: inode.size, content }
            }
            file_type::SYMLINK => Node::Symlink(self.reader.content(inode)?.read_all(TARGET_MAX)?),
            file_type::CHRDEV => Node::CharDevice(major, minor),
            file_type::BLKDEV => Node::BlockDevice(major, minor),
            file_type::FIFO => Node::Fifo,
            _ => Node::Socket,
        })
    }

    fn finish(self) -> Result<Walk> {
        for (nid, reached) in &self.reached {
            if reached.missing != 0 {
                let rule = format!("{} names are missing", reached.missing);
                return Err(Violation::new(format_args!("nid {nid}"), rule));
            }
        }
        let inodes = self.reached.len() as u64 + u64::from(self.reader.packed.is_some());
        let counted = self.reader.superblock.record.inos.get();
        if inodes != counted {
            let rule = format!("{inodes} inodes are reachable, and {counted} are counted");
            return Err(Violation::new("superblock", rule));
        }
        let tree = self.builder.finish();
        let tree = tree.map_err(|error| Violation::new("tree", error))?;
        Ok(Walk { tree, contents: self.contents })
    }
}

/// Returns the type of the entries of an inode.
fn type_of(inode: &Inode) -> Result<u8> {
    Ok(match inode.mode & i_mode::FMT {
        i_mode::REG => file_type::REG_FILE,
        i_mode::DIR => file_type::DIR,
        i_mode::CHR => file_type::CHRDEV,
        i_mode::BLK => file_type::BLKDEV,
        i_mode::FIFO => file_type::FIFO,
        i_mode::SOCK => file_type::SOCK,
        i_mode::LNK => file_type::SYMLINK,
        _ => return Err(inode.breaks(format_args!("mode {:o}", inode.mode))),
    })
}
