//! Files to add to the tree of a boot partition.

use super::content::is_same;
use crate::disk::uefi::{find, spelled};
use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::time::Timestamp;
use crate::tree::{InodeId, Metadata, Tree, TreeBuilder, TreeMerge};

/// Files to add to the tree of a boot partition.
pub(super) struct Additions<'a> {
    /// Tree of the partition.
    partition: &'a Tree,
    /// Tree that files are copied from.
    source: &'a Tree,
    files: Vec<(Vec<u8>, Content<'a>)>,
}

enum Content<'a> {
    Copy(&'a Tree, InodeId),
    Text(String),
}

impl<'a> Additions<'a> {
    pub(super) fn new(partition: &'a Tree, source: &'a Tree) -> Self {
        Self { partition, source, files: Vec::new() }
    }

    /// Adds a copy of a file, unless the partition has it at its path.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] if another file has the path.
    pub(super) fn copy(&mut self, path: &str, file: InodeId) -> Result<()> {
        self.copy_from(self.source, path, file)
    }

    /// Adds a copy of a file of another tree, as [`copy`](Self::copy) does.
    pub(super) fn copy_from(&mut self, source: &'a Tree, path: &str, file: InodeId) -> Result<()> {
        let path = spelled(self.partition, path.as_bytes());
        let there = find(self.partition, &path).map(|id| (self.partition, id));
        let mut added = self.files.iter().filter_map(|(other, content)| match content {
            Content::Copy(tree, id) if other.eq_ignore_ascii_case(&path) => Some((*tree, *id)),
            _ => None,
        });
        let Some((tree, other)) = there.or_else(|| added.next()) else {
            self.files.push((path, Content::Copy(source, file)));
            return Ok(());
        };
        if is_same(tree, other, source, file)? {
            return Ok(());
        }
        Err(Error::unrepresentable(
            tree.path(other),
            format!(
                "it is in the place of /{}, to which `boot` copies /{}",
                Escaped(&path),
                Escaped(&source.path(file))
            ),
            "leave one of the two out with `tree.exclude`",
        ))
    }

    /// Adds a text file, unless the partition has a file at its path.
    pub(super) fn text(&mut self, path: &str, text: String) {
        let path = spelled(self.partition, path.as_bytes());
        if find(self.partition, &path).is_none() {
            self.files.push((path, Content::Text(text)));
        }
    }

    /// Returns the tree of the partition with the files, and with `epoch` as the time of those that
    /// are not copies.
    pub(super) fn apply(self, epoch: Timestamp) -> Result<Tree> {
        let Self { partition, files, .. } = self;
        let metadata = Metadata { mode: 0o644, mtime: epoch, ..Metadata::default() };
        let mut texts = TreeBuilder::new(metadata.clone())?;
        for (number, (_, content)) in files.iter().enumerate() {
            if let Content::Text(text) = content {
                texts.file(number.to_string(), text.as_str(), metadata.clone())?;
            }
        }
        let texts = texts.finish()?;
        let mut merge = TreeMerge::new();
        merge.merge(TreeMerge::ROOT, partition)?;
        for (number, (path, content)) in files.iter().enumerate() {
            let at = path.iter().rposition(|&byte| byte == b'/');
            let (parent, name) =
                at.map_or((&b""[..], &path[..]), |at| (&path[..at], &path[at + 1..]));
            let directory = merge.make_directory(parent)?;
            let (tree, file) = match content {
                Content::Copy(tree, file) => (*tree, *file),
                Content::Text(_) => {
                    let name = number.to_string();
                    (&texts, texts.find(name.as_bytes()).expect("every text has its number"))
                }
            };
            merge.file(directory, name, tree, file).expect("the path is free");
        }
        merge.adopt(TreeMerge::ROOT, partition, InodeId::ROOT);
        let prefix = partition.path(InodeId::ROOT);
        Ok(merge.finish(Some(epoch))?.with_prefix(&prefix))
    }
}
