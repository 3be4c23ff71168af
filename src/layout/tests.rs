//! Emission against a naive renderer: random layouts, with every sink and number of threads.
#![allow(clippy::cast_possible_truncation, reason = "images in tests fit memory")]
#![expect(clippy::cast_possible_truncation, reason = "test images are small")]

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sha2::{Digest as _, Sha256};

use super::work::{LARGE, WRITE_SIZE, WorkItems};
use super::*;
use crate::error::{Error, Result};
use crate::progress::{Phase, Progress};
use crate::size::MIB;
use crate::tree::{
    ContentId, ContentReader, ContentSource, InodeId, Metadata, Node, Tree, TreeBuilder,
};

/// Bytes that differ from block to block and are rarely zero.
fn pattern(seed: u64, offset: u64, out: &mut [u8]) {
    let skip = (offset % 8) as usize;
    let words = (offset / 8 + seed * 0x1_0000_0001..)
        .map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(11).to_le_bytes());
    let words: Vec<u8> = words.take((skip + out.len()).div_ceil(8)).flatten().collect();
    out.copy_from_slice(&words[skip..skip + out.len()]);
}

fn patterned(seed: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    pattern(seed, 0, &mut bytes);
    bytes
}

struct Pattern(u64);

impl Render for Pattern {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        assert!(out.iter().all(|&byte| byte == 0), "not cleared");
        pattern(self.0, offset, out);
        Ok(())
    }
}

/// Files on this machine.
struct Files(Vec<PathBuf>);

struct FileReader(File, Vec<u8>);

impl ContentSource for Files {
    fn open(&self, index: u32, path: &dyn Fn() -> Vec<u8>) -> Result<Box<dyn ContentReader>> {
        let fail = |error| Error::source(path(), "cannot open", error);
        Ok(Box::new(FileReader(File::open(&self.0[index as usize]).map_err(fail)?, path())))
    }
}

impl ContentReader for FileReader {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let fail = |error| Error::source(self.1.clone(), "cannot read", error);
        self.0.read_exact_at(buffer, offset).map_err(fail)
    }

    fn file(&self) -> Option<&File> {
        Some(&self.0)
    }
}

const SIZES: [u64; 6] = [1, 4096, 5000, 65_536, 262_145, 700_000];

/// Creates files in memory, on disk and, sparse, on disk; returns their tree and their contents.
struct Contents {
    _directory: tempfile::TempDir,
    tree: Arc<Tree>,
    files: Vec<(InodeId, Vec<u8>)>,
}

impl Contents {
    /// Three files of each size.
    fn new(sizes: &[u64]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let source = builder.reserve_source();
        let (mut paths, mut contents) = (Vec::new(), Vec::new());
        for (seed, size) in (0..).zip(sizes.iter().flat_map(|&size| [size; 3])) {
            let mut bytes = patterned(seed, size);
            let content = if seed % 3 == 0 {
                builder.content(Arc::new(bytes.clone())).unwrap()
            } else {
                let path = directory.path().join(seed.to_string());
                let file = File::create(&path).unwrap();
                file.set_len(size).unwrap();
                for (chunk, at) in bytes.chunks_mut(20_000).zip((0u64..).step_by(20_000)) {
                    if seed % 3 == 1 || at / 20_000 % 3 != 1 {
                        file.write_all_at(chunk, at).unwrap();
                    } else {
                        chunk.fill(0);
                    }
                }
                paths.push(path);
                ContentId { source, index: u32::try_from(paths.len() - 1).unwrap() }
            };
            let name = format!("{seed:02}");
            let node = Node::File { size, content };
            builder.add(TreeBuilder::ROOT, name.as_bytes(), Metadata::default(), node).unwrap();
            contents.push((name, bytes));
        }
        builder.set_source(source, Arc::new(Files(paths)));
        let tree = builder.finish().unwrap();
        let file = |(name, bytes): (String, _)| (tree.find(name.as_bytes()).unwrap(), bytes);
        let files = contents.into_iter().map(file).collect();
        Self { _directory: directory, tree: Arc::new(tree), files }
    }
}

#[derive(Debug, Clone)]
enum What {
    Bytes(u64),
    Render(u64),
    Content { file: usize, from: u64, len: u64 },
}

fn what() -> impl Strategy<Value = What> {
    let len = prop_oneof![1..5000u64, Just(4096), Just(WRITE_SIZE), 1..600_000u64];
    let content = (0..18usize, any::<u64>(), any::<u64>(), any::<bool>());
    prop_oneof![
        len.clone().prop_map(What::Bytes),
        len.prop_map(What::Render),
        content.prop_map(|(file, from, len, whole)| {
            let size = SIZES[file / 3];
            let from = if whole { 0 } else { from % size };
            let len = if whole { size } else { 1 + len % (size - from) };
            What::Content { file, from, len }
        }),
    ]
}

fn gap() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => Just(0),
        1 => 1..5000u64,
        1 => prop::sample::select(vec![4096, 65_535, 65_536, 65_537, WRITE_SIZE, 900_000]),
    ]
}

/// A layout and its bytes.
fn build(contents: &Contents, parts: &[(u64, What)], tail: u64) -> (Layout, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut places = Vec::new();
    for (seed, (gap, what)) in (100..).zip(parts) {
        // Files are placed at whole blocks more often than not.
        let gap = match what {
            What::Content { .. } if seed % 4 > 0 => {
                (bytes.len() as u64 + gap).next_multiple_of(4096) - bytes.len() as u64
            }
            _ => *gap,
        };
        bytes.resize(bytes.len() + gap as usize, 0);
        places.push((seed, bytes.len() as u64, what));
        bytes.extend(match what {
            What::Bytes(len) | What::Render(len) => patterned(seed, *len),
            What::Content { file, from, len } => {
                contents.files[*file].1[*from as usize..(from + len) as usize].to_vec()
            }
        });
    }
    bytes.resize(bytes.len() + tail as usize, 0);
    let mut layout = Layout::new(bytes.len() as u64);
    let tree = layout.add_tree(Arc::clone(&contents.tree));
    for (seed, offset, what) in places.into_iter().rev() {
        match what {
            What::Bytes(len) => layout.push_bytes(offset, patterned(seed, *len)),
            What::Render(len) => layout.push_render(offset, *len, Arc::new(Pattern(seed))),
            What::Content { file, from, len } => {
                layout.push_content(offset, *len, tree, contents.files[*file].0, *from);
            }
        }
    }
    (layout.seal(), bytes)
}

/// A sink that records the image and the ranges it was passed.
#[derive(Default)]
struct Checked {
    image: Mutex<Vec<u8>>,
    seen: Mutex<Vec<Range<u64>>>,
    /// If set, shared files are taken in whole units of this many bytes.
    unit: Option<u64>,
    in_order: bool,
}

impl Checked {
    fn new(size: u64, unit: Option<u64>, in_order: bool) -> Self {
        let image = Mutex::new(vec![0; size as usize]);
        Self { image, unit, in_order, ..Self::default() }
    }

    fn see(&self, offset: u64, len: u64) {
        let mut seen = self.seen.lock().unwrap();
        if self.in_order {
            assert_eq!(seen.last().map_or(0, |last| last.end), offset, "out of order");
        }
        seen.push(offset..offset + len);
    }

    fn store(&self, offset: u64, bytes: &[u8]) {
        let at = offset as usize;
        self.image.lock().unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn into_image(self) -> Vec<u8> {
        let image = self.image.into_inner().unwrap();
        let mut seen = self.seen.into_inner().unwrap();
        seen.sort_by_key(|range| range.start);
        let mut end = 0;
        for range in seen {
            assert_eq!(range.start, end, "a byte came twice or never");
            end = range.end;
        }
        assert_eq!(end, image.len() as u64);
        image
    }
}

impl Sink for Checked {
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.see(offset, bytes.len() as u64);
        self.store(offset, bytes);
        Ok(())
    }

    fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        self.see(offset, len);
        Ok(())
    }

    fn share(&self, offset: u64, source: &File, from: u64, len: u64) -> u64 {
        assert!(!self.in_order);
        let Some(unit) = self.unit else { return 0 };
        let len = len - len % unit;
        let mut bytes = vec![0; len as usize];
        source.read_exact_at(&mut bytes, from).unwrap();
        if len > 0 {
            self.see(offset, len);
            self.store(offset, &bytes);
        }
        len
    }

    fn in_order(&self) -> bool {
        self.in_order
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

fn threads(number: usize) -> Options<'static> {
    Options::new(NonZero::new(number).unwrap())
}

fn same(got: &[u8], bytes: &[u8], how: &str) {
    if got != bytes {
        let at = got.iter().zip(bytes).position(|(a, b)| a != b);
        panic!("{how}: {} bytes of {}, different at {at:?}", got.len(), bytes.len());
    }
}

/// Emits a layout in every way and compares the results.
fn check(layout: &Layout, bytes: &[u8], ranges: &[Range<u64>]) {
    let size = layout.size();
    let expected: Vec<_> =
        ranges.iter().map(|range| &bytes[range.start as usize..range.end as usize]).collect();
    let expected: Vec<_> = expected.into_iter().map(sha256).collect();
    let directory = tempfile::tempdir().unwrap();
    for (number, hashed) in [(1, true), (2, false), (3, true), (8, false)] {
        let how = format!("{number} threads, digests: {hashed}");
        let done = AtomicU64::new(0);
        let observer = |progress: Progress| {
            let phase = if hashed { Phase::Hash } else { Phase::Write };
            assert_eq!((progress.phase, progress.total), (phase, size));
            done.fetch_max(progress.done, Ordering::Relaxed);
            ControlFlow::Continue(())
        };
        let digests = if hashed { ranges } else { &[] };
        let options = Options { observer: Some(&observer), digests, ..threads(number) };
        let emit = |sink: &dyn Sink| {
            let digests = emit(layout, sink, &options).unwrap();
            assert_eq!(digests, if hashed { &expected[..] } else { &[] }, "{how}");
            assert_eq!(done.swap(0, Ordering::Relaxed), size, "{how}");
        };
        for (unit, in_order) in [(None, false), (Some(4096), false), (Some(1), false), (None, true)]
        {
            let sink = Checked::new(size, unit, in_order);
            emit(&sink);
            same(&sink.into_image(), bytes, &format!("{how}, {unit:?}, in order: {in_order}"));
        }
        let sink = WriteAtSink::new(Vec::new());
        emit(&sink);
        same(&sink.into_inner(), bytes, &how);
        emit(&Discard);

        let path = directory.path().join("image");
        let output = Destination::new(&path, true).unwrap().create(size).unwrap();
        emit(&output);
        output.finish().unwrap();
        same(&std::fs::read(&path).unwrap(), bytes, &how);
    }
}

#[test]
fn all_ways_give_the_same_bytes() {
    let contents = Contents::new(&SIZES);
    let cuts = prop::collection::vec(any::<[u64; 2]>(), 0..3);
    let parts = prop::collection::vec((gap(), what()), 0..24);
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() };
    let case = |(parts, tail, cuts): (Vec<_>, _, Vec<_>)| {
        let (layout, bytes) = build(&contents, &parts, tail);
        let size = layout.size();
        let range = |[a, b]: [u64; 2]| {
            let (a, b) = (a % (size + 1), b % (size + 1));
            a.min(b)..a.max(b)
        };
        let ranges: Vec<_> = cuts.into_iter().map(range).chain(std::iter::once(0..size)).collect();
        check(&layout, &bytes, &ranges);
        Ok(())
    };
    TestRunner::new(config).run(&(parts, gap(), cuts), case).unwrap();
}

/// An observer that records bytes, and a renderer of the recorded bytes.
struct Recorder(Mutex<Vec<u8>>);

impl ByteObserver for Recorder {
    fn observe(&self, offset: u64, bytes: &[u8]) {
        let at = offset as usize;
        self.0.lock().unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl Render for Recorder {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let at = offset as usize;
        out.copy_from_slice(&self.0.lock().unwrap()[at..at + out.len()]);
        Ok(())
    }
}

/// Copies of observed bytes follow them in the image: in every way of emission, all bytes are
/// observed before they are copied.
#[test]
fn what_is_observed_comes_first() {
    let contents = Contents::new(&[4096, 262_145, 17 * MIB + 123]);
    let mut parts: Vec<_> = (0..9)
        .map(|file| {
            (7, What::Content { file, from: 0, len: [4096, 262_145, 17 * MIB + 123][file / 3] })
        })
        .collect();
    parts.extend([(100_000, What::Bytes(5000)), (9, What::Render(3 * MIB)), (1, What::Bytes(3))]);
    for (number, hashed) in [(1, true), (2, false), (5, true), (8, false)] {
        for (unit, in_order) in [(None, false), (Some(4096), false), (None, true)] {
            let (inner, bytes) = build(&contents, &parts, 70_000);
            let size = inner.size();
            let recorder = Arc::new(Recorder(Mutex::new(vec![0; size as usize])));
            let mut twice = Layout::new(2 * size);
            twice.add_layout(0, inner);
            twice.observe(0..size, Arc::clone(&recorder) as _);
            twice.push_render(size, size, recorder);
            let mut whole = Layout::new(MIB + 2 * size);
            whole.add_layout(MIB, twice);
            let whole = whole.seal();
            let expected = [vec![0; MIB as usize], bytes.clone(), bytes].concat();
            let range = 4096..whole.size();
            let digests = if hashed { std::slice::from_ref(&range) } else { &[] };
            let sink = Checked::new(whole.size(), unit, in_order);
            emit(&whole, &sink, &Options { digests, ..threads(number) }).unwrap();
            let how = format!("{number} threads, {unit:?}, in order: {in_order}, {hashed}");
            same(&sink.into_image(), &expected, &how);
        }
    }
}

/// Fails if a sector is passed in two parts that both contain data.
struct WholeSectors;

const STRIDE: u64 = 12_288;

fn len_of(number: u64) -> u64 {
    if number % 2 == 1 { 300 } else { 9000 }
}

impl ByteObserver for WholeSectors {
    fn observe(&self, offset: u64, bytes: &[u8]) {
        let skipped = (offset.next_multiple_of(4096) - offset) as usize;
        assert!(bytes.iter().take(skipped).all(|&byte| byte == 0), "{offset}");
        let end = offset + bytes.len() as u64;
        assert!(end.is_multiple_of(4096) || end % STRIDE == len_of(end / STRIDE), "{end}");
    }
}

/// Items start within sectors where regions end, yet regions are not split there.
#[test]
fn observers_see_whole_sectors() {
    let mut layout = Layout::new(1000 * STRIDE);
    for number in 0..1000 {
        layout.push_render(number * STRIDE, len_of(number), Arc::new(Pattern(number)));
    }
    layout.observe(0..1000 * STRIDE, Arc::new(WholeSectors));
    let layout = layout.seal();
    let mut items = WorkItems::new(&layout, LARGE, u64::MAX).into_iter().flatten();
    assert!(items.any(|item| item.range.start % 4096 > 0), "this test needs such pieces");
    for (number, digests) in [(1, &[][..]), (3, std::slice::from_ref(&(0..100)))] {
        emit(&layout, &Discard, &Options { digests, ..threads(number) }).unwrap();
    }
}

/// A worker that fails before the end of an observed range does not leave others waiting there.
#[test]
fn a_failure_before_what_is_observed_ends() {
    let (tree, files) = failing(&[30]);
    for (number, in_order) in [(1, true), (3, true), (8, true), (1, false), (4, false)] {
        let mut layout = Layout::new(65 * 8192);
        let number_of_tree = layout.add_tree(Arc::clone(&tree));
        for (at, &file) in (0u64..).zip(&files) {
            layout.push_content(at * 8192, 8192, number_of_tree, file, 0);
        }
        let recorder = Arc::new(Recorder(Mutex::new(vec![0; 64 * 8192])));
        layout.observe(0..64 * 8192, Arc::clone(&recorder) as _);
        layout.push_render(64 * 8192, 8192, recorder);
        let sink = Checked::new(layout.size(), None, in_order);
        let error = emit(&layout.seal(), &sink, &threads(number)).unwrap_err().to_string();
        assert!(error.starts_with("30: "), "{error}");
    }
}

#[test]
#[should_panic(expected = "beyond the observed range")]
fn a_region_across_the_end_of_what_is_observed_is_a_mistake() {
    let mut layout = Layout::new(100);
    layout.push_bytes(10, vec![1; 20]);
    layout.observe(0..20, Arc::new(Recorder(Mutex::default())));
    drop(layout.seal());
}

#[test]
fn empty_and_hollow_images() {
    for size in [0, 1, 4096, 65_536, 1_000_000] {
        check(&Layout::new(size).seal(), &vec![0; size as usize], &[0..size, 0..0, size / 2..size]);
    }
}

#[test]
fn a_large_file_is_cut() {
    let size = 17 * MIB + 123;
    let contents = Contents::new(&[size]);
    let content = What::Content { file: 1, from: 0, len: size };
    let parts = [(0, What::Bytes(5)), (0, content), (0, What::Render(3))];
    let (layout, bytes) = build(&contents, &parts, 3 * MIB);
    check(&layout, &bytes, std::slice::from_ref(&(4096..16 * MIB)));
    let lens: Vec<_> = WorkItems::new(&layout, LARGE, u64::MAX)
        .into_iter()
        .flatten()
        .map(|item| item.len())
        .collect();
    assert_eq!(lens, [4096, 16 * MIB, MIB + 123, 3, 3 * MIB]);
}

#[test]
fn small_things_are_gathered() {
    let mut layout = Layout::new(8 * MIB);
    for block in 0..1024 {
        layout.push_bytes(block * 4096, vec![1; 4000]);
    }
    layout.push_bytes(6 * MIB + 7, vec![1; 1]);
    let layout = layout.seal();
    let items: Vec<_> = WorkItems::new(&layout, LARGE, u64::MAX).into_iter().flatten().collect();
    let expected = [
        (0, MIB, false),
        (MIB, 2 * MIB, false),
        (2 * MIB, 3 * MIB, false),
        (3 * MIB, 4 * MIB - 96, false),
        (4 * MIB - 96, 6 * MIB + 7, true),
        (6 * MIB + 7, 6 * MIB + 8, false),
        (6 * MIB + 8, 8 * MIB, true),
    ];
    let got: Vec<_> = items.iter().map(|i| (i.range.start, i.range.end, i.is_zeros())).collect();
    assert_eq!(got, expected);
}

/// A tree whose file number `n` fails to be read, as its name says.
fn failing(bad: &[u64]) -> (Arc<Tree>, Vec<InodeId>) {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    for number in 0..64 {
        let held = if bad.contains(&number) { 1 } else { 8192 };
        let content = builder.content(Arc::new(patterned(number, held))).unwrap();
        let node = Node::File { size: 8192, content };
        let name = format!("{number:02}");
        builder.add(TreeBuilder::ROOT, name.as_bytes(), Metadata::default(), node).unwrap();
    }
    let tree = builder.finish().unwrap();
    let find = |number| tree.find(format!("{number:02}").as_bytes()).unwrap();
    let files = (0..64).map(find).collect();
    (Arc::new(tree), files)
}

/// A renderer that reads a file's content.
struct Copied(Arc<Tree>, InodeId);

impl Render for Copied {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.0.open(self.1)?.read(offset, out)
    }
}

#[test]
fn the_first_failure_is_reported() {
    let (tree, files) = failing(&[30, 31, 33, 40]);
    let mut contents = Layout::new(64 * MIB);
    let mut renders = Layout::new(64 * MIB);
    let number = contents.add_tree(Arc::clone(&tree));
    for (at, file) in (0..).zip(files) {
        contents.push_content(at * MIB, 8192, number, file, 0);
        renders.push_render(at * MIB, 8192, Arc::new(Copied(Arc::clone(&tree), file)));
    }
    fails_at_30(&contents.seal());
    fails_at_30(&renders.seal());
}

fn fails_at_30(layout: &Layout) {
    for number in [1, 2, 3, 8] {
        for digests in [&[][..], &[0..64 * MIB, MIB..50 * MIB]] {
            for in_order in [false, true] {
                let sink = Checked::new(layout.size(), None, in_order);
                let options = Options { digests, ..threads(number) };
                match emit(layout, &sink, &options) {
                    Err(Error::Source { path, .. }) => assert_eq!(path, b"30"),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

#[test]
fn a_failing_sink_is_named() {
    struct Full(bool);
    impl Sink for Full {
        fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn in_order(&self) -> bool {
            self.0
        }
        fn name(&self) -> String {
            "the shelf".into()
        }
    }
    let mut layout = Layout::new(8 * MIB);
    layout.push_bytes(MIB, vec![1; 100]);
    let layout = layout.seal();
    let start = 0..MIB;
    let digest = std::slice::from_ref(&start);
    for (in_order, digests) in [(false, &[][..]), (false, digest), (true, &[])] {
        let options = Options { digests, ..threads(3) };
        let error = emit(&layout, &Full(in_order), &options).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot write the shelf: no storage space; free some space, or write elsewhere"
        );
        assert_eq!(error.exit_code(), 4);
    }
}

#[test]
fn digests_are_hexadecimal() {
    // FIPS 180-2, appendix B.1.
    let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256(b"abc").to_string(), text);
}

/// A separate file system, mounted during the lifetime of the value.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(mkfs: &[&str], size: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        File::create(&image).unwrap().set_len(size).unwrap();
        run(Command::new(mkfs[0]).args(&mkfs[1..]).arg(&image));
        let point = directory.path().join("mnt");
        std::fs::create_dir(&point).unwrap();
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&point));
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("mnt")
    }

    /// Returns the number of bytes in use.
    fn used(&self) -> u64 {
        run(Command::new("sync").arg("-f").arg(self.path()));
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run(Command::new("umount").arg(self.path()));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Creates a tree of files with whole blocks and a tail, and a layout of them.
fn laid_out(directory: &Path, count: u64, size: u64) -> (Layout, Vec<u8>) {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    let source = builder.reserve_source();
    let mut paths = Vec::new();
    for number in 0..count {
        let path = directory.join(number.to_string());
        std::fs::write(&path, patterned(number, size)).unwrap();
        let content = ContentId { source, index: u32::try_from(paths.len()).unwrap() };
        paths.push(path);
        let name = format!("{number:04}");
        let node = Node::File { size, content };
        builder.add(TreeBuilder::ROOT, name.as_bytes(), Metadata::default(), node).unwrap();
    }
    builder.set_source(source, Arc::new(Files(paths)));
    let tree = Arc::new(builder.finish().unwrap());
    let step = size.next_multiple_of(4096);
    let mut layout = Layout::new(MIB + count * step);
    let mut bytes = vec![0; layout.size() as usize];
    let number = layout.add_tree(Arc::clone(&tree));
    for file in 0..count {
        let inode = tree.find(format!("{file:04}").as_bytes()).unwrap();
        let offset = MIB + file * step;
        layout.push_content(offset, size, number, inode, 0);
        pattern(file, 0, &mut bytes[offset as usize..(offset + size) as usize]);
    }
    (layout.seal(), bytes)
}

#[test]
fn whole_blocks_are_shared_where_the_file_system_can() {
    let xfs = ["mkfs.xfs", "-q", "-m", "reflink=1"];
    for mkfs in [&["mkfs.btrfs", "-q"][..], &xfs] {
        let mounted = Mounted::new(mkfs, 400 * MIB);
        let source = mounted.path().join("source");
        std::fs::create_dir(&source).unwrap();
        let (layout, bytes) = laid_out(&source, 30, MIB + 100);
        let before = mounted.used();
        for digests in [&[][..], std::slice::from_ref(&(0..layout.size()))] {
            let path = mounted.path().join(format!("image{}", digests.len()));
            let output = Destination::new(&path, false).unwrap().create(layout.size()).unwrap();
            let options = Options { digests, ..threads(2) };
            let hashes = emit(&layout, &output, &options).unwrap();
            output.finish().unwrap();
            same(&std::fs::read(&path).unwrap(), &bytes, mkfs[0]);
            assert!(hashes.iter().all(|&hash| hash == sha256(&bytes)));
            let more = mounted.used() - before;
            assert!(more < 8 * MIB, "{}: {more} bytes more of {}", mkfs[0], layout.size());
        }
        // Verify that the measurement is able to fail.
        std::fs::write(mounted.path().join("copy"), &bytes).unwrap();
        assert!(mounted.used() - before > 30 * MIB);
    }
}

#[test]
fn other_file_systems_copy() {
    let source = tempfile::tempdir().unwrap();
    let mounted = Mounted::new(&["mkfs.xfs", "-q", "-m", "reflink=0"], 400 * MIB);
    let (layout, bytes) = laid_out(source.path(), 10, MIB + 100);
    let path = mounted.path().join("image");
    let output = Destination::new(&path, false).unwrap().create(layout.size()).unwrap();
    emit(&layout, &output, &threads(2)).unwrap();
    output.finish().unwrap();
    same(&std::fs::read(&path).unwrap(), &bytes, "xfs");
}

#[test]
fn an_observer_can_cancel() {
    let mut layout = Layout::new(8 * MIB);
    for number in 0..8 {
        layout.push_bytes(number * MIB, vec![1; 4096]);
    }
    let layout = layout.seal();
    let calls = AtomicU64::new(0);
    let observer = |_: Progress| match calls.fetch_add(1, Ordering::Relaxed) {
        2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let whole = 0..layout.size();
    for digests in [&[][..], std::slice::from_ref(&whole)] {
        calls.store(0, Ordering::Relaxed);
        let options = Options { observer: Some(&observer), digests, ..threads(1) };
        let error = emit(&layout, &Discard, &options).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{error}");
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }
}

/// An observer sees progress while zeros are hashed, and can stop it.
#[test]
fn zeros_are_hashed_in_parts() {
    let size = 3 * LARGE + 5;
    let layout = Layout::new(size).seal();
    let calls = AtomicU64::new(0);
    let emit_until = |last: u64| {
        calls.store(0, Ordering::Relaxed);
        let observer = |_: Progress| match calls.fetch_add(1, Ordering::Relaxed) < last {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let digests = [Range { start: 0, end: size }];
        let options = Options { observer: Some(&observer), digests: &digests, ..threads(1) };
        emit(&layout, &Discard, &options)
    };
    let digests = emit_until(u64::MAX).unwrap();
    assert_eq!(digests, [sha256(&vec![0; usize::try_from(size).unwrap()])]);
    assert_eq!(calls.load(Ordering::Relaxed), 4);
    assert!(matches!(emit_until(1), Err(Error::Cancelled)));
}
