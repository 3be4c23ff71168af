//! Tests of the registry, and of a format that only the tests have: every program accepts it.

use std::fs;
use std::num::NonZero;
use std::sync::Arc;

use uuid::Uuid;

use super::Formats;
use super::toy::{MAGIC, Toy};
use crate::disk::{self, BuildInput, ImageKind, Plan, image, single};
use crate::format::FsInputs;
use crate::gpt::{Architecture, PartitionType};
use crate::layout::{Layout, WriteAtSink, emit};
use crate::repart::{self, CopyFiles, PartitionFormat};
use crate::seed::Seed;
use crate::size::MIB;
use crate::tree::{HoleScan, Metadata, Node, TreeBuilder};

const CONTENT: &[u8] = b"content of a file";

fn input() -> BuildInput {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    let content = builder.content(Arc::new(CONTENT.to_vec())).unwrap();
    let file = Node::File { size: CONTENT.len() as u64, content };
    builder.add(TreeBuilder::ROOT, b"file", Metadata::default(), file).unwrap();
    let mut input = BuildInput::new(builder.finish().unwrap());
    input.seed = Some(Seed(Uuid::from_u128(1)));
    input.architecture = Some(Architecture::X86_64);
    input
}

fn bytes(layout: &Layout) -> Vec<u8> {
    let sink = WriteAtSink::new(Vec::new());
    emit(layout, &sink, &crate::layout::Options::new(NonZero::<usize>::MIN)).unwrap();
    sink.into_inner()
}

/// Checks that a file system of the toy format is at the byte `start` of an image.
fn check(image: &[u8], start: u64) {
    let start = usize::try_from(start).unwrap();
    assert!(image[start..].starts_with(MAGIC));
    assert!(image[start + 4096..].starts_with(CONTENT));
}

#[test]
fn every_program_accepts_a_new_format() {
    let options = single::Options::new(Arc::new(Toy));
    let plan = single::plan(input(), &options).unwrap();
    check(&bytes(&plan.layout), 0);

    let options = image::Options { root: Arc::new(Toy), ..image::Options::default() };
    for size in [None, Some(8 * MIB)] {
        let options = image::Options { size, ..options.clone() };
        let Plan { layout, product, .. } = image::plan(input(), &options).unwrap();
        let ImageKind::Disk(disk) = product else { panic!("it is a disk") };
        let [root] = &*disk.partitions else { panic!("there is one partition") };
        assert_eq!(root.file_system.as_ref().unwrap().format, "toy");
        check(&bytes(&layout), root.start);
    }

    let scratch = tempfile::tempdir().unwrap();
    let (tree, out) = (scratch.path().join("tree"), scratch.path().join("out.raw"));
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), CONTENT).unwrap();
    let partition = disk::Definition::new(PartitionType::root(Architecture::X86_64));
    let definition = repart::Definition {
        format: Formats::default().with(Toy).find("toy").cloned().map(PartitionFormat::FileSystem),
        copy_files: vec![CopyFiles { source: Vec::new(), target: Vec::new(), fsverity: false }],
        ..repart::Definition::new(partition)
    };
    let options = repart::Options::new(out.clone(), tree);
    let outcome = repart::run(vec![definition], &options, &|_| {}).unwrap();
    check(&fs::read(out).unwrap(), outcome.partitions.unwrap()[0].offset);
}

#[test]
fn formats_are_found_and_recognized() {
    let formats = Formats::default().with(Toy);
    let names: Vec<_> = formats.names().collect();
    assert_eq!(names, ["ext4", "btrfs", "erofs", "squashfs", "vfat", "toy"]);
    assert_eq!(formats.clone().with(Toy).names().count(), names.len());
    assert!(formats.find("minix").is_none());
    let scratch = tempfile::tempdir().unwrap();
    for name in names {
        let options = single::Options::new(Arc::clone(formats.find(name).unwrap()));
        let input = BuildInput { spool: Some(scratch.path().into()), ..input() };
        let image = bytes(&single::plan(input, &options).unwrap().layout);
        let size = image.len() as u64;
        let found = formats.recognize(&image, size).unwrap().map(|format| format.name());
        assert_eq!(found, Some(name));
        assert!(formats.recognize(&vec![0_u8; image.len()], size).unwrap().is_none());
    }
}

/// The least size of each format is accepted, and a smaller or a larger one than its limits is not.
#[test]
fn limits_hold() {
    for format in Formats::default().0 {
        for sector_size in [512, 4096] {
            let limits = format.limits(sector_size).unwrap();
            let tree = Arc::new(TreeBuilder::new(Metadata::default()).unwrap().finish().unwrap());
            let inputs = FsInputs::new(tree, HoleScan::default(), Uuid::nil());
            let prepared = format.prepare(FsInputs { sector_size, ..inputs }).unwrap();
            let name = format.name();
            let planned = prepared.plan(limits.min, 0).unwrap();
            assert_eq!(planned.file_system.size, limits.min, "{name}");
            assert!(limits.min.is_multiple_of(limits.multiple), "{name}");
            assert!(prepared.plan(limits.min - limits.multiple, 0).is_err(), "{name}");
            assert!(limits.max.is_multiple_of(limits.multiple), "{name}");
            if let Some(larger) = limits.max.checked_add(limits.multiple) {
                assert!(prepared.plan(larger, 0).is_err(), "{name}");
            }
        }
    }
}
