//! Images do not depend on the order in which threads finish their work.

use std::fmt::Write;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::btrfs::Btrfs;
use crate::codec::delay;
use crate::erofs::Erofs;
use crate::format::{Format, FsInputs};
use crate::layout::{Options, WriteAtSink, emit};
use crate::squashfs::Squashfs;
use crate::tree::{HoleScan, Metadata, Tree, TreeBuilder};

/// Returns the content of a file: lines that only files with the same number have.
fn content(number: usize, len: usize) -> Vec<u8> {
    let (mut text, mut line) = (String::new(), 0);
    while text.len() < len {
        writeln!(text, "line {line} of file {number}: {:x}", line * (number + 7919)).unwrap();
        line += 1;
    }
    text.truncate(len);
    text.into_bytes()
}

/// Creates a tree of files of one and of several pieces, and of fragments. Some are equal.
fn tree() -> Tree {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    for number in 0..400_usize {
        let kind = number % 307;
        let len = if kind.is_multiple_of(23) { 700_000 + kind } else { 50 + 97 * kind };
        let name = format!("file-{number:03}");
        builder.file(&name, content(kind, len), Metadata::default()).unwrap();
    }
    builder.finish().unwrap()
}

fn image(format: &dyn Format, tree: &Arc<Tree>, spool: &Path, threads: usize) -> Vec<u8> {
    let inputs = FsInputs::new(Arc::clone(tree), HoleScan::default(), Uuid::nil());
    let threads = NonZero::new(threads).unwrap();
    let inputs = FsInputs { spool: Some(spool), threads, ..inputs };
    let planned = format.prepare(inputs).unwrap().plan_smallest(None).unwrap();
    let sink = WriteAtSink::new(Vec::new());
    emit(&planned.layout.seal(), &sink, &Options::new(NonZero::<usize>::MIN)).unwrap();
    sink.into_inner()
}

#[test]
fn bytes_do_not_depend_on_which_thread_is_first() {
    let compression = "zstd:1";
    let formats: [&dyn Format; 4] = [
        &Btrfs { compression: Some(compression.parse().unwrap()), dedup: true, ..Btrfs::default() },
        &Erofs {
            compression: Some(compression.parse().unwrap()),
            dedup: true,
            fragments: true,
            ..Erofs::default()
        },
        &Squashfs {
            compression: compression.parse().unwrap(),
            fragments: true,
            ..Squashfs::default()
        },
        &Squashfs { compression: "lz4".parse().unwrap(), ..Squashfs::default() },
    ];
    let scratch = tempfile::tempdir().unwrap();
    let tree = Arc::new(tree());
    for format in formats {
        let expected = image(format, &tree, scratch.path(), 1);
        for seed in 1..=3 {
            delay::set_seed(seed);
            let delayed = image(format, &tree, scratch.path(), 4);
            delay::set_seed(0);
            assert!(delayed == expected, "{}, seed {seed}", format.name());
        }
    }
}
