//! State shared by the threads that read a directory: the growing tree, and the remaining work.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

use rustix::fd::OwnedFd;

use super::descriptor::Identity;
use super::node::{DroppedXattr, NodeContent, NodeStat};
use super::records::{Records, Route, TooManyNodes};
use super::source::DirSource;
use super::walker::join;
use crate::error::{Error, Result};
use crate::report::Warning;
use crate::tree::builder::too_large;
use crate::tree::{ContentId, DroppedXattrs, Node, NodeId, Tree, TreeBuilder};

/// A directory that is yet to be read.
pub(super) struct Pending {
    /// Number of the directory in the records.
    pub(super) number: u32,
    /// Node that the directory will be added to. `None` for the root, which exists already.
    pub(super) parent: Option<NodeId>,
}

/// State shared by the threads.
pub(super) struct WalkState {
    builder: TreeBuilder,
    /// Number of the source in the builder.
    source: u16,
    records: Records,
    links: BTreeMap<Identity, NodeId>,
    pub(super) pending: Vec<Pending>,
    /// Number of threads that are reading a directory and may find more directories.
    pub(super) busy: usize,
    left_out: DroppedXattrs,
    /// Paths at which other file systems are mounted.
    mounted: BTreeSet<Vec<u8>>,
    /// Error with the smallest path so far.
    failure: Option<(Vec<u8>, Error)>,
}

impl WalkState {
    /// Creates the state with the root as the first directory to read.
    pub(super) fn new(root: NodeStat, identity: Identity) -> Result<Self> {
        let mut builder = TreeBuilder::new(root.metadata)?;
        let mut state = Self {
            source: builder.reserve_source(),
            builder,
            records: Records::new(identity),
            links: BTreeMap::new(),
            pending: vec![Pending { number: Records::ROOT, parent: None }],
            busy: 0,
            left_out: DroppedXattrs::default(),
            mounted: BTreeSet::new(),
            failure: None,
        };
        state.leave_out(root.left_out, true, Vec::new);
        Ok(state)
    }

    /// Builds the tree, whose content is read from beneath `root`, and the warnings.
    pub(super) fn finish(mut self, root: Arc<OwnedFd>) -> Result<(Tree, Vec<Warning>)> {
        if let Some((_, error)) = self.failure {
            return Err(error);
        }
        self.records.shrink_to_fit();
        let source = DirSource::new(root, self.records);
        self.builder.set_source(self.source, Arc::new(source));
        let mounted = self.mounted.into_iter().map(|path| Warning {
            path,
            message: "another file system is mounted here, and its content is in the image".into(),
        });
        let warnings = mounted.chain(self.left_out.warnings()).collect();
        Ok((self.builder.finish()?, warnings))
    }

    /// Takes the next directory to read, and counts the caller as busy.
    pub(super) fn next(&mut self) -> Option<Pending> {
        let pending = self.pending.pop()?;
        self.busy += 1;
        Some(pending)
    }

    /// Fails, whatever other errors there are, and drops the directories that are not read yet.
    pub(super) fn cancel(&mut self, cancelled: Error) {
        self.pending.clear();
        self.failure = Some((Vec::new(), cancelled));
    }

    /// Records a mount point.
    pub(super) fn mounted(&mut self, path: Vec<u8>) {
        self.mounted.insert(path);
    }

    /// Returns the route from a directory that has been read to another one.
    pub(super) fn route(&self, from: u32, to: u32) -> Route {
        self.records.route(from, to)
    }

    pub(super) fn path_of_directory(&self, number: u32) -> Vec<u8> {
        self.records.path_of_directory(number)
    }

    /// Counts the attributes of a node that are left out.
    ///
    /// A node with several names counts only once.
    fn leave_out(&mut self, names: Vec<DroppedXattr>, new: bool, path: impl Fn() -> Vec<u8>) {
        for (name, reason) in names {
            self.left_out.add(&name, reason, new, &path);
        }
    }

    pub(super) fn fail(&mut self, path: Vec<u8>, error: Error) {
        if self.failure.as_ref().is_none_or(|(first, _)| path < *first) {
            self.failure = Some((path, error));
        }
    }

    /// Adds a thread's findings in a directory, on the first call together with the directory
    /// itself.
    pub(super) fn add(&mut self, directory: &mut Directory, path: &[u8], batch: &mut Batch) {
        for (path, error) in batch.failures.drain(..) {
            self.fail(path, error);
        }
        match self.node_of(directory, path) {
            Ok(node) => self.add_entries(directory.number, path, node, batch),
            Err(error) => self.fail(path.to_vec(), error.with_path(path)),
        }
        batch.clear();
    }

    fn node_of(&mut self, directory: &mut Directory, path: &[u8]) -> Result<NodeId> {
        let (parent, stat, identity) = match &mut directory.place {
            DirectoryPlace::Added(node) => return Ok(*node),
            DirectoryPlace::Below(parent, stat, identity) => (*parent, stat, *identity),
        };
        self.records.set_identity(directory.number, identity);
        let name = self.records.name_of_directory(directory.number);
        let metadata = take(&mut stat.metadata);
        let node = self.builder.add(parent, name, metadata, Node::Directory)?;
        self.leave_out(take(&mut stat.left_out), true, || path.to_vec());
        directory.place = DirectoryPlace::Added(node);
        Ok(node)
    }

    fn add_entries(&mut self, number: u32, path: &[u8], node: NodeId, batch: &mut Batch) {
        for range in batch.directories.drain(..) {
            let name = &batch.names[range];
            match self.records.add_directory(number, name) {
                Ok(number) => self.pending.push(Pending { number, parent: Some(node) }),
                Err(TooManyNodes) => {
                    let path = join(path, name);
                    self.fail(path.clone(), too_large(path));
                }
            }
        }
        for found in batch.found.drain(..) {
            let name = &batch.names[found.name.clone()];
            if let Err(error) = self.add_entry(number, path, node, name, found) {
                let path = join(path, name);
                self.fail(path.clone(), error.with_path(&path));
            }
        }
    }

    fn add_entry(
        &mut self,
        number: u32,
        path: &[u8],
        node: NodeId,
        name: &[u8],
        found: FoundNode,
    ) -> Result<()> {
        let FoundNode { stat, what, key, .. } = found;
        let known = key.and_then(|key| self.links.get(&key)).copied();
        self.leave_out(stat.left_out, known.is_none(), || join(path, name));
        if stat.is_mounted {
            self.mounted(join(path, name));
        }
        if let Some(known) = known {
            return self.builder.link(node, name, known);
        }
        let what = match what {
            NodeContent::Other(node) => node,
            NodeContent::File { size, stamp } => {
                let index = self.records.add_file(number, name, stamp);
                let index = index.map_err(|TooManyNodes| too_large(name.to_vec()))?;
                Node::File { size, content: ContentId { source: self.source, index } }
            }
        };
        let added = self.builder.add(node, name, stat.metadata, what)?;
        if let Some(key) = key {
            self.links.insert(key, added);
        }
        Ok(())
    }
}

/// A directory that is being read by a thread.
pub(super) struct Directory {
    pub(super) number: u32,
    pub(super) place: DirectoryPlace,
}

pub(super) enum DirectoryPlace {
    /// The directory is in the tree.
    Added(NodeId),
    /// The directory will be added to this node.
    Below(NodeId, NodeStat, Identity),
}

/// A node, not a directory, that was found in a directory.
pub(super) struct FoundNode {
    pub(super) name: Range<usize>,
    pub(super) stat: NodeStat,
    pub(super) what: NodeContent,
    pub(super) key: Option<Identity>,
}

/// Findings of a thread in a directory that have not been added to the tree yet.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) names: Vec<u8>,
    pub(super) found: Vec<FoundNode>,
    pub(super) directories: Vec<Range<usize>>,
    pub(super) failures: Vec<(Vec<u8>, Error)>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.found.len() + self.directories.len()
    }

    fn clear(&mut self) {
        self.names.clear();
        self.found.clear();
        self.directories.clear();
    }
}
