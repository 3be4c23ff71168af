//! Trees and options that squashfs can't hold are refused, with the path and a remedy.

use std::sync::Arc;

use detfs::format::{Format, FsInputs};
use detfs::squashfs::{Compression, Squashfs};
use detfs::tree::{HoleScan, Xattr};
use detfs::{Error, Headroom, Metadata, Node, Timestamp, Tree, TreeBuilder, Uuid};

use super::image::{EPOCH, scratch, tree};
use crate::detfs::{mkfs, mkimage};

fn one(metadata: Metadata, node: Node) -> Tree {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    builder.add(TreeBuilder::ROOT, b"name", metadata, node).unwrap();
    builder.finish().unwrap()
}

fn refusal(tree: Tree, format: &Squashfs, epoch: i64) -> Option<String> {
    let mut inputs = FsInputs::new(Arc::new(tree), HoleScan::default(), Uuid::nil());
    inputs.epoch = Timestamp::from_seconds(epoch);
    let scratch = scratch();
    inputs.spool = Some(scratch.path());
    format.prepare(inputs).err().map(|error| error.to_string())
}

fn xattr(name: &str, len: usize) -> Metadata {
    let xattrs = vec![Xattr { name: name.into(), value: vec![b'x'; len] }];
    Metadata { xattrs, ..Metadata::default() }
}

#[test]
fn what_squashfs_can_not_hold_is_refused() {
    let device = |major, minor| one(Metadata::default(), Node::CharDevice(major, minor));
    let with = |name: &str, len| one(xattr(name, len), Node::Fifo);
    for (tree, expected) in [
        (device(4095, 1_048_575), None),
        (device(4096, 0), Some("name: device number is 4096:0, squashfs allows at most")),
        (device(0, 1_048_576), Some("name: device number is 0:1048576")),
        (with("user.a", 65536), None),
        (with("user.a", 65537), Some("name: an extended attribute is 65537 bytes")),
        (with(&format!("user.{}", "n".repeat(250)), 1), None),
        (with(&format!("user.{}", "n".repeat(251)), 1), Some("name: the name of an extended")),
        (with("user.", 1), Some("name: the name of an extended")),
        (with("other", 1), None),
    ] {
        let found = refusal(tree, &Squashfs::default(), 0);
        match expected {
            None => assert_eq!(found, None),
            Some(expected) => assert!(found.as_ref().unwrap().starts_with(expected), "{found:?}"),
        }
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let empty = || one(Metadata::default(), Node::Fifo);
    for (block_size, expected) in
        [(4096, true), (1 << 20, true), (2048, false), (1 << 21, false), (5000, false)]
    {
        let mut format = Squashfs::default();
        format.block_size = block_size;
        assert_eq!(refusal(empty(), &format, 0).is_none(), expected, "{block_size}");
    }
    for (compression, expected) in [
        (Compression::Gzip { level: 9 }, true),
        (Compression::Gzip { level: 10 }, false),
        (Compression::Zstd { level: 0 }, false),
        (Compression::Zstd { level: 22 }, true),
        (Compression::Lz4 { level: 13 }, false),
        (Compression::Xz, true),
    ] {
        let mut format = Squashfs::default();
        format.compression = compression;
        assert_eq!(refusal(empty(), &format, 0).is_none(), expected, "{compression}");
    }
    for (epoch, expected) in
        [(0, true), (u32::MAX.into(), true), (-1, false), (i64::from(u32::MAX) + 1, false)]
    {
        assert_eq!(refusal(empty(), &Squashfs::default(), epoch).is_none(), expected, "{epoch}");
    }
}

#[test]
fn owners_are_counted() {
    let owned = |count: u32| {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        // User and group 0 are those of the root.
        for id in 1..count {
            let metadata = Metadata { uid: id, gid: id, ..Metadata::default() };
            let name = id.to_string();
            builder.add(TreeBuilder::ROOT, name.as_bytes(), metadata, Node::Fifo).unwrap();
        }
        builder.finish().unwrap()
    };
    assert_eq!(refusal(owned(65535), &Squashfs::default(), 0), None);
    let found = refusal(owned(65536), &Squashfs::default(), 0).unwrap();
    let expected = "/: the tree has 65536 different owners and groups, squashfs allows 65535; ";
    assert!(found.starts_with(expected), "{found}");
}

#[test]
fn free_space_and_other_sizes_are_refused() {
    let tree = Arc::new(one(Metadata::default(), Node::Fifo));
    let inputs = FsInputs::new(tree, HoleScan::default(), Uuid::nil());
    let prepared = Squashfs::default().prepare(inputs).unwrap();
    assert!(prepared.plan(0, 0).is_err_and(|error| matches!(error, Error::TooSmall { .. })));
    prepared.plan(5000, 0).unwrap_err();
    prepared.plan(8192, 0).unwrap();
    prepared.plan_smallest(Some(Headroom::Bytes(0))).unwrap();
    prepared.plan_smallest(Some(Headroom::Bytes(1))).unwrap_err();
}

#[test]
fn options_of_other_formats_are_refused_by_name() {
    let source = tree("seq 10 >file");
    let scratch = scratch();
    let out = scratch.path().join("out");
    for (options, expected) in [
        (&["--fs=squashfs", "--dedup"][..], "--dedup: only valid for btrfs or erofs; omit it, or"),
        (&["--fs=ext4", "--no-fragments"], "--no-fragments: only valid for squashfs; "),
        (
            &["--fs=ext4", "--compress=zstd"],
            "--compress: only valid for btrfs or erofs or squashfs; ",
        ),
        (&["--fs=squashfs", "--compress=lzo"], "--compress: unknown compression `lzo`; "),
        (&["--fs=squashfs", "--headroom=1M"], "--headroom: a squashfs is only read"),
        (&["--fs=squashfs", "--swapfile=/swap:1M"], "--swapfile: "),
    ] {
        let mut command = mkimage(source.path(), &out, EPOCH, options);
        let output = command.arg("--architecture=x86-64").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(&format!("error: {expected}")), "{stderr}");
        assert!(!out.exists());
    }
    let output = mkfs("squashfs", source.path(), &out, EPOCH, &["--size=1"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("error: --size: 1 byte is too small"), "{stderr}");
}
