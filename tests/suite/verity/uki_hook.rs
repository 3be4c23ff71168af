//! Unified kernel images that a program builds for the root hash.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::disk::{Fixture, X64, program};
use crate::bad_input::{INPUT_OUTPUT, UNREPRESENTABLE, USAGE, check};
use crate::detfs::mkimage;
use crate::oracle::{sha256, shell};

/// Script of a hook that puts the root hash into the command line of a template.
const BUILD: &str = "sed \"s/@\\{64\\}/$DETFS_ROOT_HASH/\" $HERE/template >\"$1\"";

/// Returns a unified kernel image without the root hash.
fn template(machine: u16) -> Vec<u8> {
    let line = format!("quiet roothash={}", "@".repeat(64));
    program(machine, &[(".linux", "kernel"), (".cmdline", &line), (".uname", "6.1")])
}

/// Writes the template and a hook with `script`, in which `$HERE` is the directory, and returns the
/// option that names the hook.
pub fn hook(fixture: &Fixture, script: &str) -> String {
    fs::write(fixture.path("template"), template(X64)).unwrap();
    let path = fixture.path("hook");
    let directory = path.parent().unwrap().to_str().unwrap();
    fs::write(&path, format!("#!/bin/sh\n{}\n", script.replace("$HERE", directory))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("--uki-hook={}", path.to_str().unwrap())
}

#[test]
fn the_image_has_the_root_hash() {
    let fixture = Fixture::new();
    let script = format!(
        "echo run >>$HERE/runs; env | grep -v ^PWD= | LC_ALL=C sort >$HERE/env
        [ $# = 1 ] && [ \"$1\" = \"$DETFS_OUTPUT\" ] || exit 9; echo noise\n{BUILD}"
    );
    let option = hook(&fixture, &script);
    let (manifest, stderr) = fixture.make(&["--boot=uki", &option, "--require-bootable"]);
    assert_eq!(stderr, "");
    assert_eq!(fs::read_to_string(fixture.path("runs")).unwrap(), "run\n");
    let root_hash = manifest["verity"]["root_hash"].as_str().unwrap();
    let environment = fs::read_to_string(fixture.path("env")).unwrap();
    let (output, others): (Vec<&str>, Vec<_>) =
        environment.lines().partition(|line| line.starts_with("DETFS_OUTPUT="));
    let expected = [
        "DETFS_ARCHITECTURE=x86-64",
        &format!("DETFS_ROOT_HASH={root_hash}"),
        "LC_ALL=C",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SOURCE_DATE_EPOCH=1700000000",
        "TZ=UTC",
    ];
    assert_eq!((output.len(), others), (1, expected.to_vec()));
    // Nothing of the run is left.
    let output = output[0].trim_start_matches("DETFS_OUTPUT=");
    let directory = output.strip_suffix("/content/uki.efi").unwrap();
    assert!(!std::path::Path::new(directory).exists(), "{directory}");

    let files = fixture.esp();
    let [loader, uki] = ["EFI/BOOT/BOOTX64.EFI", "EFI/Linux/arch-6.1.efi"];
    let line = format!("quiet roothash={root_hash}");
    let expected = program(X64, &[(".linux", "kernel"), (".cmdline", &line), (".uname", "6.1")]);
    assert_eq!(fs::read(files.join(uki)).unwrap(), expected);
    assert_eq!(sha256(&files.join(loader)), sha256(&files.join(uki)));
    let expected = json!({"path": uki, "sha256": sha256(&files.join(uki))});
    assert_eq!(manifest["uki"], expected);
    assert_eq!(manifest["boot"], json!({"boots": true, "uefi": "x86-64"}));

    // Another run gives the same image, and a strict one runs the program twice.
    let hash = sha256(&fixture.image);
    fixture.make(&["--boot=uki", &option]);
    assert_eq!(sha256(&fixture.image), hash);
    fs::remove_file(fixture.tree.join("boot/initrd.img-6.1")).unwrap();
    let (manifest, _) = fixture.make(&["--boot=uki", &option, "--strict"]);
    assert_ne!(manifest["verity"]["root_hash"], root_hash);
    assert_eq!(fs::read_to_string(fixture.path("runs")).unwrap(), "run\n".repeat(4));
}

/// systemd-boot starts the image, and no entry is added for the same kernel.
#[test]
fn systemd_boot_finds_the_image() {
    let fixture = Fixture::new();
    let option = hook(&fixture, BUILD);
    let uki = fixture.tree.join("usr/lib/modules/6.1/other.efi");
    fs::create_dir_all(uki.parent().unwrap()).unwrap();
    fs::write(uki, program(X64, &[(".linux", "other"), (".cmdline", "quiet")])).unwrap();
    let options = ["--boot=systemd-boot", &option, "--xbootldr", "--require-bootable"];
    let (manifest, stderr) = fixture.make(&options);
    assert_eq!(stderr, "");
    assert_eq!(manifest["uki"]["path"], "EFI/Linux/arch-6.1.efi");
    let files = fixture.esp();
    let found = shell("cd $1; find . -type f | LC_ALL=C sort", &[&files]);
    let expected =
        "./EFI/BOOT/BOOTX64.EFI\n./EFI/systemd/systemd-bootx64.efi\n./loader/loader.conf\n";
    assert_eq!(found, expected);
}

#[test]
fn hooks_that_build_no_image_are_refused() {
    let fixture = Fixture::new();
    fs::write(fixture.path("arm"), template(0xaa64)).unwrap();
    let tool = "--uki-hook: cannot build the unified kernel image with";
    let result = "the result of --uki-hook, which is to be a unified kernel image for x86-64, is";
    for (script, code, words) in [
        ("exit 3", INPUT_OUTPUT, &[tool, "exit status: 3"][..]),
        ("kill -9 $$", INPUT_OUTPUT, &[tool, "signal: 9"]),
        (":", INPUT_OUTPUT, &[tool, "it wrote no file"]),
        (": >$1", INPUT_OUTPUT, &[tool, "it wrote an empty file"]),
        ("mkdir $1", INPUT_OUTPUT, &[tool, "it wrote something that is not a regular file"]),
        (
            "ln -s /etc/passwd $1",
            INPUT_OUTPUT,
            &[tool, "it wrote something that is not a regular file"],
        ),
        ("echo text >$1", UNREPRESENTABLE, &[result, "not an EFI program"]),
        (
            "cp $HERE/tree/boot/vmlinuz-6.1 $1",
            UNREPRESENTABLE,
            &[result, "not a unified kernel image"],
        ),
        ("cp $HERE/arm $1", UNREPRESENTABLE, &[result, "for another architecture"]),
    ] {
        let option = hook(&fixture, script);
        check(&mut fixture.command(&["--boot=uki", &option]), code, words);
        assert!(!fixture.image.exists(), "{script}");
    }
    let option = hook(&fixture, &format!("{BUILD}; echo >>$HERE/runs; wc -l <$HERE/runs >>\"$1\""));
    fs::remove_file(fixture.tree.join("boot/initrd.img-6.1")).unwrap();
    let rule = "--uki-hook built two different images, which --strict refuses";
    check(&mut fixture.command(&["--boot=uki", &option, "--strict"]), UNREPRESENTABLE, &[rule]);
    fixture.make(&["--boot=uki", &option]);

    check(&mut fixture.command(&[&option]), USAGE, &["--uki-hook: nothing is added to the boot"]);
    let mut command = mkimage(&fixture.tree, &fixture.image, 0, &["--boot=uki", &option, "-f"]);
    check(&mut command, USAGE, &["--verity"]);
    let nowhere = ["--boot=uki", "--uki-hook=/nowhere"];
    check(&mut fixture.command(&nowhere), INPUT_OUTPUT, &[tool, "cannot start it"]);
}
