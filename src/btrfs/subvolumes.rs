//! Subvolumes, and the inodes, inode numbers and names in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::spec::objectid;
use super::{Options, SubvolumeOptions};
use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::tree::{FileFlags, InodeId, Kind, Tree};

/// A name: its directory, and its position among the entries there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) directory: InodeId,
    pub(super) position: u32,
}

impl Name {
    /// Returns the directory index of the name, in `readdir` order; 0 and 1 belong to `.` and `..`.
    pub(super) fn index(self) -> u64 {
        u64::from(self.position) + 2
    }
}

/// A tree of files, directories and other inodes, rooted at a directory.
#[derive(Debug)]
pub(super) struct Subvolume {
    /// Id of its tree.
    pub(super) id: u64,
    /// Root directory.
    pub(super) root: InodeId,
    /// Index of the parent subvolume and the name in it; `None` for the top level.
    pub(super) parent: Option<(usize, Name)>,
    pub(super) read_only: bool,
    /// All inodes except the root, in tree order.
    inodes: Vec<InodeId>,
}

/// All subvolumes; the first one is the top level.
#[derive(Debug)]
pub(super) struct Subvolumes {
    pub(super) tree: Arc<Tree>,
    pub(super) all: Vec<Subvolume>,
    /// By inode: index of the subvolume that holds a directory's entries, or another inode's first
    /// name. Empty if there is only one subvolume.
    owner: Vec<u32>,
    /// All names of inodes with several names, in directory order.
    names: BTreeMap<InodeId, Vec<Name>>,
    /// By subvolume: whether its content is nodatacow.
    nodatacow: Vec<bool>,
    /// Files and directories that are nodatacow themselves.
    in_place: BTreeSet<InodeId>,
    /// Files whose holes are preallocated extents.
    preallocated: BTreeSet<InodeId>,
}

impl Subvolumes {
    pub(super) fn new(tree: &Arc<Tree>, options: &Options) -> Result<Self> {
        let asked = in_order(tree, &options.subvolumes)?;
        let mut all = Vec::with_capacity(asked.len() + 1);
        all.push(Subvolume {
            id: objectid::FS_TREE,
            root: InodeId::ROOT,
            parent: None,
            read_only: false,
            inodes: Vec::new(),
        });
        let ids = objectid::FIRST_FREE..;
        for (id, SubvolumeOptions { directory, read_only, .. }) in ids.zip(&asked) {
            let (root, read_only) = (*directory, *read_only);
            all.push(Subvolume { id, root, parent: None, read_only, inodes: Vec::new() });
        }
        let mut nodatacow = vec![false];
        nodatacow.extend(asked.iter().map(|subvolume| subvolume.nodatacow));
        let mut subvolumes = Self {
            tree: Arc::clone(tree),
            all,
            owner: Vec::new(),
            names: names(tree),
            nodatacow,
            in_place: options.nodatacow.clone(),
            preallocated: options.preallocated.clone(),
        };
        subvolumes.assign_roots(options.copy_links)?;
        Ok(subvolumes)
    }

    /// Assigns each subvolume its parent and each inode its subvolumes.
    fn assign_roots(&mut self, copy_links: bool) -> Result<()> {
        let tree = Arc::clone(&self.tree);
        if self.all.len() > 1 {
            let roots: BTreeMap<_, _> = (0u32..)
                .zip(&self.all)
                .map(|(number, subvolume)| (subvolume.root, number))
                .collect();
            self.owner = vec![0; tree.inodes().len()];
            for (id, _) in tree.iter().skip(1) {
                // Directories precede their entries.
                let parent = self.owner[tree.parent(id).index()];
                self.owner[id.index()] = roots.get(&id).copied().unwrap_or(parent);
            }
        }
        for number in 1..self.all.len() {
            let root = self.all[number].root;
            let name = first_name(&tree, root);
            self.all[number].parent = Some((self.subvolume_of(name.directory), name));
        }
        for (id, inode) in tree.iter().skip(1) {
            if inode.kind == Kind::Directory {
                let subvolume = self.subvolume_of(id);
                if self.all[subvolume].root != id {
                    self.all[subvolume].inodes.push(id);
                }
                continue;
            }
            let subvolumes = self.subvolumes_of(id);
            if let [first, other, ..] = subvolumes[..]
                && !copy_links
            {
                return Err(self.crosses(id, first, other));
            }
            for subvolume in subvolumes {
                self.all[subvolume].inodes.push(id);
            }
        }
        Ok(())
    }

    fn crosses(&self, id: InodeId, first: usize, other: usize) -> Error {
        let path = |subvolume: usize| {
            let mut names = self.names[&id].iter();
            let name = names.find(|name| self.subvolume_of(name.directory) == subvolume);
            self.path(*name.expect("it has a name in each of its subvolumes"))
        };
        let subvolume = |number: usize| match number {
            0 => "the top level".to_owned(),
            _ => format!("subvolume {}", Escaped(&self.tree.path(self.all[number].root))),
        };
        Error::unrepresentable(
            path(other),
            format!(
                "hard link to {} crosses from {} to {}",
                Escaped(&path(first)),
                subvolume(other),
                subvolume(first),
            ),
            "use `btrfs.copy_links` for a copy with shared extents, or put both in one subvolume",
        )
    }

    /// Returns the index of the subvolume that holds a directory's entries, or another inode's
    /// first name.
    pub(super) fn subvolume_of(&self, id: InodeId) -> usize {
        self.owner.get(id.index()).map_or(0, |&number| number as usize)
    }

    /// Returns the subvolumes in which an inode that is not a directory has names, in ascending
    /// order.
    fn subvolumes_of(&self, id: InodeId) -> Vec<usize> {
        match self.names.get(&id) {
            None => vec![self.subvolume_of(id)],
            Some(names) => {
                let mut subvolumes: Vec<_> =
                    names.iter().map(|name| self.subvolume_of(name.directory)).collect();
                subvolumes.sort_unstable();
                subvolumes.dedup();
                subvolumes
            }
        }
    }

    /// Returns the path of a name.
    pub(super) fn path(&self, name: Name) -> Vec<u8> {
        let entry = self.tree.entries(name.directory)[name.position as usize];
        self.tree.path_in(name.directory, self.tree.name(&entry))
    }

    /// Returns all inodes of a subvolume, root first.
    pub(super) fn inodes(&self, subvolume: usize) -> impl Iterator<Item = InodeId> {
        let count = self.all[subvolume].inodes.len() + 1;
        (0..count).map(move |position| self.inode(subvolume, position).expect("below the count"))
    }

    /// Returns the inode with the inode number 256 + `position` in a subvolume.
    pub(super) fn inode(&self, subvolume: usize, position: usize) -> Option<InodeId> {
        let subvolume = &self.all[subvolume];
        match position {
            0 => Some(subvolume.root),
            _ => subvolume.inodes.get(position - 1).copied(),
        }
    }

    /// Returns the inode number of an inode in one of its subvolumes.
    pub(super) fn ino(&self, subvolume: usize, id: InodeId) -> u64 {
        let subvolume = &self.all[subvolume];
        if id == subvolume.root {
            return objectid::FIRST_FREE;
        }
        let position = subvolume.inodes.binary_search(&id).expect("it is in the volume") as u64;
        objectid::FIRST_FREE + 1 + position
    }

    /// Returns the first name of an inode.
    pub(super) fn first_name(&self, id: InodeId) -> Name {
        first_name(&self.tree, id)
    }

    /// Returns the names of an inode in one of its subvolumes, in directory order.
    pub(super) fn names(&self, subvolume: usize, id: InodeId) -> Vec<Name> {
        match self.names.get(&id) {
            None => vec![first_name(&self.tree, id)],
            Some(names) => {
                let here =
                    names.iter().filter(|name| self.subvolume_of(name.directory) == subvolume);
                here.copied().collect()
            }
        }
    }

    /// Returns whether an inode has more than one name.
    pub(super) fn has_names(&self, id: InodeId) -> bool {
        self.names.contains_key(&id)
    }

    /// Returns the subvolume that is rooted at a directory.
    pub(super) fn at(&self, directory: InodeId) -> Option<&Subvolume> {
        let subvolume = &self.all[self.subvolume_of(directory)];
        (subvolume.root == directory).then_some(subvolume)
    }

    /// Returns whether an inode is nodatacow: its content is written in place and has no checksums.
    ///
    /// An inode in several subvolumes is nodatacow in all of them if it is in one: its copies share
    /// extents.
    pub(super) fn is_nodatacow(&self, id: InodeId) -> bool {
        let inode = self.tree.inode(id);
        let inherited = match inode.kind {
            Kind::Directory => self.nodatacow[self.subvolume_of(id)],
            _ => {
                self.nodatacow.contains(&true)
                    && self.subvolumes_of(id).into_iter().any(|subvolume| self.nodatacow[subvolume])
            }
        };
        inherited
            || inode.flags.contains(FileFlags::NOCOW)
            || self.in_place.contains(&id)
            || self.is_preallocated(id)
    }

    /// Returns whether a file has a name below the `boot` directory of a subvolume.
    ///
    /// GRUB 2.06 can't read files with holes.
    pub(super) fn is_below_boot(&self, id: InodeId) -> bool {
        let below = |name: &Name| {
            let mut at = name.directory;
            while self.at(at).is_none() {
                let name = self.first_name(at);
                let text =
                    self.tree.name(&self.tree.entries(name.directory)[name.position as usize]);
                if text == b"boot" && self.at(name.directory).is_some() {
                    return true;
                }
                at = name.directory;
            }
            false
        };
        match self.names.get(&id) {
            None => below(&self.first_name(id)),
            Some(names) => names.iter().any(below),
        }
    }

    /// Returns whether all of a file is allocated, including ranges that read as zeros.
    pub(super) fn is_preallocated(&self, id: InodeId) -> bool {
        self.preallocated.contains(&id)
    }
}

/// Returns the subvolumes in the order of their directories, in which they are numbered.
fn in_order(tree: &Tree, asked: &[SubvolumeOptions]) -> Result<Vec<SubvolumeOptions>> {
    let mut asked = asked.to_vec();
    asked.sort_by_key(|subvolume| subvolume.directory);
    let refuse = |subvolume: &SubvolumeOptions, rule: &str, remedy: &str| {
        let path = tree.path(subvolume.directory);
        Err(Error::parameter("btrfs.subvolumes", format!("{} {rule}", Escaped(&path)), remedy))
    };
    for subvolume in &asked {
        if subvolume.directory == InodeId::ROOT {
            return refuse(
                subvolume,
                "is the top level, which is always a subvolume",
                "leave it out",
            );
        }
        if tree.inode(subvolume.directory).kind != Kind::Directory {
            return refuse(subvolume, "is not a directory", "name a directory of the tree");
        }
    }
    for pair in asked.windows(2) {
        if pair[0].directory == pair[1].directory {
            return refuse(&pair[0], "is given twice", "give it once");
        }
    }
    Ok(asked)
}

/// Returns the first name of an inode.
fn first_name(tree: &Tree, id: InodeId) -> Name {
    let (directory, position) = tree.entry_position(id);
    Name { directory, position: u32::try_from(position).expect("entries are counted in 32 bits") }
}

/// Returns all names of inodes with several names.
fn names(tree: &Tree) -> BTreeMap<InodeId, Vec<Name>> {
    let mut names: BTreeMap<InodeId, Vec<Name>> = BTreeMap::new();
    for (directory, _) in tree.iter() {
        for (position, entry) in (0u32..).zip(tree.entries(directory)) {
            let inode = tree.inode(entry.inode());
            if inode.kind != Kind::Directory && inode.links > 1 {
                names.entry(entry.inode()).or_default().push(Name { directory, position });
            }
        }
    }
    names
}
