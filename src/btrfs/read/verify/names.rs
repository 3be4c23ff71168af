//! Inodes of a subvolume: their own properties, and the names that link them.

use std::collections::BTreeMap;

use super::super::super::hash;
use super::super::super::key::Key;
use super::super::super::spec::{
    DirItem, Incompat, InodeFlags, InodeItem, NAME_LEN, SECTOR, file_type, item_type, objectid,
};
use super::super::items::{
    DirEntry, DisplayKey, Id, ItemPlace, NameOf, dir_entries, exact, inode_extrefs, inode_refs,
};
use super::super::superblock::Super;
use super::files::{FileState, Files};
use super::report::{Report, unmatched};
use super::root_record::RootRecord;
use crate::name::{Escaped, fault};
use crate::violation::{Result, Violation};

/// A name that leads from a directory to an inode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Link {
    parent: u64,
    index: u64,
    child: u64,
    name: Box<[u8]>,
}

/// A name in a directory, and its target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    name: Box<[u8]>,
    location: Key,
    file_type: u8,
}

/// An inode whose items are being read.
#[derive(Debug)]
struct Current {
    place: ItemPlace,
    item: InodeItem,
    /// Type, as in directory entries.
    file_type: u8,
    /// Number of names found.
    names: u32,
    /// Entries of a directory, by `DIR_ITEM` and by `DIR_INDEX`.
    by_hash: Vec<Named>,
    by_index: Vec<Named>,
    file: FileState,
}

/// A subvolume whose items are being read.
#[derive(Debug)]
pub(super) struct SubvolumeCheck<'a> {
    superblock: &'a Super,
    tree: u64,
    files: &'a mut Files,
    current: Option<Current>,
    /// Type of every inode.
    types: BTreeMap<u64, u8>,
    /// Directory entries, with the type that they specify.
    entries: Vec<(Link, u8)>,
    /// Inode references.
    refs: Vec<Link>,
    broken: bool,
}

impl<'a> SubvolumeCheck<'a> {
    pub(super) fn new(superblock: &'a Super, tree: u64, files: &'a mut Files) -> Self {
        Self {
            superblock,
            tree,
            files,
            current: None,
            types: BTreeMap::new(),
            entries: Vec::new(),
            refs: Vec::new(),
            broken: false,
        }
    }

    pub(super) fn item(&mut self, place: ItemPlace, data: &[u8]) -> Result<()> {
        let result = self.take(place, data);
        self.broken |= result.is_err();
        result
    }

    fn take(&mut self, place: ItemPlace, data: &[u8]) -> Result<()> {
        let ino = place.key.objectid;
        if self.current.as_ref().is_some_and(|current| current.place.key.objectid == ino) {
            return self.item_of_inode(place, data);
        }
        let finished = self.finish_inode();
        self.start(place, data).and(finished)
    }

    fn start(&mut self, place: ItemPlace, data: &[u8]) -> Result<()> {
        let Key { objectid: ino, item_type, .. } = place.key;
        let valid = objectid::FIRST_FREE..=objectid::FIRST_FREE.wrapping_neg();
        place.require(valid.contains(&ino), || "item does not belong here or is not supported")?;
        place.require(item_type == item_type::INODE_ITEM, || "its inode has no INODE_ITEM")?;
        let item = exact::<InodeItem>(data).ok_or_else(|| place.breaks("not an inode"))?;
        let kind = check_inode(self.superblock, place, item)?;
        place.require(
            ino != objectid::FIRST_FREE || kind == file_type::DIR,
            || "a subvolume does not begin at a directory",
        )?;
        self.types.insert(ino, kind);
        self.current = Some(Current {
            place,
            item: *item,
            file_type: kind,
            names: 0,
            by_hash: Vec::new(),
            by_index: Vec::new(),
            file: FileState::default(),
        });
        Ok(())
    }

    fn item_of_inode(&mut self, place: ItemPlace, data: &[u8]) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let Key { objectid: ino, item_type, offset } = place.key;
        match item_type {
            item_type::INODE_REF => {
                let names = inode_refs(offset, data);
                let names = names.ok_or_else(|| place.breaks("not a list of names"))?;
                for name in names {
                    current.names = current.names.saturating_add(1);
                    if ino == objectid::FIRST_FREE {
                        let right = name.parent == ino && name.name == b".." && name.index == 0;
                        place.require(right, || "the directory of a subvolume has a name")?;
                    } else {
                        self.refs.push(link(place, ino, name)?);
                    }
                }
                Ok(())
            }
            item_type::INODE_EXTREF => {
                let known = self.superblock.incompat().contains(Incompat::EXTENDED_IREF);
                place.require(known, || "incompat_flags lacks EXTENDED_IREF")?;
                place.require(
                    ino != objectid::FIRST_FREE,
                    || "the directory of a subvolume has a name",
                )?;
                let names = inode_extrefs(data);
                let names = names.ok_or_else(|| place.breaks("not a list of names"))?;
                for name in names {
                    current.names = current.names.saturating_add(1);
                    place.require(hash::extref(name.parent, name.name) == offset, || {
                        format!("wrong hash for `{}`", Escaped(name.name))
                    })?;
                    self.refs.push(link(place, ino, name)?);
                }
                Ok(())
            }
            item_type::XATTR_ITEM => check_xattrs(self.superblock, place, data),
            item_type::DIR_ITEM => {
                place.require(
                    current.file_type == file_type::DIR,
                    || "its inode is not a directory",
                )?;
                for entry in entries(self.superblock, place, data)? {
                    check_hash(place, entry.name)?;
                    current.by_hash.push(named(place, &entry)?);
                }
                Ok(())
            }
            item_type::DIR_INDEX => {
                place.require(
                    current.file_type == file_type::DIR,
                    || "its inode is not a directory",
                )?;
                // 0 and 1 belong to `.` and `..`.
                place.require(offset >= 2, || "its index is less than 2")?;
                let entries = entries(self.superblock, place, data)?;
                let [entry] = entries[..] else { return Err(place.breaks("has two names")) };
                let named = named(place, &entry)?;
                self.entry(ino, offset, named)
            }
            item_type::EXTENT_DATA => {
                let Current { item, file_type, file, .. } = current;
                self.files.extent(self.superblock, place, data, item, *file_type, file)
            }
            _ => Err(place.breaks("item does not belong here or is not supported")),
        }
    }

    /// Records an entry of the current directory.
    fn entry(&mut self, dir: u64, index: u64, named: Named) -> Result<()> {
        let (parent, name) = (dir, named.name.clone());
        if named.location.item_type == item_type::ROOT_ITEM {
            let id = named.location.objectid;
            self.files.subvolumes.push(RootRecord { id, parent: self.tree, dir, index, name });
        } else {
            let link = Link { parent, index, child: named.location.objectid, name };
            self.entries.push((link, named.file_type));
        }
        if let Some(current) = &mut self.current {
            current.by_index.push(named);
        }
        Ok(())
    }

    fn finish_inode(&mut self) -> Result<()> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        let Current { place, item, file_type, names, .. } = &current;
        let nlink = item.nlink.get();
        place.require(nlink == *names, || format!("nlink is {nlink}, and it has {names} names"))?;
        if *file_type != file_type::DIR {
            return current.file.finish(self.superblock, *place, item, *file_type);
        }
        let place = *place;
        for list in [&mut current.by_hash, &mut current.by_index] {
            list.sort();
        }
        let (only_hash, only_index) = unmatched(&current.by_hash, &current.by_index);
        for (only, what) in [(only_hash, "DIR_INDEX"), (only_index, "DIR_ITEM")] {
            if let Some(named) = only.first() {
                let name = Escaped(&named.name);
                return Err(place.breaks(format_args!("no matching {what} for `{name}`")));
            }
        }
        for pair in current.by_index.windows(2) {
            if let [one, other] = pair {
                place.require(one.name != other.name, || {
                    format!("has two names `{}`", Escaped(&one.name))
                })?;
            }
        }
        let size: u64 = current.by_index.iter().map(|named| 2 * named.name.len() as u64).sum();
        place.require(current.item.size == size, || {
            format!("size is {}, and twice the length of all names {size}", current.item.size)
        })
    }

    /// Compares directory entries with inode references.
    pub(super) fn finish(mut self, report: &mut Report) {
        if report.keep(self.finish_inode()).is_none() || self.broken {
            return;
        }
        let tree = self.tree;
        if !self.types.contains_key(&objectid::FIRST_FREE) {
            let place = format_args!("tree {}", Id(tree)).to_string();
            report.add(Violation::new(place, "has no inode 256"));
            return;
        }
        self.entries.sort();
        self.refs.sort();
        let links: Vec<_> = self.entries.iter().map(|(link, _)| link.clone()).collect();
        let (of_directories, of_inodes) = unmatched(&links, &self.refs);
        let rules = [(of_directories, "INODE_REF"), (of_inodes, "DIR_INDEX")];
        for (only, what) in rules {
            for Link { parent, index, child, name } in only {
                let place = format!(
                    "tree {}, inode {child}, index {index} of directory {parent}, `{}`",
                    Id(tree),
                    Escaped(name)
                );
                report.add(Violation::new(place, format_args!("no matching {what}")));
            }
        }
        for (link, kind) in &self.entries {
            if self.types.get(&link.child).is_some_and(|real| real != kind) {
                let place = format!("tree {}, entry `{}`", Id(tree), Escaped(&link.name));
                let rule = format!("type is {kind}, unlike that of the inode");
                report.add(Violation::new(place, rule));
            }
        }
        self.check_reach(report);
    }

    /// Checks that every directory is reachable. Each has exactly one name.
    fn check_reach(&self, report: &mut Report) {
        let directories = |list: &BTreeMap<u64, u8>| {
            list.values().filter(|&&kind| kind == file_type::DIR).count()
        };
        let mut reached = 0;
        let mut pending = vec![objectid::FIRST_FREE];
        while let Some(dir) = pending.pop() {
            reached += 1;
            if reached > self.types.len() {
                break;
            }
            let start = self.entries.partition_point(|(link, _)| link.parent < dir);
            let of_dir = self.entries.iter().skip(start).take_while(|(link, _)| link.parent == dir);
            let below = of_dir.filter(|(_, kind)| *kind == file_type::DIR);
            pending.extend(below.map(|(link, _)| link.child));
        }
        if reached != directories(&self.types) {
            let place = format!("tree {}", Id(self.tree));
            report.add(Violation::new(place, "some directory can't be reached from inode 256"));
        }
    }
}

fn link(place: ItemPlace, child: u64, name: NameOf<'_>) -> Result<Link> {
    let NameOf { parent, index, name } = name;
    check_name(place, name)?;
    Ok(Link { parent, index, child, name: name.into() })
}

/// Checks a name in a directory.
pub(super) fn check_name(place: ItemPlace, name: &[u8]) -> Result<()> {
    match fault(name) {
        None => Ok(()),
        Some(fault) => Err(place.breaks(format_args!("`{}`: {fault}", Escaped(name)))),
    }
}

fn check_hash(place: ItemPlace, name: &[u8]) -> Result<()> {
    place.require(hash::name(name) == place.key.offset, || {
        format!("wrong hash for `{}`", Escaped(name))
    })
}

/// Parses the entries or attributes of an item.
fn entries<'a>(superblock: &Super, place: ItemPlace, data: &'a [u8]) -> Result<Vec<DirEntry<'a>>> {
    let entries = dir_entries(data);
    let entries = entries.ok_or_else(|| place.breaks("not a list of entries"))?;
    for entry in &entries {
        place.require(entry.item.transid.get() <= superblock.generation(), || {
            format!("transid is {}, newer than all", entry.item.transid)
        })?;
    }
    Ok(entries)
}

/// Returns whether `location` is that of a subvolume.
///
/// The offset of such a location has no meaning; 0 and `u64::MAX` are in use.
pub(super) fn is_root(location: Key) -> bool {
    location.item_type == item_type::ROOT_ITEM && [0, u64::MAX].contains(&location.offset)
}

fn named(place: ItemPlace, entry: &DirEntry<'_>) -> Result<Named> {
    let DirEntry { item, name, data } = *entry;
    let DirItem { location, file_type, .. } = *item;
    check_name(place, name)?;
    place.require(data.is_empty(), || "has data")?;
    let location = Key::from(location);
    let types = file_type::REG_FILE..=file_type::SYMLINK;
    place.require(types.contains(&file_type), || format!("type is {file_type}"))?;
    let right = match location.item_type {
        item_type::INODE_ITEM => location.offset == 0,
        item_type::ROOT_ITEM => is_root(location) && file_type == file_type::DIR,
        _ => false,
    };
    place.require(right && location.objectid >= objectid::FIRST_FREE, || {
        format!("location is {}", DisplayKey(location))
    })?;
    Ok(Named { name: name.into(), location, file_type })
}

fn check_xattrs(superblock: &Super, place: ItemPlace, data: &[u8]) -> Result<()> {
    let entries = entries(superblock, place, data)?;
    for (number, DirEntry { item, name, .. }) in entries.iter().enumerate() {
        check_hash(place, name)?;
        place.require((1..=NAME_LEN).contains(&name.len()) && !name.contains(&0), || {
            format!("`{}` is not a name", Escaped(name))
        })?;
        place.require(Key::from(item.location) == Key::MIN, || {
            format!("location is {}", DisplayKey(item.location.into()))
        })?;
        place.require(item.file_type == file_type::XATTR, || {
            format!("type is {}", item.file_type)
        })?;
        let before = entries.iter().take(number);
        place.require(before.clone().all(|entry| entry.name != *name), || {
            format!("`{}` is there twice", Escaped(name))
        })?;
    }
    Ok(())
}

/// Checks an inode by itself, and returns its type as in directory entries.
pub(super) fn check_inode(superblock: &Super, place: ItemPlace, item: &InodeItem) -> Result<u8> {
    let newest = superblock.generation();
    place.require(place.key.offset == 0, || "the offset of an inode's key is not 0")?;
    place.require(item.generation <= newest && item.transid <= newest, || {
        format!("generation is {}, transid {}, newer than all", item.generation, item.transid)
    })?;
    let mode = item.mode.get();
    let kind = match mode >> 12 {
        0o10 => file_type::REG_FILE,
        0o04 => file_type::DIR,
        0o02 => file_type::CHRDEV,
        0o06 => file_type::BLKDEV,
        0o01 => file_type::FIFO,
        0o14 => file_type::SOCK,
        0o12 => file_type::SYMLINK,
        _ => return Err(place.breaks(format_args!("mode is {mode:o}"))),
    };
    let nlink = item.nlink.get();
    place.require(nlink >= 1 && (nlink == 1 || kind != file_type::DIR), || {
        format!("nlink is {nlink}")
    })?;
    let flags = InodeFlags::from_bits_retain(item.flags.get());
    let unknown = flags - InodeFlags::all();
    place.require(unknown.is_empty(), || format!("flags has unknown {:#x}", unknown.bits()))?;
    let summed = flags.contains(InodeFlags::NODATACOW) && !flags.contains(InodeFlags::NODATASUM);
    place.require(
        kind != file_type::REG_FILE || !summed,
        || "flags has NODATACOW without NODATASUM",
    )?;
    let fixed = flags.intersects(InodeFlags::IMMUTABLE | InodeFlags::APPEND);
    place.require(
        kind != file_type::SYMLINK || !fixed,
        || "flags of a symbolic link has IMMUTABLE or APPEND",
    )?;
    let is_device = [file_type::CHRDEV, file_type::BLKDEV].contains(&kind);
    place.require(item.rdev == 0 || is_device, || format!("rdev is {}", item.rdev))?;
    let times = [item.atime, item.ctime, item.mtime, item.otime];
    place.require(
        times.iter().all(|time| time.nsec.get() < 1_000_000_000),
        || "a time has more nanoseconds than a second",
    )?;
    let size = item.size.get();
    let sized = [file_type::REG_FILE, file_type::DIR, file_type::SYMLINK].contains(&kind);
    place.require(size == 0 || sized, || format!("size is {size}"))?;
    place.require(size <= i64::MAX.cast_unsigned() / SECTOR * SECTOR, || {
        format!("size is {size}")
    })?;
    Ok(kind)
}
