//! Sources of trees.

use std::path::{Path, PathBuf};

use super::Tree;
use super::dir::{self, DirOptions};
use crate::error::Result;
use crate::report::Warning;

/// A source that a tree can be read from.
pub trait Source {
    /// Reads the tree, with its content by reference, and returns warnings about what was left out.
    ///
    /// # Errors
    /// The errors of the source. Of several errors the one with the smallest path is reported.
    fn read(&self, options: &DirOptions<'_>) -> Result<(Tree, Vec<Warning>)>;
}

/// A directory of the host as a source, read by [`dir::read`].
#[derive(Debug, Clone)]
pub struct Directory(PathBuf);

impl Directory {
    /// Creates the source from the path of the directory.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self(path.as_ref().to_owned())
    }
}

impl Source for Directory {
    fn read(&self, options: &DirOptions<'_>) -> Result<(Tree, Vec<Warning>)> {
        dir::read(&self.0, options)
    }
}
