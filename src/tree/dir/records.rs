//! Compact record of where the directories and regular files of a tree are.

use super::descriptor::Identity;

/// Route from one directory of the tree to another.
#[derive(Debug)]
pub(super) struct Route {
    /// Directories above the first one, up to a common ancestor.
    pub(super) up: Vec<Identity>,
    /// Names from the common ancestor down to the other directory.
    pub(super) down: Vec<Box<[u8]>>,
}

#[derive(Debug, Clone, Copy)]
struct DirectoryRecord {
    place: Place,
    depth: u32,
    /// Set once the directory has been read.
    identity: Identity,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    directory: u32,
    name: u32,
}

/// Compact record of the locations of a tree's directories and regular files.
#[derive(Debug)]
pub(super) struct Records {
    directories: Vec<DirectoryRecord>,
    files: Vec<(u64, Place)>,
    /// Names, each preceded by a byte with its length.
    names: Vec<u8>,
}

/// The tree has more directories, files or bytes of names than the records can count.
#[derive(Debug)]
pub(super) struct TooManyNodes;

impl Records {
    /// Number of the root directory.
    pub(super) const ROOT: u32 = 0;

    /// Creates records with only the root.
    pub(super) fn new(root: Identity) -> Self {
        let place = Place { directory: Self::ROOT, name: 0 };
        let root = DirectoryRecord { place, depth: 0, identity: root };
        Self { directories: vec![root], files: Vec::new(), names: Vec::new() }
    }

    pub(super) fn add_directory(
        &mut self,
        directory: u32,
        name: &[u8],
    ) -> Result<u32, TooManyNodes> {
        let index = u32::try_from(self.directories.len()).map_err(|_| TooManyNodes)?;
        let place = self.place(directory, name)?;
        let depth = self.directories[directory as usize].depth + 1;
        self.directories.push(DirectoryRecord { place, depth, identity: Identity::default() });
        Ok(index)
    }

    pub(super) fn set_identity(&mut self, directory: u32, identity: Identity) {
        self.directories[directory as usize].identity = identity;
    }

    pub(super) fn add_file(
        &mut self,
        directory: u32,
        name: &[u8],
        stamp: u64,
    ) -> Result<u32, TooManyNodes> {
        let index = u32::try_from(self.files.len()).map_err(|_| TooManyNodes)?;
        let place = self.place(directory, name)?;
        self.files.push((stamp, place));
        Ok(index)
    }

    fn place(&mut self, directory: u32, name: &[u8]) -> Result<Place, TooManyNodes> {
        let at = u32::try_from(self.names.len()).map_err(|_| TooManyNodes)?;
        self.names.push(u8::try_from(name.len()).map_err(|_| TooManyNodes)?);
        self.names.extend_from_slice(name);
        Ok(Place { directory, name: at })
    }

    /// Returns the directory and the name of a file.
    pub(super) fn file(&self, index: u32) -> (u32, &[u8]) {
        let (_, place) = self.files[index as usize];
        (place.directory, self.name(place))
    }

    /// Returns the stamp that a file had when it was added.
    pub(super) fn stamp(&self, index: u32) -> u64 {
        self.files[index as usize].0
    }

    fn name(&self, place: Place) -> &[u8] {
        let at = place.name as usize;
        let len = usize::from(self.names[at]);
        &self.names[at + 1..=at + len]
    }

    pub(super) fn name_of_directory(&self, index: u32) -> &[u8] {
        match index {
            Self::ROOT => b"",
            _ => self.name(self.directories[index as usize].place),
        }
    }

    /// Returns the route from one directory to another.
    ///
    /// The directories above the first must have been read.
    pub(super) fn route(&self, mut from: u32, mut to: u32) -> Route {
        let mut route = Route { up: Vec::new(), down: Vec::new() };
        while from != to {
            let (above, below) = (&self.directories[from as usize], &self.directories[to as usize]);
            if above.depth < below.depth {
                route.down.push(self.name(below.place).into());
                to = below.place.directory;
            } else {
                from = above.place.directory;
                route.up.push(self.directories[from as usize].identity);
            }
        }
        route.down.reverse();
        route
    }

    pub(super) fn path_of_directory(&self, index: u32) -> Vec<u8> {
        self.route(Self::ROOT, index).down.join(&b'/')
    }

    pub(super) fn path_of_file(&self, index: u32) -> Vec<u8> {
        let (_, place) = self.files[index as usize];
        let mut path = self.path_of_directory(place.directory);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(self.name(place));
        path
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.directories.shrink_to_fit();
        self.files.shrink_to_fit();
        self.names.shrink_to_fit();
    }
}
