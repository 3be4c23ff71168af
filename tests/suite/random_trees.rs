//! Random trees with random options, planned as ext4 images and checked with e2fsck. Some are also
//! mounted, and every field of every node is compared with the kernel's answer.
//!
//! Trees and options are generated as in fuzzing, without those that every planner refuses.

pub mod arbitrary_tree;
mod ext4_options;
pub mod mounted;

use std::ops::AddAssign;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use arbitrary::{Arbitrary, Unstructured};
use detfs::Error;
use detfs::ext4::{Options, plan};
use detfs::layout::{Destination, emit};
use detfs::tree::{FileFlags, HoleScanOptions, scan_holes};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::oracle::{Verdict, e2fsck, mount_ext4};
use crate::tree::Random;
use arbitrary_tree::{ArbitraryTree, Expected, Grown, Validity, What};
use ext4_options::{ArbitraryExt4Options, adapt};
use mounted::Kept;

/// Maximum size of a mounted image in bytes. Larger images are only checked with e2fsck, since the
/// mount test reads the whole image to show that it stays unchanged.
const MOUNTED_MAX: u64 = 64 << 20;

/// A tree and the options of its image.
#[derive(Debug, Arbitrary)]
struct Draft {
    options: ArbitraryExt4Options,
    tree: ArbitraryTree,
}

impl Draft {
    fn grow(&self) -> (Grown, Options) {
        let grown = self.tree.grow(Validity::Unix).expect("what no builder takes is left out");
        let mut options = self.options.options(Validity::Unix);
        // e2fsck complains about times later than its current time, which `E2FSCK_TIME` fixes.
        options.epoch.seconds = options.epoch.seconds.min(4_000_000_000);
        (grown, options)
    }
}

fn drafts() -> impl Strategy<Value = Draft> {
    proptest::collection::vec(any::<u8>(), 100..2000).prop_map(|bytes| {
        Draft::arbitrary(&mut Unstructured::new(&bytes)).expect("enough bytes for the options")
    })
}

/// Writes the image of a tree and returns its size, or `None` if the tree exceeds the size or the
/// number of inodes in `options`.
fn write(grown: &Grown, options: &Options, image: &Path) -> Option<u64> {
    let scan = scan_holes(&grown.tree, &HoleScanOptions::default()).unwrap();
    let layout = match plan(&grown.tree, &scan, options) {
        Ok(plan) => plan.layout.seal(),
        Err(Error::TooSmall { .. } | Error::Parameter { field: "ext4.inodes", .. }) => {
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let output = Destination::new(image, true).unwrap().create(layout.size()).unwrap();
    emit(&layout, &output, &detfs::layout::Options::new(std::num::NonZero::<usize>::MIN)).unwrap();
    output.finish().unwrap();
    Some(layout.size())
}

/// Number of trees, and how many of them were written as images and mounted.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    trees: u32,
    images: u32,
    mounts: u32,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.trees += other.trees;
        self.images += other.images;
        self.mounts += other.mounts;
    }
}

fn check_image(draft: &Draft, mount: bool, image: &Path) -> Verdict<Counts> {
    let (mut grown, options) = draft.grow();
    let mut counts = Counts { trees: 1, ..Counts::default() };
    let Some(size) = write(&grown, &options, image) else { return Ok(counts) };
    counts.images = 1;
    e2fsck(image)?;
    if mount && size <= MOUNTED_MAX {
        counts.mounts = 1;
        adapt(&mut grown, &options);
        mount_ext4(image, |root| mounted::compare(root, &grown.model, Kept::Ext4))??;
    }
    Ok(counts)
}

/// Returns the number of trees: `RANDOM_TREES` if the variable is set, and `usual` otherwise.
pub fn number(usual: u32) -> u32 {
    std::env::var("RANDOM_TREES").map_or(usual, |text| text.parse().expect("it is a number"))
}

/// Checks `trees` random trees on two threads, and mounts some of the images.
fn judge_random_trees(trees: u32) {
    let total = Arc::new(Mutex::new(Counts::default()));
    let half = |_| {
        let total = Arc::clone(&total);
        thread::spawn(move || {
            let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
            let image = scratch.path().join("image");
            let mut runner = TestRunner::new(Config {
                cases: trees / 2,
                failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
                    "proptest-regressions/random_trees.txt",
                ))),
                ..Config::default()
            });
            let strategy = (drafts(), proptest::bool::weighted(0.2));
            let result = runner.run(&strategy, |(draft, mount)| {
                match check_image(&draft, mount, &image) {
                    Ok(counts) => *total.lock().unwrap() += counts,
                    Err(error_text) => return Err(TestCaseError::fail(error_text.0)),
                }
                Ok(())
            });
            result.map_err(|error| error.to_string())
        })
    };
    let threads = [0, 1].map(half);
    for thread in threads {
        thread.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
    }
    let Counts { trees, images, mounts } = *total.lock().unwrap();
    let enough = images > trees / 2 && mounts >= trees / 100;
    assert!(enough, "only {images} images and {mounts} mounts of {trees} trees");
}

#[test]
fn some_random_trees_are_sound() {
    judge_random_trees(100);
}

#[test]
#[ignore = "takes minutes"]
fn many_random_trees_are_sound() {
    judge_random_trees(number(2000));
}

/// Writes the image of a tree that has a file with several names in its root directory, and returns
/// the tree.
fn sample(image: &Path) -> Grown {
    let bytes = Random::new(6).bytes(900);
    let draft = Draft::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
    let (mut grown, options) = draft.grow();
    let options = Options { size: None, ..options };
    write(&grown, &options, image).unwrap();
    e2fsck(image).unwrap();
    adapt(&mut grown, &options);
    grown
}

/// Returns the index of a non-empty file in the root directory, and its name.
fn file_of(grown: &Grown) -> (usize, Vec<u8>) {
    let What::Directory(names) = &grown.model[0].what else { unreachable!("it is the root") };
    let is_file = |&(_, &child): &(_, &usize)| matches!(&grown.model[child].what, What::File(bytes) if !bytes.is_empty());
    let (name, &position) = names.iter().find(is_file).expect("a file in the root");
    (position, name.clone())
}

#[test]
fn a_broken_image_is_found() {
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    let (_, name) = file_of(&sample(&image));
    let mut bytes = std::fs::read(&image).unwrap();
    // In a directory entry, the name comes after its length and its type.
    let entry = [&[u8::try_from(name.len()).unwrap(), 1], &name[..]].concat();
    let at = bytes.windows(entry.len()).position(|part| part == entry).unwrap();
    bytes[at + 2] ^= 1;
    std::fs::write(&image, bytes).unwrap();
    e2fsck(&image).unwrap_err();
}

#[test]
fn every_field_of_a_mounted_tree_is_compared() {
    type Change = fn(&mut Expected);
    let changes: [(&str, Change); 9] = [
        ("mode", |node| node.mode ^= 0o1),
        ("owner", |node| node.uid ^= 1),
        ("owner", |node| node.gid ^= 1),
        ("mtime", |node| node.mtime.seconds ^= 1),
        ("mtime", |node| node.mtime.nanoseconds ^= 1),
        ("flags", |node| node.flags.toggle(FileFlags::NODUMP)),
        ("links", |node| node.names += 1),
        ("attributes", |node| drop(node.xattrs.insert(b"user.new".to_vec(), Vec::new()))),
        ("another content", |node| {
            let What::File(bytes) = &mut node.what else { unreachable!("it is a file") };
            Arc::make_mut(bytes)[0] ^= 1;
        }),
    ];
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    let mut grown = sample(&image);
    let (position, name) = file_of(&grown);
    mount_ext4(&image, |root| {
        mounted::compare(root, &grown.model, Kept::Ext4).unwrap();
        for (what, change) in changes {
            let mut model = sample(&scratch.path().join("again")).model;
            change(&mut model[position]);
            let error_text = mounted::compare(root, &model, Kept::Ext4).unwrap_err().0;
            assert!(error_text.contains(what), "{what}: {error_text}");
        }
        let What::Directory(names) = &mut grown.model[0].what else { unreachable!("the root") };
        names.remove(&name);
        let error_text = mounted::compare(root, &grown.model, Kept::Ext4).unwrap_err().0;
        assert!(error_text.contains("names"), "{error_text}");
    })
    .unwrap();
}
