//! Hash trees computed while data is written, compared with those that veritysetup computes by
//! reading it.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use detfs::layout::{Destination, Layout, Options, emit};
use detfs::verity::{HashTree, LeafHashes, Parameters};
use uuid::uuid;

use crate::oracle::verity;
use crate::tree::Random;

fn parameters(data_size: u64, (data_block_size, hash_block_size): (u32, u32)) -> Parameters {
    let uuid = uuid!("0b5f8a9c-3c1d-4e2f-8a6b-7c8d9e0fa1b2");
    Parameters { data_size, data_block_size, hash_block_size, salt: [0x5a; 32], uuid }
}

/// Writes a layout to `out` and returns the hash tree of the written data.
fn write(mut layout: Layout, parameters: &Parameters, out: &Path, threads: usize) -> HashTree {
    let threads = NonZero::new(threads).unwrap();
    let leaves = Arc::new(LeafHashes::new(parameters.clone()).unwrap());
    layout.observe(0..layout.size(), Arc::clone(&leaves) as _);
    let layout = layout.seal();
    let output = Destination::new(out, true).unwrap().create(layout.size()).unwrap();
    emit(&layout, &output, &Options::new(threads)).unwrap();
    output.finish().unwrap();
    leaves.finish(threads)
}

fn hex(root_hash: [u8; 32]) -> String {
    root_hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes data and its hash tree, and compares the tree with that of veritysetup.
///
/// `layout` creates a layout of a given size.
fn check(data_size: u64, block_sizes: (u32, u32), layout: impl Fn(u64) -> Layout) {
    let scratch = tempfile::tempdir().unwrap();
    let [data, hash] = ["data", "hash"].map(|name| scratch.path().join(name));
    let parameters = parameters(data_size, block_sizes);
    let tree = write(layout(data_size), &parameters, &data, 2);
    let what = format!("{data_size} bytes, blocks of {block_sizes:?}");
    assert_eq!(tree.bytes.len() as u64, parameters.hash_size().unwrap(), "{what}");
    let (theirs, root_hash) = verity::format(&data, block_sizes, &parameters.salt, parameters.uuid);
    assert_eq!(hex(tree.root_hash), root_hash, "{what}");
    assert!(tree.bytes == theirs, "{what}");
    fs::write(&hash, &tree.bytes).unwrap();
    verity::verify(&data, &hash, &root_hash).expect(&what);
}

#[test]
fn trees_are_those_of_veritysetup() {
    for block_sizes in [(512, 512), (512, 4096), (1024, 1024), (4096, 512), (4096, 4096)] {
        let (data, per_block) = (u64::from(block_sizes.0), u64::from(block_sizes.1) / 32);
        for blocks in [1, 2, per_block, per_block + 1, 5 * per_block + 3] {
            check(blocks * data, block_sizes, |size| {
                let mut layout = Layout::new(size);
                layout.push_bytes(0, Random::new(blocks).bytes(size));
                layout
            });
        }
    }
}

/// Three levels: more blocks than two levels can cover, most of them zeros.
#[test]
fn sparse_data_has_a_tree_of_three_levels() {
    for (blocks, block_sizes) in [(128 * 128 + 1, (4096, 4096)), (16 * 16 + 1, (1024, 512))] {
        check(blocks * u64::from(block_sizes.0), block_sizes, |size| {
            let mut layout = Layout::new(size);
            for part in [0, size / 3, size / 2 + 1, size - 3000] {
                layout.push_bytes(part, Random::new(part).bytes(2999));
            }
            layout
        });
    }
}

/// Bytes after the data are not part of the hash tree.
#[test]
fn the_end_of_a_partition_may_be_left_out() {
    let scratch = tempfile::tempdir().unwrap();
    let [data, hash] = ["data", "hash"].map(|name| scratch.path().join(name));
    let mut layout = Layout::new(1 << 20);
    layout.push_bytes(0, Random::new(1).bytes(1 << 20));
    let tree = write(layout, &parameters(300 << 10, (4096, 4096)), &data, 1);
    fs::write(&hash, &tree.bytes).unwrap();
    verity::verify(&data, &hash, &hex(tree.root_hash)).unwrap();
    fs::File::options().write(true).open(&data).unwrap().set_len(300 << 10).unwrap();
    let parameters = parameters(300 << 10, (4096, 4096));
    let (theirs, _) = verity::format(&data, (4096, 4096), &parameters.salt, parameters.uuid);
    assert!(tree.bytes == theirs);
}
