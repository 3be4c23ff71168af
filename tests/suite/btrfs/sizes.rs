//! Image sizes: the smallest size is sufficient, and smaller ones are rejected.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::fs::XattrFlags;
use tempfile::TempDir;

use super::image::{Image, check_with_oracles, fill, tree};
use crate::bad_input::UNREPRESENTABLE;
use crate::detfs::{mkfs, succeed, suggested_size};
use crate::oracle::btrfs::{DumpedTrees, btrfs_check, dump_tree, number, superblocks};
use crate::oracle::{Mounted, sha256, shell};
use crate::tree::{LATEST, debian, stressed};

/// Checks an image of the computed size.
///
/// The size must be accepted when it is given explicitly, and be the smallest.
fn smallest(source: &TempDir, options: &[&str]) -> u64 {
    let image = check_with_oracles(source.path(), &[options, &["--headroom=0"]].concat());
    let size = image.size();
    let out = image.beside("again");
    let with = |size: u64| {
        let size = format!("--size={size}");
        let mut command = mkfs("btrfs", source.path(), &out, LATEST, options);
        command.args([&size, "--uuid", &image.uuid]);
        command
    };
    succeed(&mut with(size));
    assert_eq!(sha256(&out), sha256(&image.path), "{options:?}: {size}");
    fs::remove_file(&out).unwrap();
    let output = with(size - 4096).output().unwrap();
    assert_eq!(output.status.code(), Some(UNREPRESENTABLE));
    assert_eq!(suggested_size(&String::from_utf8(output.stderr).unwrap()), size);
    assert!(!out.exists());
    size
}

/// Each source tree differs from the previous one in the number of leaves of some tree of the file
/// system.
#[test]
#[ignore = "takes seconds"]
fn the_smallest_size_is_enough_and_less_is_not() {
    let source = tree(":");
    let mut last = 0;
    for count in 0..24 {
        let size = smallest(&source, &[]);
        assert!(size >= last && size.is_multiple_of(4096), "{count}: {size} after {last}");
        last = size;
        for file in 0..15 {
            fill(&source, &format!("{count}-{file}"), 15 * count + file, 250 * file);
        }
    }
}

#[test]
#[ignore = "takes seconds"]
fn the_smallest_size_of_every_shape() {
    for script in [":", "for n in $(seq 3000); do echo $n >$n; done; seq 500000 >large"] {
        let source = tree(script);
        for options in [
            &["--btrfs-compat=old"][..],
            &["--btrfs-metadata=single"],
            &["--btrfs-node-size=4096"],
            &["--btrfs-node-size=65536"],
            &["--btrfs-checksum=sha256", "--btrfs-node-size=8192"],
            &["--compress=zstd", "--dedup"],
        ] {
            smallest(&source, options);
        }
    }
}

/// Leaves and nodes that are full to the last byte, and one item more. The lengths of the names
/// cover every fill level.
#[test]
fn every_fill_of_a_leaf() {
    let source = tree(":");
    for count in 0..60 {
        let name = format!("{count:02}-{}", "n".repeat(count * 4));
        fs::write(source.path().join(name), vec![b'x'; count * 30]).unwrap();
        let image = Image::new(source.path(), &["--headroom=0", "--btrfs-node-size=4096"]);
        btrfs_check(&image.path).unwrap();
    }
    check_with_oracles(source.path(), &["--btrfs-node-size=4096"]);
}

/// File counts for which a tree gains another level. A node of 4096 bytes has 121 children.
#[test]
fn trees_of_every_height() {
    let levels = |image: &Image| {
        let text = dump_tree(&image.path, "fs").unwrap();
        text.lines().filter(|line| line.starts_with("node ")).count()
    };
    let mut found = Vec::new();
    for files in [0, 5, 500, 1500, 3000] {
        let source = tree(&format!("for n in $(seq {files}); do echo $n >$n; done"));
        let image = check_with_oracles(source.path(), &["--btrfs-node-size=4096", "--headroom=0"]);
        found.push(levels(&image));
    }
    assert!(found[0] == 0 && found[1] <= 1 && found.is_sorted() && found[4] > 2, "{found:?}");
}

/// A node has a pointer of 33 bytes for each leaf. Each file has an attribute that fills a leaf,
/// and the root is in the leaf before the first of them.
#[test]
#[ignore = "takes seconds"]
fn a_node_that_is_full_and_one_leaf_more() {
    for (node_size, value, pointers) in [(4096, 3900, 121), (16_384, 16_100, 493)] {
        let host = Mounted::new("tmpfs", "size=64m", None).unwrap();
        let node_size = format!("--btrfs-node-size={node_size}");
        let add = |number: u64| {
            let file = host.path().join(format!("{number:03}"));
            fs::write(&file, "").unwrap();
            rustix::fs::lsetxattr(&file, "trusted.x", &vec![7; value], XattrFlags::empty())
                .unwrap();
        };
        let (mut leaves, mut number) = (0, 0);
        let mut levels = BTreeMap::new();
        while leaves <= pointers + 1 {
            let image = Image::new(host.path(), &[&node_size, "--headroom=0"]);
            let text = dump_tree(&image.path, "fs").unwrap();
            let count = |word: &str| text.lines().filter(|line| line.starts_with(word)).count() / 2;
            leaves = u64::try_from(count("leaf ")).unwrap();
            if leaves + 3 > pointers {
                image.check_with_oracles(host.path()).unwrap();
            }
            levels.insert(leaves, count("node "));
            // Each file adds one or two leaves.
            let more = (pointers.saturating_sub(leaves) / 3).max(1);
            (number..number + more).for_each(add);
            number += more;
        }
        let at = |leaves: u64| levels.range(..=leaves).next_back().map(|(_, nodes)| *nodes);
        assert_eq!((at(pointers), at(pointers + 2)), (Some(1), Some(3)), "{levels:?}");
        assert!(levels.contains_key(&pointers), "{levels:?}");
    }
}

/// Writes zeros to a new file until the file system is full.
///
/// Returns the number of bytes written.
fn filled(image: &Path) -> u64 {
    let mounted = Mounted::new("btrfs", "rw,nodatasum", Some(image)).unwrap();
    let file = mounted.path().join("fill");
    shell("dd if=/dev/zero of=$1 bs=1M conv=fsync status=none 2>/dev/null || :", &[&file]);
    fs::metadata(&file).unwrap().len()
}

/// Checks that an empty file system has nearly as much space for data as one created by mkfs.btrfs.
fn has_the_space_of_mkfs(size: &str) {
    let source = tree(":");
    let image = Image::new(source.path(), &[&format!("--size={size}")]);
    let theirs = image.beside("theirs");
    let script = "truncate -s $2 $1; mkfs.btrfs -q $1 >/dev/null";
    shell(script, &[&theirs, Path::new(size)]);
    let (ours, theirs) = (filled(&image.path), filled(&theirs));
    assert!(ours >= theirs / 100 * 99, "{size}: {ours} bytes, and {theirs} by mkfs.btrfs");
    btrfs_check(&image.path).unwrap();
}

#[test]
fn a_small_device_has_the_space_of_mkfs() {
    has_the_space_of_mkfs("1G");
}

#[test]
#[ignore = "deep: writes 10 GiB"]
fn deep_devices_of_many_sizes_have_the_space_of_mkfs() {
    for size in ["512M", "900M", "1536M", "2G", "3G"] {
        has_the_space_of_mkfs(size);
    }
}

/// Small inline files are all metadata, and use space that was not allocated to any chunk.
#[test]
#[ignore = "takes seconds"]
fn a_small_device_takes_many_small_files() {
    let source = tree(":");
    // No superblock copy after the large file splits a chunk.
    fs::write(source.path().join("large"), vec![b'x'; 80 << 20]).unwrap();
    let image = Image::new(source.path(), &["--size=400M"]);
    let mounted = Mounted::new("btrfs", "rw", Some(&image.path)).unwrap();
    for number in 0..25_000 {
        let written = fs::write(mounted.path().join(number.to_string()), [b'x'; 1000]);
        written.unwrap_or_else(|error| panic!("{number}: {error}"));
    }
    drop(mounted);
    btrfs_check(&image.path).unwrap();
}

/// An image is hardly larger than its data and its metadata.
#[test]
fn an_exact_fit_is_tight() {
    for (metadata, copies) in [("single", 1), ("dup", 2)] {
        let metadata = format!("--btrfs-metadata={metadata}");
        for options in [&[][..], &["--compress=zstd"], &["--btrfs-compat=old", "--dedup"]] {
            let options = [&[metadata.as_str(), "--headroom=0"], options].concat();
            let image = check_with_oracles(stressed(500), &options);
            let dumped = DumpedTrees::read(&image.path).unwrap();
            let used: u64 = dumped
                .block_groups
                .values()
                .map(|group| match group.kind.starts_with("DATA") {
                    true => group.used,
                    false => group.used * copies,
                })
                .sum();
            // The first MiB, and unused space at the ends of chunks.
            let most = used + used / 100 + (1 << 20) + 8 * (64 << 10);
            assert!(image.size() <= most, "{options:?}: {} for {used}", image.size());
        }
    }
}

/// At least the requested space is free.
#[test]
fn headroom() {
    let source = tree("seq 300000 >large");
    let exact = Image::new(source.path(), &["--headroom=0"]).size();
    let mut last = exact;
    for headroom in [1 << 20, 16 << 20, 100 << 20, 1 << 30] {
        let image = check_with_oracles(source.path(), &[&format!("--headroom={headroom}")]);
        assert!(image.size() >= exact + headroom && image.size() > last, "{headroom}");
        assert!(image.size() < exact + headroom * 3 + (64 << 20), "{headroom}: {}", image.size());
        last = image.size();
    }
    assert!(Image::new(source.path(), &[]).size() > exact);
    let half = Image::new(source.path(), &["--headroom=50%"]).size();
    assert!(half > exact, "{half}");
}

#[test]
fn the_label_and_the_fields_of_the_superblock() {
    let source = tree("seq 100 >small");
    let longest = "l".repeat(255);
    let image = check_with_oracles(source.path(), &["--label", &longest]);
    let superblock = &superblocks(&image.path).unwrap()[0];
    assert_eq!(superblock["label"], longest);
    for (name, value) in [
        ("incompat_flags", "0x361"),
        ("compat_ro_flags", "0xb"),
        ("root_dir", "6"),
        ("num_devices", "1"),
        ("sectorsize", "4096"),
        ("nodesize", "16384"),
        ("stripesize", "4096"),
        ("log_root", "0"),
        ("cache_generation", "0"),
        ("csum_type", "0 (crc32c)"),
    ] {
        assert_eq!(superblock[name], value, "{name}");
    }
    assert_eq!(superblock["uuid_tree_generation"], superblock["generation"]);
    assert_eq!(number(superblock, "total_bytes"), image.size());
    let old =
        check_with_oracles(source.path(), &["--btrfs-compat=old", "--btrfs-checksum=blake2b"]);
    let superblock = &superblocks(&old.path).unwrap()[0];
    assert_eq!(superblock["compat_ro_flags"], "0x3");
    assert_eq!(superblock["csum_type"], "3 (blake2)");
}

/// Compared with an image that mkfs.btrfs has shrunk.
#[test]
#[ignore = "takes minutes"]
fn half_of_what_mkfs_btrfs_makes() {
    let source = tree(
        "for d in $(seq 100); do mkdir $d; for n in $(seq 200); do echo $n >$d/$n; done; done",
    );
    let ours = Image::new(source.path(), &["--headroom=0", "--btrfs-metadata=single"]);
    let theirs = ours.beside("theirs");
    let script = "truncate -s 4G $1; mkfs.btrfs -q -m single --shrink --rootdir $2 $1 >/dev/null";
    shell(script, &[&theirs, source.path()]);
    let theirs = fs::metadata(&theirs).unwrap().len();
    assert!(ours.size() * 2 <= theirs, "{} against {theirs}", ours.size());
    let image = Image::new(debian(), &["--headroom=0", "--btrfs-metadata=single"]);
    let used = number(&superblocks(&image.path).unwrap()[0], "bytes_used");
    assert!(image.size() <= used + used / 100 + (2 << 20), "{} for {used}", image.size());
}
