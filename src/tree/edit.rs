//! Derived trees, with fewer names or another file. The source of the tree is never modified.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::builder::{Addition, Node};
use super::content::ZeroPaddedContent;
use super::{ContentId, InodeId, Kind, Metadata, Tree};
use crate::error::Result;

impl Tree {
    /// Reads all content of a regular file.
    ///
    /// # Errors
    /// [`Error::Source`](crate::Error::Source) if the content can't be read, and
    /// [`Error::Changed`](crate::Error::Changed) if the file has changed since the tree was built.
    ///
    /// # Panics
    /// If the inode is not a regular file.
    pub fn read(&self, id: InodeId) -> Result<Vec<u8>> {
        let Kind::File { size, .. } = self.inode(id).kind else {
            unreachable!("only regular files have content")
        };
        self.read_head(id, usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// Reads the first `length` bytes of a regular file, or all of a shorter file.
    pub(crate) fn read_head(&self, id: InodeId, length: usize) -> Result<Vec<u8>> {
        let Kind::File { size, .. } = self.inode(id).kind else {
            unreachable!("only regular files have content")
        };
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(length)];
        let reader = self.open(id)?;
        reader.read(0, &mut bytes)?;
        reader.verify()?;
        Ok(bytes)
    }

    /// Returns the tree without the given names and everything that is reachable only through them.
    ///
    /// The names are indices into the list of [all entries](Tree::entry_range).
    pub(crate) fn without_entries(&self, names: &BTreeSet<usize>) -> Result<Self> {
        self.rebuild(InodeId::ROOT, names, None)
    }

    /// Returns a directory and everything below it as a separate tree.
    ///
    /// Content, and paths in errors, remain those of the source.
    ///
    /// # Errors
    /// If `root` is not a directory.
    pub fn subtree(&self, root: InodeId) -> Result<Self> {
        self.rebuild(root, &BTreeSet::new(), None)
    }

    /// Returns the tree without the entries of `directories`, which stay as empty directories.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`](crate::Error::Unrepresentable) as for
    /// [`TreeBuilder`](crate::tree::TreeBuilder), which can't happen for directories of this tree.
    pub fn with_empty_dirs(&self, directories: &[InodeId]) -> Result<Self> {
        let names = directories.iter().flat_map(|&directory| self.entry_range(directory));
        self.without_entries(&names.collect())
    }

    /// Returns the tree with an additional file, and the number of that file.
    ///
    /// Its content is the bytes of `head`, padded with zeros to its size. The number of every later
    /// inode increases by one.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`](crate::Error::Unrepresentable) if the name or the metadata is not
    /// valid in a file system, or if the directory already has the name.
    pub(crate) fn with_file(
        &self,
        directory: InodeId,
        name: &[u8],
        metadata: Metadata,
        head: Arc<[u8]>,
        size: u64,
    ) -> Result<(Self, InodeId)> {
        let source = u16::try_from(self.sources.len()).expect("a tree has a handful of sources");
        let node = Node::File { size, content: ContentId { source, index: 0 } };
        let addition = Addition { directory, name, metadata, node };
        let mut tree = self.rebuild(InodeId::ROOT, &BTreeSet::new(), Some(addition))?;
        tree.sources.push(Arc::new(ZeroPaddedContent(head)));
        let file = tree.child(directory, name).expect("directories stand before their entries");
        Ok((tree, file))
    }
}
