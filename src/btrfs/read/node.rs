//! What subvolumes hold: inodes, names, extended attributes.

use super::super::key::Key;
use super::super::spec::{InodeItem, RootItem, Timespec, item_type, objectid};
use super::items::{ItemPlace, dir_entries, exact};
use super::tree::Root;
use super::{Reader, Result};
use crate::time::Timestamp;

/// An inode by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// The number of its subvolume: 5 for the top level, from 256 on for others.
    pub subvolume: u64,
    /// Its number there: 256 for the directory that the subvolume begins at.
    pub ino: u64,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Any bytes; nothing is promised of them.
    pub name: Vec<u8>,
    /// What it is the name of: where a subvolume is seen, the directory that it begins at.
    pub node: Node,
}

/// The attributes of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// Type and permissions, as `st_mode` has them.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// How many names it has; 1 for directories.
    pub nlink: u32,
    /// The major number from bit 20 on, and the minor number below.
    pub rdev: u64,
    /// In bytes.
    pub size: u64,
    /// As `BTRFS_INODE_*` of the kernel.
    pub flags: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change.
    pub ctime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Birth.
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
    /// The directory that the top level begins at.
    #[must_use]
    pub fn top(&self) -> Node {
        Node { subvolume: objectid::FS_TREE, ino: objectid::FIRST_FREE }
    }

    /// The attributes of an inode.
    ///
    /// # Errors
    /// A `Violation` on the way to it, or if there is no such inode.
    pub fn inode(&self, node: Node) -> Result<Inode> {
        let place = place(node, item_type::INODE_ITEM, 0);
        let data = self.item(self.subvolume(node.subvolume)?, place.key)?;
        let data = data.ok_or_else(|| place.breaks("there is none"))?;
        let item = exact::<InodeItem>(&data);
        Ok(item.ok_or_else(|| place.breaks("it is not an inode"))?.into())
    }

    /// The names in a directory, in the order of `readdir`; none if it is something else.
    ///
    /// # Errors
    /// A `Violation` on the way to them.
    pub fn entries(&self, node: Node) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (key, data) in self.items_of(node, item_type::DIR_INDEX)? {
            let place = ItemPlace { tree: node.subvolume, key };
            let names = dir_entries(&data).ok_or_else(|| place.breaks("it is not an entry"))?;
            for entry in names {
                let location = Key::from(entry.item.location);
                let node = match location.item_type {
                    item_type::INODE_ITEM => Node { ino: location.objectid, ..node },
                    item_type::ROOT_ITEM => {
                        Node { subvolume: location.objectid, ino: objectid::FIRST_FREE }
                    }
                    _ => return Err(place.breaks("it is of neither an inode nor a subvolume")),
                };
                entries.push(Entry { name: entry.name.to_vec(), node });
            }
        }
        Ok(entries)
    }

    /// The extended attributes of an inode and their values, in the order of the tree.
    ///
    /// # Errors
    /// A `Violation` on the way to them.
    pub fn xattrs(&self, node: Node) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut xattrs = Vec::new();
        for (key, data) in self.items_of(node, item_type::XATTR_ITEM)? {
            let place = ItemPlace { tree: node.subvolume, key };
            let entries = dir_entries(&data).ok_or_else(|| place.breaks("it is no attribute"))?;
            xattrs.extend(entries.iter().map(|entry| (entry.name.to_vec(), entry.data.to_vec())));
        }
        Ok(xattrs)
    }

    /// All items of a type that an inode has.
    pub(super) fn items_of(&self, node: Node, item_type: u8) -> Result<Vec<(Key, Vec<u8>)>> {
        let key = |offset| Key::new(node.ino, item_type, offset);
        self.items(self.subvolume(node.subvolume)?, key(0)..=key(u64::MAX))
    }

    /// The tree of a subvolume.
    fn subvolume(&self, id: u64) -> Result<Root> {
        let key = Key::new(id, item_type::ROOT_ITEM, 0);
        let place = ItemPlace { tree: objectid::ROOT_TREE, key };
        let data = self.item(self.superblock.root_tree(), key)?;
        let data = data.ok_or_else(|| place.breaks("there is none"))?;
        let item = exact::<RootItem>(&data).ok_or_else(|| place.breaks("it is not a root"))?;
        root(id, item).map_err(|rule| place.breaks(rule))
    }
}

/// The root of a tree, as its item has it; `Err` is the rule that it breaks.
pub(super) fn root(id: u64, item: &RootItem) -> std::result::Result<Root, String> {
    if item.level > super::tree::MAX_LEVEL {
        return Err(format!("level is {}", item.level));
    }
    let (address, generation) = (item.bytenr.get(), item.generation.get());
    Ok(Root { id, address, level: item.level, generation })
}

fn place(node: Node, item_type: u8, offset: u64) -> ItemPlace {
    ItemPlace { tree: node.subvolume, key: Key::new(node.ino, item_type, offset) }
}
