//! An image boots: the firmware reads the GPT and the FAT, and the kernel finds the root partition
//! by the UUID derived from the seed, mounts it as ext4, reads its files, and writes to it.

mod boot_files;
mod first_image;
mod kernels;
mod machine;
mod usr;
mod verity;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use boot_files::{BootFiles, CANARY};
pub use boot_files::{MARKER, REFUSAL, add_kernel};
pub use kernels::make_tree as make_kernels_tree;
pub use machine::{Outcome, boot};

use crate::detfs::{mkfs, mkimage, succeed};
use crate::oracle::btrfs::{btrfs_check, mount_btrfs};
use crate::oracle::{
    Comparison, Mounted, Partition, Verdict, disk, e2fsck, ext4, extract, fsck_fat, gpt,
    partitions, sha256, shell,
};

/// UUID of the root partition, derived from the seed of the tests.
pub const ROOT_UUID: &str = "6c08bd44-fed4-4c4e-915a-d1b245eb89de";

/// UUID of the file system in the root partition.
const FILE_SYSTEM_UUID: &str = "7bfd409b-b67f-4466-9e33-95510bf538f1";

fn root(image: &Path) -> Partition {
    let found = partitions(image, 512).unwrap();
    found.into_iter().find(|partition| partition.uuid == ROOT_UUID).unwrap()
}

/// Boots the image, with `others` as additional disks.
///
/// The system writes to its root, which must pass `check` afterwards.
pub fn boots(
    image: &Path,
    others: &[PathBuf],
    scratch: &Path,
    check: impl FnOnce(&Path) -> Verdict,
) {
    match boot(image, others) {
        Outcome::Marker => {}
        other => panic!("{other:?}"),
    }
    let file = scratch.join("root");
    extract(image, &root(image), &file);
    check(&file).unwrap();
}

/// Changes a byte of a file's content, which only the checksums in the tree can detect.
fn spoil(image: &Path) {
    let root = root(image);
    let file = File::options().read(true).write(true).open(image).unwrap();
    let mut chunk = vec![0; 1 << 20];
    for at in (root.start..root.start + root.len).step_by(chunk.len()) {
        let len = file.read_at(&mut chunk, at).unwrap();
        let found = chunk[..len].windows(CANARY.len()).position(|bytes| bytes == CANARY.as_bytes());
        if let Some(offset) = found {
            file.write_all_at(b"X", at + u64::try_from(offset).unwrap()).unwrap();
            return;
        }
    }
    panic!("the canary is not in the root partition");
}

#[test]
#[ignore = "takes minutes"]
fn deep_an_image_boots_by_uefi() {
    let scratch = tempfile::tempdir().unwrap();
    let boot_files = BootFiles::new(scratch.path(), "ext4", ROOT_UUID);
    let image = scratch.path().join("image");
    succeed(&mut mkimage(&boot_files.tree, &image, 1_700_000_000, &["--headroom=8M"]));
    let exact = Comparison::exact().without("lost+found").clamped_to(1_700_000_000);
    disk(&image, 512, &boot_files.tree, &exact).unwrap();
    boots(&image, &[], scratch.path(), e2fsck);
}

/// A booted system grows file systems on much larger disks while they are mounted.
#[test]
#[ignore = "takes minutes"]
fn deep_file_systems_grow_while_they_are_mounted() {
    let scratch = tempfile::tempdir().unwrap();
    let boot_files = BootFiles::new(scratch.path(), "ext4", ROOT_UUID);
    let image = scratch.path().join("image");
    succeed(&mut mkimage(&boot_files.tree, &image, 1_700_000_000, &["--headroom=8M"]));
    let small = scratch.path().join("small");
    shell(
        "mkdir -p $1/d; cd $1; seq 100000 >file; for n in $(seq 500); do : >d/$n; done",
        &[&small],
    );
    let cases: [(&str, u64, &[&str]); 6] = [
        ("default", 64 << 30, &["--size=64M"]),
        ("modern", 64 << 30, &["--size=64M", "--ext4-profile=modern"]),
        ("ro", 64 << 30, &["--size=64M", "--ext4-profile=ro"]),
        ("of-1-KiB", 64 << 30, &["--size=64M", "--ext4-block-size=1024"]),
        ("as-asked", 100 << 30, &["--grow-to=100G"]),
        ("beyond", 2 << 40, &["--size=64M"]),
    ];
    let others = cases.map(|(name, size, options)| {
        let other = scratch.path().join(name);
        succeed(&mut mkfs("ext4", &small, &other, 1_700_000_000, options));
        File::options().write(true).open(&other).unwrap().set_len(size).unwrap();
        other
    });
    boots(&image, &others, scratch.path(), e2fsck);
    for ((name, size, _), other) in cases.into_iter().zip(&others) {
        let content = Comparison::names_and_content().without("lost+found");
        ext4(other, &small, &content).unwrap_or_else(|error_text| panic!("{name}: {error_text:?}"));
        let mounted = Mounted::new("ext4", "ro", Some(other)).unwrap();
        let room = rustix::fs::statvfs(mounted.path()).unwrap();
        let bytes = room.f_blocks * room.f_frsize;
        assert!(bytes > size * 9 / 10, "{name}: {bytes} of {size}");
        // If descriptors are reserved for the growth, no feature is added that boot loaders may not
        // support.
        let features = shell("dumpe2fs -h $1 2>/dev/null | grep features:", &[other]);
        let reserved = ["default", "modern", "as-asked"].contains(&name);
        assert_eq!(features.contains("meta_bg"), !reserved, "{name}: {features}");
    }
}

/// Tests the boot test with an image by mke2fs and mkfs.fat: it accepts the image, and rejects it
/// after a byte has been changed.
#[test]
#[ignore = "takes minutes"]
fn deep_the_boot_test_tells_good_from_bad() {
    let scratch = tempfile::tempdir().unwrap();
    let boot_files = BootFiles::new(scratch.path(), "ext4", ROOT_UUID);
    let image = scratch.path().join("image");
    let script = "truncate -s 256M $2
        sgdisk -n 1:1M:+64M -t 1:ef00 -n 2:65M:+190M -t 2:8304 -u 2:$(cat $3) $2 >/dev/null
        mkfs.fat --offset 2048 -F 32 $2 65536 >/dev/null
        mcopy -s -i $2@@1M $1/efi/EFI ::
        mke2fs -q -F -t ext4 -E offset=$((65 << 20)) -d $1 $2 190M 2>/dev/null";
    let uuid = scratch.path().join("uuid");
    std::fs::write(&uuid, ROOT_UUID).unwrap();
    shell(script, &[&boot_files.tree, &image, &uuid]);
    boots(&image, &[], scratch.path(), e2fsck);

    spoil(&image);
    match boot(&image, &[]) {
        Outcome::Refused(line) => assert!(line.contains("canary"), "{line}"),
        other => panic!("{other:?}"),
    }
}

/// Options for the partitions and file systems of the official Arch Linux images.
const ARCH: [&str; 10] = [
    "--fs=btrfs",
    "--bios-boot",
    "--esp-size=300M",
    "--esp-sector-size=4096",
    "--compress=zstd:1",
    "--subvolume=/swap:nodatacow",
    "--swapfile=/swap/swapfile:512M",
    "--label=arch",
    "--headroom=1G",
    "--architecture=x86-64",
];

/// Two copies of a tree produce the same image, which boots from btrfs, swaps and writes.
#[test]
#[ignore = "takes minutes"]
fn deep_the_layout_of_arch_linux_boots() {
    let scratch = tempfile::tempdir().unwrap();
    let boot_files = BootFiles::new(scratch.path(), "btrfs", FILE_SYSTEM_UUID);
    let copy = tempfile::tempdir_in("/dev/shm").unwrap();
    let copied = copy.path().join("tree");
    shell("mkdir -m 700 $1/swap; cp -a $1 $2", &[&boot_files.tree, &copied]);
    let [image, again] = ["image", "again"].map(|name| scratch.path().join(name));
    succeed(&mut mkimage(&boot_files.tree, &image, 1_700_000_000, &ARCH));
    succeed(&mut mkimage(&copied, &again, 1_700_000_000, &ARCH));
    assert_eq!(sha256(&image), sha256(&again));
    drop(copy);

    gpt(&image, 512).unwrap();
    let found = partitions(&image, 512).unwrap();
    let [bios, esp, root] = &found[..] else { panic!("{found:?}") };
    assert_eq!((bios.start, bios.len), (1 << 20, 1 << 20));
    assert!(esp.is_esp() && esp.len == 300 << 20, "{esp:?}");
    assert_eq!(root.uuid, ROOT_UUID);
    let file = scratch.path().join("partition");
    extract(&image, esp, &file);
    fsck_fat(&file).unwrap();
    assert_eq!(shell("od -An -tu2 -j11 -N2 $1", &[&file]).trim(), "4096");
    extract(&image, root, &file);
    btrfs_check(&file).unwrap();
    let exact =
        Comparison::exact().hollow("efi").without("swap/swapfile").clamped_to(1_700_000_000);
    mount_btrfs(&file, |mounted| exact.compare(&boot_files.tree, mounted)).unwrap().unwrap();
    boots(&image, &[], scratch.path(), btrfs_check);
}

/// The boot test detects a changed byte on btrfs, whose checksums the kernel verifies.
#[test]
#[ignore = "takes minutes"]
fn deep_a_spoiled_btrfs_is_refused_at_boot() {
    let scratch = tempfile::tempdir().unwrap();
    let boot_files = BootFiles::new(scratch.path(), "btrfs", FILE_SYSTEM_UUID);
    let image = scratch.path().join("image");
    let options = ["--fs=btrfs", "--btrfs-max-inline=0"];
    succeed(&mut mkimage(&boot_files.tree, &image, 1_700_000_000, &options));
    spoil(&image);
    match boot(&image, &[]) {
        Outcome::Refused(line) => assert!(line.contains("canary"), "{line}"),
        other => panic!("{other:?}"),
    }
}
