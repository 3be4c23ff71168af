//! Random trees with random options as squashfs images. Each is mounted, and every field that
//! squashfs stores of every inode is compared; unsquashfs and sqfs2tar have to accept it.

use std::path::Path;
use std::thread;

use arbitrary::{Arbitrary, Unstructured};
use detfs::format::{Format, FsInputs};
use detfs::layout::{Destination, emit};
use detfs::squashfs::{Compression, Squashfs};
use detfs::tree::{HoleScanOptions, scan_holes};
use detfs::{Timestamp, Uuid};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use super::image::scratch;
use crate::oracle::{Verdict, run, squashfs};
use crate::random_trees::arbitrary_tree::{ArbitraryTree, Expected, Grown, Validity};
use crate::random_trees::mounted::{self, Kept};
use crate::random_trees::number;
use crate::tree::Random;

/// A tree and the options for its image.
#[derive(Debug, Arbitrary)]
struct Draft {
    algorithm: u8,
    level: u8,
    block_log: u8,
    fragments: bool,
    /// Selects whether slow oracles read the image too.
    extracted: u8,
    tree: ArbitraryTree,
}

impl Draft {
    fn grow(&self) -> (Grown, Squashfs) {
        let grown = self.tree.grow(Validity::Unix).expect("what no builder takes is left out");
        let mut format = Squashfs::default();
        let level = self.level % 9 + 1;
        format.compression = match self.algorithm % 4 {
            0 => Compression::Gzip { level },
            1 => Compression::Zstd { level },
            2 => Compression::Lz4 { level },
            _ => Compression::Xz,
        };
        format.block_size = 4096 << (self.block_log % 9);
        format.fragments = self.fragments;
        (grown, format)
    }
}

fn drafts() -> impl Strategy<Value = Draft> {
    proptest::collection::vec(any::<u8>(), 100..2000).prop_map(|bytes| {
        Draft::arbitrary(&mut Unstructured::new(&bytes)).expect("enough bytes for the options")
    })
}

fn write(grown: &Grown, format: &Squashfs, image: &Path) {
    let threads = std::num::NonZero::<usize>::MIN;
    let scan = scan_holes(&grown.tree, &HoleScanOptions::default()).unwrap();
    let mut inputs = FsInputs::new(grown.tree.clone(), scan, Uuid::nil());
    inputs.epoch = Timestamp::from_seconds(1_700_000_000);
    inputs.spool = image.parent();
    let layout = format.prepare(inputs).unwrap().plan_smallest(None).unwrap().layout.seal();
    let output = Destination::new(image, true).unwrap().create(layout.size()).unwrap();
    emit(&layout, &output, &detfs::layout::Options::new(threads)).unwrap();
    output.finish().unwrap();
}

/// Replaces what squashfs can't store by what it stores instead.
fn adapt(model: &mut [Expected]) {
    for node in model {
        let seconds = node.mtime.seconds.clamp(0, u32::MAX.into());
        node.mtime = Timestamp::from_seconds(seconds);
        let prefixes = [&b"user."[..], b"trusted.", b"security."];
        node.xattrs.retain(|name, _| prefixes.iter().any(|prefix| name.starts_with(prefix)));
    }
}

fn check_image(draft: &Draft, image: &Path) -> Verdict {
    let (mut grown, format) = draft.grow();
    write(&grown, &format, image);
    adapt(&mut grown.model);
    let look = |root: &Path| mounted::compare(root, &grown.model, Kept::Squashfs);
    squashfs::mount_squashfs(image, look)??;
    if draft.extracted < 64 {
        let said = run("sqfs2tar", ["-r", ".", image.to_str().unwrap()]);
        assert!(said.ok, "{}", said.all());
        let said = run("unsquashfs", ["-lls", image.to_str().unwrap()]);
        assert!(said.ok && said.stderr.is_empty(), "{}", said.all());
    }
    Ok(())
}

/// Checks `trees` random trees on two threads.
fn judge_random_trees(trees: u32) {
    let half = |_| {
        thread::spawn(move || {
            let scratch = scratch();
            let image = scratch.path().join("image");
            let mut runner = TestRunner::new(Config {
                cases: trees / 2,
                failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
                    "proptest-regressions/random_trees_squashfs.txt",
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
    judge_random_trees(100);
}

#[test]
#[ignore = "deep: 2,000 trees"]
fn deep_many_random_trees_are_sound() {
    judge_random_trees(number(2000));
}

/// A changed mode in the expectation and a changed byte in the image are both detected.
#[test]
fn a_broken_image_is_found() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let bytes = Random::new(6).bytes(900);
    let draft = Draft::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
    check_image(&draft, &image).unwrap();
    let (mut grown, _) = draft.grow();
    adapt(&mut grown.model);
    let look = |model: &[_]| {
        let compare = |root: &Path| mounted::compare(root, model, Kept::Squashfs);
        squashfs::mount_squashfs(&image, compare).unwrap()
    };
    look(&grown.model).unwrap();
    grown.model[0].mode ^= 1;
    look(&grown.model).unwrap_err();
    let mut content = std::fs::read(&image).unwrap();
    // The offset of the inode of the root.
    content[32] ^= 1;
    std::fs::write(&image, content).unwrap();
    squashfs::mount_squashfs(&image, |_| ()).unwrap_err();
}
