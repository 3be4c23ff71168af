//! Partitions that firmware and boot loaders read: the sources of their content, and FAT file
//! systems that they can read.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bad_input::{USAGE, check};
use crate::detfs::{detfs, mkimage, succeed, without_host_warning};
use crate::oracle::{
    Comparison, Partition, ext4, extract, extract_fat, fsck_fat, gpt, partitions, run, sha256,
    shell,
};

const EPOCH: i64 = 1_700_000_000;

/// Shell script that creates a tree with a kernel in the directory `$1`.
const TREE: &str = "
    mkdir -p $1/etc $1/usr/bin $1/usr/lib/modules/6.1 $1/boot; cd $1
    echo ID=arch >etc/os-release
    echo kernel >usr/lib/modules/6.1/vmlinuz
    find . -exec touch -h -d @1600000000 {} +";

struct Fixture {
    scratch: TempDir,
    tree: PathBuf,
    image: PathBuf,
}

impl Fixture {
    /// Creates a tree and adds to it by running a shell script in it.
    fn new(script: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let [tree, image] = ["tree", "image"].map(|name| scratch.path().join(name));
        shell(TREE, &[&tree]);
        shell(&format!("cd $1; {script}"), &[&tree]);
        Self { scratch, tree, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
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

    /// Checks the image: each FAT holds the content of its directory, and the root file system the
    /// rest.
    fn check_image(&self, fats: &[(&str, &Path)], hollow: &[&str]) -> Vec<Partition> {
        gpt(&self.image, 512).unwrap();
        let found = partitions(&self.image, 512).unwrap();
        let (root, boot) = found.split_last().unwrap();
        assert_eq!(boot.len(), fats.len(), "{found:?}");
        for (partition, (name, content)) in boot.iter().zip(fats) {
            assert_eq!(partition.name, *name);
            let (file, files) = (self.path("partition"), self.path(&format!("{name}-files")));
            extract(&self.image, partition, &file);
            fsck_fat(&file).unwrap();
            fs::create_dir(&files).unwrap();
            extract_fat(&file, &files).unwrap();
            // A directory on which another partition is mounted is empty.
            let below = hollow.iter().filter_map(|path| {
                self.tree.join(path).strip_prefix(content).ok().map(PathBuf::from)
            });
            let same = below
                .filter(|path| !path.as_os_str().is_empty())
                .fold(Comparison::names_and_content(), |same, path| {
                    same.hollow(path.to_str().unwrap())
                });
            same.compare(content, &files).unwrap();
            fs::remove_dir_all(&files).unwrap();
        }
        let file = self.path("partition");
        extract(&self.image, root, &file);
        let exact = Comparison::exact().without("lost+found").clamped_to(EPOCH);
        let exact = hollow.iter().fold(exact, |exact, path| exact.hollow(path));
        ext4(&file, &self.tree, &exact).unwrap();
        found
    }
}

/// Shell script that creates the files of an ESP in the directory `$1`. The boot loader begins like
/// an EFI program for x86-64.
const ESP: &str = "mkdir -p $1/EFI/BOOT $1/loader
    printf 'MZ%058d\\100\\0\\0\\0PE\\0\\0\\144\\206\\0\\0%016d' 0 0 >$1/EFI/BOOT/BOOTX64.EFI
    seq 100000 >>$1/EFI/BOOT/BOOTX64.EFI; echo 'timeout 3' >$1/loader/loader.conf";

#[test]
fn an_esp_is_found_where_distributions_mount_it() {
    for (directory, more) in [
        ("efi", "mkdir boot/efi; echo kernel >boot/vmlinuz-6.1; ln -s vmlinuz-6.1 boot/vmlinuz"),
        ("boot/efi", "mkdir efi; echo kernel >boot/vmlinuz-6.1; ln -s vmlinuz-6.1 boot/vmlinuz"),
        ("boot/efi", "mkdir -p efi/EFI/Linux boot/grub"),
        ("boot", "mkdir efi; echo kernel >boot/vmlinuz-6.1"),
    ] {
        let fixture = Fixture::new(more);
        let content = fixture.tree.join(directory);
        shell(ESP, &[&content]);
        let (manifest, stderr) = fixture.make(&[]);
        assert_eq!(stderr, "", "{directory}");
        assert_eq!(manifest["parameters"]["esp_from"], directory);
        let found = fixture.check_image(&[("esp", &content)], &[directory]);
        assert!(found[0].is_esp(), "{found:?}");
        let image = sha256(&fixture.image);
        fixture.make(&[&format!("--esp-from=/{directory}")]);
        assert_eq!(sha256(&fixture.image), image, "{directory}");
    }
}

/// The ESP holds the first candidate directory, or the one that `--esp-from` names. The others stay
/// in the root file system, which is reported.
#[test]
fn other_places_stay_in_the_root_file_system() {
    let fixture = Fixture::new(":");
    for directory in ["efi", "boot", "srv/esp"] {
        shell(ESP, &[&fixture.tree.join(directory)]);
    }
    let stays = |directory: &str, held: &str| {
        format!(
            "warning: {directory}: it stays in the root file system, because the ESP holds {held};"
        )
    };
    let check_image = |option: &str, from: &str, left: &[&str]| {
        let (manifest, stderr) = fixture.make(&[option]);
        assert_eq!(manifest["parameters"]["esp_from"], from);
        let lines: Vec<_> = stderr.lines().collect();
        assert_eq!(lines.len(), left.len(), "{from}: {stderr}");
        for (line, left) in lines.iter().zip(left) {
            assert!(line.starts_with(&stays(left, from)), "{line}");
        }
        fixture.check_image(&[("esp", &fixture.tree.join(from))], &[from]);
    };
    check_image("--esp-size=33M", "efi", &["boot"]);
    check_image("--esp-from=boot", "boot", &["efi"]);
    // The content of another directory is normalized as if it were in a mount point, which must be
    // free.
    check(&mut fixture.command(&["--esp-from=srv/esp"]), USAGE, &["--esp-from", "--exclude"]);
    fs::create_dir(fixture.tree.join("boot/efi")).unwrap();
    check_image("--esp-from=srv/esp", "srv/esp", &["efi", "boot"]);
}

/// An ESP tree outside the root tree gives the same bytes as the same content in the mount point,
/// including the derived seed, normalized files and clamped times.
#[test]
fn the_content_of_an_esp_can_be_beside_the_tree() {
    let beside = Fixture::new("mkdir -m 700 efi; touch -d @1500000000 efi");
    let within = Fixture::new("mkdir -m 700 efi");
    let esp = beside.path("esp");
    let secret = "head -c 32 /dev/urandom >$1/loader/random-seed";
    shell(&format!("{ESP}; {secret}; cp -a $1/. $2/efi/"), &[&esp, &within.tree]);
    shell("chmod 700 $1/efi; touch -d @1500000000 $1/efi", &[&within.tree]);
    let option = format!("--esp-tree={}", esp.display());
    let make = |fixture: &Fixture, options: &[&str]| {
        let mut command = detfs([OsStr::new("mkimage"), fixture.tree.as_os_str()]);
        command.arg(&fixture.image).args(["--architecture=x86-64", "--headroom=0", "--force"]);
        let output = succeed(command.args(["--json", "--verbose"]).args(options));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("remove by random-seed: efi/loader/random-seed"), "{stderr}");
        let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
        manifest["parameters"].clone()
    };
    let epoch = format!("--source-date-epoch={EPOCH}");
    let parameters = make(&beside, &[&option, &epoch]);
    assert_eq!(parameters["esp_tree"], true);
    assert_eq!(make(&within, &[&epoch])["seed"], parameters["seed"]);
    assert_eq!(sha256(&beside.image), sha256(&within.image));
    fs::remove_file(esp.join("loader/random-seed")).unwrap();
    beside.check_image(&[("esp", &esp)], &[]);

    // No mount point is added to a tree without one, and the seed depends on the content of the
    // ESP.
    let without = Fixture::new(":");
    let (manifest, stderr) = without.make(&[&option]);
    assert_eq!(stderr, "");
    assert_eq!(manifest["parameters"].get("esp_from"), None);
    without.check_image(&[("esp", &esp)], &[]);
    let seed = |fixture: &Fixture| {
        let mut command = detfs([OsStr::new("mkimage"), fixture.tree.as_os_str()]);
        command.arg(&fixture.image).args(["--architecture=x86-64", "--force", "--json", &option]);
        let manifest: Value = serde_json::from_slice(&succeed(&mut command).stdout).unwrap();
        manifest["parameters"]["seed"].clone()
    };
    let before = seed(&without);
    fs::write(esp.join("loader/loader.conf"), "timeout 5\n").unwrap();
    assert_ne!(seed(&without), before);
}

/// Directories that cannot be the content of an ESP are refused before anything is written.
#[test]
fn an_esp_that_can_not_be_is_refused() {
    let fixture = Fixture::new("ln -s /nowhere efi; echo x >boot/x; mkdir -p srv/esp");
    let esp = fixture.path("esp");
    shell(ESP, &[&esp]);
    shell("ln -s x $1/loader/link", &[&esp]);
    let tree = |path: &Path| format!("--esp-tree={}", path.display());
    let (beside, inside) = (tree(&esp), tree(&fixture.tree.join("boot")));
    let around = tree(fixture.scratch.path());
    for (options, words) in [
        (&["--esp-from=nowhere"][..], &["--esp-from", "nowhere"][..]),
        (&["--esp-from=efi"], &["--esp-from", "efi is not a directory"]),
        (&["--esp-from=/"], &["--esp-from", "root"]),
        (&["--esp-from=boot", "--xbootldr"], &["--esp-from", "--xbootldr"]),
        (&["--esp-from=boot", &beside], &["--esp-from", "--esp-tree"]),
        (&[&beside], &["--esp-tree", "--exclude"]),
        (&[&inside], &["--esp-tree", "--esp-from"]),
        (&[&around], &["--esp-tree", "inside"]),
    ] {
        check(&mut fixture.command(options), USAGE, words);
    }
    for (options, place) in [
        (&["--esp-from=boot", "--swapfile=/boot/y:1M"][..], "boot"),
        (&["--xbootldr", "--swapfile=boot/y:1M", "--fs=btrfs"], "boot"),
    ] {
        let words = ["--swapfile", "is mounted on", place];
        check(&mut fixture.command(options), USAGE, &words);
    }
    fs::remove_file(fixture.tree.join("efi")).unwrap();
    check(&mut fixture.command(&[&beside]), 3, &["efi/loader/link"]);
    check(&mut fixture.command(&[&tree(&fixture.path("nowhere"))]), 4, &["nowhere"]);
    let mut within = mkimage(&fixture.tree, &esp.join("image"), EPOCH, &[&beside]);
    check(&mut within, USAGE, &["OUT", "inside the tree"]);
    assert!(!fixture.image.exists());
}

/// `/boot` is an XBOOTLDR partition next to an ESP, as in the Discoverable Partitions
/// Specification.
#[test]
fn an_xbootldr_partition_holds_boot() {
    for directory in ["efi", "boot/efi"] {
        let fixture = Fixture::new("mkdir -p boot/loader/entries; seq 50000 >boot/vmlinuz-6.1");
        let [esp, boot] = [directory, "boot"].map(|path| fixture.tree.join(path));
        shell(ESP, &[&esp]);
        let (manifest, stderr) = fixture.make(&["--xbootldr"]);
        assert_eq!(stderr, "");
        assert_eq!(manifest["parameters"]["xbootldr"], true);
        let fats: [(&str, &Path); 2] = [("esp", &esp), ("xbootldr", &boot)];
        let found = fixture.check_image(&fats, &[directory, "boot"]);
        assert_eq!(found[1].kind, "bc13c2ff-59e6-4262-a352-b275fd6f7172");
        assert_eq!(found[1].len, 33 << 20);
        let table = &manifest["partition_table"]["partitions"];
        assert_eq!(table[1]["file_system"]["label"], "XBOOTLDR");
        assert_ne!(table[0]["file_system"]["uuid"], table[1]["file_system"]["uuid"]);
    }
    let fixture = Fixture::new("rmdir boot");
    let (_, stderr) = fixture.make(&["--xbootldr-size=40M", "--bios-boot"]);
    assert!(stderr.contains("boot: the tree has nothing there"), "{stderr}");
    let found = partitions(&fixture.image, 512).unwrap();
    assert_eq!((&*found[1].name, found[1].len), ("xbootldr", 40 << 20));
    // If XBOOTLDR is too small for the kernels, the message names the option of that partition.
    let fixture = Fixture::new("mkdir efi; head -c 40M /dev/urandom >boot/vmlinuz");
    let mut command = fixture.command(&["--esp-size=33M", "--xbootldr-size=33M"]);
    check(&mut command, 3, &["--xbootldr-size: 33 MiB", "missing", "use at least 41M"]);
}

#[test]
fn a_kernel_without_an_esp_is_worth_a_line() {
    let line = "a kernel, but the image has no EFI system partition";
    for (make, path) in [
        (":", "usr/lib/modules/6.1/vmlinuz"),
        (
            "rm usr/lib/modules/6.1/vmlinuz; echo x >boot/vmlinuz-6.1.0-amd64",
            "boot/vmlinuz-6.1.0-amd64",
        ),
        (
            "mv usr/lib/modules .; mkdir lib; mv modules lib/; mkdir -p efi boot/efi",
            "lib/modules/6.1/vmlinuz",
        ),
    ] {
        let (manifest, stderr) = Fixture::new(make).make(&[]);
        assert!(stderr.starts_with(&format!("warning: {path}: {line}")), "{stderr}");
        assert_eq!(manifest["warnings"][0]["path"], path);
    }
    let fixture = Fixture::new(":");
    for options in [&["--esp-size=40M"][..], &["--bios-boot"], &["--architecture=s390x"]] {
        let mut command = mkimage(&fixture.tree, &fixture.image, EPOCH, &["--force"]);
        let options = if options[0].starts_with("--arch") {
            options.to_vec()
        } else {
            [options, &["--architecture=x86-64"]].concat()
        };
        let stderr = String::from_utf8(succeed(command.args(&options)).stderr).unwrap();
        assert_eq!(without_host_warning(&stderr), "", "{options:?}");
    }
    let fixture =
        Fixture::new("rm -r usr/lib/modules; mkdir -p boot/EFI/Linux; echo x >boot/EFI/Linux/x");
    let stderr = fixture.make(&[]).1;
    assert!(stderr.starts_with("warning: boot: no EFI/BOOT/BOOTX64.EFI, "), "{stderr}");
    let stderr = fixture.make(&["--xbootldr"]).1;
    assert!(stderr.starts_with("warning: boot: the content of XBOOTLDR, but"), "{stderr}");
}

/// An ESP is FAT32 unless another variant is requested, because some firmware boots only from
/// FAT32.
#[test]
fn an_esp_is_fat32_unless_asked_otherwise() {
    let fixture = Fixture::new(":");
    shell(ESP, &[&fixture.tree.join("efi")]);
    let esp = fixture.path("partition");
    let has_variant = |options: &[&str], sector_size: u64, bits: &str| {
        let json = fixture.path("json");
        let mut command = fixture.command(options);
        let shown = succeed(command.arg("--manifest").arg(&json)).stdout;
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains(&format!("vfat (FAT{bits}) ")), "{shown}");
        let manifest: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
        let file_system = &manifest["partition_table"]["partitions"][0]["file_system"];
        assert_eq!(file_system["variant"], format!("FAT{bits}"), "{options:?}");
        let found = partitions(&fixture.image, sector_size).unwrap();
        extract(&fixture.image, &found[0], &esp);
        fsck_fat(&esp).unwrap();
        let said = run("fsck.fat", [OsStr::new("-nv"), esp.as_os_str()]).stdout;
        assert!(said.contains(&format!("2 FATs, {bits} bit entries")), "{options:?}: {said}");
        let blkid = shell("blkid -p -s VERSION -o value $1", &[&esp]);
        assert_eq!(blkid.trim(), format!("FAT{bits}"), "{options:?}");
        found[0].len
    };
    for (options, bits, sector_size) in [
        (&["--esp-size=33M"][..], "32", 512),
        (&[], "32", 512),
        (&["--esp-size=257M", "--sector-size=4096"], "32", 4096),
        (&["--esp-fat=16", "--esp-size=16M"], "16", 512),
        (&["--esp-fat=16", "--esp-size=256M", "--sector-size=4096"], "16", 4096),
        (&["--esp-fat=12", "--esp-size=2M"], "12", 512),
    ] {
        has_variant(options, sector_size, bits);
    }
    // Without a size, an ESP has twice the size of its content, and no more than the variant needs.
    assert_eq!(has_variant(&["--esp-fat=12"], 512, "12"), 2 << 20);
    assert_eq!(has_variant(&["--esp-fat=16"], 512, "16"), 5 << 20);
    for (options, words) in [
        (&["--esp-size=2M"][..], &["--esp-size", "2 MiB", "FAT32", "--esp-fat"][..]),
        (&["--esp-size=32M"], &["--esp-size", "32 MiB", "FAT32"]),
        (&["--esp-size=256M", "--sector-size=4096"], &["--esp-size", "256 MiB", "FAT32"]),
        (&["--xbootldr-size=2M"], &["--xbootldr-size", "2 MiB", "FAT32"]),
        (&["--esp-fat=16", "--esp-size=2M"], &["--esp-size", "2 MiB", "FAT16"]),
        (&["--esp-fat=12", "--esp-size=512M"], &["--esp-size", "512 MiB", "FAT12"]),
        (&["--esp-fat=24"], &["--esp-fat", "12, 16, 32"]),
    ] {
        fs::remove_file(&fixture.image).ok();
        check(&mut fixture.command(options), USAGE, words);
    }
    let parameters = fixture.make(&["--esp-fat=16", "--esp-size=16M"]).0["parameters"].clone();
    assert_eq!(parameters["esp_fat"], json!("FAT16"));
}
