//! Every oracle on images of a stress tree and of a Debian system.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use super::image::{Image, check_with_oracles, everything, mkimage_btrfs, scratch, tree};
use crate::detfs::succeed;
use crate::oracle::btrfs::{
    check_image, exercise, find_root, first_boot, grow, mount_btrfs, recover, restore, twin,
};
use crate::oracle::{
    Comparison, Partition, extract, extract_fat, fsck_fat, gpt, grub_cmp, grub_ls, partitions,
};
use crate::tree::{Node, Stress, debian, make, stress, stressed};

/// The options of the images that a stress tree is checked with.
const SHAPES: [&[&str]; 10] = [
    &[],
    &["--headroom=0"],
    &["--btrfs-compat=old", "--btrfs-metadata=single"],
    &["--btrfs-checksum=xxhash", "--btrfs-node-size=32768"],
    &["--btrfs-checksum=sha256", "--headroom=0", "--dedup"],
    &["--btrfs-checksum=blake2b", "--btrfs-node-size=65536", "--compress=zstd"],
    &["--btrfs-node-size=8192", "--compress=lzo", "--dedup"],
    &["--btrfs-max-inline=0", "--compress=zlib", "--btrfs-metadata=single", "--headroom=0"],
    &["--btrfs-max-inline=4095", "--label=a label", "--headroom=25%"],
    &["--size=3G", "--dedup", "--compress=zstd:15"],
];

#[test]
fn a_stress_tree_in_every_shape() {
    for shape in SHAPES {
        check_with_oracles(stressed(500), shape);
    }
}

/// Returns a stress tree without the symlinks that do not fit into nodes of 4096 bytes.
fn for_small_nodes() -> &'static Path {
    static TREE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let tree = TREE.get_or_init(|| {
        let mut plan = stress(Stress { seed: 4, entries: 500, readable: false });
        plan.retain(|entry| !matches!(&entry.node, Node::Symlink(target) if target.len() > 3900));
        let tree = scratch();
        make(tree.path(), &plan, 4);
        tree
    });
    tree.path()
}

#[test]
fn small_nodes_and_every_checksum() {
    for checksum in ["crc32c", "xxhash", "sha256", "blake2b"] {
        let checksum = format!("--btrfs-checksum={checksum}");
        check_with_oracles(for_small_nodes(), &["--btrfs-node-size=4096", &checksum]);
    }
}

#[test]
fn times_are_clamped_and_not_reset() {
    let epoch = 1_550_000_000;
    let image = scratch();
    let path = image.path().join("image");
    let mut command = super::image::mkfs_at(epoch, stressed(500), &path, &[]);
    succeed(&mut command);
    check_image(&path, stressed(500), &everything().clamped_to(epoch)).unwrap();
}

/// GRUB 2.06 can't read files whose holes have no extent items.
#[test]
fn grub_reads_what_it_can() {
    let source = stressed(500);
    for shape in [
        &["--dedup"][..],
        &["--compress=zstd", "--btrfs-checksum=blake2b"],
        &["--compress=lzo", "--btrfs-compat=old", "--btrfs-checksum=xxhash"],
        &["--compress=zlib:9", "--btrfs-node-size=65536", "--btrfs-metadata=single"],
    ] {
        let image = Image::new(source, shape);
        let large = fs::read_dir(source.join("large")).unwrap().count();
        let listed = grub_ls(&image.path, "large/").unwrap();
        assert_eq!(listed.split_whitespace().count(), large);
        let mut compared = 0;
        for directory in ["nested", "links", "efi/EFI/BOOT", "xattrs"] {
            for entry in fs::read_dir(source.join(directory)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    let name = entry.file_name();
                    let path = format!("{directory}/{}", name.to_str().unwrap());
                    grub_cmp(&image.path, &path, &entry.path())
                        .unwrap_or_else(|error_text| panic!("{shape:?}: {path}: {error_text:?}"));
                    compared += 1;
                }
            }
            if compared > 100 {
                break;
            }
        }
        assert!(compared > 10, "{compared}");
        grub_cmp(&image.path, "large-file", &source.join("large-file")).unwrap();
    }
}

#[test]
fn other_readers_read_it() {
    for shape in [
        &["--compress=zstd", "--dedup"][..],
        &["--compress=lzo", "--btrfs-compat=old", "--btrfs-checksum=sha256"],
        &["--headroom=0", "--compress=zlib"],
    ] {
        let image = Image::new(stressed(500), shape);
        find_root(&image.path).unwrap();
        recover(&image.path).unwrap();
        let restored = scratch();
        restore(&image.path, restored.path()).unwrap();
        let comparison = Comparison::names_and_content().without_nodes();
        comparison.compare(stressed(500), restored.path()).unwrap();
    }
}

/// Writes to images of an empty and of a larger tree as the first boot of a system does.
#[test]
#[ignore = "takes seconds"]
fn it_boots_with_the_headroom_that_is_the_default() {
    let empty = tree("touch -d @1600000000.5 .");
    for (source, options) in [
        (empty.path(), &[][..]),
        (empty.path(), &["--btrfs-metadata=single", "--btrfs-compat=old"]),
        (stressed(500), &[]),
        (stressed(500), &["--btrfs-metadata=single"]),
    ] {
        let image = Image::new(source, options);
        first_boot(&image.path, |root| everything_written().compare(source, root))
            .unwrap_or_else(|error_text| panic!("{source:?} {options:?}: {error_text:?}"));
    }
}

/// The comparison of a tree after the kernel has written to the image.
fn everything_written() -> Comparison {
    Comparison::exact()
}

#[test]
fn it_stands_all_that_is_done_to_it() {
    let source = stressed(500);
    let options = ["--headroom=1G", "--compress=zstd", "--dedup"];
    let image = Image::new(source, &options);
    exercise(&image.path, |root| everything_written().compare(source, root)).unwrap();
}

#[test]
#[ignore = "takes seconds"]
fn an_exact_fit_grows_and_stands_it() {
    let source = stressed(500);
    let image = Image::new(source, &["--headroom=0"]);
    grow(&image.path, |root| everything_written().compare(source, root)).unwrap();
}

#[test]
#[ignore = "takes minutes"]
fn every_shape_stands_all_that_is_done_to_it() {
    let source = stressed(500);
    for shape in SHAPES {
        let image = Image::new(source, shape);
        grow(&image.path, |root| everything_written().compare(source, root))
            .unwrap_or_else(|error_text| panic!("{shape:?}: {error_text:?}"));
    }
}

/// Version 6.2 of mkfs.btrfs keeps neither nanoseconds nor device numbers nor the times of the
/// root.
#[test]
fn it_is_the_twin_of_what_mkfs_btrfs_makes() {
    let mut plan = stress(Stress { seed: 6, entries: 500, readable: false });
    plan.retain(|entry| match &entry.node {
        Node::Symlink(target) => target.len() < 4000,
        Node::Char(..) | Node::Block(..) => false,
        Node::Link(target) => !target.as_os_str().as_bytes().ends_with(b"device"),
        _ => entry.path != Path::new("sparse/large"),
    });
    plan.iter_mut().for_each(|entry| entry.mtime.1 = 0);
    let above = scratch();
    let source = above.path().join("tree");
    fs::create_dir(&source).unwrap();
    make(&source, &plan, 6);
    let image = Image::new(above.path(), &[]);
    let verdict = twin(above.path(), |theirs| {
        mount_btrfs(&image.path, |ours| {
            Comparison::exact().compare(&theirs.join("tree"), &ours.join("tree"))
        })
    });
    verdict.unwrap().unwrap().unwrap();
}

/// Checks a disk image: its partition table, an ESP built from `source/efi`, and a root built from
/// the rest.
fn judge_disk(image: &Path, source: &Path, comparison: &Comparison) -> Vec<Partition> {
    gpt(image, 512).unwrap();
    let partitions = partitions(image, 512).unwrap();
    let scratch = scratch();
    let file = scratch.path().join("partition");
    let mut kinds = BTreeMap::new();
    for partition in &partitions {
        extract(image, partition, &file);
        *kinds.entry(partition.kind.as_str()).or_insert(0) += 1;
        match partition.kind.as_str() {
            BIOS_BOOT => {}
            _ if partition.is_esp() => {
                fsck_fat(&file).unwrap();
                let files = scratch.path().join("files");
                fs::create_dir(&files).unwrap();
                extract_fat(&file, &files).unwrap();
                Comparison::names_and_content().compare(&source.join("efi"), &files).unwrap();
            }
            ROOT => check_image(&file, source, &comparison.clone().hollow("efi")).unwrap(),
            other => panic!("a partition of the type {other}"),
        }
    }
    assert_eq!(kinds[ROOT], 1, "{partitions:?}");
    partitions
}

const BIOS_BOOT: &str = "21686148-6449-6e6f-744e-656564454649";
const ROOT: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";

#[test]
fn a_disk() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    succeed(&mut mkimage_btrfs(stressed(500), &image, &["--compress=zstd", "--dedup"]));
    let partitions = judge_disk(&image, stressed(500), &everything());
    assert_eq!(partitions.len(), 2, "{partitions:?}");
}

/// A partition for GRUB without UEFI, an ESP for disks with 4096-byte sectors, and a compressed
/// root with a swap file in a subvolume.
#[test]
fn the_disk_of_a_distribution() {
    let source = tree(
        "mkdir -p efi/EFI/BOOT usr/bin swap; echo x >efi/EFI/BOOT/BOOTX64.EFI; chmod 700 swap
        seq 100000 >usr/bin/sequence; find . -exec touch -d @1600000000 {} +",
    );
    let scratch = scratch();
    let image = scratch.path().join("image");
    let options = [
        "--bios-boot",
        "--esp-sector-size=4096",
        "--compress=zstd:1",
        "--subvolume=swap:nodatacow",
        "--swapfile=swap/swapfile:64M",
    ];
    succeed(&mut mkimage_btrfs(source.path(), &image, &options));
    let swapped = everything().without("swap/swapfile");
    let partitions = judge_disk(&image, source.path(), &swapped);
    let kinds: Vec<&str> = partitions.iter().map(|partition| partition.kind.as_str()).collect();
    assert_eq!((kinds.len(), kinds[0], kinds[2]), (3, BIOS_BOOT, ROOT), "{partitions:?}");
    assert_eq!((partitions[0].start, partitions[0].len), (1 << 20, 1 << 20));

    let root = scratch.path().join("root");
    extract(&image, &partitions[2], &root);
    grub_cmp(&root, "usr/bin/sequence", &source.path().join("usr/bin/sequence")).unwrap();
    let swap = crate::oracle::btrfs::swap_on(&root, "rw", "swap/swapfile").unwrap();
    assert_eq!(swap, (64 << 20) - 4096);
}

#[test]
#[ignore = "takes minutes"]
fn everything_of_a_large_stress_tree() {
    for shape in SHAPES {
        check_with_oracles(stressed(30_000), shape);
    }
}

#[test]
#[ignore = "takes minutes"]
fn everything_of_a_real_tree() {
    let source = debian();
    for options in [
        &[][..],
        &["--headroom=0", "--dedup"],
        &["--headroom=0", "--compress=zstd:3", "--btrfs-metadata=single"],
    ] {
        let image = check_with_oracles(source, options);
        let restored = scratch();
        restore(&image.path, restored.path()).unwrap();
        let comparison = Comparison::names_and_content().without_nodes();
        comparison.compare(source, restored.path()).unwrap();
        for path in ["usr/bin/bash", "etc/passwd", "usr/bin/perl"] {
            grub_cmp(&image.path, path, &source.join(path)).unwrap();
        }
    }
    let image = Image::new(source, &[]);
    first_boot(&image.path, |root| everything_written().compare(source, root)).unwrap();
}
