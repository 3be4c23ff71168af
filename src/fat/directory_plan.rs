//! Requirements of a tree on a FAT volume of any size: the names of each directory, and the number
//! of clusters. Everything that FAT can't store is detected here.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::ops::Range;

use super::geometry::CLUSTER_SIZES;
use super::names::{self, ShortName};
use super::spec::{FILE_MAX, SLOT, SLOTS_MAX};
use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::tree::{InodeId, Kind, Tree};

/// A directory of the tree.
#[derive(Debug)]
pub(super) struct Directory {
    pub id: InodeId,
    /// The names of its entries, in tree order, as a range of [`DirectoryPlan::names`].
    pub names: Range<usize>,
    /// Number of slots in use, including those for `.` and `..` or for the label.
    pub slots: usize,
}

/// All directories of a tree, in tree order, which starts with the root.
#[derive(Debug)]
pub(super) struct DirectoryPlan {
    pub directories: Vec<Directory>,
    pub names: Vec<ShortName>,
    /// For each of [`CLUSTER_SIZES`], the number of clusters of everything but the root directory.
    pub clusters: [u64; CLUSTER_SIZES.len()],
}

impl Directory {
    /// Returns the number of clusters of the directory; an empty directory has one cluster too.
    pub(super) fn clusters(&self, cluster_size: u64) -> u64 {
        ((self.slots * SLOT) as u64).div_ceil(cluster_size).max(1)
    }
}

impl DirectoryPlan {
    /// Creates the plan for the directories of a tree.
    pub(super) fn new(tree: &Tree, has_label: bool) -> Result<Self> {
        let mut directory_plan =
            Self { directories: Vec::new(), names: Vec::new(), clusters: Default::default() };
        for (id, inode) in tree.iter() {
            if inode.kind == Kind::Directory {
                directory_plan.add(tree, id, has_label)?;
            }
        }
        Ok(directory_plan)
    }

    pub(super) fn root(&self) -> &Directory {
        &self.directories[0]
    }

    /// Returns the position in the list of a directory.
    pub(super) fn position(&self, id: InodeId) -> usize {
        let found = self.directories.binary_search_by_key(&id, |directory| directory.id);
        found.expect("all directories are listed")
    }

    fn add(&mut self, tree: &Tree, id: InodeId, has_label: bool) -> Result<()> {
        let names = names_of(tree, id)?;
        let short = names::short_names(&names);
        let own = if id != InodeId::ROOT { 2 } else { usize::from(has_label) };
        let pairs = short.iter().zip(&names);
        let slots = own + pairs.map(|(short, name)| short.entry_count(name)).sum::<usize>();
        if slots > SLOTS_MAX {
            return Err(Error::unrepresentable(
                tree.path(id),
                format!("directory takes {slots} slots, FAT allows {SLOTS_MAX}"),
                "split it, or give its entries shorter names",
            ));
        }
        let first = self.names.len();
        self.names.extend(short);
        let directory = Directory { id, names: first..self.names.len(), slots };
        for (total, size) in self.clusters.iter_mut().zip(CLUSTER_SIZES) {
            for entry in tree.entries(id) {
                if let Kind::File { size: len, .. } = tree.inode(entry.inode()).kind {
                    *total += len.div_ceil(size);
                }
            }
            if id != InodeId::ROOT {
                *total += directory.clusters(size);
            }
        }
        self.directories.push(directory);
        Ok(())
    }
}

/// Returns the names in a directory, after checking that FAT can store each name and its inode.
fn names_of(tree: &Tree, directory: InodeId) -> Result<Vec<&str>> {
    let mut names = Vec::with_capacity(tree.entries(directory).len());
    let mut folded = BTreeMap::new();
    for entry in tree.entries(directory) {
        let bytes = tree.name(entry);
        let path = || tree.path_in(directory, bytes);
        let name = names::check(bytes)
            .map_err(|fault| Error::unrepresentable(path(), fault.rule, fault.remedy))?;
        check_kind(tree.inode(entry.inode()).kind, path)?;
        match folded.entry(names::fold(name)) {
            Vacant(vacant) => {
                vacant.insert(name);
            }
            Occupied(other) => {
                let other = tree.path_in(directory, other.get().as_bytes());
                let rule = format!(
                    "name differs from {} only in case, which FAT ignores",
                    Escaped(&other)
                );
                return Err(Error::unrepresentable(path(), rule, "rename one of the two"));
            }
        }
        names.push(name);
    }
    Ok(names)
}

fn check_kind(kind: Kind, path: impl Fn() -> Vec<u8>) -> Result<()> {
    let fail =
        |rule: String, remedy: &str| Err(Error::unrepresentable(path(), rule, remedy.to_owned()));
    let no = |what: &str, remedy: &str| fail(format!("FAT can't store {what}"), remedy);
    const OMIT: &str = "leave it out";
    match kind {
        Kind::Directory => Ok(()),
        Kind::File { size, .. } if size <= FILE_MAX => Ok(()),
        Kind::File { size, .. } => fail(
            format!("file is {size} bytes, FAT allows {FILE_MAX}"),
            "split it, or store it on another file system",
        ),
        Kind::Symlink => no("a symbolic link", "copy its target instead, or leave it out"),
        Kind::Fifo => no("a named pipe", OMIT),
        Kind::Socket => no("a socket", OMIT),
        Kind::CharDevice(..) => no("a character device", OMIT),
        Kind::BlockDevice(..) => no("a block device", OMIT),
    }
}
