//! The fs tree of a subvolume: the items of its inodes.

use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U64};

use super::content::{Contents, Encoding};
use super::data::Data;
use super::inode::inode_item;
use super::items::{Item, Items};
use super::key::Key;
use super::names::{NameItem, Names, collisions, dot_dot, dot_dot_key, push_entry, push_ref};
use super::spec::DirItem;
use super::spec::{FileExtentHead, FileExtentItem, InodeRef, extent_type, item_type, objectid};
use super::subvolumes::{Name, Subvolumes};
use super::{Compression, GENERATION};
use crate::error::Result;
use crate::tree::{InodeId, Kind};

/// The items of one subvolume.
pub(super) struct FsItems {
    pub(super) subvolumes: Arc<Subvolumes>,
    pub(super) names: Arc<Names>,
    pub(super) data: Arc<Data>,
    pub(super) contents: Arc<Contents>,
    /// Index of the subvolume.
    pub(super) subvolume: usize,
}

/// A group of items of an inode, in the order of their types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ItemGroup {
    #[default]
    Inode,
    Refs,
    Xattrs,
    DirItems,
    DirIndexes,
    Extents,
}

/// An inode, and a position among its items.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    /// Position of the inode in the subvolume.
    member: u32,
    stage: ItemGroup,
    /// Number of preceding items in the group; for directory items, number of preceding names.
    at: u32,
}

/// Content of an item.
enum ItemKind<'a> {
    Inode,
    Ref(Name),
    Root,
    Part(&'a NameItem),
    /// Entries of a directory, by position.
    Entries(&'a [u32]),
    Entry(u32),
    Extent(usize),
    Target,
    Inline,
}

impl FsItems {
    /// Returns the item at a cursor, if its group has one left: the rest of the key, the size, the
    /// number of names that it covers, and its content.
    fn body(&self, at: Cursor, id: InodeId) -> Option<(u8, u64, usize, u32, ItemKind<'_>)> {
        let tree = &self.subvolumes.tree;
        let index = at.at as usize;
        let part = |part: &NameItem| (part.item_type, part.offset, part.data.len(), 1);
        let with =
            |(item_type, offset, size, count), body| Some((item_type, offset, size, count, body));
        match at.stage {
            ItemGroup::Inode if index == 0 => {
                let size = size_of::<super::spec::InodeItem>();
                Some((item_type::INODE_ITEM, 0, size, 1, ItemKind::Inode))
            }
            ItemGroup::Inode => None,
            ItemGroup::Refs if self.subvolumes.has_names(id) => {
                let found = self.names.links(self.subvolume, id).get(index)?;
                with(part(found), ItemKind::Part(found))
            }
            ItemGroup::Refs if index > 0 => None,
            ItemGroup::Refs if at.member == 0 => {
                let size = dot_dot().len();
                Some((item_type::INODE_REF, objectid::FIRST_FREE, size, 1, ItemKind::Root))
            }
            ItemGroup::Refs => {
                let name = self.subvolumes.first_name(id);
                let parent = self.subvolumes.ino(self.subvolume, name.directory);
                let size = size_of::<InodeRef>() + self.text(name).len();
                Some((item_type::INODE_REF, parent, size, 1, ItemKind::Ref(name)))
            }
            ItemGroup::Xattrs => {
                let found = self.names.xattrs(tree, id).get(index)?;
                with(part(found), ItemKind::Part(found))
            }
            ItemGroup::DirItems => {
                if tree.inode(id).kind != Kind::Directory {
                    return None;
                }
                let left =
                    self.names.by_hash(tree, id).get(index..).filter(|left| !left.is_empty())?;
                let (hash, count) = collisions(tree, id, left);
                let group = &left[..count];
                let size = group.iter().map(|&position| self.entry_size(id, position)).sum();
                let covered = u32::try_from(count).expect("within a directory");
                Some((item_type::DIR_ITEM, hash, size, covered, ItemKind::Entries(group)))
            }
            ItemGroup::DirIndexes => {
                if index >= tree.entries(id).len() {
                    return None;
                }
                let name = Name { directory: id, position: at.at };
                let size = self.entry_size(id, at.at);
                Some((item_type::DIR_INDEX, name.index(), size, 1, ItemKind::Entry(at.at)))
            }
            ItemGroup::Extents => self.extent(id, index),
        }
    }

    fn extent(&self, id: InodeId, index: usize) -> Option<(u8, u64, usize, u32, ItemKind<'_>)> {
        let tree = &self.subvolumes.tree;
        let inline = |len: usize, body| {
            let size = size_of::<FileExtentHead>() + len;
            Some((item_type::EXTENT_DATA, 0, size, 1, body))
        };
        match tree.inode(id).kind {
            Kind::Symlink if index == 0 => inline(tree.target(id).len(), ItemKind::Target),
            Kind::File { size, .. } => {
                if let Some(found) = self.contents.inline(id) {
                    let len = match found.encoding {
                        Encoding::Plain => usize::try_from(size).expect("it fits in a leaf"),
                        Encoding::Compressed { len, .. } => len as usize,
                    };
                    return if index == 0 { inline(len, ItemKind::Inline) } else { None };
                }
                let part = self.data.parts(id).get(index)?;
                let size = size_of::<FileExtentItem>();
                Some((item_type::EXTENT_DATA, part.from, size, 1, ItemKind::Extent(index)))
            }
            _ => None,
        }
    }

    fn text(&self, name: Name) -> &[u8] {
        let tree = &self.subvolumes.tree;
        tree.name(&tree.entries(name.directory)[name.position as usize])
    }

    fn entry_size(&self, directory: InodeId, position: u32) -> usize {
        size_of::<DirItem>() + self.text(Name { directory, position }).len()
    }

    /// Returns the first cursor at or after `at` that points to an item, and its inode.
    fn next_item(&self, mut at: Cursor) -> Option<(Cursor, InodeId)> {
        loop {
            let id = self.subvolumes.inode(self.subvolume, at.member as usize)?;
            if self.body(at, id).is_some() {
                return Some((at, id));
            }
            let (member, stage) = match at.stage {
                ItemGroup::Inode => (at.member, ItemGroup::Refs),
                ItemGroup::Refs => (at.member, ItemGroup::Xattrs),
                ItemGroup::Xattrs => (at.member, ItemGroup::DirItems),
                ItemGroup::DirItems => (at.member, ItemGroup::DirIndexes),
                ItemGroup::DirIndexes => (at.member, ItemGroup::Extents),
                ItemGroup::Extents => (at.member + 1, ItemGroup::Inode),
            };
            at = Cursor { member, stage, at: 0 };
        }
    }

    fn extent_item(&self, id: InodeId, index: usize) -> FileExtentItem {
        let part = &self.data.parts(id)[index];
        let extent = &self.data.extents[part.extent as usize];
        let kind = if extent.prealloc { extent_type::PREALLOC } else { extent_type::REG };
        FileExtentItem {
            head: head(extent.ram_len.into(), extent.compression, kind),
            disk_bytenr: U64::new(extent.address.0),
            disk_num_bytes: U64::new(extent.len.into()),
            offset: U64::new(part.offset.into()),
            num_bytes: U64::new(part.len.into()),
        }
    }

    fn write_inline(&self, id: InodeId, out: &mut [u8]) -> Result<()> {
        let tree = &self.subvolumes.tree;
        let Kind::File { size, .. } = tree.inode(id).kind else { unreachable!("only files") };
        let found = self.contents.inline(id).expect("it was found when it was sized");
        let (head_out, content) = out.split_at_mut(size_of::<FileExtentHead>());
        let compression = match found.encoding {
            Encoding::Plain => {
                let reader = tree.open(id)?;
                reader.read(0, content)?;
                reader.verify()?;
                None
            }
            Encoding::Compressed { at, compression, .. } => {
                self.contents.spool().expect("it holds what is compressed").read_at(at, content)?;
                Some(compression)
            }
        };
        head_out.copy_from_slice(head(size, compression, extent_type::INLINE).as_bytes());
        Ok(())
    }
}

fn head(ram_bytes: u64, compression: Option<Compression>, extent_type: u8) -> FileExtentHead {
    FileExtentHead {
        generation: U64::new(GENERATION),
        ram_bytes: U64::new(ram_bytes),
        compression: compression.map_or(0, Compression::number),
        encryption: 0,
        other_encoding: U16::new(0),
        extent_type,
    }
}

impl Items for FsItems {
    type Cursor = Cursor;

    fn item(&self, at: Cursor, _: usize) -> Option<Item<Cursor>> {
        let (at, id) = self.next_item(at)?;
        let (item_type, offset, size, count, _) = self.body(at, id)?;
        let key = Key::new(objectid::FIRST_FREE + u64::from(at.member), item_type, offset);
        let next = Cursor { at: at.at + count, ..at };
        Some(Item { key, size, next })
    }

    fn write(&self, at: Cursor, out: &mut [u8]) -> Result<()> {
        let (at, id) = self.next_item(at).expect("an item is there when it is written");
        let (.., body) = self.body(at, id).expect("the cursor points to an item");
        let tree = &self.subvolumes.tree;
        let mut bytes = Vec::new();
        match body {
            ItemKind::Inode => {
                let links = match tree.inode(id).kind {
                    Kind::Directory => 1,
                    _ if self.subvolumes.has_names(id) => {
                        self.subvolumes.names(self.subvolume, id).len()
                    }
                    _ => 1,
                };
                let item = inode_item(&self.subvolumes, &self.contents, &self.data, id, links);
                out.copy_from_slice(item.as_bytes());
                return Ok(());
            }
            ItemKind::Part(part) => {
                out.copy_from_slice(&part.data);
                return Ok(());
            }
            ItemKind::Inline => return self.write_inline(id, out),
            ItemKind::Extent(index) => {
                out.copy_from_slice(self.extent_item(id, index).as_bytes());
                return Ok(());
            }
            ItemKind::Root => bytes = dot_dot(),
            ItemKind::Ref(name) => push_ref(&mut bytes, name.index(), self.text(name)),
            ItemKind::Entries(positions) => {
                for &position in positions {
                    let name = Name { directory: id, position };
                    push_entry(&mut bytes, &self.subvolumes, self.subvolume, name);
                }
            }
            ItemKind::Entry(position) => {
                let name = Name { directory: id, position };
                push_entry(&mut bytes, &self.subvolumes, self.subvolume, name);
            }
            ItemKind::Target => {
                let target = tree.target(id);
                let head = head(target.len() as u64, None, extent_type::INLINE);
                bytes.extend_from_slice(head.as_bytes());
                bytes.extend_from_slice(target);
            }
        }
        out.copy_from_slice(&bytes);
        Ok(())
    }
}

/// Returns the items of the data relocation tree: an empty directory.
pub(super) fn reloc_items(epoch: crate::time::Timestamp) -> super::items::ItemList {
    let mut items = super::items::ItemList::default();
    let inode = super::inode::made_directory(epoch);
    let key = Key::new(objectid::FIRST_FREE, item_type::INODE_ITEM, 0);
    items.push(key, inode.as_bytes());
    items.push(dot_dot_key(), dot_dot());
    items.sorted()
}
