//! Plans random trees with random options as erofs images. Each image is checked by fsck.erofs and
//! mounted, and every field of every inode is compared.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use arbitrary::{Arbitrary, Unstructured};
use detfs::Uuid;
use detfs::erofs::{Compression, Options, PrepassOptions, Profile, plan, prepass};
use detfs::layout::{Destination, emit};
use detfs::tree::{HoleScanOptions, scan_holes};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::oracle::Verdict;
use crate::oracle::erofs::{fsck_erofs, mount_erofs};
use crate::random_trees::arbitrary_tree::{ArbitraryTree, Grown, Time, Validity};
use crate::random_trees::mounted::{self, Kept};
use crate::random_trees::number;
use crate::tree::Random;

/// A tree and the options for its image.
#[derive(Debug, Arbitrary)]
struct Draft {
    uuid: u128,
    epoch: Time,
    /// Whether the epoch is the time of the root, which makes inodes compact.
    is_common: bool,
    profile: u8,
    compression: u8,
    dedup: bool,
    cluster_size: u8,
    fragments: bool,
    tree: ArbitraryTree,
}

impl Draft {
    fn grow(&self) -> (Grown, Options) {
        let grown = self.tree.grow(Validity::Unix).expect("what no builder takes is left out");
        let profiles = [Profile::Linux5_4, Profile::Linux5_15, Profile::Linux6_10];
        let profile = profiles[usize::from(self.profile) % profiles.len()];
        let epoch = match self.is_common {
            true => grown.model[0].mtime,
            false => self.epoch.timestamp(Validity::Unix),
        };
        let options = Options {
            uuid: Uuid::from_u128(self.uuid),
            label: b"label".to_vec(),
            epoch,
            profile,
            compression: match (profile, self.compression % 4) {
                (Profile::Linux5_4, _) | (_, 0) => None,
                (_, 1) => Some(Compression::Lz4),
                (Profile::Linux6_10, 2) => Some(Compression::Zstd { level: 1 }),
                _ => Some(Compression::Lz4hc { level: 2 }),
            },
            uncompressed: BTreeSet::new(),
            dedup: self.dedup,
            cluster_size: 8192 << (self.cluster_size % 8),
            fragments: self.fragments && profile == Profile::Linux6_10,
            size: None,
        };
        (grown, options)
    }
}

fn drafts() -> impl Strategy<Value = Draft> {
    proptest::collection::vec(any::<u8>(), 100..2000).prop_map(|bytes| {
        Draft::arbitrary(&mut Unstructured::new(&bytes)).expect("enough bytes for the options")
    })
}

fn write(grown: &Grown, options: &Options, image: &Path) {
    let scan = scan_holes(&grown.tree, &HoleScanOptions::default()).unwrap();
    let threads = NonZero::<usize>::MIN;
    let mut reading = PrepassOptions::new(threads);
    reading.spool = image.parent();
    let contents = prepass(&grown.tree, &scan, options, &reading).unwrap();
    let layout = plan(&grown.tree, &scan, &Arc::new(contents), options).unwrap().layout.seal();
    let output = Destination::new(image, true).unwrap().create(layout.size()).unwrap();
    emit(&layout, &output, &detfs::layout::Options::new(threads)).unwrap();
    output.finish().unwrap();
}

fn check_image(draft: &Draft, image: &Path) -> Verdict {
    let (mut grown, options) = draft.grow();
    write(&grown, &options, image);
    // Debian 12's fsck.erofs knows neither Zstandard nor fragments.
    if !options.fragments && !matches!(options.compression, Some(Compression::Zstd { .. })) {
        fsck_erofs(image)?;
    }
    mounted::shown(&mut grown.model);
    mount_erofs(image, |root| mounted::compare(root, &grown.model, Kept::Erofs))?
}

/// Checks `trees` random trees on two threads.
fn judge_random_trees(trees: u32) {
    let half = |_| {
        thread::spawn(move || {
            let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
            let image = scratch.path().join("image");
            let mut runner = TestRunner::new(Config {
                cases: trees / 2,
                failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
                    "proptest-regressions/random_trees_erofs.txt",
                ))),
                ..Config::default()
            });
            let result = runner.run(&drafts(), |draft| {
                check_image(&draft, &image).map_err(|error_text| TestCaseError::fail(error_text.0))
            });
            result.map_err(|error| error.to_string())
        })
    };
    let threads = [0, 1].map(half);
    for thread in threads {
        thread.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn some_random_trees_are_sound() {
    judge_random_trees(60);
}

#[test]
#[ignore = "deep: 2,000 trees"]
fn deep_many_random_trees_are_sound() {
    judge_random_trees(number(2000));
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
    grown.model[0].mode ^= 1;
    mount_erofs(&image, |root| mounted::compare(root, &grown.model, Kept::Erofs))
        .unwrap()
        .unwrap_err();
    let mut content = std::fs::read(&image).unwrap();
    content[1024 + 48] ^= 1;
    std::fs::write(&image, content).unwrap();
    fsck_erofs(&image).unwrap_err();
}
