//! Trees for the planner, and the errors of refused plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use detfs::Error;
use detfs::Timestamp;
use detfs::fat::{Options, plan};
use detfs::tree::{Metadata, Node, NodeId, Tree, TreeBuilder};

/// Modification time of test files: 2023-11-14 22:13:21.5 UTC.
pub const MTIME: Timestamp = Timestamp { seconds: 1_700_000_001, nanoseconds: 500_000_000 };

pub fn metadata() -> Metadata {
    Metadata { mode: 0o755, mtime: MTIME, ..Metadata::default() }
}

/// A tree under construction, and the content of its files by path.
pub struct Sample {
    pub builder: TreeBuilder,
    pub directories: BTreeMap<String, NodeId>,
    pub content: BTreeMap<String, Arc<Vec<u8>>>,
}

impl Sample {
    pub fn new() -> Self {
        let directories = BTreeMap::from([(String::new(), TreeBuilder::ROOT)]);
        let builder = TreeBuilder::new(metadata()).unwrap();
        Self { builder, directories, content: BTreeMap::new() }
    }

    /// Returns the parent directory of a path, which is created if necessary, and the name.
    fn place<'p>(&mut self, path: &'p str) -> (NodeId, &'p str) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !self.directories.contains_key(parent) {
            self.directory(parent);
        }
        (self.directories[parent], name)
    }

    pub fn directory(&mut self, path: &str) -> NodeId {
        let node = self.node(path, metadata(), Node::Directory);
        self.directories.insert(path.to_owned(), node);
        node
    }

    pub fn node(&mut self, path: &str, metadata: Metadata, node: Node) -> NodeId {
        let (parent, name) = self.place(path);
        self.builder.add(parent, name.as_bytes(), metadata, node).unwrap()
    }

    pub fn file_with(&mut self, path: &str, metadata: Metadata, bytes: &[u8]) -> NodeId {
        let bytes = Arc::new(bytes.to_vec());
        self.content.insert(path.to_owned(), Arc::clone(&bytes));
        let size = bytes.len() as u64;
        let content = self.builder.content(bytes).unwrap();
        self.node(path, metadata, Node::File { size, content })
    }

    pub fn file(&mut self, path: &str, bytes: &[u8]) -> NodeId {
        self.file_with(path, metadata(), bytes)
    }

    /// Adds a file of `size` bytes whose content is never read.
    pub fn huge(&mut self, path: &str, size: u64) {
        let content = self.builder.content(Arc::new(Vec::new())).unwrap();
        self.node(path, metadata(), Node::File { size, content });
    }

    pub fn finish(self) -> (Arc<Tree>, BTreeMap<String, Arc<Vec<u8>>>) {
        (Arc::new(self.builder.finish().unwrap()), self.content)
    }

    pub fn tree(self) -> Arc<Tree> {
        self.finish().0
    }
}

pub fn options() -> Options {
    Options {
        size: None,
        sector_size: 512,
        hidden_sectors: 0,
        volume_id: 0x1234_abcd,
        label: None,
        epoch: MTIME,
        variant: None,
    }
}

pub fn sized(size: u64) -> Options {
    Options { size: Some(size), ..options() }
}

/// Returns bytes that depend on their position.
pub fn pattern(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at / 7 + at * 31 + salt) % 251).unwrap()).collect()
}

pub fn small() -> Sample {
    let mut sample = Sample::new();
    sample.file("EFI/BOOT/BOOTX64.EFI", &pattern(100_000, 1));
    sample.file("EFI/Linux/some-kernel-6.1.0.efi", &pattern(70_000, 2));
    sample.file("loader/loader.conf", b"timeout 0\n");
    sample.file("loader/entries.srel", b"type1\n");
    sample.file("empty", b"");
    sample.directory("loader/entries");
    sample
}

pub fn refusal(tree: &Arc<Tree>, options: &Options) -> Error {
    match plan(tree, options) {
        Ok(plan) => panic!("planned as {}", plan.variant),
        Err(error) => error,
    }
}
