//! A program that uses the library gets the same image and manifest as the command line, for the
//! same request.

use std::fs;
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use detfs::btrfs::{Btrfs, Compression};
use detfs::disk::{Selection, UkiContent, UkiHook, UkiInputs};
use detfs::ext4::{Ext4, Profile};
use detfs::fat::Vfat;
use detfs::format::{Format, Subvolume};
use detfs::gpt::Architecture;
use detfs::layout::{Options, WriteAtSink, emit};
use detfs::tree::host_xattrs::HostXattrs;
use detfs::tree::{Directory, PathFilter};
use detfs::{BuildInput, Headroom, Manifest, Seed, Timestamp, image, single};
use serde_json::Value;

use crate::detfs::{SEED, detfs, succeed};
use crate::verity::disk::{X64, program};

const EPOCH: i64 = 1_700_000_000;

/// Creates a tree that rules of Arch Linux change, and with content for an ESP.
fn tree(directory: &Path) {
    for path in ["etc", "usr/bin", "var/cache", "var/log", "efi/EFI/BOOT", "home"] {
        fs::create_dir_all(directory.join(path)).unwrap();
    }
    let mut elf = b"\x7fELF\x02\x01".to_vec();
    elf.resize(18, 0);
    elf.extend([62, 0]); // EM_X86_64
    for (path, content) in [
        ("usr/bin/env", elf),
        ("etc/os-release", b"ID=arch\n".to_vec()),
        ("etc/machine-id", b"0123456789abcdef0123456789abcdef\n".to_vec()),
        ("var/log/pacman.log", b"[2020] installed\n".to_vec()),
        ("var/cache/junk", vec![7; 300_000]),
        ("efi/EFI/BOOT/BOOTX64.EFI", vec![b'x'; 100_000]),
        ("home/text", b"some text ".repeat(100_000)),
    ] {
        fs::write(directory.join(path), content).unwrap();
    }
}

/// Builds an image with the command line, and returns it with its manifest.
fn by_command(directory: &Path, words: &[&str]) -> (Vec<u8>, Value) {
    let image = directory.join("image");
    let mut command = detfs(words);
    command.args(["--json", "--force", "--seed", SEED]);
    command.args(["--source-date-epoch", &EPOCH.to_string()]);
    command.args(["--exclude=/var/cache/*", "--drop-xattr=user.a*", "--keep-xattr=user.abc"]);
    command.arg(directory.join("tree")).arg(&image);
    let output = succeed(&mut command);
    (fs::read(image).unwrap(), serde_json::from_slice(&output.stdout).unwrap())
}

fn input(directory: &Path, is_normalized: bool, is_btrfs: bool) -> BuildInput {
    let excluded = |path: &[u8]| path.starts_with(b"var/cache/");
    let host_xattrs = match is_btrfs {
        true => HostXattrs::default().for_btrfs(),
        false => HostXattrs::default(),
    };
    let mut selection = Selection::default();
    selection.exclude = Some(PathFilter::new(vec!["/var/cache/*".to_owned()], excluded));
    selection.host_xattrs = host_xattrs.leave_out("user.a*").keep("user.abc");
    let source = Directory::new(directory.join("tree"));
    let input = BuildInput::read(&source, selection, NonZero::<usize>::MIN, None).unwrap();
    let mut input = if is_normalized { input.normalized().unwrap() } else { input };
    input.seed = Some(Seed(SEED.parse().unwrap()));
    input.epoch = Some(Timestamp::from_seconds(EPOCH));
    input.spool = Some(directory.to_owned());
    input
}

/// Returns an image that the library has planned, with its manifest.
fn written(plan: &detfs::disk::Plan) -> (Vec<u8>, Value) {
    let sink = WriteAtSink::new(Vec::new());
    let ranges = plan.ranges();
    let mut options = Options::new(NonZero::<usize>::MIN);
    options.digests = &ranges;
    let digests = emit(&plan.layout, &sink, &options).unwrap();
    let manifest = serde_json::to_value(Manifest::new(plan, &digests)).unwrap();
    (sink.into_inner(), manifest)
}

fn compare(by_library: &(Vec<u8>, Value), by_command: &(Vec<u8>, Value)) {
    assert_eq!(by_library.1, by_command.1);
    assert!(by_library.0 == by_command.0, "the images differ");
}

#[test]
fn a_disk_is_that_of_mkimage() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    tree(&directory.join("tree"));

    let plan = image::plan(input(directory, true, false), &image::Options::default()).unwrap();
    let expected = by_command(directory, &["mkimage"]);
    assert_eq!(expected.1["parameters"]["normalize"], "arch");
    assert!(!expected.1["normalization"].as_array().unwrap().is_empty());
    compare(&written(&plan), &expected);

    let mut btrfs = Btrfs::default();
    btrfs.compression = Some(Compression::Zstd { level: 3 });
    let (path, read_only, nodatacow) = (b"home".to_vec(), false, false);
    btrfs.subvolumes = vec![Subvolume { path, read_only, nodatacow }];
    let mut options = image::Options::default();
    options.root = Arc::new(btrfs);
    options.label = Some("system".to_owned());
    options.headroom = Some(Headroom::Percent(20));
    options.bios_boot = true;
    options.esp_size = Some(40 << 20);
    let plan = image::plan(input(directory, true, true), &options).unwrap();
    let words = [
        "mkimage",
        "--fs=btrfs",
        "--compress=zstd",
        "--subvolume=home",
        "--label=system",
        "--headroom=20%",
        "--bios-boot",
        "--esp-size=40M",
    ];
    compare(&written(&plan), &by_command(directory, &words));
}

/// A hook that makes the unified kernel image of a file, as the command's own does.
#[derive(Debug)]
struct Hook(Vec<u8>);

impl UkiHook for Hook {
    fn build(&self, inputs: &UkiInputs) -> detfs::Result<UkiContent> {
        assert_eq!(inputs.architecture, Architecture::X86_64);
        assert_eq!(inputs.epoch.seconds, EPOCH);
        let mut content = self.0.clone();
        content.extend(inputs.root_hash.bytes);
        Ok(UkiContent { size: content.len() as u64, content: Arc::new(content) })
    }
}

#[test]
fn a_protected_disk_is_that_of_mkimage() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    tree(&directory.join("tree"));
    let template = program(X64, &[(".linux", "kernel"), (".cmdline", "root=dissect")]);
    fs::write(directory.join("template"), &template).unwrap();
    let hook = directory.join("hook");
    let script = format!(
        "#!/bin/sh\n(cat {}; echo $DETFS_ROOT_HASH | xxd -r -p) >$1\n",
        directory.join("template").to_str().unwrap()
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();

    let mut ext4 = Ext4::default();
    ext4.profile = Profile::Ro;
    let mut options = image::Options::default();
    options.root = Arc::new(ext4);
    options.verity = Some(image::Verity::default());
    options.boot = image::BootMethod::SystemdBoot;
    options.uki_hook = Some(Arc::new(Hook(template)));
    let loader = program(X64, &[(".sdmagic", "#### LoaderInfo: systemd-boot 252 ####")]);
    let place = directory.join("tree/usr/lib/systemd/boot/efi");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("systemd-bootx64.efi"), loader).unwrap();
    fs::remove_file(directory.join("tree/efi/EFI/BOOT/BOOTX64.EFI")).unwrap();
    let plan = image::plan(input(directory, true, false), &options).unwrap();
    let uki_hook = format!("--uki-hook={}", hook.to_str().unwrap());
    let words = ["mkimage", "--verity", "--boot=systemd-boot", &uki_hook];
    let expected = by_command(directory, &words);
    assert_eq!(expected.1["uki"]["path"], "EFI/Linux/arch.efi");
    assert_eq!(expected.1["boot"]["boots"], true);
    let root_hash = plan.root_hash.unwrap();
    assert_eq!(expected.1["verity"]["root_hash"], root_hash.to_string());
    compare(&written(&plan), &expected);
}

#[test]
fn a_file_system_is_that_of_mkfs() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    tree(&directory.join("tree"));
    let mut ext4 = Ext4::default();
    ext4.profile = Profile::Modern;
    let mut vfat = Vfat::default();
    vfat.sector_size = Some(512);
    let formats: [(Arc<dyn Format>, &[&str]); 3] = [
        (Arc::new(ext4), &["mkfs", "ext4", "--ext4-profile=modern"]),
        (Arc::new(Btrfs::default()), &["mkfs", "btrfs"]),
        (Arc::new(vfat), &["mkfs", "vfat"]),
    ];
    for (format, words) in formats {
        let is_btrfs = format.name() == "btrfs";
        let plan = single::plan(input(directory, false, is_btrfs), &single::Options::new(format));
        compare(&written(&plan.unwrap()), &by_command(directory, words));
    }
}
