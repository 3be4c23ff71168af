//! Filters that select paths.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::{InodeId, Tree};

type Matches = dyn Fn(&[u8]) -> bool + Send + Sync;

/// A filter that selects paths of a tree, to leave them out or to store them in another way. The
/// paths have no leading slash.
#[derive(Clone)]
pub struct PathFilter {
    patterns: Vec<String>,
    matches: Arc<Matches>,
}

impl fmt::Debug for PathFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PathFilter").field(&self.patterns).finish()
    }
}

impl PathFilter {
    /// Creates a filter from a function.
    ///
    /// `patterns` describes the filter in the manifest.
    pub fn new(
        patterns: Vec<String>,
        matches: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { patterns, matches: Arc::new(matches) }
    }

    /// Returns the patterns that describe the filter.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Returns whether the filter selects a path.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        (self.matches)(path)
    }

    /// Returns the inodes that match by any of their names, and everything below matching
    /// directories.
    pub(crate) fn select(&self, tree: &Tree) -> BTreeSet<InodeId> {
        let mut selected = BTreeSet::new();
        for (directory, _) in tree.iter() {
            for entry in tree.entries(directory) {
                // Every path is passed to the filter, because a filter may count its matches.
                let matches = self.matches(&tree.path_in(directory, tree.name(entry)));
                if matches || selected.contains(&directory) {
                    selected.insert(entry.inode());
                }
            }
        }
        selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    #[test]
    fn a_filter_selects_with_all_below_and_by_any_name() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let mut add = |parent, name: &str, node| {
            builder.add(parent, name.as_bytes(), Metadata::default(), node).unwrap()
        };
        let b = add(TreeBuilder::ROOT, "b", Node::Directory);
        let below = add(b, "below", Node::Directory);
        add(below, "deep", Node::Fifo);
        let linked = add(b, "linked", Node::Fifo);
        let a = add(TreeBuilder::ROOT, "a", Node::Directory);
        add(a, "below", Node::Fifo);
        builder.link(a, b"link", linked).unwrap();
        let tree = builder.finish().unwrap();
        for (wanted, expected) in [
            ("b/below", &["b/below", "b/below/deep"][..]),
            ("b/below/deep", &["b/below/deep"]),
            ("a/link", &["a/link"]),
            ("b/linked", &["a/link"]),
            ("b", &["a/link", "b", "b/below", "b/below/deep"]),
            ("/b", &[]),
        ] {
            let filter = PathFilter::new(Vec::new(), |path| path == wanted.as_bytes());
            let selected: Vec<_> =
                filter.select(&tree).into_iter().map(|id| tree.path(id)).collect();
            let expected: Vec<_> = expected.iter().map(|path| path.as_bytes().to_vec()).collect();
            assert_eq!(selected, expected, "{wanted}");
        }
    }
}
