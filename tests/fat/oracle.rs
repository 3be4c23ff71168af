//! The programs that check an image, and tests that each of them detects errors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use detfs::fat::{Options, Variant};

use crate::MIB;
use crate::image::Image;
use crate::sample::{Sample, pattern, sized, small};

pub(crate) fn run(command: &mut Command) -> Output {
    let command = command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs([("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("MTOOLSRC", "/dev/null")]);
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Returns the output of fsck.fat if it reports errors, which its exit status alone does not show.
pub(crate) fn warnings(image: &Image) -> Option<String> {
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

pub(crate) fn check(image: &Image) {
    assert_eq!(warnings(image), None);
    let (variant, clusters) = image.as_read();
    assert_eq!(variant, image.plan.variant, "{clusters} clusters");
}

/// Runs a program of mtools on the image and returns its output.
pub(crate) fn mtool(image: &Image, tool: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let output = run(Command::new(tool).arg("-i").arg(&image.path).args(arguments));
    match output.status.success() && output.stderr.is_empty() {
        true => Ok(output.stdout),
        false => Err(text(&output.stdout) + &text(&output.stderr)),
    }
}

/// Returns all paths below a directory, with a slash after those of directories, and the content of
/// files.
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

/// Returns the files that mtools copies from an image.
pub(crate) fn extracted(image: &Image) -> BTreeMap<String, Option<Vec<u8>>> {
    let out = image.directory.path().join("out");
    fs::create_dir(&out).unwrap();
    // In an empty volume, a pattern for all files would be an error.
    if !text(&mtool(image, "mdir", &["-b", "::/"]).unwrap_or_default()).is_empty() {
        mtool(image, "mcopy", &["-s", "-m", "-n", "::/*", out.to_str().unwrap()]).unwrap();
    }
    listing(&out)
}

/// Returns the expected paths and content.
pub(crate) fn expected(sample: &Sample) -> BTreeMap<String, Option<Vec<u8>>> {
    let files = sample.content.iter().map(|(path, bytes)| (path.clone(), Some(bytes.to_vec())));
    let directories = sample.directories.keys().filter(|path| !path.is_empty());
    files.chain(directories.map(|path| (path.clone(), None))).collect()
}

/// Returns the properties that blkid prints for an image.
pub(crate) fn probed(image: &Image) -> BTreeMap<String, String> {
    let output = run(Command::new("blkid").args(["-p", "-o", "export"]).arg(&image.path));
    let pairs = text(&output.stdout);
    let pairs = pairs.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Returns the output of GRUB for a path of an image: `ls` lists the path, `cat` reads it.
fn grub(image: &Image, command: &str, path: &str) -> Result<Vec<u8>, String> {
    let path = format!("(loop0)/{path}");
    let output = run(Command::new("grub-fstest").arg(&image.path).args([command, &path]));
    match output.status.success() && output.stderr.is_empty() {
        true => Ok(output.stdout),
        false => Err(text(&output.stdout) + &text(&output.stderr)),
    }
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
        ("short name", efi + 64, b"*"),
    ] {
        let image = image();
        image.write(offset, bytes);
        assert!(warnings(&image).is_some(), "{what}");
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

#[test]
fn grub_reads_names_and_content() {
    for size in [MIB, 8 * MIB, 33 * MIB] {
        let mut sample = small();
        sample.file("𝔣𝔞𝔱/Größe", &pattern(10_000, 5));
        sample.file("lower.txt", b"");
        let image = Image::new(sample, &sized(size));
        let content = grub(&image, "cat", "EFI/Linux/some-kernel-6.1.0.efi").unwrap();
        assert!(content == pattern(70_000, 2));
        assert!(grub(&image, "cat", "𝔣𝔞𝔱/Größe").unwrap() == pattern(10_000, 5));
        let names = text(&grub(&image, "ls", "").unwrap());
        let names: BTreeSet<_> = names.split_whitespace().collect();
        // GRUB 2.06 shows short names in lower case, whatever their flags.
        assert_eq!(names, BTreeSet::from(["efi/", "loader/", "empty", "𝔣𝔞𝔱/", "lower.txt"]));
        assert!(grub(&image, "cat", "missing").is_err());
        image.write(510, &[0]);
        image.write(11, &[0; 2]);
        assert!(grub(&image, "cat", "loader/loader.conf").is_err());
    }
}
