//! File systems with a sample of everything, written by detfs.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::{Arc, Mutex, OnceLock};

use positioned_io::WriteAt;
use uuid::Uuid;

use super::image::Image;
use crate::btrfs::{
    Checksum, Compat, Contents, Metadata as Copies, Options, PrepassOptions, SubvolumeOptions,
    hash, plan, prepass,
};
use crate::layout::{self, Sink, emit};
use crate::size::Headroom;
use crate::time::Timestamp;
use crate::tree::{
    FileFlags, HoleScanOptions, Metadata, Node, NodeId, Tree, TreeBuilder, Xattr, scan_holes,
};

const K: usize = 1 << 10;

/// Returns incompressible bytes.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[7]
    };
    (0..len).map(next).collect()
}

/// Returns two names with the same hash.
pub(super) fn colliding() -> (Vec<u8>, Vec<u8>) {
    let mut seen = BTreeMap::new();
    for number in 0u32.. {
        let name = format!("collides-{number}").into_bytes();
        if let Some(other) = seen.insert(hash::name(&name), name.clone()) {
            return (other, name);
        }
    }
    unreachable!("there are fewer hashes than names")
}

struct Builder(TreeBuilder);

impl Builder {
    fn metadata(mode: u16) -> Metadata {
        Metadata { mode, mtime: Timestamp { seconds: 1, nanoseconds: 2 }, ..Metadata::default() }
    }

    fn directory(&mut self, parent: NodeId, name: &str) -> NodeId {
        self.0.add(parent, name.as_bytes(), Self::metadata(0o755), Node::Directory).unwrap()
    }

    fn file(&mut self, parent: NodeId, name: &str, content: Vec<u8>) -> NodeId {
        self.flagged(parent, name, content, FileFlags::empty())
    }

    fn flagged(
        &mut self,
        parent: NodeId,
        name: &str,
        content: Vec<u8>,
        flags: FileFlags,
    ) -> NodeId {
        let size = content.len() as u64;
        let content = self.0.content(Arc::new(content)).unwrap();
        let metadata = Metadata { flags, ..Self::metadata(0o644) };
        self.0.add(parent, name.as_bytes(), metadata, Node::File { size, content }).unwrap()
    }
}

fn tree() -> Tree {
    let mut tree = Builder(TreeBuilder::new(Builder::metadata(0o755)).unwrap());
    let root = TreeBuilder::ROOT;
    tree.file(root, "inline", b"a few bytes".to_vec());
    tree.file(root, "empty", Vec::new());
    tree.file(root, "plain", noise(40 * K + 5, 1));
    tree.file(root, "words", noise(1000, 2).repeat(50));
    tree.file(root, "inline-words", b"word ".repeat(500));
    tree.flagged(root, "nocow", noise(9 * K, 3), FileFlags::NOCOW);
    let mut holed = noise(200 * K, 4);
    holed[64 * K..96 * K].fill(0);
    tree.flagged(root, "holed", holed, FileFlags::NOCOMPRESS);
    tree.flagged(root, "swap", vec![0; 64 * K], FileFlags::NOCOW);
    let many = tree.directory(root, "many");
    for number in 0..36 {
        tree.file(many, &format!("same-{number:02}"), noise(8 * K, 5));
    }
    let linked = tree.file(root, "linked", b"linked".to_vec());
    for number in 0..40 {
        let name = format!("{number:0>100}");
        tree.0.link(many, name.as_bytes(), linked).unwrap();
    }
    let nodes = [
        ("link", Node::Symlink(b"where/to".to_vec())),
        ("fifo", Node::Fifo),
        ("socket", Node::Socket),
        ("char", Node::CharDevice(1, 3)),
        ("block", Node::BlockDevice(259, 70_000)),
    ];
    for (name, node) in nodes {
        tree.0.add(root, name.as_bytes(), Builder::metadata(0o600), node).unwrap();
    }
    let (one, other) = colliding();
    let collisions = tree.directory(root, "collisions");
    for name in [one, other] {
        tree.0.add(collisions, &name, Builder::metadata(0o644), Node::Fifo).unwrap();
    }
    // The last one, whose leaf has room.
    let xattr = |name: &[u8], value: &[u8]| Xattr { name: name.into(), value: value.into() };
    let xattrs = vec![xattr(b"user.empty", b""), xattr(b"security.a", b"value")];
    let metadata = Metadata { xattrs, ..Builder::metadata(0o644) };
    let content = tree.0.content(Arc::new(b"zz".to_vec())).unwrap();
    tree.0.add(root, b"zz", metadata, Node::File { size: 2, content }).unwrap();
    let volume = tree.directory(root, "volume");
    tree.file(volume, "file", noise(5 * K, 6));
    let nested = tree.directory(volume, "nested");
    tree.file(nested, "file", noise(6 * K, 7));
    tree.0.finish().unwrap()
}

/// A sink in memory.
struct Memory(Mutex<Vec<u8>>);

impl Sink for Memory {
    fn write(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.0.lock().unwrap().write_all_at(offset, bytes)
    }

    fn zeros(&self, _: u64, _: u64) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the options of a sample.
pub(super) fn options(tree: &Tree) -> Options {
    let subvolume = |path: &[u8], read_only| SubvolumeOptions {
        directory: tree.find(path).unwrap(),
        read_only,
        nodatacow: false,
    };
    Options {
        uuid: Uuid::from_u128(0x1234_5678),
        label: b"sample".to_vec(),
        epoch: Timestamp::from_seconds(1_700_000_000),
        node_size: 16384,
        checksum: Checksum::Crc32c,
        metadata: Copies::Dup,
        compat: Compat::Default,
        max_inline: 2048,
        compression: Some("zstd".parse().unwrap()),
        uncompressed: BTreeSet::new(),
        nodatacow: BTreeSet::new(),
        dedup: true,
        subvolumes: vec![subvolume(b"volume", false), subvolume(b"volume/nested", true)],
        default_subvolume: tree.find(b"volume"),
        copy_links: false,
        preallocated: tree.find(b"swap").into_iter().collect(),
        size: None,
        headroom: Some(Headroom::Bytes(0)),
        multiple: 4096,
    }
}

/// Writes a file system with the sample tree and changed options.
pub(super) fn write(change: impl FnOnce(&mut Options)) -> Vec<u8> {
    let tree = Arc::new(tree());
    let mut options = options(&tree);
    change(&mut options);
    let threads = NonZero::<usize>::MIN;
    let scan =
        scan_holes(&tree, &HoleScanOptions { threads, ..HoleScanOptions::default() }).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let reading = PrepassOptions { threads, spool: Some(scratch.path()), observer: None };
    let contents: Arc<Contents> = Arc::new(prepass(&tree, &scan, &options, &reading).unwrap());
    let layout = plan(&tree, &contents, &options).unwrap().layout.seal();
    let memory = Memory(Mutex::new(vec![0; usize::try_from(layout.size()).unwrap()]));
    emit(&layout, &memory, &layout::Options::new(threads)).unwrap();
    memory.0.into_inner().unwrap()
}

/// Returns an image whose trees are single leaves, with a mirror of the superblock.
pub(super) fn flat() -> Image {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    let size = Some((64 << 20) + (1 << 20));
    Image::new(BYTES.get_or_init(|| write(|options| options.size = size)).clone())
}

/// Returns an image whose trees have levels.
pub(super) fn deep() -> Image {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    Image::new(BYTES.get_or_init(|| write(|options| options.node_size = 4096)).clone())
}
