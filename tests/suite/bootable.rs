//! Boot loaders and kernels that `mkimage` adds to the boot partitions, and images that it refuses
//! because they would not boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bad_input::{UNREPRESENTABLE, USAGE, check};
use crate::detfs::{detfs, mkimage, succeed, without_host_warning};
use crate::oracle::{Comparison, ext4, extract, extract_fat, fsck_fat, partitions, sha256, shell};

const EPOCH: i64 = 1_700_000_000;

/// GUID of the root partition, by the seed of the tests.
const ROOT_UUID: &str = "6c08bd44-fed4-4c4e-915a-d1b245eb89de";

/// Returns an EFI program for x86-64 with one section.
fn program(section: &str, text: &str) -> Vec<u8> {
    let mut bytes = b"MZ".to_vec();
    bytes.resize(0x3c, 0);
    bytes.extend(b"\x40\0\0\0PE\0\0\x64\x86\x01\0");
    bytes.resize(0x58, 0);
    bytes.extend(section.as_bytes());
    bytes.resize(0x60, 0);
    let size = u32::try_from(text.len()).unwrap();
    for field in [size, 0, size, 0x80] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.resize(0x80, 0);
    bytes.extend(text.as_bytes());
    bytes
}

struct Fixture {
    scratch: TempDir,
    tree: PathBuf,
    image: PathBuf,
}

impl Fixture {
    /// Creates a tree with a kernel and systemd-boot, and adds to it by running a shell script in
    /// it.
    fn new(script: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let [tree, image] = ["tree", "image"].map(|name| scratch.path().join(name));
        let loader = program(".sdmagic", "#### LoaderInfo: systemd-boot 252 ####");
        for (path, content) in [
            ("boot/vmlinuz-6.1", program(".text", &"kernel ".repeat(9999))),
            ("boot/initrd.img-6.1", b"initrd".repeat(9999)),
            ("usr/lib/systemd/boot/efi/systemd-bootx64.efi", loader),
            ("etc/os-release", b"ID=arch\nPRETTY_NAME='Arch Linux'\n".to_vec()),
        ] {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        shell(&format!("cd $1; {script}; find . -exec touch -h -d @1600000000 {{}} +"), &[&tree]);
        Self { scratch, tree, image }
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = mkimage(&self.tree, &self.image, EPOCH, options);
        command.args(["--architecture=x86-64", "--headroom=0", "--force"]);
        command
    }

    /// Builds an image and returns its manifest and standard error.
    fn make(&self, options: &[&str]) -> (Value, String) {
        let output = succeed(self.command(options).arg("--json"));
        let manifest = serde_json::from_slice(&output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (manifest, without_host_warning(&stderr))
    }

    /// Extracts the files of a partition and returns the directory.
    fn files(&self, partition: usize) -> PathBuf {
        let [file, files] = ["partition", "files"].map(|name| self.scratch.path().join(name));
        extract(&self.image, &partitions(&self.image, 512).unwrap()[partition], &file);
        fsck_fat(&file).unwrap();
        let _ = fs::remove_dir_all(&files);
        fs::create_dir(&files).unwrap();
        extract_fat(&file, &files).unwrap();
        files
    }
}

/// Returns the paths of all files below a directory.
fn listing(directory: &Path) -> Vec<String> {
    let found = shell("cd $1; find . -type f | LC_ALL=C sort | cut -c3-", &[directory]);
    found.lines().map(str::to_owned).collect()
}

/// The ESP gets loader, kernel and entry; the root file system is that of the tree.
#[test]
fn systemd_boot_is_added() {
    let fixture = Fixture::new(":");
    let options = ["--boot=systemd-boot", "--cmdline=quiet console=ttyS0", "--require-bootable"];
    let (manifest, stderr) = fixture.make(&options);
    assert_eq!(stderr, "");
    assert_eq!(manifest["boot"], json!({"boots": true, "uefi": "x86-64"}));
    assert_eq!(manifest["parameters"]["boot"], "systemd-boot");
    assert_eq!(manifest["parameters"]["cmdline"], "quiet console=ttyS0");
    let files = fixture.files(0);
    let expected = [
        "EFI/BOOT/BOOTX64.EFI",
        "EFI/systemd/systemd-bootx64.efi",
        "arch/6.1/initrd.img-6.1",
        "arch/6.1/linux",
        "loader/entries.srel",
        "loader/entries/arch-6.1.conf",
        "loader/loader.conf",
    ];
    assert_eq!(listing(&files), expected);
    for (copy, file) in [
        ("arch/6.1/linux", "boot/vmlinuz-6.1"),
        ("arch/6.1/initrd.img-6.1", "boot/initrd.img-6.1"),
        ("EFI/BOOT/BOOTX64.EFI", "usr/lib/systemd/boot/efi/systemd-bootx64.efi"),
    ] {
        assert!(fs::read(files.join(copy)).unwrap() == fs::read(fixture.tree.join(file)).unwrap());
    }
    let entry = fs::read_to_string(files.join("loader/entries/arch-6.1.conf")).unwrap();
    let line = format!("options    root=PARTUUID={ROOT_UUID} rw quiet console=ttyS0\n");
    assert!(entry.starts_with("title      Arch Linux\n") && entry.contains(&line), "{entry}");

    let found = partitions(&fixture.image, 512).unwrap();
    assert_eq!(found[1].uuid, ROOT_UUID);
    let root = fixture.scratch.path().join("root");
    extract(&fixture.image, &found[1], &root);
    ext4(&root, &fixture.tree, &Comparison::exact().without("lost+found").clamped_to(EPOCH))
        .unwrap();

    let summary = succeed(&mut fixture.command(&options)).stdout;
    assert!(String::from_utf8(summary).unwrap().contains("\nboots: UEFI x86-64\n"));
    let hash = sha256(&fixture.image);
    let copy = Fixture::new(":");
    let threads = ["--threads=3", "--boot=systemd-boot", "--cmdline=quiet console=ttyS0"];
    shell("rm -r $2; cp -a $1 $2", &[&fixture.tree, &copy.tree]);
    copy.make(&threads);
    assert_eq!(sha256(&copy.image), hash);
}

/// Without a given seed, the ids are those of the tree, whatever is added.
#[test]
fn a_derived_seed_does_not_depend_on_boot_files() {
    let fixture = Fixture::new("mkdir -p efi/EFI; echo x >efi/EFI/x");
    let seed = |option: &str| {
        let mut command = detfs(["mkimage", "--json", "--force", "--architecture=x86-64", option]);
        let output = succeed(command.arg("--").arg(&fixture.tree).arg(&fixture.image)).stdout;
        let manifest: Value = serde_json::from_slice(&output).unwrap();
        manifest["parameters"]["seed"].clone()
    };
    assert_eq!(seed("--boot=systemd-boot"), seed("--boot=none"));
}

#[test]
fn kernels_and_entries_are_on_xbootldr() {
    let fixture = Fixture::new("mkdir -p efi/EFI/Linux");
    let (manifest, _) = fixture.make(&["--boot=systemd-boot", "--xbootldr"]);
    assert_eq!(manifest["boot"]["boots"], true);
    let esp = ["EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi", "loader/loader.conf"];
    assert_eq!(listing(&fixture.files(0)), esp);
    let boot =
        ["initrd.img-6.1", "loader/entries.srel", "loader/entries/arch-6.1.conf", "vmlinuz-6.1"];
    assert_eq!(listing(&fixture.files(1)), boot);
}

/// Refusals come before anything is written, and name what to install or to type.
#[test]
fn what_would_not_boot_is_refused() {
    let loader = "rm -r usr/lib/systemd";
    let kernel = "rm boot/*";
    for (script, options, code, parts) in [
        (
            loader,
            &["--boot=systemd-boot"][..],
            UNREPRESENTABLE,
            &["systemd-bootx64.efi", "Debian: systemd-boot"][..],
        ),
        (
            "cd usr/lib/systemd/boot/efi; rm *; mkdir systemd-bootx64.efi; cd -",
            &["--boot=systemd-boot"],
            UNREPRESENTABLE,
            &["systemd-bootx64.efi that firmware can start"],
        ),
        (kernel, &["--boot=systemd-boot"], UNREPRESENTABLE, &["no kernel", "linux-image-amd64"]),
        (
            ":",
            &["--boot=uki"],
            UNREPRESENTABLE,
            &["no unified kernel image", "--boot=systemd-boot"],
        ),
        (":", &["--require-bootable"], UNREPRESENTABLE, &["no EFI system partition", "--boot"]),
        (":", &["--cmdline=quiet"], USAGE, &["--cmdline", "--boot=systemd-boot"]),
        (":", &["--boot=uki", "--cmdline=quiet"], USAGE, &["--cmdline", "inside"]),
        (":", &["--boot=systemd-boot", "--cmdline=a\nb"], USAGE, &["--cmdline", "control"]),
        (":", &["--boot=systemd-boot", "--architecture=s390x"], USAGE, &["--boot", "s390x"]),
        (
            "mkdir -p efi/EFI/BOOT; echo grub >efi/EFI/BOOT/bootx64.efi",
            &["--boot=systemd-boot"],
            UNREPRESENTABLE,
            &["efi/EFI/BOOT/bootx64.efi", "--exclude"],
        ),
    ] {
        let fixture = Fixture::new(script);
        let mut command = mkimage(&fixture.tree, &fixture.image, EPOCH, options);
        if !options.contains(&"--architecture=s390x") {
            command.arg("--architecture=x86-64");
        }
        check(&mut command, code, parts);
        assert!(!fixture.image.exists(), "{options:?}");
    }
}

/// References to other disks are reported, and an image without a way to boot says so.
#[test]
fn what_keeps_an_image_from_booting_is_reported() {
    let fstab = "UUID=11111111-1111-4111-8111-111111111111 / ext4 defaults 0 1";
    let fixture = Fixture::new(&format!("echo {fstab} >etc/fstab; rm boot/*"));
    let (manifest, stderr) = fixture.make(&[]);
    let reason = "there is no EFI system partition";
    assert_eq!(manifest["boot"], json!({"boots": false, "reason": reason}));
    assert!(stderr.starts_with("warning: etc/fstab: UUID=11111111-1111-4111-8111"), "{stderr}");
    assert_eq!(manifest["warnings"][0]["path"], "etc/fstab");
    let options = ["--boot=systemd-boot", "--cmdline=root=LABEL=other"];
    let fixture = Fixture::new(":");
    let (manifest, stderr) = fixture.make(&options);
    assert_eq!(manifest["boot"]["boots"], false);
    assert!(stderr.contains("its root=LABEL=other is nothing that this image has"), "{stderr}");
    let parts = ["root=LABEL=other", "--boot"];
    check(fixture.command(&options).arg("--require-bootable"), UNREPRESENTABLE, &parts);
}
