//! Images of other programs: the tree that the library reads is that which the kernel mounts.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use detfs::format::Format;
use detfs::layout::{Options, WriteAtSink, emit};
use detfs::tree::dir::DirOptions;
use detfs::tree::{Directory, Source};
use detfs::{BuildInput, Erofs, Seed, Timestamp, Tree, Uuid, single};

use crate::tree::LATEST;

/// Returns an image of a tree, which is the same for the same trees.
fn image_of(tree: Tree) -> Vec<u8> {
    let mut input = BuildInput::new(tree);
    input.seed = Some(Seed(Uuid::from_u128(1)));
    input.epoch = Some(Timestamp::from_seconds(LATEST));
    let plan = single::plan(input, &single::Options::new(Arc::new(Erofs::default()))).unwrap();
    let sink = WriteAtSink::new(Vec::new());
    emit(&plan.layout, &sink, &Options::new(NonZero::<usize>::MIN)).unwrap();
    sink.into_inner()
}

/// Returns an image of a mounted tree.
pub fn image_of_mounted(root: &Path) -> Vec<u8> {
    let (tree, _) = Directory::new(root).read(&DirOptions::default()).unwrap();
    image_of(tree)
}

/// Returns an image of the tree of an image, or the error of the reader.
pub fn image_of_read(format: &dyn Format, image: &Path) -> detfs::Result<Vec<u8>> {
    let bytes = fs::read(image).unwrap();
    let size = bytes.len() as u64;
    format.read(Arc::new(bytes), size).map(image_of)
}
