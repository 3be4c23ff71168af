//! Parts of trees.

use crate::error::Result;
use crate::time::Timestamp;
use crate::tree::{Metadata, Tree, TreeBuilder};

/// Directory whose content may be in a partition of its own.
pub(super) const USR: &[u8] = b"usr";

/// Returns whether `path` is `directory` or lies below it.
pub(super) fn is_at_or_below(path: &[u8], directory: &[u8]) -> bool {
    let rest = path.strip_prefix(directory);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Returns an empty tree, the content of a partition that the source tree has nothing for.
pub(super) fn empty_tree(epoch: Timestamp) -> Result<Tree> {
    let metadata = Metadata { mode: 0o755, mtime: epoch, ..Metadata::default() };
    TreeBuilder::new(metadata)?.finish()
}
