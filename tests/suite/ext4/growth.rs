//! Growing and shrinking an unmounted file system with resize2fs.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use detfs::ext4::{Options, Profile};
use detfs::tree::Tree;

use super::PROFILES;
use super::inspect::superblock_field;
use super::sample::{Comb, Image, ROOT, Sample, metadata, options};
use crate::oracle::{Mounted, e2fsck, run, shell};

fn tree() -> Arc<Tree> {
    let mut sample = Sample::new();
    let directory = sample.directory(ROOT, "d");
    for number in 0..2000 {
        sample.empty(directory, format!("{number}-{}", "n".repeat(60)), metadata(0o644));
    }
    sample.content("comb", 100 << 13, Arc::new(Comb(100)));
    sample.file("file", vec![7; 100_000]);
    sample.finish()
}

fn check(root: &Path) {
    assert_eq!(fs::read_dir(root.join("d")).unwrap().count(), 2000);
    assert!(root.join(format!("d/1999-{}", "n".repeat(60))).exists());
    assert!(fs::read(root.join("file")).unwrap() == [7; 100_000]);
    assert_eq!(
        fs::read(root.join("comb")).unwrap().iter().filter(|&&b| b != 0).count(),
        102 * 4096
    );
}

fn resize(image: &Path, words: &[&str]) {
    let said = run("resize2fs", [&[image.to_str().unwrap()], words].concat());
    assert!(said.ok, "{}", said.all());
    e2fsck(image).unwrap();
}

/// Checks that all files are intact and that the kernel can write.
fn still_in_order(image: &Path) {
    {
        let mounted = Mounted::new("ext4", "rw", Some(image)).unwrap();
        check(mounted.path());
        shell("mkdir $1/new; seq 100000 >$1/new/file", &[mounted.path()]);
        assert_eq!(mounted.errors(), 0);
    }
    e2fsck(image).unwrap();
}

#[test]
#[ignore = "takes seconds"]
fn from_64_mib_to_64_gib() {
    let tree = tree();
    for profile in PROFILES {
        for block_size in [1024, 4096] {
            let size = Some(64 << 20);
            let image = Image::new(&tree, &Options { profile, block_size, size, ..options() });
            image.check_with_oracles(check).unwrap();
            resize(&image.path, &["64G"]);
            let blocks: u64 = superblock_field(&image.path, "Block count").parse().unwrap();
            assert_eq!(blocks * u64::from(block_size), 64 << 30);
            let features = superblock_field(&image.path, "Filesystem features");
            let resize_inode = features.split(' ').any(|feature| feature == "resize_inode");
            assert_eq!(resize_inode, profile != Profile::Ro, "{features}");
            still_in_order(&image.path);
        }
    }
}

/// Growing up to the size given by `grow_to` does not move anything.
#[test]
fn to_what_was_asked_for() {
    let grow_to = 100 << 30;
    for profile in [Profile::Default, Profile::Modern] {
        let image = Image::new(&tree(), &Options { profile, grow_to: Some(grow_to), ..options() });
        image.check_with_oracles(check).unwrap();
        let reserved: u64 = superblock_field(&image.path, "Reserved GDT blocks").parse().unwrap();
        // 800 groups of 128 MiB with 64 descriptors a block, minus the descriptor block that
        // already exists.
        assert_eq!(reserved, 800 / 64 + 1 - 1);
        let first = image.read(4096 * (1 + 1 + reserved), 4096);
        resize(&image.path, &["100G"]);
        assert!(image.read(4096 * (1 + 1 + reserved), 4096)[2] == first[2]);
        still_in_order(&image.path);
    }
}

#[test]
fn to_2_tib() {
    let image = Image::new(&tree(), &Options { size: Some(64 << 20), ..options() });
    resize(&image.path, &["2T"]);
    let mounted = Mounted::new("ext4", "ro", Some(&image.path)).unwrap();
    check(mounted.path());
}

#[test]
fn shrunk_to_the_smallest() {
    let tree = tree();
    for profile in PROFILES {
        for (block_size, size, grown) in
            [(1024, 200 << 20, None), (4096, 200 << 20, None), (4096, 64 << 20, Some("8G"))]
        {
            let options = Options { profile, block_size, size: Some(size), ..options() };
            let image = Image::new(&tree, &options);
            if let Some(grown) = grown {
                resize(&image.path, &[grown]);
            }
            // resize2fs requires a check before it shrinks a file system. The check creates
            // `lost+found`.
            run("e2fsck", ["-fy", image.path.to_str().unwrap()]);
            resize(&image.path, &["-M"]);
            let found = fs::metadata(&image.path).unwrap().len();
            assert!(found < size, "{profile:?}: {found} of {size}");
            image.check_with_oracles(check).unwrap();
        }
    }
}

/// Returns a tree without a file of many extents, whose extent tree resize2fs would make deeper
/// than e2fsck accepts.
fn plain_tree() -> Arc<Tree> {
    let mut sample = Sample::new();
    for number in 0..300 {
        sample.file(&number.to_string(), vec![7; number * 37]);
    }
    sample.finish()
}

fn resize_often(image: &Image, sizes: &[&str]) {
    for size in sizes {
        run("e2fsck", ["-fy", image.path.to_str().unwrap()]);
        resize(&image.path, &[size]);
    }
}

fn check_plain(image: &Image) {
    let read = |root: &Path| fs::read(root.join("299")).unwrap();
    assert!(image.check_with_oracles(read).unwrap() == [7; 299 * 37]);
}

/// The second time, resize2fs shrinks below the tables of the groups that it removed the first
/// time.
#[test]
fn shrunk_again_and_again() {
    let empty = Sample::new().finish();
    for (block_size, mib, inodes) in [
        (1024, 64, None),
        (1024, 200, None),
        (1024, 300, None),
        (2048, 200, None),
        (4096, 200, None),
        (1024, 200, Some(64_000)),
        (4096, 600, Some(100_000)),
    ] {
        let size = Some(mib << 20);
        let profile = Profile::Modern;
        let options = Options { profile, block_size, size, inodes, ..options() };
        let image = Image::new(&plain_tree(), &options);
        resize_often(&image, &["-M"; 3]);
        check_plain(&image);
        resize_often(&Image::new(&empty, &options), &["-M"; 3]);
    }
}

#[test]
#[ignore = "takes seconds"]
fn shrunk_and_grown_in_turn() {
    for (mib, sizes) in [
        (64, ["-M", "-M", "-M", "64G", "-M", "-M"]),
        (64, ["64G", "-M", "-M", "-M", "64G", "-M"]),
        (300, ["-M", "-M", "64G", "-M", "-M", "64G"]),
    ] {
        let (profile, size) = (Profile::Modern, Some(mib << 20));
        let options = Options { profile, block_size: 1024, size, ..options() };
        let image = Image::new(&plain_tree(), &options);
        resize_often(&image, &sizes);
        check_plain(&image);
    }
}
