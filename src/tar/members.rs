//! Builds a tree from the members of an archive.

use std::collections::btree_map::IntoIter;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::fault::{Fault, Result as Checked};
use super::reader::{Member, MemberKind};
use super::store::{Places, Store, TarContent};
use crate::error::{Error, Result};
use crate::name::{self, Escaped};
use crate::report::Warning;
use crate::tree::dir::DirOptions;
use crate::tree::{ContentId, DroppedXattrs, Metadata, Node, NodeId, Tree, TreeBuilder};

/// Mode of directories that have no member. Their owner is 0, and their time the epoch of Unix.
const MISSING_MODE: u16 = 0o755;

const ROOT: usize = 0;

/// The members of an archive by their paths, in which a later member replaces an earlier one.
pub(crate) struct Members {
    nodes: Vec<MemberNode>,
    places: Places,
    archive: PathBuf,
    /// Hard links that came before their targets, with their paths.
    links: Vec<(usize, Vec<u8>)>,
    repeated: Counted,
    absolute: Counted,
}

/// Number of members with something to report, and the first one.
#[derive(Default)]
struct Counted(u64, Vec<u8>);

impl Counted {
    fn add(&mut self, path: &[u8]) {
        if self.0 == 0 {
            self.1 = path.to_vec();
        }
        self.0 += 1;
    }

    /// Returns a warning about the members, if there are any.
    fn warning(self, one: &str, many: &str, rest: &str) -> Option<Warning> {
        let Self(count, path) = self;
        let message = match count {
            0 => return None,
            1 => format!("1 {one}{rest}"),
            count => format!("{count} {many}, first here{rest}"),
        };
        Some(Warning { path, message })
    }
}

struct MemberNode {
    metadata: Metadata,
    kind: NodeKind,
    /// Whether it is a directory without a member.
    is_missing: bool,
    /// Whether it has more names than that of its member.
    is_linked: bool,
}

enum NodeKind {
    /// Names with the indices of their nodes.
    Directory(BTreeMap<Box<[u8]>, usize>),
    File {
        size: u64,
        index: u32,
    },
    Symlink(Vec<u8>),
    Fifo,
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    /// Another name of a node that comes later: the path, and the offset of the link.
    Link(Vec<u8>, u64),
}

impl MemberNode {
    fn missing_directory() -> Self {
        let metadata = Metadata { mode: MISSING_MODE, ..Metadata::default() };
        let kind = NodeKind::Directory(BTreeMap::new());
        Self { metadata, kind, is_missing: true, is_linked: false }
    }

    fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory(_))
    }
}

/// Splits the name of a member, which has no names if the member is the root.
fn components(name: &[u8]) -> Checked<Vec<&[u8]>> {
    let names = name.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let names: Vec<&[u8]> = names.collect();
    for name in &names {
        if *name == b".." {
            let fault = Fault::new("`..` leads out of the tree, or into another directory");
            return Err(fault.with_remedy("create the archive again, from within the directory"));
        }
        if let Some(fault) = name::fault(name) {
            return Err(Fault::new(fault));
        }
    }
    Ok(names)
}

impl Members {
    pub(crate) fn new(archive: PathBuf) -> Self {
        Self {
            nodes: vec![MemberNode::missing_directory()],
            places: Places::default(),
            archive,
            links: Vec::new(),
            repeated: Counted::default(),
            absolute: Counted::default(),
        }
    }

    /// Adds the next member.
    ///
    /// # Errors
    /// [`Error::Archive`] if its name leads out of the tree or through something that is not a
    /// directory.
    pub(crate) fn add(&mut self, member: Member) -> Result<()> {
        let Member { offset, name, metadata, kind } = member;
        self.add_node(offset, &name, metadata, kind)
            .map_err(|fault| self.error(offset, name.clone(), fault))
    }

    fn error(&self, offset: u64, member: Vec<u8>, Fault { rule, remedy }: Fault) -> Error {
        Error::Archive { archive: self.archive.clone(), member, offset, rule, remedy }
    }

    fn add_node(
        &mut self,
        offset: u64,
        name: &[u8],
        metadata: Metadata,
        kind: MemberKind,
    ) -> Checked<()> {
        let names = components(name)?;
        if name.starts_with(b"/") {
            self.absolute.add(&names.join(&b'/'));
        }
        let kind = match kind {
            MemberKind::Directory => return self.add_directory(&names, metadata),
            MemberKind::HardLink(target) => return self.link(offset, &names, &target),
            MemberKind::File { size, data } => {
                let index = self.places.add(data);
                let index = index.ok_or_else(|| Fault::new("the archive has 2^32 files"))?;
                NodeKind::File { size, index }
            }
            MemberKind::Symlink(target) => NodeKind::Symlink(target),
            MemberKind::Fifo => NodeKind::Fifo,
            MemberKind::CharDevice(major, minor) => NodeKind::CharDevice(major, minor),
            MemberKind::BlockDevice(major, minor) => NodeKind::BlockDevice(major, minor),
        };
        self.nodes.push(MemberNode { metadata, kind, is_missing: false, is_linked: false });
        self.set(&names, self.nodes.len() - 1)
    }

    fn children(&mut self, directory: usize) -> &mut BTreeMap<Box<[u8]>, usize> {
        match &mut self.nodes[directory].kind {
            NodeKind::Directory(children) => children,
            _ => unreachable!("only directories are looked into"),
        }
    }

    /// Returns the directory with a path, after adding it with its parents if it is missing.
    fn directory(&mut self, names: &[&[u8]]) -> Checked<usize> {
        let mut at = ROOT;
        for (depth, name) in (1..).zip(names) {
            at = match self.children(at).get(*name).copied() {
                Some(child) if self.nodes[child].is_directory() => child,
                Some(_) => {
                    let path = names[..depth].join(&b'/');
                    let rule = format!("{} is not a directory in the archive", Escaped(&path));
                    return Err(Fault::new(rule).with_remedy("remove one of the members"));
                }
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(MemberNode::missing_directory());
                    self.children(at).insert((*name).into(), child);
                    child
                }
            };
        }
        Ok(at)
    }

    fn add_directory(&mut self, names: &[&[u8]], metadata: Metadata) -> Checked<()> {
        let there = match names.split_last() {
            None => Some(ROOT),
            Some((name, parents)) => {
                let parent = self.directory(parents)?;
                self.children(parent).get(*name).copied()
            }
        };
        if let Some(there) = there.filter(|&there| self.nodes[there].is_directory()) {
            let node = &mut self.nodes[there];
            node.metadata = metadata;
            if !std::mem::take(&mut node.is_missing) {
                self.repeated.add(&names.join(&b'/'));
            }
            return Ok(());
        }
        let node = MemberNode { metadata, is_missing: false, ..MemberNode::missing_directory() };
        self.nodes.push(node);
        self.set(names, self.nodes.len() - 1)
    }

    /// Gives a node a name, which another one may have had.
    fn set(&mut self, names: &[&[u8]], node: usize) -> Checked<()> {
        let Some((name, parents)) = names.split_last() else {
            return Err(Fault::new("the root of the archive is not a directory"));
        };
        let parent = self.directory(parents)?;
        let children = self.children(parent);
        let Some(there) = children.insert((*name).into(), node) else { return Ok(()) };
        if matches!(&self.nodes[there].kind, NodeKind::Directory(children) if !children.is_empty())
        {
            let fault = Fault::new("a directory with members has this name in the archive");
            return Err(fault.with_remedy("remove one of the members"));
        }
        self.repeated.add(&names.join(&b'/'));
        Ok(())
    }

    /// Adds another name for the node that a path refers to now, or else in the end.
    fn link(&mut self, offset: u64, names: &[&[u8]], target: &[u8]) -> Checked<()> {
        let targets = components(target)?;
        if targets == names {
            // GNU tar writes one for a file that is given to it twice.
            let there = self.find(names).filter(|&there| !self.nodes[there].is_directory());
            there.ok_or_else(|| Fault::new("a hard link to itself"))?;
            self.repeated.add(&names.join(&b'/'));
            return Ok(());
        }
        let node = match self.find(&targets) {
            Some(node) if self.nodes[node].is_directory() => return Err(link_to_directory(target)),
            Some(node) => {
                self.nodes[node].is_linked = true;
                node
            }
            None => {
                let kind = NodeKind::Link(targets.join(&b'/'), offset);
                let metadata = Metadata::default();
                let node = MemberNode { metadata, kind, is_missing: false, is_linked: false };
                self.nodes.push(node);
                let node = self.nodes.len() - 1;
                self.links.push((node, names.join(&b'/')));
                node
            }
        };
        self.set(names, node)
    }

    fn find(&self, names: &[&[u8]]) -> Option<usize> {
        let mut at = ROOT;
        for name in names {
            let NodeKind::Directory(children) = &self.nodes[at].kind else { return None };
            at = *children.get(*name)?;
        }
        Some(at)
    }

    /// Returns the node of each hard link that came before its target.
    fn resolve_links(&mut self) -> Result<BTreeMap<usize, usize>> {
        let mut resolved = BTreeMap::new();
        for (link, name) in std::mem::take(&mut self.links) {
            let mut chain = BTreeSet::new();
            let mut at = link;
            while let NodeKind::Link(target, offset) = &self.nodes[at].kind {
                if let Some(&node) = resolved.get(&at) {
                    at = node;
                    continue;
                }
                let names: Vec<&[u8]> = target.split(|&byte| byte == b'/').collect();
                let target = Escaped(target);
                let rule = match self.find(&names) {
                    _ if !chain.insert(at) => "a hard link to itself, over other links".to_owned(),
                    Some(node) if !self.nodes[node].is_directory() => {
                        at = node;
                        continue;
                    }
                    Some(_) => format!("a hard link to the directory {target}"),
                    None => format!("a hard link to {target}, which is not in the archive"),
                };
                return Err(self.error(*offset, name, Fault::new(rule)));
            }
            self.nodes[at].is_linked = true;
            resolved.extend(chain.into_iter().map(|link| (link, at)));
        }
        Ok(resolved)
    }

    /// Builds the tree of all members, and the warnings.
    pub(crate) fn finish(
        mut self,
        store: Store,
        options: &DirOptions<'_>,
    ) -> Result<(Tree, Vec<Warning>)> {
        let links = self.resolve_links()?;
        let Self { mut nodes, places, repeated, absolute, .. } = self;
        let mut emitter = Emitter::new(options, &mut nodes[ROOT])?;
        let content = TarContent { places: Arc::new(places), store };
        emitter.builder.set_source(emitter.source, Arc::new(content));
        let mut pending = vec![(take_children(&mut nodes[ROOT]), TreeBuilder::ROOT, 0)];
        while let Some((children, directory, length)) = pending.last_mut() {
            let (directory, length) = (*directory, *length);
            emitter.path.truncate(length);
            let Some((name, node)) = children.next() else {
                pending.pop();
                continue;
            };
            let node = links.get(&node).copied().unwrap_or(node);
            let Some(id) = emitter.emit(directory, &name, node, &mut nodes[node])? else {
                continue;
            };
            if nodes[node].is_directory() {
                let length = emitter.path.len();
                pending.push((take_children(&mut nodes[node]), id, length));
            }
        }
        let Emitter { builder, missing, dropped, .. } = emitter;
        let rest = "; they have mode 0755, owner 0:0 and time 0";
        let warnings = [
            missing.warning("directory has no member", "directories have no member", rest),
            absolute.warning("member has", "members have", ": a name that starts with a slash"),
            repeated.warning("member repeats", "members repeat", ": an earlier path is replaced"),
        ];
        let warnings = warnings.into_iter().flatten().chain(dropped.warnings());
        Ok((builder.finish()?, warnings.collect()))
    }
}

/// Takes the names in a directory.
fn take_children(node: &mut MemberNode) -> IntoIter<Box<[u8]>, usize> {
    match &mut node.kind {
        NodeKind::Directory(children) => std::mem::take(children).into_iter(),
        _ => unreachable!("only directories are looked into"),
    }
}

/// Adds nodes to a tree.
struct Emitter<'a, 'b> {
    options: &'a DirOptions<'b>,
    builder: TreeBuilder,
    source: u16,
    /// Nodes with several names.
    linked: BTreeMap<usize, NodeId>,
    missing: Counted,
    dropped: DroppedXattrs,
    /// Path of the last node.
    path: Vec<u8>,
}

impl<'a, 'b> Emitter<'a, 'b> {
    fn new(options: &'a DirOptions<'b>, root: &mut MemberNode) -> Result<Self> {
        let mut dropped = DroppedXattrs::default();
        let mut missing = Counted::default();
        if root.is_missing {
            missing.add(b"");
        }
        let metadata = metadata(options, &mut dropped, root, &[]);
        let mut builder = TreeBuilder::new(metadata)?;
        let source = builder.reserve_source();
        let (linked, path) = (BTreeMap::new(), Vec::new());
        Ok(Self { options, builder, source, linked, missing, dropped, path })
    }

    /// Adds a node, unless its path is excluded or it is there under another name.
    fn emit(
        &mut self,
        directory: NodeId,
        name: &[u8],
        number: usize,
        node: &mut MemberNode,
    ) -> Result<Option<NodeId>> {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        if self.options.exclude.is_some_and(|exclude| exclude(&self.path)) {
            return Ok(None);
        }
        let at = |error: Error| error.with_path(&self.path);
        if let Some(&there) = self.linked.get(&number) {
            self.builder.link(directory, name, there).map_err(at)?;
            return Ok(None);
        }
        let kind = match &mut node.kind {
            NodeKind::Directory(_) => Node::Directory,
            NodeKind::File { size, index } => {
                let content = ContentId { source: self.source, index: *index };
                Node::File { size: *size, content }
            }
            NodeKind::Symlink(target) => Node::Symlink(std::mem::take(target)),
            NodeKind::Fifo => Node::Fifo,
            NodeKind::CharDevice(major, minor) => Node::CharDevice(*major, *minor),
            NodeKind::BlockDevice(major, minor) => Node::BlockDevice(*major, *minor),
            NodeKind::Link(..) => unreachable!("links are resolved"),
        };
        if node.is_missing {
            self.missing.add(&self.path);
        }
        let metadata = metadata(self.options, &mut self.dropped, node, &self.path);
        let id = self.builder.add(directory, name, metadata, kind);
        let id = id.map_err(|error| error.with_path(&self.path))?;
        if node.is_linked {
            self.linked.insert(number, id);
        }
        Ok(Some(id))
    }
}

/// Takes the metadata of a node, without the extended attributes that are left out.
fn metadata(
    options: &DirOptions<'_>,
    dropped: &mut DroppedXattrs,
    node: &mut MemberNode,
    path: &[u8],
) -> Metadata {
    let mut metadata = std::mem::take(&mut node.metadata);
    metadata.xattrs.retain(|xattr| match options.host_xattrs.fault(&xattr.name) {
        None => true,
        Some(reason) => {
            dropped.add(&xattr.name, reason, true, || path.to_vec());
            false
        }
    });
    metadata
}

fn link_to_directory(target: &[u8]) -> Fault {
    Fault::new(format!("a hard link to the directory {}", Escaped(target)))
}
