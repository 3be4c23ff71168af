//! Parses the extents of files from the output of dump-tree.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::oracle::btrfs::{behind, decimal, dump_tree, key};

/// The location of the data of an extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Stored in the tree, with its length.
    Inline(u64),
    /// Stored at a logical address, with its length on disk.
    Regular(u64, u64),
    Preallocated(u64, u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileExtent {
    /// Offset in the file.
    pub offset: u64,
    pub place: Place,
    /// Number of bytes of the file that the extent covers.
    pub len: u64,
    /// For example `zstd`.
    pub compression: String,
}

/// Returns the extents of all files of a subvolume, by inode number.
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

/// Returns the extents in `all` of the file at `path` below the mount point `root`.
pub fn extents_of(
    all: &BTreeMap<u64, Vec<FileExtent>>,
    root: &Path,
    path: &str,
) -> Vec<FileExtent> {
    let inode = fs::symlink_metadata(root.join(path)).unwrap().ino();
    all.get(&inode).cloned().unwrap_or_default()
}

/// Returns the number of items of a type in a tree.
pub fn items(image: &Path, tree: &str, kind: &str) -> usize {
    let text = dump_tree(image, tree).unwrap();
    text.lines().filter(|line| key(line).is_some_and(|(_, found, _)| found == kind)).count()
}
