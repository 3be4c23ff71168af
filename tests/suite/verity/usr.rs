//! Disks whose `/usr` has a partition of its own, which is protected.

use std::fs;

use serde_json::{Value, json};

use super::disk::Fixture;
use crate::bad_input::{UNREPRESENTABLE, USAGE, check};
use crate::detfs::mkimage;
use crate::oracle::{
    self, Comparison, Partition, erofs, partitions, sha256, shell, squashfs, verity,
};

const EPOCH: i64 = 1_700_000_000;

/// Types of the Discoverable Partitions Specification: `/usr` of x86-64, its hash tree, the
/// signature, and the root.
const TYPES: [&str; 4] = [
    "8484680c-9521-48c6-9c11-b0720656f69e",
    "77ff5f63-e7b6-4633-acf4-1565b864c0e6",
    "e7bb33fb-06cf-4e81-8273-e543b413e2e2",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
];

/// Checks the hash tree, and returns the partitions besides the ESP.
fn verified(fixture: &Fixture, manifest: &Value) -> Vec<Partition> {
    oracle::gpt(&fixture.image, 512).unwrap();
    assert_eq!(manifest["verity"]["file_system"], "usr");
    let root_hash = manifest["verity"]["root_hash"].as_str().unwrap();
    let found: Vec<_> = partitions(&fixture.image, 512).unwrap();
    let found: Vec<_> = found.into_iter().filter(|part| !part.is_esp()).collect();
    let [usr, hash, ..] = &*found else { panic!("{found:?}") };
    assert_eq!([&*usr.kind, &*hash.kind], TYPES[..2]);
    assert_eq!([&*usr.name, &*hash.name], ["usr-x86-64", "usr-x86-64-verity"]);
    assert_eq!([&*usr.attributes, &*hash.attributes], ["GUID:60"; 2]);
    assert_eq!(format!("{}{}", usr.uuid, hash.uuid).replace('-', ""), root_hash);
    let (usr, hash) = (fixture.part(usr, "usr"), fixture.part(hash, "hash"));
    verity::verify(&usr, &hash, root_hash).unwrap();
    oracle::flip(&usr, 2000);
    verity::verify(&usr, &hash, root_hash).unwrap_err();
    oracle::flip(&usr, 2000);
    let root = found.last().unwrap();
    assert_eq!((&*root.kind, &*root.attributes), (TYPES[3], "GUID:59"));
    fixture.part(root, "root");
    found
}

#[test]
fn usr_is_protected_and_the_root_is_not() {
    let fixture = Fixture::new();
    shell("mkdir $1/var; ln $1/usr/text $1/var/text", &[&fixture.tree]);
    let options = ["--usr-fs=erofs", "--erofs-profile=linux-6.1", "--compress=lz4"];
    let (manifest, stderr) = fixture.make(&options);
    let copied = "warning: usr/text: it has names in /usr and elsewhere, so each of the two file \
        systems gets a copy\n";
    assert!(stderr.starts_with(copied), "{stderr}");
    assert_eq!(manifest["parameters"]["usr"]["compress"], "lz4");
    assert_eq!(manifest["parameters"]["ext4_profile"], "default");
    assert_eq!(manifest["components"]["erofs"], "1");
    verified(&fixture, &manifest);

    // Without the second name, both are exactly what the tree has there.
    fs::remove_file(fixture.tree.join("var/text")).unwrap();
    shell("touch -h -d @1600000000 $1/var $1", &[&fixture.tree]);
    let (manifest, _) = fixture.make(&options);
    let found = verified(&fixture, &manifest);
    let (usr, root) = (fixture.path("usr"), fixture.path("root"));
    let exact = Comparison::exact().clamped_to(EPOCH);
    erofs::check_image(&usr, &fixture.tree.join("usr"), &exact).unwrap();
    oracle::ext4(&root, &fixture.tree, &exact.hollow("usr").without("lost+found")).unwrap();

    // The root takes the rest of a disk, and the hash does not depend on it or on threads.
    let (grown, _) = fixture.make(&[&options[..], &["--size=64M", "-j1"]].concat());
    assert_eq!(grown["verity"], manifest["verity"]);
    let grown = verified(&fixture, &grown);
    assert_eq!(grown[0].len, found[0].len);
    assert!(grown[2].len > 50 << 20, "{grown:?}");
}

#[test]
fn other_formats_protect_it_too() {
    let fixture = Fixture::new();
    let (manifest, _) = fixture.make(&["--usr-fs=squashfs", "--fs=btrfs", "--compress=zstd"]);
    verified(&fixture, &manifest);
    let exact = Comparison::exact().clamped_to(EPOCH);
    squashfs::check_image(&fixture.path("usr"), &fixture.tree.join("usr"), &exact).unwrap();
    oracle::btrfs::btrfs_check(&fixture.path("root")).unwrap();

    // A pattern applies to both file systems, and is reported if it matches in neither.
    let options = ["--usr-fs=erofs", "--fs=btrfs", "--compress=zstd", "--no-compress=/usr/text"];
    let (manifest, stderr) = fixture.make(&options);
    assert!(!stderr.contains("--no-compress"), "{stderr}");
    // The text, which is not compressed, has more than 1 MiB.
    assert_eq!(verified(&fixture, &manifest)[0].len, 2 << 20);
    let (_, stderr) = fixture.make(&[&options[..3], &["--no-compress=/nowhere"]].concat());
    assert!(stderr.contains("--no-compress: \"/nowhere\" matches no path"), "{stderr}");
}

#[test]
fn its_root_hash_is_signed() {
    let fixture = Fixture::new();
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=test \
        -keyout $1.key -out $1.certificate 2>/dev/null";
    let base = fixture.path("pair");
    shell(script, &[&base]);
    let base = base.to_str().unwrap();
    let (key, certificate) = (format!("{base}.key"), format!("{base}.certificate"));
    let options = [format!("--private-key={key}"), format!("--certificate={certificate}")];
    let (manifest, _) = fixture.make(&["--usr-fs=erofs", &options[0], &options[1]]);
    assert_eq!(manifest["verity"]["signed"], true);
    let found = verified(&fixture, &manifest);
    assert_eq!((&*found[2].kind, &*found[2].name), (TYPES[2], "usr-x86-64-verity-sig"));
    let bytes = fs::read(fixture.part(&found[2], "signature")).unwrap();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap();
    let signed: Value = serde_json::from_slice(&bytes[..end]).unwrap();
    assert_eq!(signed["rootHash"], manifest["verity"]["root_hash"]);
}

#[test]
fn entries_and_hooks_have_its_root_hash() {
    let fixture = Fixture::new();
    let options = ["--usr-fs=erofs", "--boot=systemd-boot", "--cmdline=quiet"];
    let (manifest, stderr) = fixture.make(&[&options[..], &["--require-bootable"]].concat());
    assert_eq!(stderr, "");
    assert_eq!(manifest["boot"], json!({"boots": true, "uefi": "x86-64"}));
    let root = verified(&fixture, &manifest).pop().unwrap();
    let entry = fs::read_to_string(fixture.esp().join("loader/entries/arch-6.1.conf")).unwrap();
    let root_hash = manifest["verity"]["root_hash"].as_str().unwrap();
    let line = format!("options    root=PARTUUID={} rw usrhash={root_hash} quiet", root.uuid);
    assert!(entry.lines().any(|other| other == line), "{entry}");

    let script = "sed \"s/@\\{64\\}/$DETFS_USR_HASH$DETFS_ROOT_HASH/\" $HERE/template >\"$1\"";
    let option = super::uki_hook::hook(&fixture, script);
    let (_, stderr) = fixture.make(&["--usr-fs=erofs", "--boot=uki", &option]);
    // The command line of the template is for a root.
    let problem = "its command line has no usrhash=, so nothing would verify /usr";
    assert!(stderr.contains(problem), "{stderr}");
}

#[test]
fn requests_that_contradict_it_are_refused() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.tree.join("usr/swap")).unwrap();
    for (options, part) in [
        (&["--usr-fs=ext4"][..], "'ext4' for '--usr-fs <FORMAT>'"),
        (&["--usr-fs=erofs", "--squashfs-block-size=4K"], "only valid for squashfs"),
        (&["--usr-fs=erofs", "--compress=xz"], "--compress: "),
        (
            &["--usr-fs=erofs", "--swapfile=/usr/swap/file:1M"],
            "--swapfile: another partition is mounted on usr",
        ),
        (
            &["--usr-fs=erofs", "--boot=systemd-boot", "--cmdline=mount.usr=/dev/sda2"],
            "--cmdline: mount.usr=/dev/sda2 contradicts the root hash",
        ),
    ] {
        check(&mut fixture.command(options), USAGE, &[part]);
    }
    let mut command = mkimage(&fixture.tree, &fixture.image, EPOCH, &["--usr-fs=erofs"]);
    check(&mut command, USAGE, &["--verity"]);
    let hash = sha256(&fixture.tree.join("usr/text"));
    shell("mv $1/usr $1/moved; ln -s moved $1/usr", &[&fixture.tree]);
    assert_eq!(sha256(&fixture.tree.join("usr/text")), hash);
    let command = &mut fixture.command(&["--usr-fs=erofs"]);
    check(command, UNREPRESENTABLE, &["usr: the tree has no files there", "leave out --usr-fs"]);
}
