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
