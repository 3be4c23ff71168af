//! Benchmark of writing the image of a tree with many small files and a few large ones from the
//! page cache.

#![expect(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::fs;
use std::hint::black_box;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use detfs::layout::{Destination, Discard, Layout, Options, Sink, emit};
use detfs::tree::{InodeId, Metadata, Node, Tree, TreeBuilder};
use positioned_io::ReadAt;

const MIB: u64 = 1 << 20;

/// A file that is opened for each read, since a tree has more files than a process may open.
struct Lazy(PathBuf);

impl ReadAt for Lazy {
    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        fs::File::open(&self.0)?.read_at(at, out)
    }
}

/// Returns the sizes of 8,000 files of 0.5 to 30 KiB, a few hundred of 32 to 200 KiB, and ten of 4
/// MiB, which is about the distribution in typical trees.
fn sizes() -> impl Iterator<Item = u64> {
    let small = (0..8000).map(|number| 512 + number * 7919 % 30_000);
    let middle = (0..300).map(|number| 32_768 + number * 104_729 % 170_000);
    small.chain(middle).chain([4 * MIB + 17; 10])
}

fn image(directory: &Path) -> Layout {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    let sizes: Vec<u64> = sizes().collect();
    for (number, &size) in sizes.iter().enumerate() {
        let path = directory.join(number.to_string());
        let byte = u8::try_from(number % 251).unwrap();
        fs::write(&path, vec![byte; usize::try_from(size).unwrap()]).unwrap();
        let content = builder.content(Arc::new(Lazy(path))).unwrap();
        let name = format!("{number:05}");
        let node = Node::File { size, content };
        builder.add(TreeBuilder::ROOT, name.as_bytes(), Metadata::default(), node).unwrap();
    }
    let tree: Arc<Tree> = Arc::new(builder.finish().unwrap());
    let blocks = |size: u64| size.next_multiple_of(4096);
    let mut layout = Layout::new(MIB + sizes.iter().map(|&size| blocks(size)).sum::<u64>());
    let number = layout.add_tree(tree);
    let mut offset = MIB;
    for (inode, &size) in (1..).zip(&sizes) {
        layout.push_content(offset, size, number, InodeId::new(inode), 0);
        offset += blocks(size);
    }
    layout.seal()
}

fn benches(criterion: &mut Criterion) {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let source = directory.path().join("source");
    fs::create_dir(&source).unwrap();
    let layout = image(&source);
    let path = directory.path().join("image");
    let whole = 0..layout.size();
    let mut group = criterion.benchmark_group("emit");
    group.sample_size(10).throughput(Throughput::Bytes(layout.size()));
    for threads in [1, 2, 4] {
        let options = Options::new(NonZero::new(threads).unwrap());
        let run = |sink: &dyn Sink, options: &Options<'_>| {
            black_box(emit(&layout, sink, options).unwrap());
        };
        group.bench_function(format!("discard/{threads}"), |b| {
            b.iter(|| run(&Discard, &options));
        });
        group.bench_function(format!("tmpfs/{threads}"), |b| {
            b.iter(|| {
                let destination = Destination::new(&path, true).unwrap();
                run(&destination.create(layout.size()).unwrap(), &options);
            });
        });
        group.bench_function(format!("digest/{threads}"), |b| {
            let mut options = options;
            options.digests = std::slice::from_ref(&whole);
            b.iter(|| run(&Discard, &options));
        });
    }
    group.finish();
}

criterion_group!(emission, benches);
criterion_main!(emission);
