//! Signatures on block devices, compared with those that wipefs detects, and protection of the
//! devices.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use detfs::probe::signatures;
use tempfile::TempDir;

use crate::bad_input::{USAGE, check};
use crate::detfs::{detfs, fixed, mkfs, mkimage, succeed};
use crate::oracle::{LoopDevice, sha256, shell};

const EPOCH: i64 = 1_700_000_000;

/// Disk sizes, scripts that write to a disk of zeros at `$1`, and the names of the resulting
/// signatures.
const DISKS: &[(&str, &str, &[&str])] = &[
    ("64M", "mke2fs -q -t ext2 $1", &["ext2"]),
    ("64M", "mke2fs -q -t ext3 $1", &["ext3"]),
    ("64M", "mke2fs -q -t ext4 $1", &["ext4"]),
    ("64M", "mke2fs -q -O journal_dev $1", &["jbd"]),
    ("512M", "mkfs.xfs -q $1", &["xfs"]),
    ("128M", "mkfs.btrfs -q $1", &["btrfs"]),
    ("1M", "mkfs.fat -F 12 $1", &["vfat"]),
    ("64M", "mkfs.fat -F 16 $1", &["vfat"]),
    ("64M", "mkfs.fat -F 32 -S 4096 -s 1 $1 || mkfs.fat -F 32 $1", &["vfat"]),
    ("64M", "mkntfs -q -F $1", &["ntfs"]),
    ("64M", "mkfs.exfat $1", &["exfat"]),
    ("64M", "mkfs.f2fs -q $1", &["f2fs"]),
    ("64M", "mkfs.jfs -q $1", &["jfs"]),
    ("160M", "mkfs.nilfs2 -q $1", &["nilfs2"]),
    ("64M", "mkreiserfs -qff $1", &["reiserfs"]),
    ("8M", "mkfs.minix $1", &["minix"]),
    ("8M", "mkfs.minix -3 $1", &["minix"]),
    ("8M", "mkswap -p 4096 $1", &["swap"]),
    ("8M", "mkswap -p 65536 $1", &["swap"]),
    (
        "64M",
        "printf x | cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 $1 -",
        &["crypto_LUKS"],
    ),
    (
        "64M",
        "printf x | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
      --pbkdf-force-iterations 1000 $1 -; dd if=/dev/zero of=$1 bs=4096 count=1 conv=notrunc \
      status=none",
        &["crypto_LUKS"],
    ),
    (
        "64M",
        "d=$(losetup --find --show $1); trap 'losetup -d $d' EXIT; pvcreate -q $d",
        &["LVM2_member"],
    ),
    ("64M", "make-bcache -B $1", &["bcache"]),
    (
        "8M",
        "mkdir $1.d; mkfs.erofs $1.e $1.d; dd if=$1.e of=$1 conv=notrunc status=none",
        &["erofs"],
    ),
    (
        "8M",
        "mkdir $1.d; mksquashfs $1.d $1.s -quiet; dd if=$1.s of=$1 conv=notrunc status=none",
        &["squashfs"],
    ),
    (
        "8M",
        "mkdir $1.d; mkfs.cramfs $1.d $1.c; dd if=$1.c of=$1 conv=notrunc status=none",
        &["cramfs"],
    ),
    (
        "8M",
        "mkdir $1.d; genisoimage -quiet -o $1.i $1.d; dd if=$1.i of=$1 conv=notrunc status=none",
        &["iso9660"],
    ),
    ("8M", "mkudffs --new-file --blocksize=512 $1 16384", &["udf"]),
    ("8M", "mkudffs --new-file --blocksize=2048 $1 4096", &["udf"]),
    ("8M", "echo , | sfdisk -q --label dos $1", &["dos"]),
    ("8M", "echo , | sfdisk -q --label gpt $1", &["PMBR", "gpt"]),
    ("8M", "echo , | sfdisk -q --label sun $1", &["sun"]),
    ("8M", "echo , | sfdisk -q --label sgi $1", &["sgi"]),
    // Only the backup header is left.
    (
        "8M",
        "echo , | sfdisk -q --label gpt $1; dd if=/dev/zero of=$1 bs=512 seek=1 count=40 \
      conv=notrunc status=none",
        &["PMBR", "gpt"],
    ),
    // Superblocks of RAID members, written directly because the kernel may lack the driver.
    (
        "8M",
        concat!(
            "at() { printf \"$2\" | dd of=$1 bs=1 seek=$3 conv=notrunc status=none; }; ",
            "at $1 '\\374\\116\\053\\251\\0\\0\\0\\0\\132' $((8 * 1048576 - 65536))",
        ),
        &["linux_raid_member"],
    ),
    (
        "8M",
        concat!(
            "at() { printf \"$2\" | dd of=$1 bs=1 seek=$3 conv=notrunc status=none; }; ",
            "at $1 '\\374\\116\\053\\251\\001' $((8 * 1048576 - 8192)); ",
            "at $1 '\\360\\077' $((8 * 1048576 - 8192 + 144))",
        ),
        &["linux_raid_member"],
    ),
    (
        "8M",
        concat!(
            "at() { printf \"$2\" | dd of=$1 bs=1 seek=$3 conv=notrunc status=none; }; ",
            "at $1 '\\374\\116\\053\\251\\001' 4096; at $1 '\\010' $((4096 + 144))",
        ),
        &["linux_raid_member"],
    ),
    // Uberblocks of ZFS, in the last label only.
    (
        "64M",
        "n=0; while [ $n -lt 128 ]; do printf '\\014\\261\\272\\0\\0\\0\\0\\0\\001' | dd of=$1 bs=1 \
      seek=$((63 * 1048576 + 768 * 1024 + 131072 + n * 1024)) conv=notrunc status=none; n=$((n + 1)); \
      done",
        &["zfs_member"],
    ),
    ("8M", "true", &[]),
    ("8M", "tr '\\0' '\\252' </dev/zero | head -c 8M >$1", &[]),
];

fn names(words: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<String> {
    words.into_iter().map(Into::into).collect()
}

#[test]
fn what_wipefs_knows_is_found() {
    let scratch = tempfile::tempdir().unwrap();
    for (at, (size, script, expected)) in DISKS.iter().enumerate() {
        let disk = scratch.path().join(format!("disk-{at}"));
        shell(&format!("truncate -s {size} $1; {{ {script}; }} >/dev/null 2>&1"), &[&disk]);
        let expected = names(expected.iter().copied());
        // When wipefs has detected NTFS, it also takes the boot sector for a partition table.
        let known = names(shell("wipefs --noheadings -O TYPE $1", &[&disk]).split_whitespace());
        assert!(known.is_superset(&expected), "wipefs: {script}: {known:?}");
        assert_eq!(known.is_empty(), expected.is_empty(), "wipefs: {script}: {known:?}");
        let file = File::open(&disk).unwrap();
        let found = signatures(&file, file.metadata().unwrap().len()).unwrap();
        assert_eq!(names(found.iter().map(|one| one.kind)), expected, "{script}");
        fs::remove_file(&disk).unwrap();
    }
}

/// A small tree, and a disk of 64 MiB.
struct Fixture {
    scratch: TempDir,
    tree: PathBuf,
    disk: PathBuf,
}

impl Fixture {
    fn new(script: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let (tree, disk) = (scratch.path().join("tree"), scratch.path().join("disk"));
        shell(
            "mkdir -p $1/etc; echo NAME=test >$1/etc/os-release; truncate -s 64M $2",
            &[&tree, &disk],
        );
        shell(&format!("{{ {script}; }} >/dev/null"), &[&disk]);
        Self { scratch, tree, disk }
    }

    /// Writes a definition for `detfs build` and returns its path.
    fn config(&self, out: &Path) -> PathBuf {
        let config = self.scratch.path().join("image.toml");
        let text = format!(
            "source-date-epoch = {EPOCH}\n[image]\ntree = \"tree\"\nout = {out:?}\narchitecture = \"x86-64\"\n"
        );
        fs::write(&config, text).unwrap();
        config
    }
}

#[test]
fn a_device_with_data_needs_force() {
    for (script, sector_size, word) in [
        ("mke2fs -q -t ext4 $1", "512", "ext4"),
        ("echo , | sfdisk -q --label gpt $1", "512", "gpt"),
        ("echo , | sfdisk -q --label gpt $1", "4096", "gpt"),
        ("echo , | sfdisk -q --label dos $1", "512", "dos"),
    ] {
        let fixture = Fixture::new(":");
        let device = LoopDevice::attach(&fixture.disk, &["--sector-size", sector_size]);
        shell(script, &[device.path()]);
        let before = sha256(device.path());
        let words = [
            device.path().to_str().unwrap(),
            word,
            "64M",
            fixture.disk.to_str().unwrap(),
            "--force",
        ];
        let config = fixture.config(device.path());
        let commands = || {
            [
                mkimage(&fixture.tree, device.path(), EPOCH, &["--architecture=x86-64"]),
                mkfs("ext4", &fixture.tree, device.path(), EPOCH, &[]),
                mkfs("btrfs", &fixture.tree, device.path(), EPOCH, &["--headroom=0"]),
                mkfs("vfat", &fixture.tree, device.path(), EPOCH, &[]),
                detfs([OsStr::new("build"), config.as_os_str()]),
            ]
        };
        for mut command in commands() {
            check(&mut command, USAGE, &words);
        }
        assert_eq!(sha256(device.path()), before, "{script}");
        for mut command in commands() {
            succeed(command.arg("--force"));
        }
    }
}

#[test]
fn an_empty_device_needs_none() {
    let fixture = Fixture::new("tr '\\0' '\\252' </dev/zero | head -c 64M >$1");
    let device = LoopDevice::attach(&fixture.disk, &[]);
    succeed(&mut mkimage(&fixture.tree, device.path(), EPOCH, &["--architecture=x86-64"]));
}

/// In repart, `--empty=` decides whether a device is overwritten, as in systemd-repart.
#[test]
fn repart_asks_for_a_partition_table() {
    let fixture = Fixture::new("mke2fs -q -t ext4 $1");
    let before = sha256(&fixture.disk);
    let definitions = fixture.scratch.path().join("repart.d");
    shell("mkdir $1; printf '[Partition]\\nType=linux-generic\\n' >$1/a.conf", &[&definitions]);
    let device = LoopDevice::attach(&fixture.disk, &[]);
    let repart = |empty: &str| {
        let mut command = detfs(["repart", "--dry-run=no"]);
        command.arg("--definitions").arg(&definitions).arg(empty).arg(device.path());
        command.arg(&fixed(EPOCH)[0]);
        command
    };
    check(&mut repart("--empty=refuse"), 77, &["no partition table", "--empty=allow"]);
    assert_eq!(sha256(&fixture.disk), before);
    succeed(&mut repart("--empty=allow"));
}
