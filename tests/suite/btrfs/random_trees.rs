//! Plans random trees with random options as btrfs images. Each image is checked by btrfs check and
//! mounted, and every field of every inode is compared.

use std::num::NonZero;
use std::ops::AddAssign;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use arbitrary::{Arbitrary, Unstructured};
use detfs::Error;
use detfs::btrfs::{Options, PrepassOptions, plan, prepass};
use detfs::layout::{Destination, emit};
use detfs::tree::{HoleScanOptions, scan_holes};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use super::image::unique;
use super::random_options::ArbitraryBtrfsOptions;
use crate::oracle::btrfs::{DumpedTrees, btrfs_check, mount_btrfs_with};
use crate::oracle::{OracleError, Verdict};
use crate::random_trees::arbitrary_tree::{ArbitraryTree, Grown, Validity};
use crate::random_trees::mounted::{self, Kept};
use crate::random_trees::number;
use crate::tree::Random;

/// A tree and the options for its image.
#[derive(Debug, Arbitrary)]
struct Draft {
    options: ArbitraryBtrfsOptions,
    /// Selects whether the space accounting is checked too, which is slow.
    summed: u8,
    tree: ArbitraryTree,
}

impl Draft {
    fn grow(&self) -> (Grown, Options) {
        let grown = self.tree.grow(Validity::Unix).expect("what no builder takes is left out");
        let options = self.options.options(&grown.tree, unique().parse().unwrap());
        (grown, options)
    }
}

fn drafts() -> impl Strategy<Value = Draft> {
    proptest::collection::vec(any::<u8>(), 100..2000).prop_map(|bytes| {
        Draft::arbitrary(&mut Unstructured::new(&bytes)).expect("enough bytes for the options")
    })
}

/// The reasons why a tree has no image.
enum Without {
    Room,
    /// Links between subvolumes.
    Subvolumes,
}

fn write(grown: &Grown, options: &Options, image: &Path) -> Result<(), Without> {
    let scan = scan_holes(&grown.tree, &HoleScanOptions::default()).unwrap();
    let threads = NonZero::<usize>::MIN;
    let mut reading = PrepassOptions::new(threads);
    reading.spool = image.parent();
    let planned = prepass(&grown.tree, &scan, options, &reading)
        .and_then(|contents| plan(&grown.tree, &Arc::new(contents), options));
    let layout = match planned {
        Ok(plan) => plan.layout.seal(),
        Err(Error::TooSmall { .. }) => return Err(Without::Room),
        Err(Error::Unrepresentable { remedy, .. }) if remedy.contains("`btrfs.copy_links`") => {
            return Err(Without::Subvolumes);
        }
        Err(error) => panic!("{error}"),
    };
    let output = Destination::new(image, true).unwrap().create(layout.size()).unwrap();
    emit(&layout, &output, &detfs::layout::Options::new(threads)).unwrap();
    output.finish().unwrap();
    Ok(())
}

/// The numbers of trees, of trees with an image, and of images with subvolumes.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    trees: u32,
    images: u32,
    subvolumes: u32,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.trees += other.trees;
        self.images += other.images;
        self.subvolumes += other.subvolumes;
    }
}

fn check_image(draft: &Draft, image: &Path) -> Verdict<Counts> {
    let (mut grown, mut options) = draft.grow();
    let mut counts = Counts { trees: 1, ..Counts::default() };
    if let Err(Without::Subvolumes) = write(&grown, &options, image) {
        options.subvolumes.clear();
        options.default_subvolume = None;
    }
    match write(&grown, &options, image) {
        Ok(()) => counts.images = 1,
        Err(Without::Room) => return Ok(counts),
        Err(Without::Subvolumes) => {
            return Err(OracleError("links between subvolumes without any".into()));
        }
    }
    counts.subvolumes = (!options.subvolumes.is_empty()).into();
    btrfs_check(image)?;
    if draft.summed < 32 {
        DumpedTrees::read(image)?.sound()?;
    }
    mounted::shown(&mut grown.model);
    let nodatacow = options.subvolumes.iter().any(|subvolume| subvolume.nodatacow);
    let kept = Kept::Btrfs { nocow: !nodatacow };
    let look = |root: &Path| mounted::compare(root, &grown.model, kept);
    mount_btrfs_with(image, "ro,subvolid=5", look)??;
    Ok(counts)
}

/// Checks `trees` random trees on two threads.
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
                    "proptest-regressions/random_trees_btrfs.txt",
                ))),
                ..Config::default()
            });
            let result = runner.run(&drafts(), |draft| match check_image(&draft, &image) {
                Ok(counts) => {
                    *total.lock().unwrap() += counts;
                    Ok(())
                }
                Err(error_text) => Err(TestCaseError::fail(error_text.0)),
            });
            result.map_err(|error| error.to_string())
        })
    };
    let threads = [0, 1].map(half);
    for thread in threads {
        thread.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
    }
    let Counts { trees, images, subvolumes } = *total.lock().unwrap();
    let enough = images > trees * 3 / 4 && subvolumes > trees / 10;
    assert!(enough, "only {images} images and {subvolumes} with subvolumes of {trees} trees");
}

#[test]
fn some_random_trees_are_sound() {
    judge_random_trees(100);
}

#[test]
#[ignore = "takes minutes"]
fn many_random_trees_are_sound() {
    judge_random_trees(number(600));
}

/// A changed mode in the expectation and a changed byte in the image are both detected.
#[test]
fn a_broken_image_is_found() {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let image = scratch.path().join("image");
    let bytes = Random::new(6).bytes(900);
    let draft = Draft::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
    check_image(&draft, &image).unwrap();
    let (mut grown, _) = draft.grow();
    mounted::shown(&mut grown.model);
    let kept = Kept::Btrfs { nocow: false };
    let look = |model: &[_]| {
        let options = "ro,subvolid=5";
        mount_btrfs_with(&image, options, |root| mounted::compare(root, model, kept)).unwrap()
    };
    look(&grown.model).unwrap();
    grown.model[0].mode ^= 1;
    look(&grown.model).unwrap_err();
    let mut content = std::fs::read(&image).unwrap();
    content[(1 << 16) + 0x50] ^= 1;
    std::fs::write(&image, content).unwrap();
    btrfs_check(&image).unwrap_err();
}
