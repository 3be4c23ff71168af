//! Contents of subvolumes: inodes, names and extended attributes.

use super::super::address::LogicalAddr;
use super::super::key::Key;
use super::super::spec::{InodeItem, RootItem, Timespec, item_type, objectid};
use super::items::{ItemPlace, dir_entries, exact};
use super::reader::Reader;
use super::root::Root;
use crate::time::Timestamp;
use crate::violation::Result;

/// An inode, identified by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// Id of its subvolume: 5 for the top level, 256 and above for others.
    pub subvolume: u64,
    /// Its inode number: 256 for the root directory of the subvolume.
    pub ino: u64,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Arbitrary bytes; they are not validated.
    pub name: Vec<u8>,
    /// The inode that it names; for a subvolume, its root directory.
    pub node: Node,
}

/// The attributes of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names; 1 for directories.
    pub nlink: u32,
    /// Device number: the major number from bit 20 up, the minor number below.
    pub rdev: u64,
    /// Size in bytes.
    pub size: u64,
    /// `BTRFS_INODE_*` flags of the kernel.
    pub flags: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change.
    pub ctime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Creation.
    pub otime: Timestamp,
}

impl From<&InodeItem> for Inode {
    fn from(item: &InodeItem) -> Self {
        Self {
            mode: item.mode.get(),
            uid: item.uid.get(),
            gid: item.gid.get(),
            nlink: item.nlink.get(),
            rdev: item.rdev.get(),
            size: item.size.get(),
            flags: item.flags.get(),
            atime: timestamp(item.atime),
            ctime: timestamp(item.ctime),
            mtime: timestamp(item.mtime),
            otime: timestamp(item.otime),
        }
    }
}

fn timestamp(time: Timespec) -> Timestamp {
    let seconds = time.sec.get().cast_signed();
    Timestamp { seconds, nanoseconds: time.nsec.get() }
}

impl Reader<'_> {
    /// Returns the root directory of the top level.
    #[must_use]
    pub fn top(&self) -> Node {
        Node { subvolume: objectid::FS_TREE, ino: objectid::FIRST_FREE }
    }

    /// Returns the attributes of an inode.
    ///
    /// # Errors
    /// A `Violation` on the path to the inode, or if there is no such inode.
    pub fn inode(&self, node: Node) -> Result<Inode> {
        let place = place(node, item_type::INODE_ITEM, 0);
        let data = self.item(self.subvolume(node.subvolume)?, place.key)?;
        let data = data.ok_or_else(|| place.breaks("no such item"))?;
        let item = exact::<InodeItem>(&data);
        Ok(item.ok_or_else(|| place.breaks("not an inode"))?.into())
    }

    /// Returns the entries of a directory, in `readdir` order; empty for other inodes.
    ///
    /// # Errors
    /// A `Violation` on the path to the entries.
    pub fn entries(&self, node: Node) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (key, data) in self.items_of(node, item_type::DIR_INDEX)? {
            let place = ItemPlace { tree: node.subvolume, key };
            let names = dir_entries(&data).ok_or_else(|| place.breaks("not an entry"))?;
            for entry in names {
                let location = Key::from(entry.item.location);
                let node = match location.item_type {
                    item_type::INODE_ITEM => Node { ino: location.objectid, ..node },
                    item_type::ROOT_ITEM => {
                        Node { subvolume: location.objectid, ino: objectid::FIRST_FREE }
                    }
                    _ => return Err(place.breaks("entry of neither an inode nor a subvolume")),
                };
                entries.push(Entry { name: entry.name.to_vec(), node });
            }
        }
        Ok(entries)
    }

    /// Returns the extended attributes of an inode and their values, in tree order.
    ///
    /// # Errors
    /// A `Violation` on the path to the attributes.
    pub fn xattrs(&self, node: Node) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut xattrs = Vec::new();
        for (key, data) in self.items_of(node, item_type::XATTR_ITEM)? {
            let place = ItemPlace { tree: node.subvolume, key };
            let entries = dir_entries(&data).ok_or_else(|| place.breaks("not an attribute"))?;
            xattrs.extend(entries.iter().map(|entry| (entry.name.to_vec(), entry.data.to_vec())));
        }
        Ok(xattrs)
    }

    /// Returns all items of a type that an inode has.
    pub(super) fn items_of(&self, node: Node, item_type: u8) -> Result<Vec<(Key, Vec<u8>)>> {
        let key = |offset| Key::new(node.ino, item_type, offset);
        self.items(self.subvolume(node.subvolume)?, key(0)..=key(u64::MAX))
    }

    /// Returns the tree of a subvolume.
    fn subvolume(&self, id: u64) -> Result<Root> {
        let key = Key::new(id, item_type::ROOT_ITEM, 0);
        let place = ItemPlace { tree: objectid::ROOT_TREE, key };
        let data = self.item(self.superblock.root_tree(), key)?;
        let data = data.ok_or_else(|| place.breaks("no such item"))?;
        let item = exact::<RootItem>(&data).ok_or_else(|| place.breaks("not a root"))?;
        root(id, item).map_err(|rule| place.breaks(rule))
    }
}

/// Returns the root of a tree from its root item; `Err` is the violated rule.
pub(super) fn root(id: u64, item: &RootItem) -> std::result::Result<Root, String> {
    if item.level > super::root::MAX_LEVEL {
        return Err(format!("level is {}", item.level));
    }
    let (address, generation) = (LogicalAddr(item.bytenr.get()), item.generation.get());
    Ok(Root { id, address, level: item.level, generation })
}

fn place(node: Node, item_type: u8, offset: u64) -> ItemPlace {
    ItemPlace { tree: node.subvolume, key: Key::new(node.ino, item_type, offset) }
}
