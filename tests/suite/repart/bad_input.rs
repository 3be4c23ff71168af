//! Invalid input is refused as systemd-repart refuses it: with the same exit codes, a one-line
//! error that names the problem, its cause and a remedy, and without changes to existing files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::fixture::Fixture;
use super::side::WORKDIR;
use crate::oracle::{run, shell};

const TREE: &str = "mkdir -p usr dir; echo x >usr/file; head -c 8192 /dev/zero >blocks; : >empty; \
    head -c 1000 /dev/zero >odd; mkfifo fifo";

/// Returns the names and the content of all files in a directory.
fn files(at: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(at).unwrap().map(|entry| entry.unwrap());
    let entries = entries.filter(|entry| entry.file_type().unwrap().is_file());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Returns whether sgdisk finds both partition tables valid.
fn is_whole(image: &Path) -> bool {
    let said = run("sgdisk", ["--verify".as_ref(), image.as_os_str()]);
    let text = said.all();
    said.ok && text.contains("No problems found") && !text.contains("invalid")
}

/// Runs a command that must be refused without any output, and without writing, removing or
/// changing files. All `words` must be in the last line of the error message.
#[track_caller]
fn refused(fixture: &Fixture, args: &[&str], code: i32, words: &[&str]) {
    let before = files(&fixture.side.directory);
    let answer = fixture.run(args, &[]);
    let said = answer.stderr.trim_end();
    assert_eq!(answer.code, Some(code), "{args:?}: {said}");
    assert_eq!(answer.stdout, "", "{args:?}");
    let line = said.lines().last().unwrap_or_default();
    for word in words {
        assert!(line.contains(word), "{args:?}: no {word:?} in: {said}");
    }
    assert!(code != 1 || line.contains("; "), "no remedy: {line}");
    let after = files(&fixture.side.directory);
    assert!(before == after, "{args:?}: {:?} became {:?}", before.keys(), after.keys());
}

const CREATE: [&str; 3] = ["--empty=create", "--size=auto", "--split=yes"];

#[test]
fn definitions_that_are_wrong() {
    let fixture = Fixture::new(TREE);
    for (settings, words) in [
        ("Label=x", &["10-part.conf: Type= is missing", "give the type of the partition"][..]),
        ("Type=nonsense", &["10-part.conf:2: unknown partition type \"nonsense\""]),
        ("Type=srv; Format=empty; CopyFiles=/usr", &["10-part.conf:4: ", "kept empty"]),
        ("Type=srv; CopyFiles=/a:/b::c", &["10-part.conf:3: CopyFiles=", "three parts"]),
        ("Type=srv; FileSystemSectorSize=1000", &["10-part.conf:3: FileSystemSectorSize=1000"]),
        ("Type=srv; SupplementFor=x; CopyBlocks=/blocks", &["a supplement has no CopyBlocks="]),
        ("Type=srv; SizeMinBytes=1KB", &["10-part.conf:3: SizeMinBytes=1KB", "K, M, G or T"]),
        ("Type=srv; PaddingMaxBytes=-1", &["10-part.conf:3: PaddingMaxBytes=-1"]),
        (
            "Type=srv; SizeMinBytes=2M; SizeMaxBytes=1M",
            &["10-part.conf:3: SizeMinBytes= is larger than SizeMaxBytes="],
        ),
        ("Type=srv; PaddingMinBytes=2M; PaddingMaxBytes=1M", &["PaddingMinBytes= is larger than"]),
        ("Type=srv; CopyBlocks=/blocks; Format=ext4", &["CopyBlocks= conflicts with"]),
        ("Type=srv; CopyBlocks=/blocks; CopyFiles=/usr", &["CopyBlocks= conflicts with"]),
        ("Type=srv; CopyBlocks=/none", &["10-part.conf:3: CopyBlocks=/none: cannot open: No such"]),
        (
            "Type=srv; Format=ext4; CopyFiles=/usr/file:/a; MakeSymlinks=/a/b:/c",
            &["10-part.conf:5: MakeSymlinks=/a/b: no such directory"],
        ),
        (
            "Type=srv; Format=ext4; CopyFiles=/usr/file:/a; MakeDirectories=/a/b",
            &["10-part.conf:5: MakeDirectories=: /a/b: a component of the path is not a directory"],
        ),
        (
            "Type=srv; Format=ext4; CopyFiles=/usr/file:/a; CopyFiles=/usr:/a",
            &["10-part.conf:5: CopyFiles=: /a: a component of the path is not a directory"],
        ),
        ("Type=swap; CopyFiles=/usr", &["10-part.conf:3: ", "swap"]),
        ("Type=srv; Verity=data", &["10-part.conf:3: ", "VerityMatchKey="]),
        ("Type=srv; Verity=data; VerityMatchKey=x; CopyBlocks=/blocks", &["Verity=hash", "x"]),
        ("Type=srv; Minimize=best", &["10-part.conf:3: ", "Minimize="]),
        ("Type=srv; Format=btrfs; Subvolumes=/a; DefaultSubvolume=/b", &["DefaultSubvolume="]),
        ("Type=srv; SupplementFor=nothing", &["SupplementFor=nothing", "no such definition"]),
        ("Type=srv; SupplementFor=10-part", &["SupplementFor=10-part", "itself"]),
        (
            "Type=srv; Format=f2fs; CopyFiles=/usr",
            &["10-part.conf:3: Format=f2fs is not supported", "use ext4"],
        ),
        ("Type=srv; Format=erofs", &["10-part.conf:3: a read-only file system needs content"]),
        ("Type=srv; Format=squashfs", &["10-part.conf:3: a read-only file system needs content"]),
        (
            "Type=srv; Format=squashfs; CopyFiles=/usr; Compression=lzo",
            &["10-part.conf:5: Compression=: unknown compression `lzo`", "gzip, zstd"],
        ),
        (
            "Type=srv; Format=btrfs; CopyFiles=/usr; Compression=zstd; CompressionLevel=99",
            &["10-part.conf:6: CompressionLevel=: zstd has no level 99", "1 to 15"],
        ),
        ("Type=srv; Format=xfs", &["SYSTEMD_REPART_OVERRIDE_FSTYPE_SRV=ext4 in the environment"]),
        ("Type=root; Format=xfs", &["SYSTEMD_REPART_OVERRIDE_FSTYPE_ROOT=ext4"]),
        ("Type=linux-generic; Format=xfs", &["SYSTEMD_REPART_OVERRIDE_FSTYPE=ext4"]),
        (
            "Type=srv; Format=ext4; Encrypt=key-file",
            &["Encrypt=key-file is not supported", "first boot"],
        ),
        ("Type=srv; Format=ext4; MakeSymlinks=/a:", &["10-part.conf:4: MakeSymlinks=/a:", "empty"]),
        (
            "Type=srv; Format=ext4; Integrity=inline",
            &["10-part.conf:4: Integrity= needs a running system"],
        ),
        ("Type=root-verity-sig; Verity=signature; VerityMatchKey=x; SizeMinBytes=1M", &["Size"]),
    ] {
        fixture.define(&[&format!("10-part {settings}")]);
        refused(&fixture, &CREATE, 1, words);
    }
    let verity = |second: &str| {
        fixture.define(&[
            "10-data Type=usr; Verity=data; VerityMatchKey=x; CopyBlocks=/blocks",
            &format!("20-hash Type=usr-verity; Verity=hash; VerityMatchKey=x; {second}"),
            "30-more Type=usr-verity; Verity=hash; VerityMatchKey=y",
        ]);
    };
    verity("Minimize=best");
    refused(&fixture, &CREATE, 1, &["30-more.conf:4: ", "Verity=data", "VerityMatchKey=y"]);
    verity("Priority=3");
    let only = ["--empty=create", "--size=auto", "--include-partitions=usr,usr-verity-sig"];
    refused(&fixture, &only, 1, &["10-data.conf:4: ", "Verity=hash", "VerityMatchKey=x"]);
}

#[test]
fn sources_that_are_wrong() {
    let fixture = Fixture::new(TREE);
    for (settings, words) in [
        ("CopyBlocks=/nothing", &["nothing", "cannot open"][..]),
        ("CopyBlocks=/dir", &["is not a regular file"]),
        ("CopyFiles=/usr/file/x", &["usr/file/x: cannot find it: Not a directory"]),
        ("CopyFiles=/usr; ExcludeFiles=/usr/file/x/y", &["usr/file/x"]),
        ("CopyBlocks=/empty", &["has 0 bytes", "512"]),
        ("CopyBlocks=/odd", &["has 1000 bytes", "512"]),
        ("CopyBlocks=/fifo", &["is not a regular file"]),
        ("CopyFiles=/usr/file:/x; CopyFiles=/usr/file:/x", &["copies two files to /x"]),
        ("CopyFiles=/usr/file:/", &["usr/file", "this is not a tar archive"]),
        ("CopyFiles=/dir:/x; CopyFiles=/usr/file:/x", &["copies two files to /x"]),
        ("CopyFiles=/dir:/x/y; CopyFiles=/usr/file:/x/y/z; CopyFiles=/dir:/x/y/z", &["/z"]),
        ("MakeSymlinks=/a/b:c", &["MakeSymlinks=/a/b: no such directory"]),
        ("MakeDirectories=/a; MakeSymlinks=/a:c", &["MakeSymlinks=/a: the path already exists"]),
    ] {
        fixture.define(&[&format!("10-part Type=srv; {settings}")]);
        refused(&fixture, &CREATE, 1, words);
    }
    fixture.define(&["10-part Type=srv; CopyFiles=/nothing:/x; SizeMinBytes=1M"]);
    let answer = fixture.run(&CREATE, &[]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert!(answer.stderr.contains("nothing: nothing to copy"), "{}", answer.stderr);
}

#[test]
fn an_image_does_not_hold_itself() {
    let fixture = Fixture::new("mkdir -p usr/images; echo x >usr/file; ln -s usr/images link");
    let image = |at: &str| format!("{WORKDIR}/tree/{at}");
    let rule = "the image is inside the source of CopyFiles=/usr";
    for at in ["usr/new.raw", "usr/images/new.raw", "link/new.raw"] {
        fixture.define(&["10-part Type=srv; CopyFiles=/usr"]);
        refused(&fixture, &[CREATE[0], CREATE[1], &image(at)], 1, &["10-part.conf:3: ", rule]);
    }
    fixture.define(&["10-part Type=srv; CopyFiles=/usr/images/disk.raw:/file"]);
    shell("truncate -s 64M $1", &[&fixture.side.path("tree/usr/images/disk.raw")]);
    let there = ["--dry-run=no", "--empty=force", &image("link/disk.raw")];
    refused(&fixture, &there, 1, &["10-part.conf:3: ", "CopyFiles=/usr/images/disk.raw"]);
    for settings in ["CopyFiles=/usr; ExcludeFiles=/usr/images/", "CopyFiles=/usr/file:/file"] {
        fixture.define(&[&format!("10-part Type=srv; {settings}")]);
        fixture.make(&there, &[]);
    }
}

#[test]
fn images_that_are_wrong() {
    let fixture = Fixture::new(TREE);
    let path = fixture.side.path("image.raw");
    let make = |script: &str| {
        let _ = fs::remove_file(&path);
        shell(script, &[&path]);
    };
    fixture.define(&["10-part Type=srv; SizeMinBytes=4M"]);
    let wet = |empty: &'static str| ["--dry-run=no", empty];
    make("truncate -s 16M $1");
    refused(&fixture, &wet("--empty=refuse"), 77, &["image.raw: it has no partition table"]);
    refused(
        &fixture,
        &["--dry-run=no", "--size=64M"],
        77,
        &["image.raw: it has no partition table"],
    );
    make("truncate -s 16M $1; echo 'label: dos' | sfdisk -q $1");
    refused(&fixture, &wet("--empty=allow"), 77, &["another kind", "--empty=force"]);
    refused(&fixture, &wet("--empty=require"), 77, &["--empty=force"]);
    make("truncate -s 16M $1; echo 'label: gpt' | sfdisk -q $1");
    refused(&fixture, &wet("--empty=require"), 77, &["--empty=force"]);
    refused(&fixture, &["--empty=create", "--size=auto"], 1, &["image.raw exists"]);
    let from = format!("--copy-from={WORKDIR}/image.raw");
    refused(&fixture, &[&from, "--empty=force", "--dry-run=no"], 1, &["is the output image"]);
    make("truncate -s 2M $1");
    refused(&fixture, &wet("--empty=allow"), 1, &["10-part.conf", "4 MiB", "use at least 5140K"]);
    make("truncate -s 16K $1");
    refused(&fixture, &wet("--empty=allow"), 1, &[]);
    make("mkdir $1");
    let answer = fixture.run(&wet("--empty=allow"), &[]);
    assert_eq!(answer.code, Some(1), "{}", answer.stderr);
    fs::remove_dir(&path).unwrap();
    refused(&fixture, &wet("--empty=allow"), 1, &["image.raw", "cannot open"]);
    refused(&fixture, &["--empty=create"], 1, &["has no size", "--size="]);
}

#[test]
fn tables_that_are_damaged() {
    let fixture = Fixture::new(TREE);
    let path = fixture.side.path("image.raw");
    let len = 16 << 20;
    let build = || {
        let _ = fs::remove_file(&path);
        fixture.define(&["10-part Type=srv; SizeMinBytes=1M; SizeMaxBytes=1M"]);
        fixture.make(&["--empty=create", "--size=16M"], &[]);
        fixture.define(&[
            "10-part Type=srv; SizeMinBytes=1M; SizeMaxBytes=1M",
            "20-part Type=home; SizeMinBytes=2M",
        ]);
    };
    let damage = |offsets: &[u64]| {
        let file = fs::File::options().write(true).open(&path).unwrap();
        offsets.iter().for_each(|&at| file.write_all_at(b"damage", at).unwrap());
    };
    let (primary, backup) = (512, len - 512);
    for (offsets, word) in [
        (&[primary][..], "the GPT at the start is damaged"),
        (&[primary + 40], "the GPT at the start is damaged"),
        (&[1024 + 16], "the GPT at the start is damaged"),
        (&[backup], "the GPT at the end is damaged"),
        (&[backup - 16384 + 16], "the GPT at the end is damaged"),
    ] {
        build();
        damage(offsets);
        assert!(!is_whole(&path), "{offsets:?} does no damage");
        let answer = fixture.run(&["--dry-run=no"], &[]);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        assert!(answer.stderr.contains(word), "{offsets:?}: {}", answer.stderr);
        // Both tables are valid again, with the old and the new partitions.
        assert!(is_whole(&path), "{offsets:?}");
        assert_eq!(answer.stdout.matches("\"type\"").count(), 2);
    }
    build();
    damage(&[primary, backup]);
    refused(&fixture, &["--dry-run=no"], 77, &["neither a table nor a backup", "--empty=force"]);
    build();
    damage(&[primary + 16, backup + 16]);
    refused(&fixture, &["--dry-run=no"], 77, &["checksum", "image.raw"]);

    // Two partitions overlap, and the checksums are right.
    let _ = fs::remove_file(&path);
    let script = "truncate -s 16M $1; \
        printf 'label: gpt\\nstart=2048,size=4096\\nstart=8192,size=2048\\n' | sfdisk -q $1";
    shell(script, &[&path]);
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    for (header, entries) in [(primary, 1024), (backup, backup - 16384)] {
        file.write_all_at(&3000_u64.to_le_bytes(), entries + 128 + 32).unwrap();
        let mut bytes = vec![0; 16384];
        file.read_exact_at(&mut bytes, entries).unwrap();
        let mut head = [0; 92];
        file.read_exact_at(&mut head, header).unwrap();
        head[88..].copy_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        head[16..20].fill(0);
        let checksum = crc32fast::hash(&head).to_le_bytes();
        head[16..20].copy_from_slice(&checksum);
        file.write_all_at(&head, header).unwrap();
    }
    refused(&fixture, &["--dry-run=no"], 1, &["overlap"]);
}

#[test]
fn sizes_that_do_not_fit() {
    let fixture = Fixture::new(&format!("{TREE}; head -c 4000000 /dev/urandom >usr/large"));
    fixture.define(&["10-part Type=srv; SizeMinBytes=10M", "20-part Type=home; SizeMinBytes=30M"]);
    let words = ["20-part.conf", "30 MiB", "use at least 42004K"];
    refused(&fixture, &["--empty=create", "--size=20M"], 1, &words);
    let content = "10-part Type=srv; Format=vfat; CopyFiles=/usr; SizeMinBytes=1M; SizeMaxBytes=1M";
    fixture.define(&[content]);
    let too_small = "FAT: 1 MiB is too small (the tree takes ";
    let words = [too_small, "use SizeMinBytes=", "and SizeMaxBytes= of no less"];
    refused(&fixture, &CREATE, 1, &[&["10-part.conf:6: "], &words[..]].concat());
    // The line is that of the drop-in that has the last word.
    fixture.side.write("repart.d/10-part.conf.d/size.conf", "[Partition]\n\nSizeMaxBytes=1M\n");
    refused(&fixture, &CREATE, 1, &[&["10-part.conf.d/size.conf:3: "], &words[..]].concat());
    fs::remove_dir_all(fixture.side.path("repart.d/10-part.conf.d")).unwrap();
    fixture.define(&[
        "10-part Type=usr; Verity=data; VerityMatchKey=x; CopyBlocks=/usr/large; SizeMinBytes=8M",
        "20-part Type=usr-verity; Verity=hash; VerityMatchKey=x; SizeMaxBytes=8K",
    ]);
    shell("truncate -s 4M $1", &[&fixture.side.path("tree/usr/large")]);
    refused(
        &fixture,
        &CREATE,
        1,
        &["20-part.conf:5: hash tree: 4 KiB is too small", "SizeMinBytes="],
    );
}

#[test]
fn files_and_keys_that_are_wrong() {
    let fixture = Fixture::new(TREE);
    fixture.define(&[
        "10-part Type=srv; SizeMinBytes=1M; SplitName=one",
        "20-part Type=home; SizeMinBytes=1M; SplitName=one",
    ]);
    refused(&fixture, &CREATE, 1, &["two partitions would be written to", "image.one.raw"]);
    fixture.define(&["10-part Type=srv; SizeMinBytes=1M"]);
    fixture.side.write("image.srv.raw", "mine");
    refused(&fixture, &CREATE, 1, &["image.srv.raw exists", "remove it"]);
    fs::remove_file(fixture.side.path("image.srv.raw")).unwrap();

    let script = "cd $1; for n in 1 2; do openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test \
        -keyout key$n -out certificate$n 2>/dev/null; done; echo nonsense >nonsense";
    shell(script, &[&fixture.side.directory]);
    fixture.define(&[
        "10-data Type=usr; Verity=data; VerityMatchKey=x; CopyBlocks=/blocks",
        "20-hash Type=usr-verity; Verity=hash; VerityMatchKey=x; Minimize=best",
        "30-sig Type=usr-verity-sig; Verity=signature; VerityMatchKey=x",
    ]);
    let create = ["--empty=create", "--size=auto"];
    refused(&fixture, &create, 1, &["30-sig.conf", "no key to sign", "--private-key="]);
    for (key, certificate, word) in [
        ("key1", "certificate2", "key does not match the certificate"),
        ("nothing", "certificate1", "cannot read"),
        ("nonsense", "certificate1", "--private-key"),
        ("key1", "nonsense", "--certificate"),
    ] {
        let key = format!("--private-key={WORKDIR}/{key}");
        let certificate = format!("--certificate={WORKDIR}/{certificate}");
        refused(&fixture, &[create[0], create[1], &key, &certificate], 1, &[word]);
    }
    let certificate = format!("--certificate={WORKDIR}/certificate1");
    for joined in ["nonsense", "00:x", &format!("{}:{WORKDIR}/nonsense", "00".repeat(32))] {
        let joined = format!("--join-signature={joined}");
        refused(&fixture, &[create[0], create[1], &certificate, &joined], 1, &["--join-signature"]);
    }
}

#[test]
fn arguments_that_are_wrong() {
    let fixture = Fixture::new(TREE);
    fixture.define(&["10-part Type=srv; SizeMinBytes=1M"]);
    for (args, words) in [
        (&["--nonsense"][..], &["--nonsense"][..]),
        (&["--empty=maybe"], &["--empty", "maybe"]),
        (&["--size=much"], &["--size", "much"]),
        (&["--seed=1234"], &["--seed", "1234"]),
        (&["--sector-size=1000"], &["1000"]),
        (&["--grain-size=1000"], &["--grain-size", "1000"]),
        (&["--architecture=z80"], &["--architecture", "z80"]),
        (&["--dry-run=perhaps"], &["--dry-run", "perhaps"]),
        (&["--defer-partitions=nonsense"], &["--defer-partitions", "nonsense"]),
        (&["--include-partitions=esp", "--exclude-partitions=esp"], &["--exclude-partitions"]),
        (&["--append-fstab=auto"], &["--append-fstab", "--generate-fstab="]),
        (&["--make-ddi=sysext"], &["--make-ddi", "--copy-source="]),
        (&["--private-key-source=engine:x"], &["--private-key-source", "engine:x"]),
        (&["--el-torito=yes", "--empty=create", "--size=8M"], &["--el-torito", "no ESP"]),
        (&["--tpm2-device=auto"], &["--tpm2-device", "running system"]),
        (&["--factory-reset=yes"], &["--factory-reset"]),
        (&["--can-factory-reset"], &["--can-factory-reset"]),
        (&["--image=x"], &["--image"]),
    ] {
        refused(&fixture, args, 1, words);
    }
    // Without an image argument, there is no image to work on.
    let answer = fixture.side.repart(&[format!("--definitions={WORKDIR}/repart.d")], &[]);
    assert_eq!(answer.code, Some(76), "{}", answer.stderr);
}
