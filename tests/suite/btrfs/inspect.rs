//! The extents of files as dump-tree prints them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::oracle::btrfs::{behind, decimal, dump_tree, key};

/// Where the bytes of an extent are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the tree, so many of them.
    Inline(u64),
    /// At an address, so many bytes from there.
    Regular(u64, u64),
    Preallocated(u64, u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileExtent {
    /// In the file.
    pub offset: u64,
    pub place: Place,
    /// How many bytes of the file it has.
    pub len: u64,
    /// Say `zstd`.
    pub compression: String,
}

/// The extents of all files of a subvolume, by inode number.
pub fn extents(image: &Path, subvolume: u64) -> BTreeMap<u64, Vec<FileExtent>> {
    let mut all: BTreeMap<u64, Vec<FileExtent>> = BTreeMap::new();
    let mut current = None;
    for line in dump_tree(image, &subvolume.to_string()).unwrap().lines() {
        if let Some((inode, kind, offset)) = key(line) {
            current = (kind == "EXTENT_DATA").then(|| {
                let list = all.entry(decimal(inode)).or_default();
                let (place, compression) = (Place::Inline(0), String::new());
                list.push(FileExtent { offset: decimal(offset), place, len: 0, compression });
                decimal(inode)
            });
            continue;
        }
        let Some(inode) = current else { continue };
        let extent = all.get_mut(&inode).unwrap().last_mut().unwrap();
        let line = line.trim();
        let word = |name| behind(line, name);
        let disk = || (decimal(word("byte")), decimal(word("nr")));
        if line.starts_with("inline extent data size ") {
            extent.place = Place::Inline(decimal(word("size")));
            extent.len = decimal(word("ram_bytes"));
        } else if line.starts_with("extent data disk byte ") {
            extent.place = Place::Regular(disk().0, disk().1);
        } else if line.starts_with("prealloc data disk byte ") {
            extent.place = Place::Preallocated(disk().0, disk().1);
        } else if line.contains(" data offset ") {
            extent.len = decimal(word("nr"));
        }
        if let Some((_, name)) = line.split_once("compression ") {
            extent.compression = name[1..].trim_matches([' ', '(', ')']).to_owned();
        }
    }
    all
}

/// The extents of one file of the top level, which is seen at the same path below `root`.
pub fn extents_of(
    all: &BTreeMap<u64, Vec<FileExtent>>,
    root: &Path,
    path: &str,
) -> Vec<FileExtent> {
    let inode = fs::symlink_metadata(root.join(path)).unwrap().ino();
    all.get(&inode).cloned().unwrap_or_default()
}

/// How many items of a type a tree has.
pub fn items(image: &Path, tree: &str, kind: &str) -> usize {
    let text = dump_tree(image, tree).unwrap();
    text.lines().filter(|line| key(line).is_some_and(|(_, found, _)| found == kind)).count()
}
