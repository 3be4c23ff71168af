//! Benchmarks of trees and plans without content: all decisions before a byte is written.

#![expect(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use detfs::Timestamp;
use detfs::tree::{HoleScan, Metadata, Node, Tree, TreeBuilder, Xattr};
use detfs::{ext4, fat};
use uuid::Uuid;

const EPOCH: Timestamp = Timestamp::from_seconds(1_700_000_000);

/// Returns a tree of `nodes` nodes in directories of 50, with files of up to 30 KB. Every tenth
/// file has an extended attribute. The content is never read, so it may be empty.
fn tree(nodes: u32) -> Tree {
    let metadata = |mode| Metadata { mode, mtime: EPOCH, ..Metadata::default() };
    let mut builder = TreeBuilder::new(metadata(0o755)).unwrap();
    let content = builder.content(Arc::new(Vec::<u8>::new())).unwrap();
    let mut directory = TreeBuilder::ROOT;
    for number in 0..nodes {
        let name = format!("name-{number}");
        if number % 50 == 0 {
            let parent = if number % 500 == 0 { TreeBuilder::ROOT } else { directory };
            let data = metadata(0o755);
            directory = builder.add(parent, name.as_bytes(), data, Node::Directory).unwrap();
            continue;
        }
        let mut data = metadata(0o644);
        if number % 10 == 0 {
            data.xattrs = vec![Xattr { name: b"user.number".to_vec(), value: name.clone().into() }];
        }
        let node = Node::File { size: u64::from(number) * 7919 % 30_000, content };
        builder.add(directory, name.as_bytes(), data, node).unwrap();
    }
    builder.finish().unwrap()
}

/// Returns a tree of one directory with `names` names.
fn flat(names: u32) -> Tree {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    for number in 0..names {
        let name = format!("name-{number}");
        builder.add(TreeBuilder::ROOT, name.as_bytes(), Metadata::default(), Node::Fifo).unwrap();
    }
    builder.finish().unwrap()
}

fn ext4_options() -> ext4::Options {
    ext4::Options {
        uuid: Uuid::from_u128(1),
        hash_seed: Uuid::from_u128(2),
        label: Vec::new(),
        epoch: EPOCH,
        block_size: 4096,
        profile: ext4::Profile::Default,
        size: None,
        headroom: None,
        multiple: 1,
        grow_to: None,
        inodes: None,
    }
}

fn fat_options() -> fat::Options {
    fat::Options {
        size: None,
        sector_size: 512,
        hidden_sectors: 0,
        volume_id: 1,
        label: None,
        epoch: EPOCH,
        variant: None,
    }
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tree");
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("build/10000", |b| b.iter(|| black_box(tree(10_000))));
    group.finish();

    let mut group = criterion.benchmark_group("ext4");
    let mut ext4 = |name: &str, size: u32, tree: Tree| {
        let tree = Arc::new(tree);
        group.throughput(Throughput::Elements(size.into()));
        group.bench_with_input(BenchmarkId::new(name, size), &tree, |b, tree| {
            // The layout is sealed, since a plan is of no use without a sealed layout.
            let plan = || ext4::plan(tree, &HoleScan::default(), &ext4_options()).unwrap();
            b.iter(|| black_box(plan().layout.seal()));
        });
    };
    ext4("inodes", 10_000, tree(10_000));
    ext4("inodes", 100_000, tree(100_000));
    ext4("names", 100_000, flat(100_000));
    group.finish();

    let mut group = criterion.benchmark_group("fat");
    let tree = Arc::new(tree(10_000));
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("nodes/10000", |b| {
        b.iter(|| black_box(fat::plan(&tree, &fat_options()).unwrap().layout.seal()));
    });
    group.finish();
}

criterion_group! {
    name = planning;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = benches
}
criterion_main!(planning);
