//! A tree merged from parts of other trees.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::path_walk::{Entry as PathEntry, WalkError, walk};
use super::{
    ContentId, ContentSource, Entry, InodeId, Kind, Metadata, Node, NodeId, Tree, TreeBuilder,
};
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// A node of a [`TreeMerge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MergeId(usize);

struct MergedNode {
    metadata: Metadata,
    /// Whether the node was created implicitly, or had a node put into it. Its time is then that of
    /// the whole tree.
    timeless: bool,
    what: MergedKind,
}

enum MergedKind {
    Directory(BTreeMap<Box<[u8]>, MergeId>),
    Other(Node),
}

/// Builder that merges several trees.
///
/// A directory is merged with an existing directory at the same path. Any other node replaces an
/// existing node that is not a directory.
pub(crate) struct TreeMerge {
    made: Vec<MergedNode>,
    /// Sources of the trees. In the merged tree the number of each is higher by one.
    sources: Vec<Arc<dyn ContentSource>>,
}

impl TreeMerge {
    pub(crate) const ROOT: MergeId = MergeId(0);

    /// Creates a merge with an implicit root of mode 0755.
    pub(crate) fn new() -> Self {
        let root = MergedNode { metadata: made(0o755), timeless: true, what: MergedKind::empty() };
        Self { made: vec![root], sources: Vec::new() }
    }

    /// Sets the metadata of a directory to that of a directory in another tree.
    pub(crate) fn adopt(&mut self, directory: MergeId, tree: &Tree, from: InodeId) {
        let made = &mut self.made[directory.0];
        (made.metadata, made.timeless) = (tree.metadata(from), false);
    }

    /// Returns the metadata of a node, for adding to it.
    pub(crate) fn metadata(&mut self, node: MergeId) -> &mut Metadata {
        &mut self.made[node.0].metadata
    }

    /// Returns the node at `path`, following symlinks, or `None` if it does not exist.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Option<MergeId>> {
        walk(Self::ROOT, path, |&directory, name| Ok(self.entry(directory, name)))
            .map_err(|error| unreachable_path(path, error))
    }

    /// Returns whether a node is a directory.
    pub(crate) fn is_directory(&self, node: MergeId) -> bool {
        matches!(self.made[node.0].what, MergedKind::Directory(_))
    }

    /// Returns the directory at `path`, following symlinks.
    ///
    /// Missing directories are created with mode 0755.
    pub(crate) fn make_directory(&mut self, path: &[u8]) -> Result<MergeId> {
        let found = walk(Self::ROOT, path, |&directory, name| {
            Ok(Some(self.entry(directory, name).unwrap_or_else(|| {
                let what = MergedKind::empty();
                let made = MergedNode { metadata: made(0o755), timeless: true, what };
                PathEntry::Directory(self.put(directory, name, made))
            })))
        });
        let found = found.map_err(|error| unreachable_path(path, error))?;
        let node = found.expect("missing directories are created");
        match self.is_directory(node) {
            true => Ok(node),
            false => Err(unreachable_path(path, WalkError::NotADirectory)),
        }
    }

    /// Adds a symlink to a directory that does not have the name yet.
    pub(crate) fn symlink(
        &mut self,
        directory: MergeId,
        name: &[u8],
        target: &[u8],
    ) -> Result<(), NameTaken> {
        let what = MergedKind::Other(Node::Symlink(target.to_vec()));
        let link = MergedNode { metadata: made(0o777), timeless: true, what };
        if self.child(directory, name).is_some() {
            return Err(NameTaken);
        }
        self.put(directory, name, link);
        Ok(())
    }

    /// Merges the content of a tree's root into a directory.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] if a directory would replace something that is not a directory,
    /// or the reverse.
    pub(crate) fn merge(&mut self, directory: MergeId, tree: &Tree) -> Result<()> {
        let first = self.take_sources(tree);
        let mut links = BTreeMap::new();
        let mut pending = vec![(InodeId::ROOT, directory)];
        while let Some((from, to)) = pending.pop() {
            for entry in tree.entries(from) {
                let (id, name) = (entry.inode(), tree.name(entry));
                let is_directory = tree.inode(id).kind == Kind::Directory;
                let there = self.child(to, name);
                match there.map(|there| (there, &self.made[there.0].what)) {
                    Some((there, MergedKind::Directory(_))) if is_directory => {
                        pending.push((id, there));
                        continue;
                    }
                    Some((_, MergedKind::Directory(_))) => {
                        return Err(clash(tree, from, entry, "a directory"));
                    }
                    Some((_, MergedKind::Other(_))) if is_directory => {
                        return Err(clash(tree, from, entry, "not a directory"));
                    }
                    Some(_) | None => {}
                }
                let node = match links.get(&id) {
                    Some(&node) => node,
                    None => {
                        let copied = self.copied(tree, id, first);
                        self.add(copied)
                    }
                };
                if tree.inode(id).links > 1 {
                    links.insert(id, node);
                }
                self.entries(to).insert(name.into(), node);
                if is_directory {
                    pending.push((id, node));
                }
            }
        }
        Ok(())
    }

    /// Adds a file of a tree to a directory that does not have the name yet.
    pub(crate) fn file(
        &mut self,
        directory: MergeId,
        name: &[u8],
        tree: &Tree,
        file: InodeId,
    ) -> Result<(), NameTaken> {
        if self.child(directory, name).is_some() {
            return Err(NameTaken);
        }
        let first = self.take_sources(tree);
        let copied = self.copied(tree, file, first);
        self.put(directory, name, copied);
        Ok(())
    }

    /// Builds the merged tree in canonical order.
    ///
    /// Implicitly created nodes get `time`, or else the time of the newest node that was copied.
    pub(crate) fn finish(self, time: Option<Timestamp>) -> Result<Tree> {
        let Self { made, sources } = self;
        let copied = made.iter().filter(|made| !made.timeless);
        let newest = || copied.map(|made| made.metadata.mtime).max().unwrap_or_default();
        let time = time.unwrap_or_else(newest);
        let metadata = |at: MergeId| {
            let MergedNode { metadata, timeless, .. } = &made[at.0];
            let mtime = if *timeless { time } else { metadata.mtime };
            Metadata { mtime, ..metadata.clone() }
        };
        let mut builder = TreeBuilder::new(metadata(Self::ROOT))?;
        for source in sources {
            let number = builder.reserve_source();
            builder.set_source(number, source);
        }
        let mut nodes: BTreeMap<usize, NodeId> = BTreeMap::new();
        let mut pending = vec![(Self::ROOT, TreeBuilder::ROOT)];
        while let Some((from, to)) = pending.pop() {
            let MergedKind::Directory(entries) = &made[from.0].what else { continue };
            for (name, &id) in entries {
                if let Some(&node) = nodes.get(&id.0) {
                    builder.link(to, name, node)?;
                    continue;
                }
                let node = match &made[id.0].what {
                    MergedKind::Directory(_) => Node::Directory,
                    MergedKind::Other(node) => node.clone(),
                };
                let node = builder.add(to, name, metadata(id), node)?;
                nodes.insert(id.0, node);
                pending.push((id, node));
            }
        }
        builder.finish()
    }

    fn add(&mut self, made: MergedNode) -> MergeId {
        self.made.push(made);
        MergeId(self.made.len() - 1)
    }

    /// Adds a node to a directory, which counts as a change of the directory.
    fn put(&mut self, directory: MergeId, name: &[u8], made: MergedNode) -> MergeId {
        let node = self.add(made);
        self.entries(directory).insert(name.into(), node);
        self.made[directory.0].timeless = true;
        node
    }

    fn take_sources(&mut self, tree: &Tree) -> u16 {
        let first = self.sources.len() + 1;
        self.sources.extend(tree.sources.iter().cloned());
        u16::try_from(first).expect("a tree is put together of a handful of trees")
    }

    fn copied(&self, tree: &Tree, id: InodeId, first: u16) -> MergedNode {
        let what = match tree.node(id) {
            Node::Directory => MergedKind::empty(),
            Node::File { size, content: ContentId { index, source } } => {
                MergedKind::Other(Node::File {
                    size,
                    content: ContentId { index, source: source + first },
                })
            }
            node => MergedKind::Other(node),
        };
        MergedNode { metadata: tree.metadata(id), timeless: false, what }
    }

    fn child(&self, directory: MergeId, name: &[u8]) -> Option<MergeId> {
        match &self.made[directory.0].what {
            MergedKind::Directory(entries) => entries.get(name).copied(),
            MergedKind::Other(_) => None,
        }
    }

    fn entries(&mut self, directory: MergeId) -> &mut BTreeMap<Box<[u8]>, MergeId> {
        match &mut self.made[directory.0].what {
            MergedKind::Directory(entries) => entries,
            MergedKind::Other(_) => unreachable!("only directories are asked for entries"),
        }
    }

    /// Returns what a name in a directory refers to, for a path walk.
    fn entry(&self, directory: MergeId, name: &[u8]) -> Option<PathEntry<MergeId>> {
        let child = self.child(directory, name)?;
        Some(match &self.made[child.0].what {
            MergedKind::Directory(_) => PathEntry::Directory(child),
            MergedKind::Other(Node::Symlink(target)) => PathEntry::Symlink(target.clone()),
            MergedKind::Other(_) => PathEntry::Other(child),
        })
    }
}

impl Tree {
    /// Returns this tree with the content of another tree merged into a directory.
    ///
    /// If this tree does not have the directory, it is added with the metadata of the other tree's
    /// root.
    ///
    /// # Errors
    /// Those of [`TreeMerge::merge`].
    pub(crate) fn with_tree(&self, directory: &[u8], other: &Self) -> Result<Self> {
        let mut merge = TreeMerge::new();
        merge.merge(TreeMerge::ROOT, self)?;
        let is_added = merge.find(directory)?.is_none();
        let place = merge.make_directory(directory)?;
        if is_added {
            merge.adopt(place, other, InodeId::ROOT);
        }
        merge.merge(place, other)?;
        // This comes last, because the addition must not affect the time of the root.
        merge.adopt(TreeMerge::ROOT, self, InodeId::ROOT);
        merge.finish(None)
    }
}

impl MergedKind {
    fn empty() -> Self {
        Self::Directory(BTreeMap::new())
    }
}

/// The directory already has the name.
#[derive(Debug)]
pub(crate) struct NameTaken;

fn made(mode: u16) -> Metadata {
    Metadata { mode, ..Metadata::default() }
}

fn unreachable_path(path: &[u8], error: WalkError) -> Error {
    let rule = match error {
        WalkError::NotADirectory => "a component of the path is not a directory",
        WalkError::TooManySymlinks => "too many levels of symlinks",
    };
    Error::unrepresentable(path, rule, "give another path")
}

fn clash(tree: &Tree, directory: InodeId, entry: &Entry, there: &str) -> Error {
    Error::unrepresentable(
        tree.path_in(directory, tree.name(entry)),
        format!("the destination is {there}"),
        "copy one of the two elsewhere, or exclude it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Metadata {
        let mtime = Timestamp::from_seconds(seconds);
        Metadata { mode: 0o700, mtime, ..Metadata::default() }
    }

    /// Builds a root with the directory `d`, which holds a file under two names and a symlink to
    /// it.
    fn tree(text: &str, seconds: i64) -> Tree {
        let mut builder = TreeBuilder::new(at(seconds)).unwrap();
        let content = builder.content(Arc::new(text.as_bytes().to_vec())).unwrap();
        let d = builder.add(TreeBuilder::ROOT, b"d", at(seconds), Node::Directory).unwrap();
        let file = Node::File { size: text.len() as u64, content };
        let file = builder.add(d, b"one", at(seconds), file).unwrap();
        builder.link(d, b"two", file).unwrap();
        let link = Node::Symlink(b"/d".to_vec());
        builder.add(TreeBuilder::ROOT, b"link", at(seconds), link).unwrap();
        builder.finish().unwrap()
    }

    fn listing(tree: &Tree) -> Vec<String> {
        tree.iter()
            .map(|(id, inode)| {
                let path = String::from_utf8(tree.path(id)).unwrap();
                format!("{path} {:o} {} {}", inode.mode, inode.mtime.seconds, inode.links)
            })
            .collect()
    }

    fn text(tree: &Tree, path: &[u8]) -> String {
        let id = tree.find(path).unwrap();
        let Kind::File { size, .. } = tree.inode(id).kind else { panic!("no file") };
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        tree.open(id).unwrap().read(0, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn later_trees_replace_files_and_keep_directories() {
        let mut merge = TreeMerge::new();
        merge.adopt(TreeMerge::ROOT, &tree("", 3), InodeId::ROOT);
        merge.merge(TreeMerge::ROOT, &tree("first", 5)).unwrap();
        merge.merge(TreeMerge::ROOT, &tree("second", 7)).unwrap();
        let d = merge.make_directory(b"link/e/../f").unwrap();
        assert_eq!(merge.find(b"d/f").unwrap(), Some(d));
        let third = tree("third", 6);
        merge.file(d, b"g", &third, third.find(b"d/one").unwrap()).unwrap();
        assert!(merge.symlink(d, b"g", b"x").is_err());
        merge.symlink(d, b"s", b"x").unwrap();
        let whole = merge.finish(None).unwrap();
        assert_eq!(
            listing(&whole),
            [
                " 700 3 1",
                "d 700 7 1",
                "d/e 755 7 1",
                "d/f 755 7 1",
                "d/f/g 700 6 1",
                "d/f/s 777 7 1",
                "d/one 700 7 2",
                "link 700 7 1"
            ]
        );
        assert_eq!(text(&whole, b"d/two"), "second");
        assert_eq!(text(&whole, b"d/f/g"), "third");
    }

    #[test]
    fn directories_and_files_do_not_replace_each_other() {
        for path in [&b"link"[..], b"d/one"] {
            let mut merge = TreeMerge::new();
            merge.merge(TreeMerge::ROOT, &tree("", 0)).unwrap();
            let mut other = TreeMerge::new();
            other.make_directory(path).unwrap();
            let other = other.finish(None).unwrap();
            let error = merge.merge(TreeMerge::ROOT, &other).unwrap_err().to_string();
            assert!(error.contains("the destination is not a directory"), "{error}");
        }
        let mut merge = TreeMerge::new();
        merge.make_directory(b"d/one").unwrap();
        let error = merge.merge(TreeMerge::ROOT, &tree("", 0)).unwrap_err().to_string();
        assert!(
            error.starts_with("d/one: ") && error.contains("the destination is a directory"),
            "{error}"
        );
        assert!(merge.make_directory(b"d/one/x").is_ok());
    }

    #[test]
    fn symlinks_come_to_an_end() {
        let mut merge = TreeMerge::new();
        merge.symlink(TreeMerge::ROOT, b"a", b"b").unwrap();
        merge.symlink(TreeMerge::ROOT, b"b", b"../../a").unwrap();
        assert!(merge.find(b"a").is_err());
        assert_eq!(merge.find(b"c").unwrap(), None);
        merge.merge(TreeMerge::ROOT, &tree("", 0)).unwrap();
        assert!(merge.make_directory(b"d/one").is_err());
        assert!(merge.make_directory(b"d/one/x").is_err());
    }
}
