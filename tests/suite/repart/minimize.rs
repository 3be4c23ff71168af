//! Partitions that are as small as their content permits, and their hash trees.

use std::fs;
use std::path::Path;

use super::fixture::Fixture;
use super::side::WORKDIR;
use crate::ext4::inspect::superblock_field;
use crate::oracle::{Comparison, Mounted, mount_ext4};
use crate::oracle::{btrfs, e2fsck, fsck_fat, grub_cmp, openssl, shell, squashfs, verity};

const TREE: &str = "mkdir -p usr/lib opt boot/EFI; echo x >usr/lib/file; echo y >opt/file; \
    seq 1000000 >usr/lib/large; seq 450000 >boot/EFI/a; \
    for n in $(seq 400); do echo $n >usr/lib/$n; done; find . -exec touch -d @1700000000 {} +";

/// Returns the size in bytes of a partition with `settings`, or `None` if the run fails.
fn size(fixture: &Fixture, settings: &str) -> Option<u64> {
    fixture.define(&[&format!("10-part Type=linux-generic; AddValidateFS=no; {settings}")]);
    for name in ["image.raw", "image.linux-generic.raw"] {
        let _ = fs::remove_file(fixture.side.path(name));
    }
    let answer = fixture.run(&["--empty=create", "--size=auto", "--split=yes"], &[]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&answer.stdout).ok()?;
    rows[0]["raw_size"].as_u64()
}

#[test]
fn the_best_size_is_the_smallest() {
    let fixture = Fixture::new(TREE);
    for (format, floor) in [("ext4", 32 << 20), ("btrfs", 256 << 20), ("vfat", 0)] {
        let content =
            format!("Format={format}; CopyFiles=/usr:/; CopyFiles=/boot:/; SizeMinBytes=4096");
        let best = size(&fixture, &format!("{content}; Minimize=best")).unwrap();
        let image = fixture.part("linux-generic");
        match format {
            "ext4" => e2fsck(&image).unwrap(),
            "btrfs" => btrfs::btrfs_check(&image).unwrap(),
            _ => fsck_fat(&image).unwrap(),
        }
        if format != "vfat" {
            let large = fixture.side.path("tree/usr/lib/large");
            grub_cmp(&image, "/lib/large", &large).unwrap();
        }
        let guess = size(&fixture, &format!("{content}; Minimize=guess")).unwrap();
        assert!(best > 9_000_000 && guess >= best.max(floor), "{format}: {best} and {guess}");
        // The content fits in exactly this size, and not in a smaller one.
        let fixed = |bytes: u64| format!("{content}; SizeMinBytes={bytes}; SizeMaxBytes={bytes}");
        assert_eq!(size(&fixture, &fixed(best)), Some(best.max(floor)), "{format}");
        if floor == 0 {
            assert_eq!(size(&fixture, &fixed(best - 4096)), None, "{format}");
        }
    }
}

/// More files than a group has inodes at a ratio of one inode for each 16 KiB.
#[test]
fn inodes_are_left_however_the_size_is_asked_for() {
    let fixture = Fixture::new("seq 9000 | xargs touch");
    for settings in ["SizeMinBytes=60M; SizeMaxBytes=60M", "Minimize=guess"] {
        size(&fixture, &format!("Format=ext4; CopyFiles=/:/; {settings}")).unwrap();
        let image = fixture.part("linux-generic");
        e2fsck(&image).unwrap();
        let free: u64 = superblock_field(&image, "Free inodes").parse().unwrap();
        assert!(free >= 900, "{settings}: {free} free inodes");
    }
}

/// An extension with 64 files of about 5 KB, with and without a hash tree.
#[test]
fn a_protected_file_system_has_only_its_content() {
    let fixture = Fixture::new("mkdir -p etc/x; for n in $(seq 64); do seq 1100 >etc/x/$n; done");
    let [content, rest] = ["Format=ext4; CopyFiles=/etc/:/etc/; Minimize=best", "Type=root"];
    let hash = "20-verity Type=root-verity; Verity=hash; VerityMatchKey=r; Minimize=best";
    for (settings, others, is_protected) in
        [("ReadOnly=yes", &[][..], false), ("Verity=data; VerityMatchKey=r", &[hash], true)]
    {
        let first = format!("10-root {rest}; {content}; {settings}");
        fixture.define(&[&[&*first], others].concat());
        let names = ["image.raw", "image.root-x86-64.raw", "image.root-x86-64-verity.raw"];
        for name in names {
            let _ = fs::remove_file(fixture.side.path(name));
        }
        let rows = fixture.make(&["--empty=create", "--size=auto", "--split=yes"], &[]);
        let image = fixture.part("root-x86-64");
        e2fsck(&image).unwrap();
        let same = |root: &Path| {
            let there = fixture.side.path("tree/etc/x");
            let clamped = Comparison::exact().clamped_to(1_750_000_000);
            clamped.compare(&there, &root.join("etc/x")).unwrap();
            root.join("lost+found").exists()
        };
        assert_eq!(mount_ext4(&image, same).unwrap(), !is_protected);
        let features = superblock_field(&image, "Filesystem features");
        for feature in ["has_journal", "resize_inode", "orphan_file"] {
            assert_eq!(features.contains(feature), !is_protected, "{feature}: {features}");
        }
        let size = fs::metadata(&image).unwrap().len();
        if is_protected {
            let root_hash = rows["root-x86-64"]["roothash"].as_str().unwrap();
            verity::verify(&image, &fixture.part("root-x86-64-verity"), root_hash).unwrap();
            assert!(size < 1 << 20, "{size}");
        } else {
            assert!(size > 4 << 20, "{size}");
        }
    }
}

#[test]
fn squashfs_has_the_compression_that_is_asked_for() {
    let fixture = Fixture::new(TREE);
    let variable = "SYSTEMD_REPART_MKFS_OPTIONS_SQUASHFS";
    let content = "10-part Type=linux-generic; Format=squashfs; CopyFiles=/usr; Minimize=best";
    let make = |settings: &str, env: &[(&str, &str)]| {
        fixture.define(&[&format!("{content}{settings}")]);
        for name in ["image.raw", "image.linux-generic.raw"] {
            let _ = fs::remove_file(fixture.side.path(name));
        }
        fixture.run(&["--empty=create", "--size=auto", "--split=yes"], env)
    };
    for (settings, env, expected) in [
        ("", "", &["Compression gzip\nBlock size 131072\n"][..]),
        ("; Compression=zstd", "", &["Compression zstd\nBlock size"]),
        ("; Compression=zstd; CompressionLevel=4", "", &["\tcompression-level 4\n"]),
        ("", "-comp zstd -Xcompression-level 5 -b 64K", &["level 5\nBlock size 65536\n"]),
        ("; Compression=gzip", "-comp zstd -b 64K", &["Compression gzip\nBlock size 65536\n"]),
        ("", "-no-fragments", &["Number of fragments 0\n"]),
    ] {
        let answer = make(settings, &[(variable, env)]);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let said = squashfs::stat(&fixture.part("linux-generic"));
        for expected in expected {
            assert!(said.contains(expected), "{settings}, {env}: {expected:?} is not in {said}");
        }
    }
    let answer = make("", &[(variable, "-all-root")]);
    assert_eq!(answer.code, Some(1));
    let expected = format!("{variable}: \"-all-root\" is not supported; use -comp, ");
    assert!(answer.stderr.contains(&expected), "{}", answer.stderr);
    assert!(!fixture.side.path("image.raw").exists());
}

#[test]
fn extensions_are_made_and_signed() {
    let fixture = Fixture::new(TREE);
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=test \
        -keyout $1/key -out $1/certificate 2>/dev/null";
    shell(script, &[&fixture.side.directory]);
    let [key, certificate] = ["private-key", "certificate"]
        .map(|name| format!("--{name}={WORKDIR}/{}", name.trim_start_matches("private-")));
    // Extensions are erofs by default.
    for (kind, format) in [
        ("sysext", "erofs"),
        ("confext", "erofs"),
        ("portable", "erofs"),
        ("sysext", "ext4"),
        ("confext", "squashfs"),
        ("portable", "squashfs"),
    ] {
        for name in fs::read_dir(&fixture.side.directory).unwrap() {
            let path = name.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "raw") {
                fs::remove_file(path).unwrap();
            }
        }
        let args = [
            &*format!("--make-ddi={kind}"),
            &format!("--copy-source={WORKDIR}/tree"),
            "--split=yes",
            &key,
            &certificate,
        ];
        let of_format = [("SYSTEMD_REPART_OVERRIDE_FSTYPE", format)];
        let rows = fixture.make(&args, if format == "erofs" { &[] } else { &of_format });
        let [data, hash, signature] =
            ["root-x86-64", "root-x86-64-verity", "root-x86-64-verity-sig"]
                .map(|name| (&rows[name], fixture.part(name)));
        let root_hash = data.0["roothash"].as_str().unwrap();
        assert!(hash.0["roothash"] == *root_hash && signature.0["roothash"] == *root_hash);
        verity::verify(&data.1, &hash.1, root_hash).unwrap();
        let file = if kind == "confext" { "etc/os-release" } else { "usr/lib/large" };
        let source = fs::read(fixture.side.path(&format!("tree/{file}"))).unwrap();
        let mounted = Mounted::new(format, "ro", Some(&data.1)).unwrap();
        assert!(fs::read(mounted.path().join(file)).unwrap() == source, "{kind}, {format}");
        drop(mounted);

        let text = fs::read_to_string(&signature.1).unwrap();
        let signed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(signed["rootHash"], root_hash);
        let path = |name: &str| fixture.side.path(name);
        fs::write(path("base64"), signed["signature"].as_str().unwrap()).unwrap();
        shell("openssl base64 -d -A -in $1 -out $2", &[&path("base64"), &path("der")]);
        fs::write(path("content"), root_hash).unwrap();
        openssl::verify(&path("der"), &path("content"), &path("certificate")).unwrap();
    }
}

/// The image is the same, whatever the number of processors, the place of the tree and that of the
/// image.
#[test]
fn images_do_not_depend_on_where_they_are_made() {
    let image = |at: &str| {
        let fixture = Fixture::new(TREE);
        fixture.define(&[
            "10-root Type=root; CopyFiles=/; Minimize=guess; Verity=data; VerityMatchKey=r",
            "20-hash Type=root-verity; Verity=hash; VerityMatchKey=r; Minimize=best",
            "30-home Type=home; Format=btrfs; CopyFiles=/usr:/; Minimize=best; Compression=zstd",
            "40-esp Type=esp; Format=vfat; CopyFiles=/boot:/; SizeMinBytes=40M",
            "50-swap Type=swap; SizeMaxBytes=1M",
        ]);
        fs::create_dir(fixture.side.path(at)).unwrap();
        let path = format!("{WORKDIR}/{at}/image.raw");
        fixture.make(&["--empty=create", "--size=auto", "--seed=random", &path], &[]);
        fs::read(fixture.side.path(&format!("{at}/image.raw"))).unwrap()
    };
    assert!(image("a") == image("another"), "two images of one tree differ");
}
