//! Dumps of four small images, compared with those in `testdata/golden`.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Dump;
use crate::btrfs::Btrfs;
use crate::disk::{BuildInput, image, single};
use crate::ext4::Ext4;
use crate::fat::Vfat;
use crate::format::Format;
use crate::gpt::Architecture;
use crate::hex::hex;
use crate::size::Headroom;
use crate::tree::{Metadata, Node, NodeId, Tree, TreeBuilder, Xattr};
use crate::{Seed, Timestamp, Uuid, btrfs, ext4, fat, gpt};

/// Environment variable that makes the test record the current dumps, as for the golden hashes.
const BLESS: &str = "DETFS_BLESS";

/// Describes the lines of a dump.
const LEGEND: &str = "\
# offset, record, field, value
# Fields of zeros and zeros at the end of an array are omitted, and so is the content of files.
";

const ROOT: NodeId = TreeBuilder::ROOT;

fn metadata(mode: u16) -> Metadata {
    let mtime = Timestamp { seconds: 1_600_000_000, nanoseconds: 500 };
    Metadata { mode, mtime, ..Metadata::default() }
}

fn file(builder: &mut TreeBuilder, parent: NodeId, name: &str, bytes: Vec<u8>) -> NodeId {
    let size = bytes.len() as u64;
    let content = builder.content(Arc::new(bytes)).unwrap();
    let node = Node::File { size, content };
    builder.add(parent, name.as_bytes(), metadata(0o644), node).unwrap()
}

fn directory(builder: &mut TreeBuilder, parent: NodeId, name: &str) -> NodeId {
    builder.add(parent, name.as_bytes(), metadata(0o755), Node::Directory).unwrap()
}

/// Adds the files of an ESP.
fn add_esp(builder: &mut TreeBuilder, parent: NodeId) {
    let directory = directory(builder, parent, "EFI");
    file(builder, directory, "BOOTX64.EFI", vec![b'x'; 3000]);
    file(builder, directory, "a long name.conf", b"timeout 0\n".to_vec());
    file(builder, parent, "empty", Vec::new());
}

/// Returns a tree with an ESP alone.
fn esp_tree() -> Tree {
    let mut builder = TreeBuilder::new(metadata(0o755)).unwrap();
    add_esp(&mut builder, ROOT);
    builder.finish().unwrap()
}

/// Returns a tree with a node of most kinds, a file with holes, and a directory that has an index
/// if blocks have 1024 bytes.
fn root_tree(with_esp: bool) -> Tree {
    let mut builder = TreeBuilder::new(metadata(0o755)).unwrap();
    let etc = directory(&mut builder, ROOT, "etc");
    let small = file(&mut builder, etc, "small", b"hello\n".to_vec());
    builder.link(ROOT, b"hard link", small).unwrap();
    let window = 16 << 10;
    let sparse = (0..12 * window).map(|at| if at / window % 2 == 0 { b'x' } else { 0 });
    file(&mut builder, etc, "sparse", sparse.collect());
    let node = Node::Symlink(b"etc/small".to_vec());
    builder.add(ROOT, b"link", metadata(0o777), node).unwrap();
    let node = Node::Symlink([b'x'; 100].to_vec());
    builder.add(ROOT, b"long link", metadata(0o777), node).unwrap();
    let xattr = |name: &str, len| Xattr { name: name.into(), value: vec![b'v'; len] };
    let xattrs = vec![xattr("user.large", 200), xattr("user.small", 9)];
    let owned = Metadata { uid: 1000, gid: 1000, xattrs, ..metadata(0o600) };
    builder.add(ROOT, b"null", owned, Node::CharDevice(1, 3)).unwrap();
    let names = directory(&mut builder, ROOT, "names");
    for name in ["a", "b", "c", "d", "e", "f"] {
        builder.link(names, name.repeat(200).as_bytes(), small).unwrap();
    }
    if with_esp {
        let efi = directory(&mut builder, ROOT, "efi");
        add_esp(&mut builder, efi);
    }
    builder.finish().unwrap()
}

fn input(tree: Tree) -> BuildInput {
    BuildInput {
        seed: Some(Seed(Uuid::from_u128(0x1111_1111_2222_3333_4444_5555_5555_5555))),
        epoch: Some(Timestamp::from_seconds(1_700_000_000)),
        architecture: Some(Architecture::X86_64),
        ..BuildInput::new(tree)
    }
}

/// Returns the bytes of a file system.
fn file_system(tree: Tree, format: impl Format + 'static, headroom: Option<Headroom>) -> Vec<u8> {
    let label = Some("label".into());
    let options = single::Options { label, headroom, ..single::Options::new(Arc::new(format)) };
    single::plan(input(tree), &options).unwrap().layout.to_bytes()
}

fn small_ext4() -> Ext4 {
    Ext4 { profile: ext4::Profile::Modern, block_size: 1024, ..Ext4::default() }
}

/// An image, and what dumps it.
struct Sample {
    name: &'static str,
    image: Vec<u8>,
    dump: fn(&mut Dump<'_>),
}

impl Sample {
    fn dump<'a>(&self, image: &'a [u8]) -> Dump<'a> {
        let mut dump = Dump::new(image);
        (self.dump)(&mut dump);
        dump
    }
}

fn disk(dump: &mut Dump<'_>) {
    let partitions = gpt::dump::dump(dump);
    let [esp, root] = partitions[..] else { panic!("{partitions:?}") };
    dump.partition(esp);
    fat::dump::dump(dump);
    dump.partition(root);
    ext4::dump::dump(dump);
}

fn samples() -> [Sample; 4] {
    let disk_image = image::plan(input(root_tree(true)), &image::Options::default()).unwrap();
    [
        Sample {
            name: "ext4",
            image: file_system(root_tree(false), small_ext4(), None),
            dump: ext4::dump::dump,
        },
        Sample {
            name: "btrfs",
            image: file_system(root_tree(false), Btrfs::default(), Some(Headroom::Bytes(0))),
            dump: btrfs::dump::dump,
        },
        Sample {
            name: "vfat",
            image: file_system(esp_tree(), Vfat::default(), None),
            dump: fat::dump::dump,
        },
        Sample { name: "disk", image: disk_image.layout.to_bytes(), dump: disk },
    ]
}

fn golden(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", "golden", &format!("{name}.dump")].iter().collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a variable turns the test into a recording")]
fn dumps_are_what_they_were() {
    for sample in samples() {
        let dump = sample.dump(&sample.image);
        assert_eq!(dump.first_omitted(), None, "{}: a byte without a line", sample.name);
        let mut now = String::new();
        let hash = hex(&Sha256::digest(&sample.image));
        writeln!(now, "# {}: {} bytes, sha256 {hash}", sample.name, sample.image.len()).unwrap();
        now += LEGEND;
        now += &dump.text();
        let path = golden(sample.name);
        if std::env::var_os(BLESS).is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        if let Some((old, new)) = golden.lines().zip(now.lines()).find(|(old, new)| old != new) {
            panic!("{}: the dump says\n{old}\nbut the image is\n{new}", sample.name);
        }
        assert!(golden == now, "{}: one dump is the start of the other", sample.name);
    }
}

/// Flips a bit of a byte, and returns the lines that this removes and adds.
fn flip(sample: &Sample, at: usize) -> [Vec<String>; 2] {
    let mut image = sample.image.clone();
    image[at] ^= 1;
    let [old, new] = [&sample.image, &image].map(|image| sample.dump(image).lines);
    [&old - &new, &new - &old].map(|lines| lines.into_iter().map(|(_, line)| line).collect())
}

#[test]
fn a_changed_byte_is_a_changed_line() {
    let [ext4, btrfs, vfat, disk] = samples();
    for (sample, at, field, old, new) in [
        (&ext4, 0x438, "ext4_super_block s_magic", "0xef53", "0xef52"),
        (&btrfs, 0x1012b, "btrfs_super_block label", "\"label\"", "\"mabel\""),
        (&vfat, 0x2b, "boot_sector BS_VolLab", "\"LABEL      \"", "\"MABEL      \""),
        (&disk, 0x1c2, "master_boot_record partition_record[0].os_type", "0xee", "0xef"),
    ] {
        let lines = [old, new].map(|value| vec![format!("{at:#010x} {field} {value}\n")]);
        assert_eq!(flip(sample, at), lines);
    }
    for (sample, at, line) in [
        (&ext4, 0x408, "0x00000408 ext4_super_block s_r_blocks_count_lo 0x00000001\n"),
        (&vfat, 0x2001, "0x00002001 fat byte 0xfe\n"), // in the second FAT
    ] {
        assert_eq!(flip(sample, at), [vec![], vec![line.to_owned()]]);
    }
}

#[test]
fn a_byte_outside_of_all_records_is_found() {
    let [ext4, btrfs, vfat, disk] = samples();
    let end = |sample: &Sample| sample.image.len() - 1;
    for (at, sample) in [(end(&ext4), ext4), (0x8000, btrfs), (end(&vfat), vfat), (0x8000, disk)] {
        let mut image = sample.image.clone();
        image[at] ^= 1;
        assert_eq!(sample.dump(&image).first_omitted(), Some(at), "{}", sample.name);
    }
}
