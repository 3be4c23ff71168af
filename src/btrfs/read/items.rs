//! Parsers for the data of items.

use std::fmt::{self, Display};

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::super::key::Key;
use super::super::spec::{
    DirItem, FileExtentHead, FileExtentItem, InodeExtref, InodeRef, RootRef, extent_type,
    item_type, objectid,
};
use crate::violation::{Result, Violation};

/// Location of an item.
#[derive(Debug, Clone, Copy)]
pub(super) struct ItemPlace {
    pub(super) tree: u64,
    pub(super) key: Key,
}

impl ItemPlace {
    pub(super) fn breaks(self, rule: impl Display) -> Violation {
        Violation::new(self, rule)
    }

    /// Returns a violation of `rule` unless `holds` is true.
    pub(super) fn require<D: Display>(self, holds: bool, rule: impl FnOnce() -> D) -> Result<()> {
        if holds { Ok(()) } else { Err(self.breaks(rule())) }
    }
}

impl Display for ItemPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tree {}, item {}", Id(self.tree), DisplayKey(self.key))
    }
}

/// A key, displayed as `btrfs inspect-internal dump-tree` does, but without names of objects.
#[derive(Debug, Clone, Copy)]
pub(super) struct DisplayKey(pub(super) Key);

impl Display for DisplayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { objectid, item_type, offset } = self.0;
        write!(f, "({} ", Id(objectid))?;
        match type_name(item_type) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{item_type}")?,
        }
        write!(f, " {offset})")
    }
}

/// An `objectid`, some of which are displayed as negative numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Id(pub(super) u64);

impl Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < objectid::FIRST_FREE.wrapping_neg() {
            write!(f, "{}", self.0)
        } else {
            write!(f, "-{}", self.0.wrapping_neg())
        }
    }
}

fn type_name(number: u8) -> Option<&'static str> {
    Some(match number {
        item_type::INODE_ITEM => "INODE_ITEM",
        item_type::INODE_REF => "INODE_REF",
        item_type::INODE_EXTREF => "INODE_EXTREF",
        item_type::XATTR_ITEM => "XATTR_ITEM",
        item_type::DIR_ITEM => "DIR_ITEM",
        item_type::DIR_INDEX => "DIR_INDEX",
        item_type::EXTENT_DATA => "EXTENT_DATA",
        item_type::EXTENT_CSUM => "EXTENT_CSUM",
        item_type::ROOT_ITEM => "ROOT_ITEM",
        item_type::ROOT_BACKREF => "ROOT_BACKREF",
        item_type::ROOT_REF => "ROOT_REF",
        item_type::EXTENT_ITEM => "EXTENT_ITEM",
        item_type::METADATA_ITEM => "METADATA_ITEM",
        item_type::TREE_BLOCK_REF => "TREE_BLOCK_REF",
        item_type::EXTENT_DATA_REF => "EXTENT_DATA_REF",
        item_type::BLOCK_GROUP_ITEM => "BLOCK_GROUP_ITEM",
        item_type::FREE_SPACE_INFO => "FREE_SPACE_INFO",
        item_type::FREE_SPACE_EXTENT => "FREE_SPACE_EXTENT",
        item_type::FREE_SPACE_BITMAP => "FREE_SPACE_BITMAP",
        item_type::DEV_EXTENT => "DEV_EXTENT",
        item_type::DEV_ITEM => "DEV_ITEM",
        item_type::CHUNK_ITEM => "CHUNK_ITEM",
        item_type::PERSISTENT_ITEM => "PERSISTENT_ITEM",
        item_type::UUID_KEY_SUBVOL => "UUID_KEY_SUBVOL",
        _ => return None,
    })
}

/// Parses data that is exactly one record.
pub(super) fn exact<T>(data: &[u8]) -> Option<&T>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    T::ref_from_bytes(data).ok()
}

/// Parses data that starts with a record, and returns the remaining data as well.
pub(super) fn prefix<T>(data: &[u8]) -> Option<(&T, &[u8])>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    T::ref_from_prefix(data).ok()
}

/// Parses data that consists of one or more records.
fn list<'a, T>(
    mut data: &'a [u8],
    next: impl Fn(&'a [u8]) -> Option<(T, &'a [u8])>,
) -> Option<Vec<T>> {
    let mut all = Vec::new();
    while !data.is_empty() || all.is_empty() {
        let (one, rest) = next(data)?;
        all.push(one);
        data = rest;
    }
    Some(all)
}

/// A directory entry, or an extended attribute with its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct DirEntry<'a> {
    pub(super) item: &'a DirItem,
    pub(super) name: &'a [u8],
    pub(super) data: &'a [u8],
}

pub(super) fn dir_entries(data: &[u8]) -> Option<Vec<DirEntry<'_>>> {
    list(data, |data| {
        let (item, rest) = prefix::<DirItem>(data)?;
        let (name, rest) = rest.split_at_checked(item.name_len.get().into())?;
        let (data, rest) = rest.split_at_checked(item.data_len.get().into())?;
        Some((DirEntry { item, name, data }, rest))
    })
}

/// A name of an inode in a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameOf<'a> {
    /// Inode number of the directory.
    pub(super) parent: u64,
    pub(super) index: u64,
    pub(super) name: &'a [u8],
}

/// Parses the names in an `INODE_REF`, whose key contains the directory.
pub(super) fn inode_refs(parent: u64, data: &[u8]) -> Option<Vec<NameOf<'_>>> {
    list(data, |data| {
        let (item, rest) = prefix::<InodeRef>(data)?;
        let (name, rest) = rest.split_at_checked(item.name_len.get().into())?;
        Some((NameOf { parent, index: item.index.get(), name }, rest))
    })
}

/// Parses the names in an `INODE_EXTREF`.
pub(super) fn inode_extrefs(data: &[u8]) -> Option<Vec<NameOf<'_>>> {
    list(data, |data| {
        let (item, rest) = prefix::<InodeExtref>(data)?;
        let (name, rest) = rest.split_at_checked(item.name_len.get().into())?;
        let (parent, index) = (item.parent_objectid.get(), item.index.get());
        Some((NameOf { parent, index, name }, rest))
    })
}

/// Parses the only name in a `ROOT_REF` or `ROOT_BACKREF`.
pub(super) fn root_ref(data: &[u8]) -> Option<NameOf<'_>> {
    let (item, name) = prefix::<RootRef>(data)?;
    let (parent, index) = (item.dirid.get(), item.sequence.get());
    (name.len() == usize::from(item.name_len.get())).then_some(NameOf { parent, index, name })
}

/// A range of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum FileExtent<'a> {
    /// Content in the item, in the form that the head specifies.
    Inline(&'a FileExtentHead, &'a [u8]),
    /// Content in an extent.
    Regular(&'a FileExtentItem),
}

pub(super) fn file_extent(data: &[u8]) -> Option<FileExtent<'_>> {
    let (head, rest) = prefix::<FileExtentHead>(data)?;
    match head.extent_type {
        extent_type::INLINE => Some(FileExtent::Inline(head, rest)),
        extent_type::REG | extent_type::PREALLOC => Some(FileExtent::Regular(exact(data)?)),
        _ => None,
    }
}
