//! The number of inodes, for every way to specify the size.

use std::fs;
use std::path::Path;

use super::inspect::superblock_field;
use crate::detfs::{mkfs, mkimage, succeed};
use crate::oracle::{Mounted, e2fsck, extract, partitions, shell};

const EPOCH: i64 = 1_700_000_000;

/// Script that creates more empty files than a group has inodes at the ratio of one for 16 KiB.
const MANY: &str = "cd $1; seq 9000 | xargs touch";

/// The reserved inodes, `lost+found` and the files.
const MANY_INODES: u64 = 11 + 9000;

fn number(image: &Path, field: &str) -> u64 {
    superblock_field(image, field).parse().unwrap()
}

/// Returns the size of the inode tables in bytes.
fn tables(image: &Path) -> u64 {
    number(image, "Inode count") * number(image, "Inode size")
}

/// Checks that the number of free inodes is at least a tenth of those in use.
fn has_spare_inodes(image: &Path, case: &str) {
    e2fsck(image).unwrap_or_else(|error_text| panic!("{case}: {error_text:?}"));
    let free = number(image, "Free inodes");
    assert!(free >= MANY_INODES / 10, "{case}: {free} free inodes");
}

#[test]
fn every_way_to_a_size_leaves_inodes() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    shell(MANY, &[&tree]);
    let image = scratch.path().join("image");
    for option in ["--size=auto", "--headroom=20%", "--size=3M", "--size=100M", "--size=200M"] {
        succeed(&mut mkfs("ext4", &tree, &image, EPOCH, &[option, "--force"]));
        has_spare_inodes(&image, option);
    }
    let options = ["--size=102M", "--architecture=x86-64", "--force"];
    succeed(&mut mkimage(&tree, &image, EPOCH, &options));
    let root = scratch.path().join("root");
    extract(&image, &partitions(&image, 512).unwrap()[0], &root);
    has_spare_inodes(&root, "mkimage");
}

#[test]
fn small_file_systems_have_small_tables() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    shell("seq 1000 >$1/file", &[&tree]);
    let image = scratch.path().join("image");
    for (option, bytes) in [
        ("--size=256K", 256 << 10),
        ("--size=1M", 1 << 20),
        ("--grow-to=1M", 1 << 20),
        ("--size=8M", 8 << 20),
        ("--size=40M", 40 << 20),
    ] {
        for block_size in [1024, 4096] {
            let case = format!("{option} {block_size}");
            let block_size = format!("--ext4-block-size={block_size}");
            let options = [option, &block_size, "--force"];
            succeed(&mut mkfs("ext4", &tree, &image, EPOCH, &options));
            e2fsck(&image).unwrap();
            assert_eq!(fs::metadata(&image).unwrap().len(), bytes, "{case}");
            let tables = tables(&image);
            assert!(tables <= bytes / 16, "{case}: {tables} bytes of inode tables");
            // One inode for 16 KiB.
            assert!(number(&image, "Inode count") >= bytes >> 14, "{case}");

            let mounted = Mounted::new("ext4", "rw", Some(&image)).unwrap();
            shell("seq 3000 >$1/new", &[mounted.path()]);
            assert_eq!(mounted.errors(), 0, "{case}");
            e2fsck(&image).unwrap();
        }
    }
}

#[test]
fn their_number_can_be_given() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    shell(MANY, &[&tree]);
    let image = scratch.path().join("image");
    for (options, inodes) in [
        (&["--inodes=10000"][..], 10_000),
        (&["--inodes=9011"], 9024),
        (&["--inodes=10000", "--size=100M"], 10_000),
        (&["--inodes=32768", "--size=100M"], 32_768),
        // Two groups with inode tables of 1875 blocks each.
        (&["--inodes=60000", "--size=200M"], 60_000),
        // A group with blocks of 4 KiB has at most 32768 inodes.
        (&["--inodes=40000", "--ext4-profile=ro"], 40_000),
    ] {
        succeed(&mut mkfs("ext4", &tree, &image, EPOCH, &[options, &["--force"]].concat()));
        e2fsck(&image).unwrap();
        assert_eq!(number(&image, "Inode count"), inodes, "{options:?}");
    }
    for (options, code, rule) in [
        (
            &["--inodes=9010"][..],
            2,
            "--inodes: 9010 inodes requested, the tree takes 9011; request at least 9011",
        ),
        (&["--inodes=40000", "--size=100M"], 3, " and 7232 inodes missing); use at least "),
    ] {
        let output = mkfs("ext4", &tree, &image, EPOCH, &[options, &["--force"]].concat());
        let output = { output }.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(rule), "{said}");
        assert_eq!(output.status.code(), Some(code), "{said}");
    }
}
