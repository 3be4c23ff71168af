//! `detfs repart` of a program that was built for another architecture.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::detfs::{SEED, detfs, native, succeed};
use crate::oracle::{sha256, shell};
use crate::tree::{Stress, add_efi, make, stress};

const DEFINITIONS: [(&str, &str); 7] = [
    ("00-esp", "Type=esp; Format=vfat; CopyFiles=/efi:/; SizeMinBytes=40M; SizeMaxBytes=40M"),
    (
        "10-usr",
        "Type=usr; Format=ext4; CopyFiles=/:/; ExcludeFiles=/efi; Minimize=best; Verity=data; \
         VerityMatchKey=usr",
    ),
    ("11-hash", "Type=usr-verity; Verity=hash; VerityMatchKey=usr; Minimize=best"),
    ("12-signature", "Type=usr-verity-sig; Verity=signature; VerityMatchKey=usr"),
    (
        "20-root",
        "Type=root; Format=btrfs; Compression=zstd; CopyFiles=/:/; Subvolumes=/nested; \
         MountPoint=/; Minimize=guess",
    ),
    ("30-swap", "Type=swap; Format=swap; SizeMinBytes=16M; SizeMaxBytes=16M"),
    ("40-rest", "Type=linux-generic; Label=rest"),
];

/// `Type=root` and `Type=usr` depend on the machine unless `--architecture` is set.
#[test]
#[ignore = "deep: there is no other program unless tests/deep/architectures builds one"]
fn deep_same_disk_from_another_program() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    for name in ["tree", "repart.d"] {
        fs::create_dir(path(name)).unwrap();
    }
    make(&path("tree"), &stress(Stress { seed: 12, entries: 300, readable: false }), 0);
    add_efi(&path("tree"));
    let keys = "openssl req -x509 -newkey rsa:2048 -nodes -days 36500 -subj /CN=test \
        -keyout $1/key -out $1/certificate 2>/dev/null";
    shell(keys, &[scratch.path()]);
    for (name, text) in DEFINITIONS {
        let text = format!("[Partition]\n{}\n", text.replace("; ", "\n"));
        fs::write(path("repart.d").join(name).with_extension("conf"), text).unwrap();
    }
    for architecture in ["x86-64", "arm64", "s390x", "x86"] {
        let mut command = repart(scratch.path(), architecture);
        let expected = outcome(&mut native(&command), &path("out"));
        assert_eq!(expected.1.len(), 1 + DEFINITIONS.len(), "{:?}", expected.1);
        assert_eq!(outcome(&mut command, &path("out")), expected, "{architecture}");
    }
}

fn repart(scratch: &Path, architecture: &str) -> Command {
    let mut command = detfs(["repart", "--empty=create", "--size=auto", "--split=yes"]);
    command
        .args(["--offline=yes", "--json=pretty", "--seed", SEED, "--architecture", architecture])
        .env("SOURCE_DATE_EPOCH", "1750000000");
    for (option, name) in [
        ("--root=", "tree"),
        ("--definitions=", "repart.d"),
        ("--private-key=", "key"),
        ("--certificate=", "certificate"),
        ("", "out/image.raw"),
    ] {
        command.arg(format!("{option}{}", scratch.join(name).display()));
    }
    command
}

/// Returns the JSON output of the command, and the hashes of the files that it writes to `out`.
fn outcome(command: &mut Command, out: &Path) -> (String, BTreeMap<OsString, String>) {
    fs::create_dir(out).unwrap();
    let said = succeed(command).stdout;
    let entries = fs::read_dir(out).unwrap().map(|entry| entry.unwrap());
    let hashes = entries.map(|entry| (entry.file_name(), sha256(&entry.path()))).collect();
    fs::remove_dir_all(out).unwrap();
    (String::from_utf8(said).unwrap(), hashes)
}
