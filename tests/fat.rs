//! The FAT planner, judged by fsck.fat, mtools and blkid.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use detfs::Error;
use detfs::fat::{Options, Plan, Variant, minimal_size, plan};
use detfs::layout::{Fill, Layout};
use detfs::time::Timestamp;
use detfs::tree::{FileFlags, Metadata, Node, NodeId, Tree, TreeBuilder, Xattr};
use proptest::prelude::*;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

// ---- trees ----

/// 2023-11-14 22:13:21.5 UTC.
const MTIME: Timestamp = Timestamp { seconds: 1_700_000_001, nanoseconds: 500_000_000 };

fn metadata() -> Metadata {
    Metadata { mode: 0o755, mtime: MTIME, ..Metadata::default() }
}

/// A tree under construction, and the content of its files by path.
struct Sample {
    builder: TreeBuilder,
    directories: BTreeMap<String, NodeId>,
    content: BTreeMap<String, Arc<Vec<u8>>>,
}

impl Sample {
    fn new() -> Self {
        let directories = BTreeMap::from([(String::new(), TreeBuilder::ROOT)]);
        let builder = TreeBuilder::new(metadata()).unwrap();
        Self { builder, directories, content: BTreeMap::new() }
    }

    /// The directory that a path lies in, made where it is not there, and the name.
    fn place<'p>(&mut self, path: &'p str) -> (NodeId, &'p str) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !self.directories.contains_key(parent) {
            self.directory(parent);
        }
        (self.directories[parent], name)
    }

    fn directory(&mut self, path: &str) -> NodeId {
        let node = self.node(path, metadata(), Node::Directory);
        self.directories.insert(path.to_owned(), node);
        node
    }

    fn node(&mut self, path: &str, metadata: Metadata, node: Node) -> NodeId {
        let (parent, name) = self.place(path);
        self.builder.add(parent, name.as_bytes(), metadata, node).unwrap()
    }

    fn file_with(&mut self, path: &str, metadata: Metadata, bytes: &[u8]) -> NodeId {
        let bytes = Arc::new(bytes.to_vec());
        self.content.insert(path.to_owned(), Arc::clone(&bytes));
        let size = bytes.len() as u64;
        let content = self.builder.content(bytes).unwrap();
        self.node(path, metadata, Node::File { size, content })
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> NodeId {
        self.file_with(path, metadata(), bytes)
    }

    /// A file of a size that nobody reads.
    fn huge(&mut self, path: &str, size: u64) {
        let content = self.builder.content(Arc::new(Vec::new())).unwrap();
        self.node(path, metadata(), Node::File { size, content });
    }

    fn finish(self) -> (Arc<Tree>, BTreeMap<String, Arc<Vec<u8>>>) {
        (Arc::new(self.builder.finish().unwrap()), self.content)
    }

    fn tree(self) -> Arc<Tree> {
        self.finish().0
    }
}

fn options() -> Options {
    Options {
        size: None,
        sector_size: 512,
        hidden_sectors: 0,
        volume_id: 0x1234_abcd,
        label: None,
        epoch: MTIME,
        variant: None,
    }
}

fn sized(size: u64) -> Options {
    Options { size: Some(size), ..options() }
}

/// Bytes that tell where they stand.
fn pattern(len: usize, salt: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at / 7 + at * 31 + salt) % 251).unwrap()).collect()
}

// ---- images ----

struct Image {
    path: PathBuf,
    directory: tempfile::TempDir,
    plan: Plan,
}

/// Writes an image as a sparse file.
fn emit(layout: &Layout, content: &BTreeMap<String, Arc<Vec<u8>>>, path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(layout.size()).unwrap();
    for region in layout.regions() {
        let (from, len) = (region.from, usize::try_from(region.len).unwrap());
        match region.fill {
            Fill::Bytes(number) => {
                file.write_all_at(&layout.bytes_of(number)[from as usize..][..len], region.offset)
                    .unwrap();
            }
            Fill::Render(number) => {
                let mut bytes = vec![0; len];
                layout.render_of(number).render(from, &mut bytes);
                file.write_all_at(&bytes, region.offset).unwrap();
            }
            Fill::Content { tree, inode } => {
                let path = String::from_utf8(layout.tree_of(tree).path(inode)).unwrap();
                // What the sample does not know is zeros.
                if let Some(bytes) = content.get(&path) {
                    file.write_all_at(&bytes[from as usize..][..len], region.offset).unwrap();
                }
            }
        }
    }
}

impl Image {
    fn new(sample: Sample, options: &Options) -> Self {
        let (tree, content) = sample.finish();
        let mut plan = plan(&tree, options).unwrap();
        plan.layout = plan.layout.seal();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        emit(&plan.layout, &content, &path);
        Self { path, directory, plan }
    }

    fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        File::open(&self.path).unwrap().read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(&self.path).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    fn u16(&self, offset: u64) -> u64 {
        u64::from(u16::from_le_bytes(self.read(offset, 2).try_into().unwrap()))
    }

    fn u32(&self, offset: u64) -> u64 {
        u64::from(u32::from_le_bytes(self.read(offset, 4).try_into().unwrap()))
    }

    /// The variant and number of clusters, as Microsoft's specification has a reader find them.
    fn as_read(&self) -> (Variant, u64) {
        let either = |short, long| if short == 0 { long } else { short };
        let sector = self.u16(11);
        let fat = either(self.u16(22), self.u32(36));
        let root = (self.u16(17) * 32).div_ceil(sector);
        let total = either(self.u16(19), self.u32(32));
        assert_eq!(total * sector, self.plan.layout.size());
        let data = total - (self.u16(14) + u64::from(self.read(16, 1)[0]) * fat + root);
        let clusters = data / u64::from(self.read(13, 1)[0]);
        let variant = match clusters {
            ..4085 => Variant::Fat12,
            ..65_525 => Variant::Fat16,
            _ => Variant::Fat32,
        };
        (variant, clusters)
    }
}

// ---- oracles ----

fn run(command: &mut Command) -> Output {
    let command = command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs([("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("MTOOLSRC", "/dev/null")]);
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What fsck.fat complains about; its exit status alone does not tell.
fn complaints(image: &Image) -> Option<String> {
    let output = run(Command::new("fsck.fat").arg("-n").arg(&image.path));
    let said = text(&output.stdout) + &text(&output.stderr);
    let lines: Vec<_> = said.lines().collect();
    let summary = |line: &str| {
        line.strip_prefix(image.path.to_str().unwrap())
            .is_some_and(|rest| rest.contains(" files, ") && rest.ends_with(" clusters"))
    };
    let clean = output.status.success()
        && lines.len() == 2
        && lines[0].starts_with("fsck.fat 4.")
        && summary(lines[1]);
    (!clean).then_some(said)
}

fn check(image: &Image) {
    assert_eq!(complaints(image), None);
    let (variant, clusters) = image.as_read();
    assert_eq!(variant, image.plan.variant, "{clusters} clusters");
}

/// A tool of mtools on the image.
fn mtool(image: &Image, tool: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let output = run(Command::new(tool).arg("-i").arg(&image.path).args(arguments));
    match output.status.success() && output.stderr.is_empty() {
        true => Ok(output.stdout),
        false => Err(text(&output.stdout) + &text(&output.stderr)),
    }
}

/// All paths below a directory, the directories with a slash, and the files' content.
fn listing(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![(root.to_owned(), String::new())];
    while let Some((directory, prefix)) = pending.pop() {
        #[expect(clippy::disallowed_methods, reason = "the order does not matter")]
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let path = prefix.clone() + entry.file_name().to_str().unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push((entry.path(), format!("{path}/")));
                found.insert(path, None);
            } else {
                found.insert(path, Some(fs::read(entry.path()).unwrap()));
            }
        }
    }
    found
}

/// What mtools copies out of an image.
fn extracted(image: &Image) -> BTreeMap<String, Option<Vec<u8>>> {
    let out = image.directory.path().join("out");
    fs::create_dir(&out).unwrap();
    // With nothing in it the pattern of all files would be an error.
    if !text(&mtool(image, "mdir", &["-b", "::/"]).unwrap_or_default()).is_empty() {
        mtool(image, "mcopy", &["-s", "-m", "-n", "::/*", out.to_str().unwrap()]).unwrap();
    }
    listing(&out)
}

/// What there should be.
fn expected(sample: &Sample) -> BTreeMap<String, Option<Vec<u8>>> {
    let files = sample.content.iter().map(|(path, bytes)| (path.clone(), Some(bytes.to_vec())));
    let directories = sample.directories.keys().filter(|path| !path.is_empty());
    files.chain(directories.map(|path| (path.clone(), None))).collect()
}

fn small() -> Sample {
    let mut sample = Sample::new();
    sample.file("EFI/BOOT/BOOTX64.EFI", &pattern(100_000, 1));
    sample.file("EFI/Linux/some-kernel-6.1.0.efi", &pattern(70_000, 2));
    sample.file("loader/loader.conf", b"timeout 0\n");
    sample.file("loader/entries.srel", b"type1\n");
    sample.file("empty", b"");
    sample.directory("loader/entries");
    sample
}

#[test]
fn volumes_of_all_variants_are_clean() {
    for (size, sector_size, variant) in [
        (MIB, 512, Variant::Fat12),
        (8 * MIB, 512, Variant::Fat16),
        (33 * MIB, 512, Variant::Fat32),
        (100 * MIB, 512, Variant::Fat32),
        (512 * MIB, 512, Variant::Fat32),
        (40 * MIB, 1024, Variant::Fat16),
        (66 * MIB, 1024, Variant::Fat32),
        (140 * MIB, 2048, Variant::Fat32),
        (4 * MIB, 4096, Variant::Fat12),
        (256 * MIB, 4096, Variant::Fat16),
        (260 * MIB, 4096, Variant::Fat32),
    ] {
        let sample = small();
        let expected = expected(&sample);
        let image = Image::new(sample, &Options { sector_size, ..sized(size) });
        assert_eq!(image.plan.variant, variant, "{size} {sector_size}");
        assert_eq!(image.plan.warnings, []);
        check(&image);
        assert!(extracted(&image) == expected, "{size} {sector_size}");
    }
}

// ---- the oracles themselves ----

#[test]
fn fsck_complains_about_damage() {
    let label = Some("ESP".to_owned());
    let image = || Image::new(small(), &Options { label: label.clone(), ..sized(33 * MIB) });
    let fresh = image();
    check(&fresh);
    let fat = fresh.u16(14) * 512;
    let second = fat + fresh.u32(36) * 512;
    let root = second + fresh.u32(36) * 512;
    let directory = fresh.u16(root + 32 + 26); // the slot after the label: EFI
    let efi = root + (directory - 2) * 512;
    for (what, offset, bytes) in [
        ("second FAT", second + 12, &[9][..]),
        ("media byte", fat, &[0xf0]),
        ("chain cut short", fat + 4 * 8, &[0xff, 0xff, 0xff, 0x0f]),
        ("lost chain", fat + 4 * 60_000, &[0xff, 0xff, 0xff, 0x0f]),
        ("backup boot sector", 6 * 512 + 67, &[0x77]),
        ("FSInfo count", 512 + 488, &[0x77]),
        ("FSInfo signature", 512, &[0]),
        ("dirty bit", 0x41, &[1]),
        ("label in the boot sector", 71, b"X"),
        ("label in the root directory", root, b"X"),
        ("first cluster", root + 32 + 26, &[0xff, 0xff]),
        ("dot entry", efi + 26, &[0x55]),
        ("dot-dot entry", efi + 32 + 26, &[2]),
        ("short name", efi + 64, &[b'*']),
    ] {
        let image = image();
        image.write(offset, bytes);
        assert!(complaints(&image).is_some(), "{what}");
    }
}

#[test]
fn mtools_tell_content_and_names() {
    let sample = small();
    let wanted = expected(&sample);
    let image = Image::new(sample, &sized(MIB));
    let whole = image.read(0, usize::try_from(MIB).unwrap());
    let find = |text: &[u8]| whole.windows(text.len()).position(|w| w == text).unwrap() as u64;
    image.write(find(b"timeout 0\n"), b"T");
    let got = extracted(&image);
    assert!(got != wanted);
    assert_eq!(got["loader/loader.conf"], Some(b"Timeout 0\n".to_vec()));

    let image = Image::new(small(), &sized(MIB));
    image.write(find(b"l\0o\0a\0d\0e\0\x0f"), b"L"); // the long name of loader.conf
    assert!(!extracted(&image).contains_key("loader/loader.conf"));
    image.write(0, &[0; 512]);
    assert!(mtool(&image, "mdir", &["::/"]).is_err());
}

/// What blkid tells about an image.
fn probed(image: &Image) -> BTreeMap<String, String> {
    let output = run(Command::new("blkid").args(["-p", "-o", "export"]).arg(&image.path));
    let pairs = text(&output.stdout);
    let pairs = pairs.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn blkid_tells_label_id_and_variant() {
    for (size, version) in [(MIB, "FAT12"), (8 * MIB, "FAT16"), (33 * MIB, "FAT32")] {
        for label in [None, Some("esp 1")] {
            let label = label.map(str::to_owned);
            let options = Options { label: label.clone(), ..sized(size) };
            let image = Image::new(small(), &options);
            check(&image);
            let mut facts = probed(&image);
            let label = label.map(|_| "ESP\\ 1".to_owned()); // as blkid escapes it
            assert_eq!(facts["TYPE"], "vfat");
            assert_eq!(facts["VERSION"], version);
            assert_eq!(facts["UUID"], "1234-ABCD");
            assert_eq!(facts.remove("LABEL"), label);
            assert_eq!(facts.remove("LABEL_FATBOOT"), label);
            image.write(510, &[0]);
            image.write(0, &[0; 100]);
            assert!(!probed(&image).contains_key("TYPE"));
        }
    }
}

// ---- boot sector ----

/// Field by field, computed by hand from the specification.
#[test]
fn boot_sectors_are_golden() {
    let of = |size, sector_size, hidden_sectors| Options {
        sector_size,
        hidden_sectors,
        label: (hidden_sectors > 0).then(|| "esp".to_owned()),
        ..sized(size)
    };
    for (options, golden) in [
        (
            of(MIB, 512, 0),
            "eb3c90 4d5357494e342e31 0002 08 0800 02 0002 0008 f8 0800 3f00 ff00 00000000 00000000 \
             80 00 29 cdab3412 NO NAME    FAT12   ",
        ),
        (
            of(32 * MIB, 512, 2048),
            "eb3c90 4d5357494e342e31 0002 08 0800 02 0002 0000 f8 2000 3f00 ff00 00080000 00000100 \
             80 00 29 cdab3412 ESP        FAT16   ",
        ),
        (
            of(33 * MIB, 512, 2048),
            "eb5890 4d5357494e342e31 0002 01 2000 02 0000 0000 f8 0000 3f00 ff00 00080000 00080100 \
             08020000 0000 0000 02000000 0100 0600 000000000000000000000000 \
             80 00 29 cdab3412 ESP        FAT32   ",
        ),
        (
            of(260 * MIB, 4096, 256),
            "eb5890 4d5357494e342e31 0010 01 2000 02 0000 0000 f8 0000 3f00 ff00 00010000 00040100 \
             41000000 0000 0000 02000000 0100 0600 000000000000000000000000 \
             80 00 29 cdab3412 ESP        FAT32   ",
        ),
    ] {
        let image = Image::new(small(), &options);
        check(&image);
        let sector = image.read(0, 512);
        let code = if image.plan.variant == Variant::Fat32 { 90 } else { 62 };
        let hex: String = sector[..code - 19].iter().map(|byte| format!("{byte:02x}")).collect();
        let (numbers, names) = golden.split_at(golden.find("cdab3412").unwrap() + 8);
        assert_eq!(hex, numbers.replace(' ', ""), "{options:?}");
        assert_eq!(text(&sector[code - 19..code]), names[1..]);
        assert_eq!(sector[code..code + 5], [0xcd, 0x18, 0xf4, 0xeb, 0xfd]);
        assert!(sector[code + 5..510].iter().all(|&byte| byte == 0));
        assert_eq!(sector[510..], [0x55, 0xaa]);
        // The copies of the three sectors of FAT32.
        let sector = image.u16(11);
        if image.plan.variant == Variant::Fat32 {
            let three = usize::try_from(3 * sector).unwrap();
            assert_eq!(image.read(0, three), image.read(6 * sector, three));
            assert_eq!(image.read(2 * sector + 510, 2), [0x55, 0xaa]);
        }
    }
}

/// How many clusters are marked as used in the first FAT of a FAT32, and the first that is not.
fn used(image: &Image, clusters: u64) -> (u64, u64) {
    let len = usize::try_from(4 * (clusters + 2)).unwrap();
    let fat = image.read(image.u16(14) * image.u16(11), len);
    let free = |entry: &[u8]| entry == [0; 4];
    let used = fat.chunks(4).skip(2).filter(|entry| !free(entry)).count() as u64;
    (used, fat.chunks(4).position(free).unwrap_or_default() as u64)
}

#[test]
fn fs_info_is_exact() {
    for sector_size in [512, 4096] {
        let options = Options { variant: Some(Variant::Fat32), sector_size, ..options() };
        let image = Image::new(small(), &options);
        check(&image);
        let (_, clusters) = image.as_read();
        let (count, first) = used(&image, clusters);
        let info = u64::from(sector_size);
        assert_eq!(image.u32(info + 488), clusters - count);
        assert_eq!(image.u32(info + 492), first);
        assert_eq!(first, count + 2);

        // A volume that is full to the last cluster has no next free one.
        let mut sample = Sample::new();
        sample.huge("data", (clusters - 1) * info);
        let image =
            Image::new(sample, &Options { size: Some(image.plan.layout.size()), ..options });
        check(&image);
        assert_eq!(image.as_read().1, clusters);
        assert_eq!(used(&image, clusters), (clusters, 0));
        assert_eq!(image.u32(info + 488), 0);
        assert_eq!(image.u32(info + 492), 0xffff_ffff);
    }
}

// ---- sizes and variants ----

fn refusal(tree: &Arc<Tree>, options: &Options) -> Error {
    match plan(tree, options) {
        Ok(plan) => panic!("planned as {}", plan.variant),
        Err(error) => error,
    }
}

/// The smallest and the largest size that an error about the size of a variant offers.
fn offered(error: &Error) -> (u64, u64) {
    let Error::Parameter { remedy, .. } = error else { panic!("{error}") };
    let numbers: Vec<u64> = remedy.split(' ').filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

#[test]
fn forced_variants_are_valid_or_refused() {
    let empty = Sample::new().tree();
    for sector_size in [512, 4096] {
        for variant in [Variant::Fat12, Variant::Fat16, Variant::Fat32] {
            let forced = |size| Options { size, sector_size, variant: Some(variant), ..options() };
            let (smallest, largest) = offered(&refusal(&empty, &forced(Some(4096))));
            assert_eq!(smallest, minimal_size(&empty, &forced(None)).unwrap());
            for size in [smallest, largest] {
                let image = Image::new(Sample::new(), &forced(Some(size)));
                let (read, clusters) = image.as_read();
                assert_eq!(read, variant, "{size}");
                let away = |boundary: u64| clusters.abs_diff(boundary) >= 16;
                assert!(away(4085) && away(65_525) && clusters < 0x0fff_fff1, "{clusters}");
                if size <= 4 * GIB {
                    check(&image);
                }
            }
            for size in [smallest - 4096, largest + 4096] {
                let error = refusal(&empty, &forced(Some(size)));
                assert_eq!(offered(&error), (smallest, largest), "{error}");
            }
        }
    }
}

#[test]
fn variant_and_cluster_size_follow_the_size() {
    const TIB: u64 = 1 << 40;
    for (size, sector_size, variant, cluster_size) in [
        (64 * KIB, 512, Variant::Fat12, 4 * KIB),
        (MIB, 512, Variant::Fat12, 4 * KIB),
        (2 * MIB, 512, Variant::Fat12, 4 * KIB),
        (3 * MIB, 512, Variant::Fat16, 512),
        (5 * MIB, 512, Variant::Fat16, KIB),
        (16 * MIB, 512, Variant::Fat16, 2 * KIB),
        (32 * MIB, 512, Variant::Fat16, 4 * KIB),
        (33 * MIB, 512, Variant::Fat32, 512),
        (64 * MIB, 512, Variant::Fat32, 512),
        (66 * MIB, 512, Variant::Fat32, KIB),
        (130 * MIB, 512, Variant::Fat32, 2 * KIB),
        (256 * MIB, 512, Variant::Fat32, 2 * KIB),
        (260 * MIB, 512, Variant::Fat32, 4 * KIB),
        (8 * GIB, 512, Variant::Fat32, 4 * KIB),
        (8 * GIB + 4096, 512, Variant::Fat32, 8 * KIB),
        (16 * GIB, 512, Variant::Fat32, 8 * KIB),
        (32 * GIB, 512, Variant::Fat32, 16 * KIB),
        (33 * GIB, 512, Variant::Fat32, 32 * KIB),
        (2 * TIB - 4096, 512, Variant::Fat32, 32 * KIB),
        (256 * KIB, 4096, Variant::Fat12, 4 * KIB),
        (16 * MIB, 4096, Variant::Fat12, 8 * KIB),
        (17 * MIB, 4096, Variant::Fat16, 4 * KIB),
        (256 * MIB, 4096, Variant::Fat16, 4 * KIB),
        (260 * MIB, 4096, Variant::Fat32, 4 * KIB),
        (2 * TIB, 4096, Variant::Fat32, 32 * KIB),
    ] {
        let image = Image::new(Sample::new(), &Options { sector_size, ..sized(size) });
        assert_eq!(image.as_read().0, variant, "{size} {sector_size}");
        let read = u64::from(image.read(13, 1)[0]) * image.u16(11);
        assert_eq!((image.plan.variant, read), (variant, cluster_size), "{size} {sector_size}");
        // Aligned, all of it.
        let fat = if variant == Variant::Fat32 { image.u32(36) } else { image.u16(22) };
        let root = (image.u16(14) + 2 * fat) * u64::from(sector_size);
        assert_eq!(root % 4096, 0);
        assert_eq!((root + image.u16(17) * 32) % cluster_size.max(4096), 0);
        if size <= 4 * GIB {
            check(&image);
        }
    }
    for (bad, sector_size) in [
        (2 * TIB, 512),
        (10 * TIB, 4096),
        (MIB + 512, 512),
        (8192, 512),
        (MIB, 256),
        (MIB, 8192),
        (MIB, 513),
    ] {
        let error = refusal(&Sample::new().tree(), &Options { sector_size, ..sized(bad) });
        assert!(matches!(error, Error::Parameter { .. } | Error::TooSmall { .. }), "{error}");
    }
}

#[test]
fn clusters_are_smaller_if_the_tree_fits_only_then() {
    let sample = || {
        let mut sample = Sample::new();
        for n in 0..1000 {
            sample.file(&format!("F{n}"), b"a few bytes");
        }
        sample
    };
    let image = Image::new(sample(), &sized(MIB));
    assert_eq!(image.read(13, 1), [1]); // of 4 KiB there are 240
    check(&image);
    let image = Image::new(sample(), &sized(8 * MIB));
    assert_eq!(image.read(13, 1), [2]); // of 2 KiB there would be enough for the tree
    check(&image);
}

#[test]
fn a_size_too_small_names_the_shortfall_and_one_that_will_do() {
    let mut sample = Sample::new();
    sample.file("DATA", &pattern(1_000_000, 3));
    let (tree, _) = sample.finish();
    let error = refusal(&tree, &sized(512 * KIB));
    let Error::TooSmall { what, rule, remedy } = &error else { panic!("{error}") };
    assert_eq!(what, "FAT");
    // 1,000,000 bytes are 1954 clusters of 512; 512 KiB less 4 + 2 * 4 + 16 KiB are 968.
    assert_eq!(
        rule,
        "the tree takes 1954 clusters of 512 bytes and 524288 bytes hold 968: 986 clusters \
         (504832 bytes) are missing"
    );
    let least = minimal_size(&tree, &options()).unwrap();
    assert_eq!(*remedy, format!("give at least {least} bytes"));
    assert_eq!(error.exit_code(), 3);
    assert!(plan(&tree, &sized(least)).is_ok());
    assert!(plan(&tree, &sized(least - 4096)).is_err());
    // Just below the size at which FAT32 begins there is room that FAT32 does not have; what the
    // error offers is a FAT32 then.
    let mut sample = Sample::new();
    sample.huge("DATA", 32 * MIB + 300 * KIB);
    let tree = sample.tree();
    let least = minimal_size(&tree, &options()).unwrap();
    assert_eq!(plan(&tree, &sized(least)).unwrap().variant, Variant::Fat16);
    let error = refusal(&tree, &sized(33 * MIB - 300 * KIB));
    let Error::TooSmall { remedy, .. } = &error else { panic!("{error}") };
    let better: u64 = remedy.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert_eq!(plan(&tree, &sized(better)).unwrap().variant, Variant::Fat32);
    assert!(plan(&tree, &sized(better - 4096)).is_err());

    let mut sample = Sample::new();
    sample.huge("DATA", 200 * MIB);
    let error = refusal(&sample.tree(), &Options { variant: Some(Variant::Fat12), ..options() });
    assert!(matches!(error, Error::Unrepresentable { .. }), "{error}");
}

// ---- names ----

#[test]
fn names_come_out_as_they_went_in() {
    let mut sample = Sample::new();
    for name in [
        "BOOTX64.EFI",
        "lower.txt",
        "UPPER.low",
        "low.UPP",
        "Mixed.txt",
        "x86_64-linux.conf",
        ".hidden",
        "..two",
        " lead",
        "in side",
        "a+b,c;d=e[f]",
        "Größe",
        "ΣΑΣ",
        "日本語.txt",
        "ß",
        "SS",
        "no.ext.tar.gz",
        "LITERA~1.TXT",
        "literally longer.txt",
        "{}^#&~$%'-_@`!()",
        "com10",
        "exactly13char",
        "exactly-twenty-six-units.x",
        "one more than twenty-six.xy",
    ] {
        sample.file(name, name.as_bytes());
    }
    sample.file(&"l".repeat(255), b"255 units");
    let expected = expected(&sample);
    let image = Image::new(sample, &sized(MIB));
    check(&image);
    assert_eq!(extracted(&image), expected);
}

/// The slots of the root directory of a FAT12 or FAT16.
fn root_slots(image: &Image) -> Vec<[u8; 32]> {
    let offset = (image.u16(14) + 2 * image.u16(22)) * image.u16(11);
    let bytes = image.read(offset, usize::try_from(image.u16(17) * 32).unwrap());
    let slots = bytes.chunks(32).map(|slot| slot.try_into().unwrap());
    slots.take_while(|slot: &[u8; 32]| slot[0] != 0).collect()
}

/// The long names in slots, put together as the specification says.
fn long_names(slots: &[[u8; 32]]) -> Vec<String> {
    let mut names = Vec::new();
    let mut units: Vec<u16> = Vec::new();
    for slot in slots {
        if slot[11] == 0x0f {
            let parts = [&slot[1..11], &slot[14..26], &slot[28..32]].concat();
            let part = parts.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            units.splice(0..0, part);
        } else {
            units.truncate(units.iter().position(|&unit| unit == 0).unwrap_or(units.len()));
            names.push(String::from_utf16(&units).unwrap());
            units.clear();
        }
    }
    names
}

/// mtools shows characters beyond the first plane as `__`, so these are read here.
#[test]
fn characters_beyond_the_first_plane_are_surrogates() {
    let names = ["😀".repeat(6) + "x", "😀".repeat(13), "a😀".repeat(51), "𝔣𝔞𝔱".to_owned()];
    let mut sample = Sample::new();
    for name in &names {
        sample.file(name, b"");
    }
    let image = Image::new(sample, &sized(MIB));
    check(&image);
    let mut sorted = names.to_vec();
    sorted.sort();
    assert_eq!(long_names(&root_slots(&image)), sorted);
}

#[test]
fn names_and_attributes_are_in_their_slots() {
    let mut sample = Sample::new();
    sample.file("a.TXT", b"12345");
    sample.directory("Dir");
    let image = Image::new(sample, &Options { label: Some("lab".into()), ..sized(MIB) });
    let slots = root_slots(&image);
    let names: Vec<_> = slots.iter().map(|slot| (&slot[..11], slot[11], slot[12])).collect();
    let name = |name: &'static str, attr, case| (name.as_bytes(), attr, case);
    assert_eq!(names[0], name("LAB        ", 0x08, 0));
    assert_eq!((names[1].1, slots[1][0]), (0x0f, 0x41));
    assert_eq!(names[2], name("DIR        ", 0x10, 0));
    assert_eq!(names[3], name("A       TXT", 0x20, 0x08));
    assert_eq!(names.len(), 4);
    // Times of MTIME: 2023-11-14, 22:13:20 and 1.5 s; sizes; first clusters, the directory first.
    let (date, time) = ((43 << 9 | 11 << 5 | 14u16), (22 << 11 | 13 << 5 | 10u16));
    for (slot, cluster, size) in [(&slots[0], 0, 0), (&slots[2], 2, 0), (&slots[3], 3, 5)] {
        let half = |at: usize| u16::from_le_bytes([slot[at], slot[at + 1]]);
        assert_eq!(slot[13], 150);
        assert_eq!(
            [half(14), half(16), half(18), half(22), half(24)],
            [time, date, date, time, date]
        );
        assert_eq!([half(20), half(26), half(28), half(30)], [0, cluster, size, 0]);
    }
}

#[test]
fn a_thousand_names_that_are_alike() {
    let mut sample = Sample::new();
    for n in 0..1000 {
        sample.file(&format!("same beginning/same beginning {n}.text"), n.to_string().as_bytes());
    }
    let expected = expected(&sample);
    let image = Image::new(sample, &sized(8 * MIB));
    check(&image);
    let listing = text(&mtool(&image, "mdir", &["::/same beginning"]).unwrap());
    assert!(listing.contains("SAMEBE~1 TEX"), "{listing}");
    assert!(listing.contains("SAM~1000 TEX"), "{listing}");
    assert_eq!(extracted(&image), expected);
}

#[test]
fn what_fat_cannot_hold_is_an_error_with_its_path() {
    let with = |make: &dyn Fn(&mut Sample)| {
        let mut sample = Sample::new();
        sample.directory("dir");
        make(&mut sample);
        let error = refusal(&sample.tree(), &options());
        let Error::Unrepresentable { path, rule, remedy } = error else { panic!("{error}") };
        assert!(!remedy.is_empty());
        (String::from_utf8_lossy(&path).into_owned(), rule)
    };
    for name in [
        "a\"", "a*", "a:b", "a<", "a>", "a?", "a\\b", "a|", "a\n", "a\u{7f}", "a.", "a ", "NUL",
        "con", "prn.txt", "Aux", "com0", "COM9.log", "lpt1", "LPT0.x.y",
    ] {
        let path = format!("dir/{name}");
        assert_eq!(with(&|sample| drop(sample.file(&path, b""))).0, path);
    }
    let (path, rule) = with(&|sample| {
        let parent = sample.directories["dir"];
        sample.builder.add(parent, b"\xff\xfe", metadata(), Node::Directory).unwrap();
    });
    assert_eq!((path.as_str(), rule.contains("UTF-8")), ("dir/\u{fffd}\u{fffd}", true));
    for (one, other) in [
        ("Readme", "readme"),
        ("STRASSE ß", "strasse ẞ"),
        ("σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("I", "ı"),
        ("İ", "İ".to_lowercase().as_str()),
    ] {
        let make = |sample: &mut Sample| {
            sample.file(&format!("dir/{one}"), b"");
            sample.file(&format!("dir/{other}"), b"");
        };
        if one == "İ" {
            // Its lower case is two characters, which FAT tells apart.
            let mut sample = Sample::new();
            make(&mut sample);
            check(&Image::new(sample, &options()));
            continue;
        }
        let (path, rule) = with(&make);
        assert_eq!(path, format!("dir/{}", one.max(other)));
        assert!(rule.contains(&format!("dir/{} ", one.min(other))), "{rule}");
    }
    for (node, word) in [
        (Node::Symlink(b"x".to_vec()), "symbolic link"),
        (Node::Fifo, "named pipe"),
        (Node::Socket, "socket"),
        (Node::CharDevice(1, 3), "character device"),
        (Node::BlockDevice(8, 0), "block device"),
    ] {
        let (path, rule) = with(&|sample| drop(sample.node("dir/x", metadata(), node.clone())));
        assert_eq!((path.as_str(), rule.contains(word)), ("dir/x", true), "{rule}");
    }
    let (path, rule) = with(&|sample| sample.huge("dir/x", 4 * GIB));
    assert_eq!((path.as_str(), rule.contains("4294967295")), ("dir/x", true), "{rule}");
}

#[test]
fn labels_out_of_range_are_refused() {
    for label in ["", "twelve bytes", "a.b", "Ä", "No Name"] {
        let options = Options { label: Some(label.to_owned()), ..options() };
        let error = refusal(&Sample::new().tree(), &options);
        assert!(matches!(error, Error::Parameter { .. }), "{error}");
    }
}

// ---- directories and files ----

#[test]
fn the_largest_files_are_readable() {
    let with = |size| {
        let mut sample = Sample::new();
        sample.huge("LARGE", size);
        sample.file("after", b"after");
        let image = Image::new(sample, &options());
        assert_eq!(mtool(&image, "mtype", &["::/after"]).unwrap(), b"after");
        let listing = text(&mtool(&image, "mdir", &["::/LARGE"]).unwrap());
        let digits: String = listing.chars().filter(|c| *c != ' ').collect();
        assert!(digits.contains(&format!("LARGE{size}")), "{listing}");
        image
    };
    let image = with(4 * GIB - 4096);
    check(&image);
    assert_eq!(image.plan.warnings, []);
    // fsck.fat 4.2 multiplies in 32 bits and finds no cluster here, though there are all.
    for size in [4 * GIB - 4095, 4 * GIB - 1] {
        let image = with(size);
        let complaint = complaints(&image).unwrap();
        assert_eq!(complaint.matches("\n/").count(), 2, "{complaint}");
        assert!(complaint.contains("cluster chain length is 0 bytes"), "{complaint}");
        assert_eq!(image.plan.warnings[0].path, b"LARGE");
        assert!(image.plan.warnings[0].message.contains("fsck.fat"));
        let (_, clusters) = image.as_read();
        assert_eq!(used(&image, clusters).0, 1 + (1 << 20) + 1);
    }
}

#[test]
fn a_directory_has_65536_slots() {
    let full = |names: usize| {
        let mut sample = Sample::new();
        sample.directory("d");
        for n in 0..names {
            sample.file(&format!("d/N{n:07}"), b"");
        }
        sample
    };
    let image = Image::new(full(65_534), &options());
    check(&image);
    assert_eq!(text(&mtool(&image, "mdir", &["-b", "::/d"]).unwrap()).lines().count(), 65_534);
    let error = refusal(&full(65_535).tree(), &options());
    let Error::Unrepresentable { path, rule, .. } = &error else { panic!("{error}") };
    assert_eq!((path.as_slice(), rule.contains("65537")), (&b"d"[..], true), "{error}");
}

#[test]
fn the_root_directory_grows() {
    let full = |names: usize| {
        let mut sample = Sample::new();
        for n in 0..names {
            sample.file(&format!("N{n:07}"), b"");
        }
        sample
    };
    for (names, label, entries) in
        [(511, true, 512), (512, false, 512), (512, true, 640), (3000, true, 3072)]
    {
        let label = label.then(|| "LABEL".to_owned());
        for size in [2 * MIB, 16 * MIB] {
            let image = Image::new(full(names), &Options { label: label.clone(), ..sized(size) });
            assert_eq!(image.u16(17), entries);
            check(&image);
            let listed = text(&mtool(&image, "mdir", &["-b", "::/"]).unwrap());
            assert_eq!(listed.lines().count(), names);
        }
    }
    // FAT12 and FAT16 count to 65,535, FAT32 to 65,536.
    let tree = full(65_500).tree();
    let error = refusal(&tree, &sized(16 * MIB));
    assert!(matches!(error, Error::Unrepresentable { .. } | Error::TooSmall { .. }), "{error}");
    let error = refusal(&tree, &Options { variant: Some(Variant::Fat16), ..sized(16 * MIB) });
    assert!(error.to_string().contains("65500 slots"), "{error}");
    let image = Image::new(full(65_500), &options());
    assert_eq!(image.plan.variant, Variant::Fat32);
    check(&image);
}

#[test]
fn directories_nest_a_hundred_deep() {
    let mut sample = Sample::new();
    let path: Vec<_> = (0..100).map(|n| format!("d{n}")).collect();
    for depth in 1..=path.len() {
        sample.directory(&path[..depth].join("/"));
    }
    sample.file(&(path.join("/") + "/File at the bottom"), b"deep");
    let expected = expected(&sample);
    let image = Image::new(sample, &options());
    check(&image);
    assert_eq!(extracted(&image), expected);
}

#[test]
fn an_empty_tree_is_a_volume() {
    for label in [None, Some("EMPTY".to_owned())] {
        for variant in [Variant::Fat12, Variant::Fat16, Variant::Fat32] {
            let options = Options { label: label.clone(), variant: Some(variant), ..options() };
            let image = Image::new(Sample::new(), &options);
            check(&image);
            assert_eq!(extracted(&image), BTreeMap::new());
        }
    }
}

// ---- metadata ----

#[test]
fn times_are_utc() {
    let cases = [
        ("before", -1, "1980-01-01   0:00", 315_532_800),
        ("first", 315_532_800, "1980-01-01   0:00", 315_532_800),
        ("leap", 951_868_799, "2000-02-29  23:59", 951_868_798),
        ("odd", 1_700_000_001, "2023-11-14  22:13", 1_700_000_000),
        ("summer", 1_720_000_000, "2024-07-03   9:46", 1_720_000_000),
        ("no-leap", 4_107_542_399, "2100-02-28  23:59", 4_107_542_398),
        ("last", 4_354_819_199, "2107-12-31  23:59", 4_354_819_198),
        ("after", 4_354_819_200, "2107-12-31  23:59", 4_354_819_198),
    ];
    let mut sample = Sample::new();
    for (name, seconds, ..) in cases {
        let mtime = Timestamp::from_seconds(seconds);
        sample.file_with(name, Metadata { mtime, ..metadata() }, b"");
    }
    let image = Image::new(sample, &options());
    check(&image);
    assert_eq!(image.plan.warnings.len(), 1);
    let message = &image.plan.warnings[0].message;
    assert!(message.starts_with("3 times"), "{message}"); // 2107-12-31 23:59:59 is one too late
    // mdir shows what is stored, whatever the time zone.
    for zone in ["UTC", "America/New_York", "Asia/Kolkata"] {
        let mut command = Command::new("mdir");
        let output = run(command.args(["-i", image.path.to_str().unwrap(), "::/"]).env("TZ", zone));
        let listing = text(&output.stdout);
        for (name, _, shown, _) in cases {
            let line = listing.lines().find(|line| line.starts_with(&format!("{name} ")));
            assert!(line.is_some_and(|line| line.contains(shown)), "{name} {shown}\n{listing}");
        }
    }
    extracted(&image);
    for (name, _, _, seconds) in cases {
        // mtools counts a leap day in 2100 when it sets the time of a copy.
        let leap = if seconds > 4_107_542_400 { 86_400 } else { 0 };
        let copy = fs::metadata(image.directory.path().join("out").join(name)).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mtime(&copy), seconds + leap, "{name}");
    }
}

#[test]
fn what_is_lost_is_told_once() {
    let mut sample = Sample::new();
    let linked = sample.file("a/linked", &pattern(5000, 4));
    for name in ["other", "third"] {
        let parent = sample.directories["a"];
        sample.builder.link(parent, name.as_bytes(), linked).unwrap();
        let bytes = Arc::clone(&sample.content["a/linked"]);
        sample.content.insert(format!("a/{name}"), bytes);
    }
    let xattr = Xattr { name: b"user.x".to_vec(), value: b"1".to_vec() };
    let odd = Metadata { uid: 1, mode: 0o4755, xattrs: vec![xattr], ..metadata() };
    sample.file_with("odd", odd.clone(), b"");
    sample.file_with("group", Metadata { uid: 0, gid: 7, mode: 0o700, ..odd.clone() }, b"");
    sample.file_with("flag", Metadata { flags: FileFlags::IMMUTABLE, ..metadata() }, b"");
    let wanted = expected(&sample);
    let image = Image::new(sample, &options());
    check(&image);
    assert_eq!(extracted(&image), wanted);
    let told: Vec<_> = image.plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "a/linked: 2 more names for files get a copy each, because FAT has no hard links",
            "/: 2 nodes lose an owner or group other than root",
            "/: 1 node loses a setuid, setgid or sticky bit",
            "/: 1 node loses file flags",
            "/: 2 nodes lose extended attributes",
        ]
    );
}

// ---- any tree ----

/// Names that every system takes, of all the kinds that are stored differently.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z0-9_~-]{1,8}(\\.[A-Z0-9]{1,3})?",
        "[a-z0-9_]{1,8}(\\.[a-z]{1,3})?",
        "[a-zA-Z]{1,9}\\.[a-zA-Z]{1,4}",
        "[a-c .+=;\\[\\],äÖßéΣд日-]{0,40}[a-cäÖΣд日]",
        "[a-z]{13}|[a-z]{26}|[ab]{25}|[a-z]{255}",
        "same start [0-9]{1,3}",
    ]
    .prop_filter("a device", |name| {
        let base = name.split('.').next().unwrap().to_ascii_uppercase();
        let device = |known: &&str| base.trim_end() == *known;
        !["CON", "PRN", "AUX", "NUL"].iter().any(|known| device(&known))
            && !(base.len() == 4 && (base.starts_with("COM") || base.starts_with("LPT")))
    })
}

/// One node: what its parent is (a number among the directories so far), its name, and its length
/// if it is a file.
type Step = (prop::sample::Index, String, Option<usize>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![
        3 => (0usize..3).prop_map(|n| n * 512),
        5 => 0usize..6000,
        1 => 20_000usize..90_000,
    ];
    let node = (any::<prop::sample::Index>(), name(), prop::option::weighted(0.7, length));
    prop::collection::vec(node, 0..60)
}

fn grown(steps: &[Step]) -> Sample {
    let mut sample = Sample::new();
    let mut directories = vec![String::new()];
    let mut taken = std::collections::BTreeSet::new();
    for (salt, (parent, name, length)) in steps.iter().enumerate() {
        let parent = parent.get(&directories);
        let path = if parent.is_empty() { name.clone() } else { format!("{parent}/{name}") };
        if !taken.insert(path.to_uppercase().to_lowercase().replace('ς', "σ").replace("ß", "ss"))
        {
            continue;
        }
        match length {
            Some(length) => drop(sample.file(&path, &pattern(*length, salt))),
            None => {
                sample.directory(&path);
                directories.push(path);
            }
        }
    }
    sample
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_out_as_it_went_in(
        steps in steps(),
        variant in prop::option::of(prop::sample::select(
            vec![Variant::Fat12, Variant::Fat16, Variant::Fat32],
        )),
        sector_size in prop::sample::select(vec![512u32, 1024, 2048, 4096]),
        label in prop::option::of("[A-Z]{1,11}"),
        room in prop::option::of(0u64..300),
    ) {
        let sample = grown(&steps);
        let wanted = expected(&sample);
        let mut options = Options { variant, sector_size, label, ..options() };
        let tree = grown(&steps).tree();
        let least = minimal_size(&tree, &options).unwrap();
        options.size = room.map(|room| least + room * 4096);
        if let Err(Error::Parameter { .. }) = plan(&tree, &options) {
            // Larger than the largest of a forced variant.
            prop_assert!(variant.is_some() && room.is_some());
            return Ok(());
        }
        let image = Image::new(sample, &options);
        prop_assert_eq!(complaints(&image), None);
        prop_assert_eq!(image.as_read().0, image.plan.variant);
        prop_assert!(extracted(&image) == wanted);
    }

    #[test]
    fn the_minimal_size_is_minimal(
        files in prop::collection::vec(prop_oneof![0u64..100_000, 0u64..(64 << 20)], 0..40),
        variant in prop::option::of(prop::sample::select(
            vec![Variant::Fat12, Variant::Fat16, Variant::Fat32],
        )),
        sector_size in prop::sample::select(vec![512u32, 1024, 2048, 4096]),
    ) {
        let mut sample = Sample::new();
        for (number, size) in files.iter().enumerate() {
            sample.huge(&format!("F{number}"), *size);
        }
        let tree = sample.tree();
        let of = |size| Options { size, variant, sector_size, ..options() };
        let Ok(least) = minimal_size(&tree, &of(None)) else {
            prop_assert!(variant.is_some(), "only the forced ones have so low a maximum");
            return Ok(());
        };
        prop_assert_eq!(plan(&tree, &of(None)).unwrap().layout.size(), least);
        let volume = plan(&tree, &of(Some(least))).unwrap();
        let sealed = volume.layout.seal();
        let boot = sealed.bytes_of(0);
        let cluster = u64::from(boot[13]) * u64::from(sector_size);
        for less in [cluster, 4096, 8192, 65_536, 1 << 20] {
            let refused = least < less || plan(&tree, &of(Some(least - less))).is_err();
            prop_assert!(refused, "{} less than {}", less, least);
        }
        // Larger ones of this variant do too.
        for more in [4096, 8192, 65_536] {
            match plan(&tree, &of(Some(least + more))) {
                Ok(_) => {}
                Err(Error::Parameter { .. }) => prop_assert!(variant.is_some()),
                Err(error) => {
                    let larger = Options { variant: Some(volume.variant), ..of(Some(least + more)) };
                    prop_assert!(plan(&tree, &larger).is_ok(), "{}", error);
                }
            }
        }
    }

    #[test]
    fn the_order_of_making_does_not_matter(steps in steps(), turn in 0usize..60) {
        let names: Vec<_> = steps.iter().map(|(_, name, length)| (name, length)).collect();
        let flat = |order: &mut dyn Iterator<Item = usize>| {
            let mut sample = Sample::new();
            for at in order {
                let (name, length) = names[at];
                sample.file(&format!("{at} {name}"), &pattern(length.unwrap_or(9), at));
            }
            let mut plan = plan(&sample.tree(), &options()).unwrap();
            plan.layout = plan.layout.seal();
            let regions: Vec<_> = plan.layout.regions().iter().map(|region| {
                let bytes = match region.fill {
                    Fill::Bytes(number) => plan.layout.bytes_of(number).to_vec(),
                    Fill::Render(number) => {
                        let mut bytes = vec![0; usize::try_from(region.len).unwrap()];
                        plan.layout.render_of(number).render(0, &mut bytes);
                        bytes
                    }
                    Fill::Content { tree, inode } => plan.layout.tree_of(tree).path(inode),
                };
                (region.offset, region.len, bytes)
            }).collect();
            regions
        };
        let len = names.len();
        let turned = &mut (0..len).rev().map(|at| (at + turn) % len);
        prop_assert!(flat(&mut (0..len)) == flat(turned));
    }
}
