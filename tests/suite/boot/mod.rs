//! An image boots: firmware reads the GPT and the FAT, the kernel finds the root partition by the
//! identity that the seed gives it, mounts ext4, reads what was put there, and writes.

mod kit;
mod machine;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use kit::{CANARY, Kit};
use machine::{Outcome, boot};

use crate::detfs::{mkimage, succeed};
use crate::oracle::{Comparison, Partition, disk, e2fsck, extract, partitions, shell};

/// Of the root partition, from the seed of the tests.
const ROOT_UUID: &str = "6c08bd44-fed4-4c4e-915a-d1b245eb89de";

fn root(image: &Path) -> Partition {
    let found = partitions(image, 512).unwrap();
    found.into_iter().find(|partition| !partition.is_esp()).unwrap()
}

/// Boots the image, which writes to its root; that must be clean afterwards.
fn boots(image: &Path, scratch: &Path) {
    match boot(image) {
        Outcome::Marker => {}
        other => panic!("{other:?}"),
    }
    let file = scratch.join("root");
    extract(image, &root(image), &file);
    e2fsck(&file).unwrap();
}

/// A byte of a file's content changes: nothing but the sums in the image can tell.
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
fn an_image_boots_by_uefi() {
    let scratch = tempfile::tempdir().unwrap();
    let kit = Kit::new(scratch.path(), ROOT_UUID);
    let image = scratch.path().join("image");
    succeed(&mut mkimage(&kit.tree, &image, 1_700_000_000, &["--headroom=8M"]));
    let exact = Comparison::exact().without("lost+found").clamped_to(1_700_000_000);
    disk(&image, 512, &kit.tree, &exact).unwrap();
    boots(&image, scratch.path());
}

/// The rig itself, with images by mke2fs and mkfs.fat: it says yes to a good one, and no to one
/// in which a byte is wrong.
#[test]
#[ignore = "takes minutes"]
fn the_boot_test_tells_good_from_bad() {
    let scratch = tempfile::tempdir().unwrap();
    let kit = Kit::new(scratch.path(), ROOT_UUID);
    let image = scratch.path().join("image");
    let script = "truncate -s 256M $2
        sgdisk -n 1:1M:+64M -t 1:ef00 -n 2:65M:+190M -t 2:8304 -u 2:$(cat $3) $2 >/dev/null
        mkfs.fat --offset 2048 -F 32 $2 65536 >/dev/null
        mcopy -s -i $2@@1M $1/efi/EFI ::
        mke2fs -q -F -t ext4 -E offset=$((65 << 20)) -d $1 $2 190M 2>/dev/null";
    let uuid = scratch.path().join("uuid");
    std::fs::write(&uuid, ROOT_UUID).unwrap();
    shell(script, &[&kit.tree, &image, &uuid]);
    boots(&image, scratch.path());

    spoil(&image);
    match boot(&image) {
        Outcome::Refused(line) => assert!(line.contains("canary"), "{line}"),
        other => panic!("{other:?}"),
    }
}
