#![expect(clippy::single_range_in_vec_init, reason = "files with one range of data")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::*;
use crate::time::Timestamp;
use crate::tree::dir::{self, DirOptions};
use crate::tree::{FileFlags, Metadata, Node, NodeId, TreeBuilder, Xattr};

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;

fn options(threads: usize, digest: bool) -> HoleScanOptions<'static> {
    HoleScanOptions { threads: NonZero::new(threads).unwrap(), digest, observer: None }
}

/// Returns `size` bytes, which have the value 1 in the ranges `ones` and 0 elsewhere.
fn bytes(size: u64, ones: &[Range<u64>]) -> Vec<u8> {
    let at = |offset| usize::try_from(offset).unwrap();
    let mut bytes = vec![0; at(size)];
    ones.iter().for_each(|range| bytes[at(range.start)..at(range.end)].fill(1));
    bytes
}

/// Returns trees of a single file, whose content is held by the host in different ways.
fn trees(size: u64, ones: &[Range<u64>]) -> (tempfile::TempDir, [Tree; 3]) {
    let content = bytes(size, ones);
    let host = tempfile::tempdir().unwrap();
    let made = ["dense", "sparse"].map(|name| {
        let root = host.path().join(name);
        fs::create_dir(&root).unwrap();
        let file = File::create_new(root.join("file")).unwrap();
        if name == "dense" {
            file.write_all_at(&content, 0).unwrap();
        } else {
            file.set_len(size).unwrap();
            for range in ones {
                let part = bytes(range.end - range.start, &[0..range.end - range.start]);
                file.write_all_at(&part, range.start).unwrap();
            }
        }
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        File::open(&root).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        dir::read(&root, &DirOptions::default()).unwrap().0
    });
    let [dense, sparse] = made;
    let root = dense.inode(InodeId::ROOT);
    let file = dense.inode(FILE);
    let mut builder =
        TreeBuilder::new(Metadata { mode: root.mode, ..Metadata::default() }).unwrap();
    let content = builder.content(Arc::new(content)).unwrap();
    let metadata = Metadata { mode: file.mode, ..Metadata::default() };
    let file = Node::File { size, content };
    builder.add(TreeBuilder::ROOT, b"file", metadata, file).unwrap();
    (host, [dense, sparse, builder.finish().unwrap()])
}

const FILE: InodeId = InodeId(1);

#[test]
fn holes_are_decided_by_content() {
    type Case<'a> = (&'a str, u64, &'a [Range<u64>], Option<&'a [Range<u64>]>);
    #[rustfmt::skip]
    let cases: [Case<'_>; 17] = [
        ("too short to look into", 64 * K - 1, &[], None),
        ("the shortest, all zeros", 64 * K, &[], Some(&[])),
        ("all data", 64 * K, &[0..64 * K], None),
        ("a hole at the start", 64 * K, &[4096..64 * K], Some(&[4096..64 * K])),
        ("a hole at the end", 64 * K, &[0..48 * K], Some(&[0..48 * K])),
        ("a hole within", 64 * K, &[0..16 * K, 20 * K..64 * K], Some(&[0..16 * K, 20 * K..64 * K])),
        ("zeros in a window that starts with data", 64 * K, &[0..8192, 12288..60 * K], None),
        ("zeros that fill no granule", 64 * K, &[0..1, 8191..64 * K], None),
        ("zeros that fill one and a half", 64 * K, &[0..16 * K - 1, 20 * K + 2048..64 * K],
            Some(&[0..16 * K, 20 * K..64 * K])),
        ("one byte at the end of a granule", 64 * K, &[8191..8192], Some(&[4096..8192])),
        ("one byte after the probe", 64 * K, &[4160..4161], Some(&[4096..8192])),
        ("the last part is zeros", 64 * K + 100, &[0..64 * K], Some(&[0..64 * K])),
        ("the last part is data", 64 * K + 100, &[0..1, 64 * K + 99..64 * K + 100],
            Some(&[0..16 * K, 64 * K..64 * K + 100])),
        ("the last part is shorter than a probe", 64 * K + 7, &[0..64 * K + 7], None),
        ("data over the end of a segment", 33 * M, &[16 * M - 1..16 * M + 1],
            Some(&[16 * M - 4096..16 * M + 16 * K])),
        ("a hole over the end of a segment", 33 * M, &[0..16 * M - 16 * K, 16 * M + 4096..33 * M],
            Some(&[0..16 * M - 16 * K, 16 * M + 4096..33 * M])),
        ("a hole in one segment only", 33 * M, &[0..20 * M, 24 * M..33 * M],
            Some(&[0..20 * M, 24 * M..33 * M])),
    ];
    for (name, size, ones, expected) in cases {
        let (_host, trees) = trees(size, ones);
        let mut digests = Vec::new();
        for (tree, digest, threads) in
            trees.iter().flat_map(|tree| [(tree, false, 1), (tree, true, 1), (tree, true, 3)])
        {
            let scan = scan_holes(tree, &options(threads, digest)).unwrap();
            assert_eq!(scan.data(FILE), expected, "{name}");
            assert_eq!(scan.data(InodeId::ROOT), None, "{name}");
            assert_eq!(scan.digest().is_some(), digest, "{name}");
            digests.extend(scan.digest());
        }
        // The files of the host are owned by the user who runs the test.
        let (host, supplied) = digests.split_at(4);
        assert!(host.iter().all(|digest| *digest == host[0]), "{name}");
        assert_eq!(supplied[0], supplied[1], "{name}");
        if trees[0].inode(FILE).uid == 0 && trees[0].inode(FILE).gid == 0 {
            assert_eq!(supplied[0], host[0], "{name}");
        }
    }
}

#[test]
fn a_hole_costs_nothing_however_large() {
    let host = tempfile::tempdir().unwrap();
    let file = File::create_new(host.path().join("file")).unwrap();
    let end = 15 << 40;
    file.set_len(end).unwrap();
    file.write_all_at(b"x", 10 << 40).unwrap();
    let (tree, _) = dir::read(host.path(), &DirOptions::default()).unwrap();
    for digest in [false, true] {
        let scan = scan_holes(&tree, &options(2, digest)).unwrap();
        assert_eq!(scan.data(FILE), Some(&[10 << 40..(10 << 40) + WINDOW][..]));
    }
}

#[test]
fn segments_are_few() {
    for (size, len) in [
        (0, 16 * M),
        (16 * M, 16 * M),
        (16 << 30, 16 * M),
        ((16 << 30) + 1024, 32 * M),
        (1 << 40, 1 << 30),
        (u64::MAX, 1 << 54),
    ] {
        assert_eq!(segment_len(size), len, "{size}");
    }
}

#[test]
fn the_first_file_that_fails_is_named() {
    let host = tempfile::tempdir().unwrap();
    for n in 0..60 {
        fs::write(host.path().join(format!("{n:02}")), "content").unwrap();
    }
    let (tree, _) = dir::read(host.path(), &DirOptions::default()).unwrap();
    for n in [17, 18, 40, 59] {
        fs::remove_file(host.path().join(format!("{n:02}"))).unwrap();
    }
    for threads in [1, 2, 8] {
        let error = scan_holes(&tree, &options(threads, true)).unwrap_err().to_string();
        assert!(error.starts_with("17: it was removed"), "{error}");
    }
    // Short files are irrelevant to the plan.
    scan_holes(&tree, &options(2, false)).unwrap();
}

fn metadata() -> Metadata {
    Metadata {
        mode: 0o644,
        uid: 1,
        gid: 2,
        mtime: Timestamp { seconds: -3, nanoseconds: 4 },
        flags: FileFlags::NODUMP,
        xattrs: vec![Xattr { name: b"user.a".to_vec(), value: b"b".to_vec() }],
    }
}

/// Returns the digest of a tree with a file, its second name, a symlink and a device, and whatever
/// else is added.
fn digest_of(
    metadata: Metadata,
    content: Vec<u8>,
    target: &[u8],
    device: Node,
    more: impl FnOnce(&mut TreeBuilder, NodeId),
) -> [u8; 32] {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    let size = content.len() as u64;
    let content = builder.content(Arc::new(content)).unwrap();
    let file = Node::File { size, content };
    let root = TreeBuilder::ROOT;
    let file = builder.add(root, b"file", metadata, file).unwrap();
    let link = Node::Symlink(target.to_vec());
    builder.add(root, b"link", Metadata::default(), link).unwrap();
    builder.add(root, b"node", Metadata::default(), device).unwrap();
    more(&mut builder, file);
    let tree = builder.finish().unwrap();
    scan_holes(&tree, &options(1, true)).unwrap().digest().unwrap()
}

/// The expected digest was computed from the description of the format by a program in another
/// language.
#[test]
fn the_digest_is_the_one_that_is_described() {
    let content = b"123456789".to_vec();
    let digest = digest_of(metadata(), content, b"to", Node::CharDevice(1, 3), |builder, file| {
        builder.link(TreeBuilder::ROOT, b"other", file).unwrap();
    });
    let shown = crate::hex::hex(&digest);
    assert_eq!(shown, "c6254a67efe987bf7289f9ab26084e855b249ed3f05d684167b0d3fa85380953");
}

#[test]
fn the_digest_changes_with_everything() {
    type Change = fn(&mut Metadata);
    let with = |change: Change| {
        let mut metadata = metadata();
        change(&mut metadata);
        digest_of(metadata, b"content".to_vec(), b"to", Node::Fifo, |_, _| ())
    };
    let plain = |content: &[u8], target: &[u8], node: Node| {
        digest_of(metadata(), content.to_vec(), target, node, |_, _| ())
    };
    let add = |more: fn(&mut TreeBuilder, NodeId)| {
        digest_of(metadata(), b"content".to_vec(), b"to", Node::Fifo, more)
    };
    let large = |ones: &[Range<u64>]| plain(&bytes(128 * K, ones), b"to", Node::Fifo);
    let mut digests = vec![
        with(|_| ()),
        with(|metadata| metadata.mode = 0o645),
        with(|metadata| metadata.uid = 2),
        with(|metadata| metadata.gid = 1),
        with(|metadata| metadata.mtime.seconds = 3),
        with(|metadata| metadata.mtime.nanoseconds = 5),
        with(|metadata| metadata.flags = FileFlags::APPEND),
        with(|metadata| metadata.xattrs.clear()),
        with(|metadata| metadata.xattrs[0].name = b"user.b".to_vec()),
        with(|metadata| metadata.xattrs[0].value = b"c".to_vec()),
        plain(b"contend", b"to", Node::Fifo),
        plain(b"content\0", b"to", Node::Fifo),
        plain(b"", b"to", Node::Fifo),
        plain(b"content", b"too", Node::Fifo),
        plain(b"content", b"to", Node::Socket),
        plain(b"content", b"to", Node::Directory),
        plain(b"content", b"to", Node::CharDevice(0, 0)),
        plain(b"content", b"to", Node::CharDevice(0, 1)),
        plain(b"content", b"to", Node::CharDevice(1, 0)),
        plain(b"content", b"to", Node::BlockDevice(1, 0)),
        add(|tree, file| tree.link(TreeBuilder::ROOT, b"more", file).unwrap()),
        add(|tree, file| tree.link(TreeBuilder::ROOT, b"morf", file).unwrap()),
        add(|tree, _| {
            let content = tree.content(Arc::new(b"content".to_vec())).unwrap();
            let copy = Node::File { size: 7, content };
            tree.add(TreeBuilder::ROOT, b"more", metadata(), copy).unwrap();
        }),
        large(&[]),
        large(&[0..4096]),
        large(&[4096..8192]),
        large(&[0..4095]),
        large(&[0..128 * K]),
    ];
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count);
}
