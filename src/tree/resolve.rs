//! Paths resolved as the booted system would resolve them.

use super::path_walk::{Entry, WalkError, walk};
use super::{InodeId, Kind, Tree};

impl Tree {
    /// Returns the inode at `path`, following symlinks inside the tree.
    ///
    /// Absolute targets start at the tree's root.
    pub(crate) fn resolve(&self, path: &[u8]) -> Option<InodeId> {
        let found = walk(InodeId::ROOT, path, |&directory, name| {
            let entry = self.child(directory, name).map(|id| match self.inode(id).kind {
                Kind::Directory => Entry::Directory(id),
                Kind::Symlink => Entry::Symlink(self.target(id).to_vec()),
                _ => Entry::Other(id),
            });
            Ok::<_, WalkError>(entry)
        });
        found.ok().flatten()
    }
}
