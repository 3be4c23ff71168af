//! Disks whose root file system is protected, judged by `veritysetup`, `openssl` and `sfdisk`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bad_input::{UNREPRESENTABLE, USAGE, check};
use crate::detfs::{SEED, detfs, mkimage, succeed, without_host_warning};
use crate::ext4::inspect::superblock_field;
use crate::oracle::{
    self, Comparison, Partition, btrfs, extract, extract_fat, gpt, partitions, sha256, shell,
    verity,
};

const EPOCH: i64 = 1_700_000_000;

/// A tree with some content and a kernel, and images of it.
pub struct Fixture {
    scratch: TempDir,
    pub tree: PathBuf,
    pub image: PathBuf,
}

/// Returns an EFI program with these sections, for a machine by its number.
pub fn program(machine: u16, sections: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = b"MZ".to_vec();
    bytes.resize(0x3c, 0);
    bytes.extend(b"\x40\0\0\0PE\0\0");
    bytes.extend(machine.to_le_bytes());
    bytes.extend(u16::try_from(sections.len()).unwrap().to_le_bytes());
    bytes.resize(0x58, 0);
    let mut at = u32::try_from(bytes.len() + 40 * sections.len()).unwrap();
    for (name, text) in sections {
        let start = bytes.len();
        bytes.extend(name.as_bytes());
        bytes.resize(start + 8, 0);
        let size = u32::try_from(text.len()).unwrap();
        for field in [size, 0, size, at] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.resize(start + 40, 0);
        at += size;
    }
    sections.iter().for_each(|(_, text)| bytes.extend(text.as_bytes()));
    bytes
}

/// `Machine` of EFI programs for x86-64.
pub const X64: u16 = 0x8664;

impl Fixture {
    pub fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let [tree, image] = ["tree", "image"].map(|name| scratch.path().join(name));
        let loader = program(X64, &[(".sdmagic", "#### LoaderInfo: systemd-boot 252 ####")]);
        for (path, content) in [
            ("boot/vmlinuz-6.1", program(X64, &[(".text", &"kernel ".repeat(9999))])),
            ("boot/initrd.img-6.1", b"initrd".repeat(9999)),
            ("usr/lib/systemd/boot/efi/systemd-bootx64.efi", loader),
            ("etc/os-release", b"ID=arch\nPRETTY_NAME='Arch Linux'\n".to_vec()),
            ("usr/text", b"some text ".repeat(200_000)),
        ] {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        shell("find $1 -exec touch -h -d @1600000000 {} +", &[&tree]);
        Self { scratch, tree, image }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Runs `detfs mkimage --verity` with `options`.
    pub fn command(&self, options: &[&str]) -> std::process::Command {
        let mut command = mkimage(&self.tree, &self.image, EPOCH, &["--verity", "--force"]);
        command.arg("--architecture=x86-64").args(options);
        command
    }

    /// Builds an image, and returns its manifest and the warnings.
    pub fn make(&self, options: &[&str]) -> (Value, String) {
        let output = succeed(self.command(options).arg("--json"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        (serde_json::from_slice(&output.stdout).unwrap(), without_host_warning(&stderr))
    }

    /// Extracts a partition.
    pub fn part(&self, partition: &Partition, name: &str) -> PathBuf {
        let path = self.path(name);
        extract(&self.image, partition, &path);
        path
    }

    /// Returns the directory of the files on the ESP.
    pub fn esp(&self) -> PathBuf {
        let esp = partitions(&self.image, 512).unwrap().into_iter().find(Partition::is_esp);
        let (file, files) = (self.part(&esp.unwrap(), "esp"), self.path("files"));
        let _ = fs::remove_dir_all(&files);
        fs::create_dir(&files).unwrap();
        extract_fat(&file, &files).unwrap();
        files
    }

    /// Checks the hash tree, and returns the partitions of data, hashes and signature.
    fn verified(&self, manifest: &Value) -> Vec<Partition> {
        gpt(&self.image, 512).unwrap();
        let root_hash = manifest["verity"]["root_hash"].as_str().unwrap();
        let found: Vec<_> = partitions(&self.image, 512).unwrap();
        let found: Vec<_> = found.into_iter().filter(|part| !part.is_esp()).collect();
        let [data, hash, ..] = &*found else { panic!("{found:?}") };
        assert_eq!(format!("{}{}", data.uuid, hash.uuid).replace('-', ""), root_hash);
        let (data, hash) = (self.part(data, "data"), self.part(hash, "hash"));
        verity::verify(&data, &hash, root_hash).unwrap();
        let last = fs::metadata(&data).unwrap().len() - 1;
        oracle::flip(&data, last);
        verity::verify(&data, &hash, root_hash).unwrap_err();
        oracle::flip(&data, last);
        found
    }
}

/// Returns a field that `veritysetup dump` prints.
fn dumped(hash: &Path, field: &str) -> String {
    let text = shell("veritysetup dump $1", &[hash]);
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.unwrap_or_else(|| panic!("{text}")).trim_start_matches(':').trim().to_owned()
}

#[test]
fn the_root_is_protected() {
    let fixture = Fixture::new();
    let (manifest, stderr) = fixture.make(&[]);
    assert_eq!(
        stderr,
        "warning: boot/vmlinuz-6.1: a kernel, but the image has no EFI system \
        partition to boot it from; add a boot loader with --boot or under efi or boot/efi, or give \
        --esp-from or --esp-tree\n"
    );
    assert_eq!(manifest["verity"]["signed"], false);
    assert_eq!(manifest["parameters"]["verity"], true);
    assert_eq!(manifest["parameters"]["ext4_profile"], "ro");
    assert_eq!(manifest["components"]["verity"], "1");
    let found = fixture.verified(&manifest);
    let [data, hash] = &*found else { panic!("{found:?}") };
    // Types and attributes by the Discoverable Partitions Specification.
    let types = ["4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"];
    assert_eq!([&*data.kind, &*hash.kind], types);
    assert_eq!([&*data.attributes, &*hash.attributes], ["GUID:60"; 2]);
    assert_eq!([&*data.name, &*hash.name], ["root-x86-64", "root-x86-64-verity"]);

    let (file, hashes) = (fixture.path("data"), fixture.path("hash"));
    let exact = Comparison::exact().clamped_to(EPOCH);
    oracle::ext4(&file, &fixture.tree, &exact).unwrap();
    let features = superblock_field(&file, "Filesystem features");
    assert!(!features.contains("has_journal"), "{features}");
    // The UUID of the file system does not depend on its own hash.
    let uuid = superblock_field(&file, "Filesystem UUID");
    assert_eq!(uuid, "7bfd409b-b67f-4466-9e33-95510bf538f1");
    // The salt and the UUID are those of `repart` with the same seed.
    assert_eq!(dumped(&hashes, "UUID"), "8055b167-809b-4e12-9f0c-a100b44438a9");
    let salt = "860f08c6a5ec51f0b5d608187cbd374c16ba09b312ee6ece89bc87527654eddf";
    assert_eq!(dumped(&hashes, "Salt"), salt);
    assert_eq!(dumped(&hashes, "Data blocks"), (data.len / 4096).to_string());
    assert_eq!(dumped(&hashes, "Data block size"), "4096");

    // The summary has the root hash, and a dry run computes it.
    let hash = sha256(&fixture.image);
    let line = format!("root hash: {}\n", manifest["verity"]["root_hash"].as_str().unwrap());
    let output = succeed(&mut fixture.command(&["--dry-run"]));
    assert!(String::from_utf8(output.stdout).unwrap().contains(&line));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("all content is read, because the plan depends on it with --verity"));
    // Threads change nothing.
    for threads in ["-j1", "-j7"] {
        fixture.make(&[threads]);
        assert_eq!(sha256(&fixture.image), hash, "{threads}");
    }
}

#[test]
fn sizes_and_formats_are_free() {
    let fixture = Fixture::new();
    // Space that is not used stays free.
    let (manifest, _) = fixture.make(&["--size=256M", "--esp-size=64M"]);
    let exact = fixture.verified(&manifest);
    assert_eq!(fs::metadata(&fixture.image).unwrap().len(), 256 << 20);
    let (manifest, _) = fixture.make(&["--esp-size=64M"]);
    assert_eq!(fixture.verified(&manifest)[0].len, exact[0].len);

    // Blocks of the file system are not smaller than those of the device.
    let (manifest, _) = fixture.make(&["--ext4-block-size=1024"]);
    fixture.verified(&manifest);
    assert_eq!(dumped(&fixture.path("hash"), "Data block size"), "1024");

    for options in [&["--fs=erofs", "--compress=zstd"][..], &["--fs=squashfs"]] {
        let (manifest, _) = fixture.make(options);
        fixture.verified(&manifest);
        assert_eq!(dumped(&fixture.path("hash"), "Data block size"), "4096");
    }

    let (manifest, _) = fixture.make(&["--fs=btrfs", "--compress=zstd", "--sector-size=4096"]);
    let root_hash = manifest["verity"]["root_hash"].as_str().unwrap();
    let parts = partitions(&fixture.image, 4096).unwrap();
    let (data, hash) = (fixture.part(&parts[0], "data"), fixture.part(&parts[1], "hash"));
    verity::verify(&data, &hash, root_hash).unwrap();
    btrfs::btrfs_check(&data).unwrap();
}

#[test]
fn root_hashes_are_signed() {
    let fixture = Fixture::new();
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=test \
        -keyout $1/key -out $1/certificate 2>/dev/null";
    shell(script, &[fixture.scratch.path()]);
    let [key, certificate] = ["key", "certificate"].map(|name| fixture.path(name));
    let options = [
        format!("--private-key={}", key.to_str().unwrap()),
        format!("--certificate={}", certificate.to_str().unwrap()),
    ];
    let (manifest, _) = fixture.make(&options.each_ref().map(String::as_str));
    assert_eq!(manifest["verity"]["signed"], true);
    let found = fixture.verified(&manifest);
    let [_, _, signature] = &*found else { panic!("{found:?}") };
    assert_eq!(signature.kind, "41092b05-9fc8-4523-994f-2def0408b176");
    assert_eq!((&*signature.name, &*signature.attributes), ("root-x86-64-verity-sig", "GUID:60"));
    let bytes = fs::read(fixture.part(signature, "signature")).unwrap();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap();
    assert!(bytes[end..].iter().all(|&byte| byte == 0));
    let signed: Value = serde_json::from_slice(&bytes[..end]).unwrap();
    assert_eq!(signed["rootHash"], manifest["verity"]["root_hash"]);
    fs::write(fixture.path("base64"), signed["signature"].as_str().unwrap()).unwrap();
    let (der, content) = (fixture.path("der"), fixture.path("content"));
    shell("openssl base64 -d -A -in $1 -out $2", &[&fixture.path("base64"), &der]);
    fs::write(&content, signed["rootHash"].as_str().unwrap()).unwrap();
    oracle::openssl::verify(&der, &content, &certificate).unwrap();

    // The same keys of a build file, whose paths are relative to it.
    let hash = sha256(&fixture.image);
    let text = format!(
        "seed = \"{SEED}\"\nsource-date-epoch = {EPOCH}\n[image]\ntree = \"tree\"\nout = \"built\"\n\
         architecture = \"x86-64\"\nverity = true\nprivate-key = \"key\"\n\
         certificate = \"certificate\"\n"
    );
    fs::write(fixture.path("image.toml"), text).unwrap();
    succeed(detfs(["build"]).arg(fixture.path("image.toml")));
    assert_eq!(sha256(&fixture.path("built")), hash);

    // A key of another pair.
    shell("openssl genrsa -out $1 2048 2>/dev/null", &[&key]);
    let options = options.each_ref().map(String::as_str);
    check(&mut fixture.command(&options), USAGE, &["--private-key: key does not match"]);
}

#[test]
fn entries_have_the_root_hash() {
    let fixture = Fixture::new();
    let options = ["--boot=systemd-boot", "--cmdline=quiet", "--require-bootable"];
    let (manifest, stderr) = fixture.make(&options);
    assert_eq!(stderr, "");
    assert_eq!(manifest["boot"], json!({"boots": true, "uefi": "x86-64"}));
    fixture.verified(&manifest);
    let entry = fs::read_to_string(fixture.esp().join("loader/entries/arch-6.1.conf")).unwrap();
    let root_hash = manifest["verity"]["root_hash"].as_str().unwrap();
    let line = format!("options    roothash={root_hash} quiet");
    assert!(entry.lines().any(|other| other == line), "{entry}");

    // A unified kernel image that does not verify the root.
    fs::create_dir_all(fixture.tree.join("efi/EFI/Linux")).unwrap();
    for (line, problem) in [
        ("quiet", "its command line has no roothash=, so nothing would verify the root"),
        (&*format!("roothash={}", "0".repeat(64)), "is nothing that this image has"),
    ] {
        let uki = program(X64, &[(".linux", "kernel"), (".cmdline", line), (".uname", "6.1")]);
        fs::write(fixture.tree.join("efi/EFI/Linux/a.efi"), uki).unwrap();
        let (manifest, stderr) = fixture.make(&["--boot=uki"]);
        assert!(stderr.contains(problem), "{stderr}");
        assert_eq!(manifest["boot"]["boots"], false);
    }
}

#[test]
fn options_that_contradict_it_are_refused() {
    let fixture = Fixture::new();
    for (options, code, part) in [
        (&["--headroom=5%"][..], USAGE, "--headroom: has no use with --verity"),
        (&["--swapfile=/usr/swap:1M"], USAGE, "--swapfile: has no use with --verity"),
        (&["--grow-to=1G"], USAGE, "--grow-to: the ext4 profile ro reserves nothing"),
        (
            &["--boot=systemd-boot", "--cmdline=root=/dev/sda2"],
            USAGE,
            "--cmdline: root=/dev/sda2 contradicts the root hash",
        ),
        (&["--size=1M"], UNREPRESENTABLE, "--size: 1 MiB is too small"),
        (&["--private-key=/nowhere", "--certificate=/nowhere"], USAGE, "cannot read /nowhere"),
        (&["--private-key=/nowhere"], USAGE, "--certificate <FILE>"),
    ] {
        check(&mut fixture.command(options), code, &[part]);
    }
    let mut command = mkimage(&fixture.tree, &fixture.image, EPOCH, &["--private-key=k"]);
    check(command.arg("--certificate=c"), USAGE, &["--verity"]);
}
