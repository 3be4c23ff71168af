//! Builds a tree by paths.

use std::sync::Arc;

use super::{Metadata, Node, NodeId, TreeBuilder};
use crate::error::{Error, Result};

/// Adding nodes by path. Paths have names separated by slashes, and may start with a slash.
///
/// A directory that a path implies has the owner, mode and modification time of the root directory,
/// unless it is added by [`TreeBuilder::directory`], before or after. Only directories that were
/// added by path are found by path.
impl TreeBuilder {
    /// Adds a regular file with its content.
    ///
    /// ```
    /// use detfs::tree::{Metadata, TreeBuilder};
    ///
    /// # fn main() -> detfs::Result<()> {
    /// let mut tree = TreeBuilder::new(Metadata { mode: 0o755, ..Metadata::default() })?;
    /// let file = Metadata { mode: 0o644, ..Metadata::default() };
    /// tree.file("/etc/hostname", "example\n", file)?;
    /// let tree = tree.finish()?;
    /// assert!(tree.find(b"etc/hostname").is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`TreeBuilder::node`].
    pub fn file(
        &mut self,
        path: impl AsRef<[u8]>,
        content: impl Into<Vec<u8>>,
        metadata: Metadata,
    ) -> Result<NodeId> {
        let bytes = content.into();
        let size = bytes.len() as u64;
        let content = self.content(Arc::new(bytes))?;
        self.node(path, Node::File { size, content }, metadata)
    }

    /// Adds a symbolic link with its target.
    ///
    /// # Errors
    /// Those of [`TreeBuilder::node`].
    pub fn symlink(
        &mut self,
        path: impl AsRef<[u8]>,
        target: impl Into<Vec<u8>>,
        metadata: Metadata,
    ) -> Result<NodeId> {
        self.node(path, Node::Symlink(target.into()), metadata)
    }

    /// Adds a directory, or sets the metadata of one that a path has implied. The root directory
    /// has its metadata from [`TreeBuilder::new`].
    ///
    /// # Errors
    /// Those of [`TreeBuilder::node`].
    pub fn directory(&mut self, path: impl AsRef<[u8]>, metadata: Metadata) -> Result<NodeId> {
        self.node(path, Node::Directory, metadata)
    }

    /// Adds a node of any kind.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] if a name of the path, the target or the metadata is not valid in
    /// a file system, or if a directory was added before. Other names that are added twice are only
    /// detected by [`TreeBuilder::finish`].
    pub fn node(
        &mut self,
        path: impl AsRef<[u8]>,
        node: Node,
        metadata: Metadata,
    ) -> Result<NodeId> {
        let names = names(path.as_ref());
        let Some((name, parents)) = names.split_last() else {
            let remedy = "give the path of a node below the root";
            return Err(Error::unrepresentable(Vec::new(), "the root exists already", remedy));
        };
        let path = names.join(&b'/');
        let fail = |error: Error| error.with_path(&path);
        let parent = self.parent(parents).map_err(fail)?;
        if !matches!(node, Node::Directory) {
            return self.add(parent, name, metadata, node).map_err(fail);
        }
        let id = match self.directories.get(&path) {
            None => self.add(parent, name, metadata, node).map_err(fail)?,
            Some(&(id, true)) => {
                self.set_metadata(id, metadata).map_err(fail)?;
                id
            }
            Some((_, false)) => {
                return Err(Error::unrepresentable(path, "added twice", "add it once"));
            }
        };
        self.directories.insert(path, (id, false));
        Ok(id)
    }

    /// Adds another name to a node (a hard link).
    ///
    /// # Errors
    /// Those of [`TreeBuilder::link`], and those of [`TreeBuilder::node`] for the path.
    pub fn hard_link(&mut self, path: impl AsRef<[u8]>, node: NodeId) -> Result<()> {
        let names = names(path.as_ref());
        match names.split_last() {
            Some((name, parents)) => {
                let parent = self.parent(parents)?;
                self.link(parent, name, node)
            }
            // An empty name is refused.
            None => self.link(Self::ROOT, b"", node),
        }
    }

    /// Returns the directory with a path, which is added with its parents if it is not known.
    fn parent(&mut self, names: &[&[u8]]) -> Result<NodeId> {
        let mut parent = Self::ROOT;
        for depth in 1..=names.len() {
            let directory = names[..depth].join(&b'/');
            parent = match self.directories.get(&directory) {
                Some(&(id, _)) => id,
                None => {
                    let metadata = self.root_metadata();
                    let id = self.add(parent, names[depth - 1], metadata, Node::Directory)?;
                    self.directories.insert(directory, (id, true));
                    id
                }
            };
        }
        Ok(parent)
    }
}

/// Splits a path into its names.
fn names(path: &[u8]) -> Vec<&[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::tree::{InodeId, Kind};

    fn metadata(mode: u16, seconds: i64) -> Metadata {
        Metadata { mode, mtime: Timestamp::from_seconds(seconds), ..Metadata::default() }
    }

    #[test]
    fn parents_are_implied() {
        let mut builder = TreeBuilder::new(metadata(0o755, 1)).unwrap();
        builder.file("/usr//bin/sh", "#!", metadata(0o755, 2)).unwrap();
        builder.directory("usr", metadata(0o700, 3)).unwrap();
        builder.symlink("bin", "usr/bin", metadata(0o777, 4)).unwrap();
        let sh = builder.file("opt/sh", "#!", metadata(0o755, 2)).unwrap();
        builder.hard_link("/opt/other/sh", sh).unwrap();
        assert!(builder.hard_link("/", sh).is_err());
        builder.node("dev/null", Node::CharDevice(1, 3), metadata(0o666, 5)).unwrap();
        builder.directory("dev/shm/", metadata(0o1777, 6)).unwrap();
        let tree = builder.finish().unwrap();
        let found: Vec<_> = tree
            .iter()
            .map(|(id, inode)| {
                let path = String::from_utf8(tree.path(id)).unwrap();
                (path, inode.mode, inode.mtime.seconds)
            })
            .collect();
        let expected = [
            ("", 0o755, 1),
            ("bin", 0o777, 4),
            ("dev", 0o755, 1),
            ("dev/null", 0o666, 5),
            ("dev/shm", 0o1777, 6),
            ("opt", 0o755, 1),
            ("opt/other", 0o755, 1),
            ("opt/other/sh", 0o755, 2),
            ("usr", 0o700, 3),
            ("usr/bin", 0o755, 1),
            ("usr/bin/sh", 0o755, 2),
        ];
        let expected = expected.map(|(path, mode, seconds)| (path.to_owned(), mode, seconds));
        assert_eq!(found, expected);
        let sh = tree.find(b"usr/bin/sh").unwrap();
        assert!(matches!(tree.inode(sh).kind, Kind::File { size: 2, .. }));
        assert_eq!(tree.inode(InodeId::ROOT).mode, 0o755);
    }

    #[test]
    fn bad_paths_are_refused_by_name() {
        for (path, rule) in [
            ("", "the root exists already"),
            ("/", "the root exists already"),
            ("a/../b", "`.` and `..` can't be names"),
            ("a/.", "`.` and `..` can't be names"),
            ("b\0c", "the name contains a NUL byte"),
            ("directory", "added twice"),
        ] {
            let mut builder = TreeBuilder::new(metadata(0o755, 0)).unwrap();
            builder.directory("directory", metadata(0o755, 0)).unwrap();
            let error = builder.directory(path, metadata(0o755, 0)).unwrap_err();
            assert!(error.to_string().contains(rule), "{path}: {error}");
        }
    }

    #[test]
    fn a_path_through_a_file_is_refused() {
        let mut builder = TreeBuilder::new(metadata(0o755, 0)).unwrap();
        builder.file("a", "", metadata(0o644, 0)).unwrap();
        builder.file("a/b", "", metadata(0o644, 0)).unwrap();
        assert!(builder.finish().unwrap_err().to_string().starts_with("a: "));
    }
}
