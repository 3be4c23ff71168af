//! Inputs that can't be stored in btrfs are rejected with one line that names the path, the rule
//! and a remedy, and no output is left.

use std::fs;

use super::image::{check_with_oracles, mkfs_btrfs, mkimage_btrfs, scratch, tree};
use crate::bad_input::{UNREPRESENTABLE, USAGE, check};

#[test]
fn parameters_out_of_range() {
    let source = tree("mkdir directory; echo x >directory/file; ln -s directory link");
    let results = scratch();
    let out = results.path().join("image");
    for (options, words) in [
        (&["--compress=zstd:16"][..], &["--compress", "zstd", "15"][..]),
        (&["--compress=zstd:0"], &["--compress", "zstd"]),
        (&["--compress=zlib:10"], &["--compress", "zlib", "9"]),
        (&["--compress=zlib:0"], &["--compress", "zlib"]),
        (&["--compress=lzo:1"], &["--compress", "lzo"]),
        (&["--compress=none:1"], &["--compress", "none"]),
        (&["--compress=zstd:x"], &["--compress", "x"]),
        (&["--compress=gzip"], &["--compress", "gzip"]),
        (&["--btrfs-node-size=2048"], &["--btrfs-node-size", "2048"]),
        (&["--btrfs-node-size=12288"], &["--btrfs-node-size", "12288"]),
        (&["--btrfs-node-size=131072"], &["--btrfs-node-size", "131072"]),
        (&["--btrfs-max-inline=4096"], &["--btrfs-max-inline", "4096"]),
        (&["--btrfs-max-inline=-1"], &["--btrfs-max-inline", "-1"]),
        (&["--btrfs-checksum=md5"], &["--btrfs-checksum", "md5"]),
        (&["--btrfs-metadata=raid1"], &["--btrfs-metadata", "raid1"]),
        (&["--btrfs-compat=older"], &["--btrfs-compat", "older"]),
        (&["--label", &"l".repeat(256)], &["--label", "255"]),
        (&["--label=a\nb"], &["--label"]),
        (&["--headroom=x"], &["--headroom", "x"]),
        (&["--size=12q"], &["--size", "12q"]),
        (&["--subvolume=directory:rw"], &["--subvolume", "rw"]),
        (&["--subvolume="], &["--subvolume"]),
        (&["--swapfile=swap"], &["--swapfile", "swap"]),
        (&["--swapfile=swap:x"], &["--swapfile", "x"]),
        (&["--swapfile=swap:4096"], &["--swapfile"]),
        (&["--swapfile=swap:1000001"], &["--swapfile"]),
        (&["--no-compress=[", "--compress=zstd"], &["--no-compress"]),
    ] {
        check(&mut mkfs_btrfs(source.path(), &out, options), USAGE, words);
        assert_eq!(fs::read_dir(results.path()).unwrap().count(), 0, "{options:?}");
    }
    // Values at the limits are accepted.
    check_with_oracles(source.path(), &["--btrfs-max-inline=4095", "--label", &"l".repeat(255)]);
}

/// Subvolumes that do not exist, and files that already exist.
#[test]
fn paths_that_are_none() {
    let source = tree("mkdir -p directory/below; echo x >directory/file; ln -s directory link");
    let results = scratch();
    let out = results.path().join("image");
    for (options, words) in [
        (&["--subvolume=missing"][..], &["missing", "directory"][..]),
        (&["--subvolume=directory/missing"], &["directory/missing"]),
        (&["--subvolume=directory/file"], &["directory/file", "directory"]),
        (&["--subvolume=link"], &["link", "directory"]),
        (&["--subvolume=directory/file/below"], &["directory/file/below"]),
        (&["--subvolume=../directory"], &["../directory"]),
        (&["--default-subvolume=directory"], &["directory", "--subvolume"]),
        (&["--default-subvolume=missing"], &["missing"]),
        (&["--subvolume=directory", "--subvolume=directory:ro"], &["directory"]),
        (&["--swapfile=directory/file:1M"], &["directory/file"]),
        (&["--swapfile=missing/file:1M"], &["missing"]),
        (&["--swapfile=directory/file/swap:1M"], &["directory/file"]),
        (&["--swapfile=directory:1M"], &["directory"]),
        (
            &["--subvolume=/directory:ro", "--swapfile=directory//swap:1M"],
            &["--swapfile", "directory is read-only"],
        ),
    ] {
        let mut command = mkfs_btrfs(source.path(), &out, options);
        let code = command.output().unwrap().status.code().unwrap();
        assert!([USAGE, UNREPRESENTABLE].contains(&code), "{options:?}: {code}");
        check(&mut command, code, words);
        assert_eq!(fs::read_dir(results.path()).unwrap().count(), 0, "{options:?}");
    }
    // The top-level directory is a subvolume whether or not it is listed.
    check_with_oracles(source.path(), &["--subvolume=directory", "--subvolume=directory/below"]);
}

#[test]
fn links_between_subvolumes() {
    let source = tree("mkdir a b; echo x >a/first; ln a/first b/second");
    let results = scratch();
    let out = results.path().join("image");
    let mut command = mkfs_btrfs(source.path(), &out, &["--subvolume=b"]);
    check(&mut command, UNREPRESENTABLE, &["a/first", "b/second", "--copy-links"]);
    assert_eq!(fs::read_dir(results.path()).unwrap().count(), 0);
    check_with_oracles(source.path(), &[]);
    // The first of all names is not in the subvolume with the lowest number.
    let first = tree("mkdir a; echo x >a/first; ln a/first z");
    let mut command = mkfs_btrfs(first.path(), &out, &["--subvolume=a"]);
    let words = ["a/first: hard link to z crosses from subvolume a to the top level"];
    check(&mut command, UNREPRESENTABLE, &words);
    let both = tree("mkdir -p a/b a/c; echo x >a/b/first; ln a/b/first a/c/second");
    check_with_oracles(both.path(), &["--subvolume=a"]);
}

#[test]
fn sizes_that_are_too_small() {
    let source = tree("echo x >file");
    let full = tree("head -c 20M /dev/zero | tr '\\0' x >large");
    let results = scratch();
    let out = results.path().join("image");
    for (source, size) in [(&source, "4096"), (&source, "1M"), (&source, "1100K"), (&full, "16M")] {
        let size = format!("--size={size}");
        let mut command = mkfs_btrfs(source.path(), &out, &[&size]);
        check(&mut command, UNREPRESENTABLE, &["btrfs"]);
        assert_eq!(fs::read_dir(results.path()).unwrap().count(), 0);
    }
    let mut command = mkimage_btrfs(full.path(), &out, &["--size=16M"]);
    check(&mut command, UNREPRESENTABLE, &["--size: 16 MiB", "root-x86-64 22 MiB"]);
}
