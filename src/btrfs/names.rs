//! Items with names: directory entries, extended attributes and inode references.
//!
//! Names with the same hash share an item, one after the other.

use std::collections::BTreeMap;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U64};

use super::GENERATION;
use super::hash;
use super::key::Key;
use super::spec::{
    DirItem, InodeExtref, InodeRef, LINK_MAX, NAME_LEN, file_type, item_type, objectid,
};
use super::subvolumes::{Name, Subvolumes};
use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::tree::{InodeId, Kind, Tree, Xattr};

/// An item without its inode.
#[derive(Debug)]
pub(super) struct NameItem {
    pub(super) item_type: u8,
    /// Offset of its key.
    pub(super) offset: u64,
    pub(super) data: Box<[u8]>,
}

/// Items of all names and attributes.
#[derive(Debug)]
pub(super) struct Names {
    /// For each directory, the positions of its entries in hash order, stored at the entry range of
    /// that directory.
    by_hash: Vec<u32>,
    /// By index of the tree's xattr set.
    xattrs: Vec<Box<[NameItem]>>,
    /// By subvolume and inode, for inodes with several names.
    links: BTreeMap<(usize, InodeId), Box<[NameItem]>>,
}

impl Names {
    pub(super) fn new(subvolumes: &Subvolumes, max_item_size: usize) -> Result<Self> {
        Ok(Self {
            by_hash: by_hash(&subvolumes.tree, max_item_size)?,
            xattrs: xattrs(&subvolumes.tree, max_item_size)?,
            links: links(subvolumes, max_item_size)?,
        })
    }

    /// Returns the positions of the entries of a directory, in hash order.
    pub(super) fn by_hash(&self, tree: &Tree, directory: InodeId) -> &[u32] {
        &self.by_hash[tree.entry_range(directory)]
    }

    /// Returns the extended attributes of an inode.
    pub(super) fn xattrs(&self, tree: &Tree, id: InodeId) -> &[NameItem] {
        &self.xattrs[tree.inode(id).xattrs as usize]
    }

    /// Returns the names of an inode with several names.
    pub(super) fn links(&self, subvolume: usize, id: InodeId) -> &[NameItem] {
        &self.links[&(subvolume, id)]
    }
}

/// Returns the hash of the first entry, and the number of entries with that hash.
///
/// `by_hash` must not be empty.
pub(super) fn collisions(tree: &Tree, directory: InodeId, by_hash: &[u32]) -> (u64, usize) {
    let entries = tree.entries(directory);
    let hash = |&position: &u32| hash::name(tree.name(&entries[position as usize]));
    let first = hash(&by_hash[0]);
    let more = by_hash[1..].iter().take_while(|position| hash(position) == first).count();
    (first, 1 + more)
}

fn by_hash(tree: &Tree, max_item_size: usize) -> Result<Vec<u32>> {
    let mut all = vec![0; tree.entry_count()];
    let mut hashed = Vec::new();
    for (directory, _) in tree.iter() {
        let entries = tree.entries(directory);
        hashed.clear();
        let positions = 0u32..;
        hashed.extend(entries.iter().map(|entry| hash::name(tree.name(entry))).zip(positions));
        // Names with the same hash stay in order.
        hashed.sort_unstable();
        for group in hashed.chunk_by(|a, b| a.0 == b.0) {
            let name = |&(_, position): &(u64, u32)| tree.name(&entries[position as usize]);
            let size: usize = group.iter().map(|one| size_of::<DirItem>() + name(one).len()).sum();
            if size > max_item_size {
                return Err(Error::unrepresentable(
                    tree.path_in(directory, name(&group[0])),
                    format!("{} names in the directory have the same hash", group.len()),
                    "rename some of them, or use larger nodes (`btrfs.node_size`)",
                ));
            }
        }
        let range = tree.entry_range(directory);
        for (slot, (_, position)) in all[range].iter_mut().zip(&hashed) {
            *slot = *position;
        }
    }
    Ok(all)
}

/// Name of the only extended attribute outside the namespaces that all file systems share.
pub(super) const COMPRESSION: &[u8] = b"btrfs.compression";

fn xattrs(tree: &Tree, max_item_size: usize) -> Result<Vec<Box<[NameItem]>>> {
    let mut sets: Vec<Option<Box<[NameItem]>>> = Vec::new();
    sets.resize_with(tree.xattr_sets().len(), || None);
    for (id, inode) in tree.iter() {
        let set = &mut sets[inode.xattrs as usize];
        if set.is_none() {
            let items = xattr_items(tree.xattrs(id), max_item_size)
                .map_err(|(rule, remedy)| Error::unrepresentable(tree.path(id), rule, remedy))?;
            *set = Some(items);
        }
    }
    Ok(sets.into_iter().map(Option::unwrap_or_default).collect())
}

fn xattr_items(
    xattrs: &[Xattr],
    max_item_size: usize,
) -> Result<Box<[NameItem]>, (String, &'static str)> {
    let mut items: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for Xattr { name, value } in xattrs {
        let shown = Escaped(name);
        let namespaces: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
        let known =
            namespaces.iter().any(|space| name.len() > space.len() && name.starts_with(space));
        let acl = *name == b"system.posix_acl_access" || *name == b"system.posix_acl_default";
        if !known && !acl && name != COMPRESSION {
            let rule = format!("extended attribute {shown}: namespace not supported by btrfs");
            return Err((rule, "leave it out"));
        }
        if name.len() > NAME_LEN || name.contains(&0) {
            let rule =
                format!("extended attribute {shown}: name is not 1 to 255 bytes without NUL");
            return Err((rule, "rename it"));
        }
        let item = items.entry(hash::name(name)).or_default();
        let available = (max_item_size - item.len()).checked_sub(size_of::<DirItem>());
        if name.len() + value.len() > available.unwrap_or(0) {
            let rule = format!(
                "extended attribute {shown}: name and value are {} bytes, a leaf holds {}",
                name.len() + value.len(),
                available.unwrap_or(0),
            );
            return Err((rule, "shorten or remove it, or use larger nodes (`btrfs.node_size`)"));
        }
        let head = DirItem {
            location: Key::new(0, 0, 0).into(),
            transid: U64::new(GENERATION),
            data_len: U16::new(u16::try_from(value.len()).expect("it fits in a leaf")),
            name_len: U16::new(u16::try_from(name.len()).expect("at most 255")),
            file_type: file_type::XATTR,
        };
        item.extend_from_slice(head.as_bytes());
        item.extend_from_slice(name);
        item.extend_from_slice(value);
    }
    let part = |(offset, data): (u64, Vec<u8>)| NameItem {
        item_type: item_type::XATTR_ITEM,
        offset,
        data: data.into(),
    };
    Ok(items.into_iter().map(part).collect())
}

/// Appends a name to the data of an `INODE_REF`.
pub(super) fn push_ref(data: &mut Vec<u8>, index: u64, name: &[u8]) {
    let head = InodeRef { index: U64::new(index), name_len: U16::new(name_len(name)) };
    data.extend_from_slice(head.as_bytes());
    data.extend_from_slice(name);
}

pub(super) fn name_len(name: &[u8]) -> u16 {
    u16::try_from(name.len()).expect("a name has at most 255 bytes")
}

type Links = BTreeMap<(usize, InodeId), Box<[NameItem]>>;

fn links(subvolumes: &Subvolumes, max_item_size: usize) -> Result<Links> {
    let mut links = Links::new();
    for subvolume in 0..subvolumes.all.len() {
        for id in subvolumes.inodes(subvolume).filter(|&id| subvolumes.has_names(id)) {
            let names = subvolumes.names(subvolume, id);
            if names.len() > LINK_MAX as usize {
                return Err(Error::unrepresentable(
                    subvolumes.tree.path(id),
                    format!("file has {} hard links, btrfs allows {LINK_MAX}", names.len()),
                    "replace some hard links by copies",
                ));
            }
            links.insert((subvolume, id), link_items(subvolumes, subvolume, &names, max_item_size));
        }
    }
    Ok(links)
}

/// Returns the names of an inode in one subvolume.
///
/// Names in the same directory share an `INODE_REF`. Names that do not fit are stored in
/// `INODE_EXTREF` items, keyed by the hash of directory and name.
fn link_items(
    subvolumes: &Subvolumes,
    subvolume: usize,
    names: &[Name],
    max_item_size: usize,
) -> Box<[NameItem]> {
    let tree = &subvolumes.tree;
    let mut refs: BTreeMap<(u8, u64), Vec<u8>> = BTreeMap::new();
    for name in names {
        let parent = subvolumes.ino(subvolume, name.directory);
        let text = tree.name(&tree.entries(name.directory)[name.position as usize]);
        let data = refs.entry((item_type::INODE_REF, parent)).or_default();
        if data.len() + size_of::<InodeRef>() + text.len() <= max_item_size {
            push_ref(data, name.index(), text);
            continue;
        }
        let hash = hash::extref(parent, text);
        let data = refs.entry((item_type::INODE_EXTREF, hash)).or_default();
        let head = InodeExtref {
            parent_objectid: U64::new(parent),
            index: U64::new(name.index()),
            name_len: U16::new(name_len(text)),
        };
        data.extend_from_slice(head.as_bytes());
        data.extend_from_slice(text);
    }
    let part = |((item_type, offset), data): ((u8, u64), Vec<u8>)| NameItem {
        item_type,
        offset,
        data: data.into(),
    };
    refs.into_iter().map(part).collect()
}

/// Appends the directory entry of a name, for both `DIR_ITEM` and `DIR_INDEX`.
pub(super) fn push_entry(
    data: &mut Vec<u8>,
    subvolumes: &Subvolumes,
    subvolume: usize,
    name: Name,
) {
    let tree = &subvolumes.tree;
    let entry = tree.entries(name.directory)[name.position as usize];
    let text = tree.name(&entry);
    let id = entry.inode();
    let kind = tree.inode(id).kind;
    let location = match (kind, subvolumes.at(id)) {
        (Kind::Directory, Some(inner)) => Key::new(inner.id, item_type::ROOT_ITEM, 0),
        _ => Key::new(subvolumes.ino(subvolume, id), item_type::INODE_ITEM, 0),
    };
    let head = DirItem {
        location: location.into(),
        transid: U64::new(GENERATION),
        data_len: U16::new(0),
        name_len: U16::new(name_len(text)),
        file_type: file_type_of(kind),
    };
    data.extend_from_slice(head.as_bytes());
    data.extend_from_slice(text);
}

fn file_type_of(kind: Kind) -> u8 {
    match kind {
        Kind::Directory => file_type::DIR,
        Kind::File { .. } => file_type::REG_FILE,
        Kind::Symlink => file_type::SYMLINK,
        Kind::Fifo => file_type::FIFO,
        Kind::Socket => file_type::SOCK,
        Kind::CharDevice(..) => file_type::CHRDEV,
        Kind::BlockDevice(..) => file_type::BLKDEV,
    }
}

/// Returns the inode reference of the root directory of a subvolume.
pub(super) fn dot_dot() -> Vec<u8> {
    let mut data = Vec::new();
    push_ref(&mut data, 0, b"..");
    data
}

/// Returns the key of [`dot_dot`].
pub(super) fn dot_dot_key() -> Key {
    Key::new(objectid::FIRST_FREE, item_type::INODE_REF, objectid::FIRST_FREE)
}
