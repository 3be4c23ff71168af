//! Images of stress trees with all options, and disks with such a root.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::image::{EPOCH, Image, check_with_oracles, scratch, tree};
use crate::detfs::{mkimage, succeed};
use crate::oracle::{Comparison, backhand, extract, grub_cmp, partitions, sha256, shell, squashfs};
use crate::tree::stressed;

#[test]
fn squashfs_of_a_stress_tree() {
    for options in [
        &[][..],
        &["--compress=gzip:1", "--squashfs-block-size=4096"],
        &["--compress=zstd:3", "--squashfs-block-size=1M"],
        &["--compress=zstd:1", "--no-fragments"],
        &["--compress=lz4"],
        &["--compress=lz4:9", "--squashfs-block-size=8K"],
        &["--compress=xz", "--squashfs-block-size=256K"],
    ] {
        check_with_oracles(stressed(2000), options);
    }
}

/// The stress tree has targets of symlinks that backhand refuses, of 256 bytes and more.
#[test]
fn backhand_finds_the_same_tree() {
    let source = tree(
        "mkdir -p a/b many; for n in $(seq 600); do seq $n >many/$n; done; seq 500000 >lines
         head -c 400000 /dev/urandom >noise; cp noise a/same; head -c 131072 noise >block; >empty
         truncate -s 2M a/b/hole; echo x | dd of=a/b/hole bs=1 seek=1000000 conv=notrunc status=none
         ln lines a/linked; ln -s ../lines a/link; mknod null c 1 3; mknod disk b 259 70000
         mkfifo fifo; chown -h 70000:100000 a/link fifo; chmod 4711 empty; chmod 1777 many",
    );
    for options in [
        &["--compress=lz4"][..],
        &["--compress=lz4:12", "--squashfs-block-size=4096"],
        &["--compress=lz4:3", "--squashfs-block-size=1M", "--no-fragments"],
    ] {
        let image = Image::new(source.path(), options);
        backhand(&image.path, source.path())
            .unwrap_or_else(|error| panic!("{options:?}: {error:?}"));
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    for options in [&[][..], &["--compress=zstd:3", "--squashfs-block-size=4096"]] {
        let hash = |threads: &str| {
            sha256(&Image::new(stressed(2000), &[options, &[threads]].concat()).path)
        };
        assert_eq!(hash("--threads=1"), hash("--threads=5"));
    }
}

#[test]
fn options_are_in_the_superblock() {
    let source = tree("seq 1000 >file");
    for (options, expected) in [
        (&[][..], &["Compression gzip\nBlock size 131072\n", "Number of fragments 1\n"][..]),
        (&["--compress=zstd"], &["Compression zstd\nBlock size 131072\n"]),
        (&["--compress=zstd:7"], &["Compression zstd\n\tcompression-level 7\n"]),
        (&["--compress=lz4"], &["Compression lz4\nBlock size 131072\n"]),
        (
            &["--compress=lz4:12"],
            &["Compression lz4\n\tHigh Compression option specified (-Xhc)\n"],
        ),
        (&["--compress=xz"], &["Compression xz\nBlock size 131072\n"]),
        (&["--compress=gzip:3"], &["Compression gzip\n\tcompression-level 3\n"]),
        (&["--squashfs-block-size=64K"], &["Block size 65536\n"]),
        (&["--no-fragments"], &["Number of fragments 0\n"]),
    ] {
        let said = squashfs::stat(&check_with_oracles(source.path(), options).path);
        for expected in expected.iter().chain([&"is exportable via NFS\n", &"Number of inodes 2\n"])
        {
            assert!(said.contains(expected), "{options:?}: {expected:?} is not in {said}");
        }
    }
}

/// The image is not longer than the space that it needs, or has the size that was asked for.
#[test]
fn sizes_are_exact() {
    let source = tree("seq 1000 >file");
    let smallest = Image::new(source.path(), &[]).len();
    assert!(smallest.is_multiple_of(4096));
    for size in [smallest, smallest + 4096, 1 << 20] {
        let image = check_with_oracles(source.path(), &[&format!("--size={size}")]);
        assert_eq!(image.len(), size);
    }
}

#[test]
fn equal_files_are_stored_once() {
    let script = "head -c 1000000 /dev/urandom >a; head -c 999 /dev/urandom >small";
    let once = Image::new(tree(script).path(), &[]).len();
    let source = tree(&format!("{script}; cp a b; mkdir c; cp a small c; truncate -s 999999 b"));
    let image = check_with_oracles(source.path(), &[]);
    assert!(image.len() < once + 1_000_000 + 8192, "{} and {once}", image.len());
    assert!(image.len() > once + 800_000, "b is another file");
}

#[test]
fn holes_are_not_stored() {
    let source = tree(
        "truncate -s 5G end; echo x >>end; truncate -s 6G only
         truncate -s 4M middle; echo x | dd of=middle bs=1 seek=3000000 conv=notrunc status=none
         head -c 300000 /dev/zero >zeros; head -c 1000 /dev/zero >few",
    );
    let image = Image::new(source.path(), &[]);
    assert!(image.len() < 16 << 10, "{}", image.len());
    // tar would write the zeros.
    let compare = |root: &Path| Comparison::exact().compare(source.path(), root);
    squashfs::unsquashfs(&image.path, compare).unwrap().unwrap();
    squashfs::mount_squashfs(&image.path, compare).unwrap().unwrap();
    let blocks = |root: &Path| {
        let named = |name| root.join(name).metadata().unwrap().blocks();
        ["end", "only", "middle", "zeros"].map(named)
    };
    let found = squashfs::mount_squashfs(&image.path, blocks).unwrap();
    assert_eq!(found, [1, 1, 256, 1]);
}

#[test]
fn a_disk_has_a_root_of_squashfs() {
    let source = stressed(2000);
    let scratch = scratch();
    let (image, root) = (scratch.path().join("image"), scratch.path().join("root"));
    let options = ["--fs=squashfs", "--compress=zstd:1", "--architecture=x86-64", "--json"];
    let output = succeed(&mut mkimage(source, &image, EPOCH, &options));
    let manifest: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let file_system = &manifest["partition_table"]["partitions"][1]["file_system"];
    assert_eq!(file_system["type"], "squashfs");
    assert!(file_system["uuid"].is_null());
    assert_eq!(file_system["label"], "");
    assert_eq!(manifest["components"]["squashfs"], "1");
    assert_eq!(manifest["components"]["zstd"], "1.5.7");
    let partitions = partitions(&image, 512).unwrap();
    extract(&image, &partitions[1], &root);
    let comparison = Comparison::exact().hollow("efi");
    squashfs::check_image(&root, source, &comparison).unwrap();
}

/// GRUB of Debian 12 reads gzip.
#[test]
fn grub_reads_files() {
    let source = tree("mkdir dir; seq 100000 >dir/file; head -c 50 dir/file >small");
    let image = Image::new(source.path(), &[]);
    for file in ["dir/file", "small"] {
        grub_cmp(&image.path, file, &source.path().join(file)).unwrap();
    }
    let other = source.path().join("small");
    grub_cmp(&image.path, "dir/file", &other).unwrap_err();
}

#[test]
fn what_is_lost_is_reported() {
    let source = tree("seq 10 >a; seq 20 >b; mkdir c; setfacl -m u:7:rx a c");
    shell("touch -d @1600000000.5 $1/b; touch -d @-5 $1/a", &[source.path()]);
    let image = check_with_oracles(source.path(), &[]);
    for expected in [
        "/: 2 nodes lose POSIX ACLs, which squashfs does not have\n",
        "/: 1 time is rounded down to whole seconds\n",
        "/: 1 time is outside 1970 to 2106, the range of squashfs, and clamped\n",
    ] {
        assert!(image.warnings.contains(expected), "{}", image.warnings);
    }
    assert_eq!(image.warnings.lines().count(), 3, "{}", image.warnings);
}
