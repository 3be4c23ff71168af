//! Image sizes, superblock backups and special files, compared with those of mke2fs.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use detfs::Headroom;
use detfs::ext4::{Options, Profile, plan};
use detfs::tree::{HoleScan, Node, Tree};

use super::inspect::{inode_field, superblock_field};
use super::sample::{Image, ROOT, Sample, metadata, options, refusal};
use super::{BLOCK_SIZES, PROFILES};
use crate::detfs::suggested_size;
use crate::oracle::{e2fsck, mount_ext4, run, shell};

fn small() -> Arc<Tree> {
    let mut sample = Sample::new();
    let directory = sample.directory(ROOT, "d");
    for number in 0..300 {
        sample.empty(directory, number.to_string(), metadata(0o644));
    }
    sample.file("file", "content");
    sample.finish()
}

fn check(root: &Path) {
    assert_eq!(fs::read_dir(root.join("d")).unwrap().count(), 300);
    assert_eq!(fs::read(root.join("file")).unwrap(), b"content");
}

/// Every backup of the superblock and the descriptors can replace the first copy.
#[test]
fn backups_are_as_good_as_the_first() {
    let group = 8192;
    for profile in [Profile::Default, Profile::Ro] {
        let size = Some(28 * group * 1024 + 1024);
        let image = Image::new(&small(), &Options { block_size: 1024, profile, size, ..options() });
        image.check_with_oracles(check).unwrap();
        let list = shell("dumpe2fs $1 2>/dev/null", &[&image.path]);
        let found: Vec<u64> = list
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Backup superblock at ")?.split(',').next())
            .map(|number| number.parse().unwrap())
            .collect();
        let expected = [1, 3, 5, 7, 9, 25, 27].map(|number| number * group + 1);
        assert_eq!(found, expected);

        let copy = image.beside("copy");
        for backup in found {
            // The script overwrites the superblock and the descriptors of group 0.
            let script = "cp --sparse=always $1 $2
                dd if=/dev/urandom of=$2 bs=1024 seek=1 count=3 conv=notrunc status=none";
            shell(script, &[&image.path, &copy]);
            mount_ext4(&copy, |_| ()).unwrap_err();
            let backup = backup.to_string();
            let said = run("e2fsck", ["-fyB", "1024", "-b", &backup, copy.to_str().unwrap()]);
            assert!(said.stdout.contains("FILE SYSTEM WAS MODIFIED"), "{}", said.all());
            e2fsck(&copy).unwrap();
            mount_ext4(&copy, check).unwrap();
        }
    }
}

/// The error reports the shortfall in blocks and inodes, and a size that is sufficient.
#[test]
fn a_size_that_is_too_small() {
    // A group with blocks of 1 KiB has at most 8192 inodes, and 8 MiB are one group.
    let mut sample = Sample::new();
    for number in 0..9000 {
        sample.add(ROOT, number.to_string(), metadata(0o644), Node::Fifo);
    }
    let inodes = sample.finish();
    let mut sample = Sample::new();
    sample.file("file", vec![1; 4 << 20]);
    let blocks = sample.finish();
    for (tree, size, short) in [
        // Ten inodes are reserved, the root among them; another one is `lost+found`.
        (&inodes, 8 << 20, format!("{} inodes", 9000 + 11 - 8192)),
        (&blocks, 4 << 20, "blocks of 1024 bytes missing".into()),
    ] {
        let options = Options { block_size: 1024, size: Some(size), ..options() };
        let message = refusal(tree, &options);
        assert!(message.starts_with("ext4: ") && message.contains("is too small"), "{message}");
        assert!(message.contains(&short), "{short}: {message}");
        let least = suggested_size(&message);
        let fits = Image::new(tree, &Options { size: Some(least), ..options.clone() });
        fits.check_with_oracles(|_| ()).unwrap();
        let options = Options { size: Some(least - 1024), ..options };
        let message = refusal(tree, &options);
        assert!(message.contains("too small (1 block of"), "{message}");
    }
    for size in [0, 1, 1023, 1024, 4096, 65_536] {
        let message = refusal(&small(), &Options { size: Some(size), ..options() });
        assert!(message.starts_with("ext4: ") && message.contains("is too small"), "{message}");
    }
}

#[test]
fn an_exact_fit_has_nothing_free() {
    let mut sample = Sample::new();
    for number in 0..100 {
        sample.file(&number.to_string(), vec![1; number * 997]);
    }
    let tree = sample.finish();
    for profile in PROFILES {
        for block_size in BLOCK_SIZES {
            let headroom = Some(Headroom::Bytes(0));
            let image = Image::new(&tree, &Options { profile, block_size, headroom, ..options() });
            image.check_with_oracles(|_| ()).unwrap();
            let free = superblock_field(&image.path, "Free blocks");
            assert_eq!(free, "0", "{profile:?} {block_size}");
            assert_eq!(superblock_field(&image.path, "Reserved block count"), "0");
            if profile == Profile::Ro {
                let free: u64 = superblock_field(&image.path, "Free inodes").parse().unwrap();
                let unit = u64::from(block_size / 256).max(8);
                assert!(free < unit, "{free} inodes are free");
            }
        }
    }
}

/// The headroom is free for users of the file system, whatever the metadata takes.
#[test]
fn headroom_is_room() {
    for profile in PROFILES {
        for bytes in [1 << 20, 20 << 20, 200 << 20] {
            let headroom = Some(Headroom::Bytes(bytes));
            let image = Image::new(&small(), &Options { profile, headroom, ..options() });
            image.check_with_oracles(check).unwrap();
            let free: u64 = superblock_field(&image.path, "Free blocks").parse().unwrap();
            assert!(free * 4096 >= bytes, "{profile:?}: {free} blocks of {bytes} bytes");
            let free: u64 = superblock_field(&image.path, "Free inodes").parse().unwrap();
            assert!(free >= bytes >> 14, "{profile:?}: {free} inodes for {bytes} bytes");
        }
    }
}

/// The journal and the orphan file are as large as those that mke2fs creates in a file system of
/// `blocks` blocks.
#[test]
#[ignore = "takes seconds"]
fn special_files_are_as_large_as_those_of_mke2fs() {
    const K: u64 = 1 << 10;
    const M: u64 = 1 << 20;
    let empty = Sample::new().finish();
    let described = |image: &Path| {
        let features = superblock_field(image, "Filesystem features");
        let features: Vec<String> = features.split(' ').map(str::to_owned).collect();
        let has = |name: &str| features.iter().any(|feature| feature == name);
        let journal = has("has_journal").then(|| superblock_field(image, "Total journal blocks"));
        let orphan = has("orphan_file").then(|| {
            let inode = superblock_field(image, "Orphan file inode");
            inode_field(image, &format!("<{inode}>"), "Size")
        });
        (features, journal, orphan)
    };
    for blocks in [
        2048,
        32 * K - 1,
        32 * K,
        128 * K - 1,
        128 * K,
        160 * K,
        256 * K - 1,
        256 * K,
        512 * K - 1,
        512 * K,
        2 * M,
        3 * M,
        4 * M - 1,
        4 * M,
        8 * M - 1,
        8 * M,
        16 * M - 1,
        16 * M,
        32 * M - 1,
        32 * M,
    ] {
        for (profile, changes) in [
            (Profile::Default, "^orphan_file"),
            (Profile::Modern, "orphan_file,metadata_csum_seed"),
        ] {
            let size = Some(blocks * 1024);
            let ours =
                Image::new(&empty, &Options { block_size: 1024, profile, size, ..options() });
            e2fsck(&ours.path).unwrap();
            let theirs = ours.beside("theirs");
            let lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
            let script = format!("mke2fs -q -F -t ext4 -b 1024 -O {changes} -E {lazy} $1 {blocks}");
            shell(&script, &[&theirs]);
            assert_eq!(described(&ours.path), described(&theirs), "{blocks} blocks, {profile:?}");
        }
    }
    let small = Options { block_size: 1024, size: Some(2047 * 1024), ..options() };
    assert_eq!(
        described(&Image::new(&empty, &small).path).1,
        None,
        "mke2fs makes no journal either"
    );
}

/// Growing a file system does not resize the journal, so its size is that for the grown file
/// system.
#[test]
fn the_journal_is_that_of_the_size_to_come() {
    for (grow_to, blocks) in [(64 << 20, "1024"), (2 << 30, "16384"), (64 << 30, "131072")] {
        let options = Options { grow_to: Some(grow_to), ..options() };
        let image = Image::new(&small(), &options);
        image.check_with_oracles(check).unwrap();
        assert_eq!(superblock_field(&image.path, "Total journal blocks"), blocks);
    }
}

#[test]
fn parameters_out_of_range() {
    let tree = small();
    let refused = |options: &Options| plan(&tree, &HoleScan::default(), options).unwrap_err();
    for block_size in [0, 512, 1000, 4095, 8192, 65_536, u32::MAX] {
        assert_eq!(refused(&Options { block_size, ..options() }).exit_code(), 2, "{block_size}");
    }
    for label in [&[b'l'; 17][..], b"a\0b"] {
        assert_eq!(refused(&Options { label: label.to_vec(), ..options() }).exit_code(), 2);
    }
    let longest = Options { label: vec![b'l'; 16], ..options() };
    let image = Image::new(&tree, &longest);
    image.check_with_oracles(check).unwrap();
    assert_eq!(superblock_field(&image.path, "Filesystem volume name"), "l".repeat(16));
}
