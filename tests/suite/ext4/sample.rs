//! Trees built in memory, and images of them.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use detfs::Warning;
use detfs::ext4::{Options, Plan, Profile, plan};
use detfs::layout::{Destination, emit};
use detfs::tree::{
    ContentId, HoleScan, HoleScanOptions, Metadata, Node, NodeId, Tree, TreeBuilder, Xattr,
    scan_holes,
};
use detfs::{ReadAt, Timestamp, Uuid};
use tempfile::TempDir;

use crate::oracle::{Verdict, e2fsck, mount_ext4};

pub const ROOT: NodeId = TreeBuilder::ROOT;

/// A tree under construction.
pub struct Sample {
    builder: TreeBuilder,
    empty: ContentId,
}

pub fn metadata(mode: u16) -> Metadata {
    Metadata { mode, mtime: Timestamp::from_seconds(1_600_000_000), ..Metadata::default() }
}

/// Returns the metadata of a file with one extended attribute.
pub fn with_xattr(name: &str, value: impl Into<Vec<u8>>) -> Metadata {
    let xattr = Xattr { name: name.into(), value: value.into() };
    Metadata { xattrs: vec![xattr], ..metadata(0o644) }
}

impl Sample {
    pub fn new() -> Self {
        let mut builder = TreeBuilder::new(metadata(0o755)).unwrap();
        let empty = builder.content(Arc::new(Vec::new())).unwrap();
        Self { builder, empty }
    }

    pub fn add(
        &mut self,
        parent: NodeId,
        name: impl AsRef<[u8]>,
        metadata: Metadata,
        node: Node,
    ) -> NodeId {
        self.builder.add(parent, name.as_ref(), metadata, node).unwrap()
    }

    pub fn link(&mut self, parent: NodeId, name: impl AsRef<[u8]>, node: NodeId) {
        self.builder.link(parent, name.as_ref(), node).unwrap();
    }

    pub fn directory(&mut self, parent: NodeId, name: impl AsRef<[u8]>) -> NodeId {
        self.add(parent, name, metadata(0o755), Node::Directory)
    }

    pub fn empty(&mut self, parent: NodeId, name: impl AsRef<[u8]>, metadata: Metadata) -> NodeId {
        let content = self.empty;
        self.add(parent, name, metadata, Node::File { size: 0, content })
    }

    pub fn file(&mut self, name: &str, bytes: impl Into<Vec<u8>>) -> NodeId {
        let bytes = bytes.into();
        self.content(name, bytes.len() as u64, Arc::new(bytes))
    }

    pub fn content(
        &mut self,
        name: &str,
        size: u64,
        content: Arc<dyn ReadAt + Send + Sync>,
    ) -> NodeId {
        let content = self.builder.content(content).unwrap();
        self.add(ROOT, name, metadata(0o644), Node::File { size, content })
    }

    pub fn finish(self) -> Arc<Tree> {
        Arc::new(self.builder.finish().unwrap())
    }
}

/// Content without zero bytes.
pub struct Solid;

/// Content with the given number of nonzero runs: the first 16 KiB, and then every other 4 KiB, so
/// that every later 16 KiB start with zeros, as holes do.
///
/// Everything after the runs is zeros.
pub struct Comb(pub u64);

impl Comb {
    /// Returns the size of content that contains all runs.
    pub fn len(&self) -> u64 {
        (self.0 + 1) * 8192
    }
}

impl ReadAt for Solid {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        for (byte, at) in buffer.iter_mut().zip(offset..) {
            *byte = u8::try_from(1 + at % 251).unwrap();
        }
        Ok(buffer.len())
    }
}

impl ReadAt for Comb {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        for (byte, at) in buffer.iter_mut().zip(offset..) {
            let granule = at / 4096;
            let tooth = granule < 4 || granule % 2 == 1 && at < self.len();
            *byte = if tooth { u8::try_from(1 + at % 251).unwrap() } else { 0 };
        }
        Ok(buffer.len())
    }
}

pub const HASH_SEED: &str = "00000000-0000-0000-0000-000000009abc";

pub fn options() -> Options {
    Options {
        uuid: Uuid::from_u128(0x1234_5678_9abc_4ef0_8234_5678_9abc_def0),
        hash_seed: HASH_SEED.parse().unwrap(),
        label: b"root".to_vec(),
        epoch: Timestamp::from_seconds(1_700_000_000),
        block_size: 4096,
        profile: Profile::Default,
        size: None,
        headroom: None,
        multiple: 1 << 20,
        grow_to: None,
        inodes: None,
    }
}

/// An image in a file in its own temporary directory.
pub struct Image {
    scratch: TempDir,
    pub path: PathBuf,
    pub warnings: Vec<Warning>,
}

fn planned(tree: &Arc<Tree>, options: &Options) -> detfs::Result<Plan> {
    let scan: HoleScan = scan_holes(tree, &HoleScanOptions::default()).unwrap();
    plan(tree, &scan, options)
}

/// Writes an image to a path, and returns the warnings.
pub fn write(tree: &Arc<Tree>, options: &Options, path: &Path) -> Vec<Warning> {
    let Plan { layout, warnings, .. } = planned(tree, options).unwrap();
    let layout = layout.seal();
    let output = Destination::new(path, false).unwrap().create(layout.size()).unwrap();
    let threads = NonZero::<usize>::MIN;
    emit(&layout, &output, &detfs::layout::Options::new(threads)).unwrap();
    output.finish().unwrap();
    warnings
}

impl Image {
    pub fn new(tree: &Arc<Tree>, options: &Options) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("image");
        let warnings = write(tree, options, &path);
        Self { scratch, path, warnings }
    }

    /// Returns a path next to the image.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Checks the image with e2fsck and the kernel, and calls `look` with the mounted root.
    pub fn check_with_oracles<T>(&self, look: impl FnOnce(&Path) -> T) -> Verdict<T> {
        e2fsck(&self.path)?;
        mount_ext4(&self.path, look)
    }

    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        File::open(&self.path).unwrap().read_exact_at(offset, &mut bytes).unwrap();
        bytes
    }
}

/// Returns the error with which a tree is rejected.
pub fn refusal(tree: &Arc<Tree>, options: &Options) -> String {
    planned(tree, options).unwrap_err().to_string()
}
