//! The root tree: root items of all trees, and links between subvolumes.

use uuid::Uuid;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::GENERATION;
use super::address::LogicalAddr;
use super::hash;
use super::inode::{S_IFDIR, made_directory, timespec};
use super::items::ItemList;
use super::key::Key;
use super::names::{name_len, push_ref};
use super::spec::{
    DirItem, InodeFlags, InodeItem, ROOT_SUBVOL_RDONLY, RootItem, RootRef, file_type, item_type,
    objectid,
};
use super::subvolumes::Subvolumes;
use crate::time::Timestamp;

/// Location of a tree.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Root {
    /// Address of its root block.
    pub(super) bytenr: LogicalAddr,
    pub(super) level: u8,
    /// Size of all its blocks, in bytes.
    pub(super) bytes_used: u64,
}

impl Root {
    fn item(self, node_size: usize) -> RootItem {
        RootItem {
            inode: InodeItem {
                generation: U64::new(1),
                size: U64::new(3),
                nbytes: U64::new(node_size as u64),
                nlink: U32::new(1),
                mode: U32::new(S_IFDIR | 0o755),
                ..InodeItem::new_zeroed()
            },
            generation: U64::new(GENERATION),
            bytenr: U64::new(self.bytenr.0),
            bytes_used: U64::new(self.bytes_used),
            refs: U32::new(1),
            level: self.level,
            generation_v2: U64::new(GENERATION),
            ..RootItem::new_zeroed()
        }
    }
}

/// Inputs of the root tree.
pub(super) struct Roots<'a> {
    pub(super) subvolumes: &'a Subvolumes,
    /// UUIDs of the subvolumes, in order.
    pub(super) uuids: &'a [Uuid],
    /// Id of the subvolume that is mounted by default.
    pub(super) default: u64,
    pub(super) epoch: Timestamp,
    pub(super) node_size: usize,
}

/// Name of the default subvolume in the root tree's directory.
const DEFAULT: &[u8] = b"default";

impl Roots<'_> {
    /// Returns the items of the root tree.
    ///
    /// `roots` are the ids and roots of all trees except the chunk tree and the root tree itself.
    pub(super) fn items(&self, roots: &[(u64, Root)]) -> ItemList {
        let mut items = ItemList::default();
        for &(id, root) in roots {
            let item = root.item(self.node_size);
            let item = self.subvolume_root_item(id, item);
            items.push(Key::new(id, item_type::ROOT_ITEM, 0), item.as_bytes());
        }
        self.directory(&mut items);
        for number in 1..self.subvolumes.all.len() {
            self.link(number, &mut items);
        }
        items.sorted()
    }

    /// Sets the fields that only root items of subvolumes and of the data relocation tree have.
    fn subvolume_root_item(&self, id: u64, mut item: RootItem) -> RootItem {
        let number = self.subvolumes.all.iter().position(|subvolume| subvolume.id == id);
        if number.is_some() || id == objectid::DATA_RELOC_TREE {
            item.root_dirid = U64::new(objectid::FIRST_FREE);
            // Otherwise, the kernel sets the flag when it first mounts the file system.
            item.inode.flags = U64::new(InodeFlags::ROOT_ITEM_INIT.bits());
        }
        let Some(number) = number else { return item };
        let subvolume = &self.subvolumes.all[number];
        let flags = if subvolume.read_only { ROOT_SUBVOL_RDONLY } else { 0 };
        item.flags = U64::new(flags);
        item.uuid = *self.uuids[number].as_bytes();
        item.ctransid = U64::new(GENERATION);
        item.otransid = U64::new(GENERATION);
        item.ctime = timespec(self.epoch);
        item.otime = timespec(self.epoch);
        item
    }

    /// Adds the directory that names the default subvolume.
    fn directory(&self, items: &mut ItemList) {
        let directory = objectid::ROOT_TREE_DIR;
        let inode = made_directory(self.epoch);
        items.push(Key::new(directory, item_type::INODE_ITEM, 0), inode.as_bytes());
        let mut name = Vec::new();
        push_ref(&mut name, 0, b"..");
        items.push(Key::new(directory, item_type::INODE_REF, directory), name);
        let head = DirItem {
            location: Key::new(self.default, item_type::ROOT_ITEM, u64::MAX).into(),
            transid: U64::new(GENERATION),
            data_len: U16::new(0),
            name_len: U16::new(name_len(DEFAULT)),
            file_type: file_type::DIR,
        };
        let key = Key::new(directory, item_type::DIR_ITEM, hash::name(DEFAULT));
        items.push(key, [head.as_bytes(), DEFAULT].concat());
        let mut name = Vec::new();
        push_ref(&mut name, 0, DEFAULT);
        items.push(Key::new(objectid::FS_TREE, item_type::INODE_REF, directory), name);
    }

    /// Adds the two items that link a subvolume to its parent.
    fn link(&self, number: usize, items: &mut ItemList) {
        let subvolume = &self.subvolumes.all[number];
        let (parent, name) = subvolume.parent.expect(
            "every subvolume except the top level has \
                                                      one",
        );
        let tree = &self.subvolumes.tree;
        let text = tree.name(&tree.entries(name.directory)[name.position as usize]);
        let head = RootRef {
            dirid: U64::new(self.subvolumes.ino(parent, name.directory)),
            sequence: U64::new(name.index()),
            name_len: U16::new(name_len(text)),
        };
        let data = [head.as_bytes(), text].concat();
        let (id, parent) = (subvolume.id, self.subvolumes.all[parent].id);
        items.push(Key::new(parent, item_type::ROOT_REF, id), data.clone());
        items.push(Key::new(id, item_type::ROOT_BACKREF, parent), data);
    }
}

/// Returns the items of the UUID tree, which maps UUIDs to subvolumes.
pub(super) fn uuid_items(subvolumes: &Subvolumes, uuids: &[Uuid]) -> ItemList {
    let mut items = ItemList::default();
    for (subvolume, uuid) in subvolumes.all.iter().zip(uuids) {
        let half = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight of them"));
        let (high, low) = uuid.as_bytes().split_at(8);
        let key = Key::new(half(high), item_type::UUID_KEY_SUBVOL, half(low));
        items.push(key, subvolume.id.to_le_bytes());
    }
    items.sorted()
}
