//! The oracles detect errors: an image passes, and fails after any of its bytes is changed.

use arbitrary::{Arbitrary, Unstructured};
use detfs::Headroom;
use detfs::Timestamp;
use detfs::ext4;
use detfs::fat;
use detfs::tree::{HoleScan, HoleScanOptions, scan_holes};
use uuid::Uuid;

use crate::arbitrary_tree::{ArbitraryTree, Grown, Validity};
use crate::bytes::{u16_at, u32_at};
use crate::ext4_options::adapt;
use crate::image_of;
use crate::{BytesToErofs, BytesToSquashfs, BytesToTar, TreeToExt4, TreeToFat};

/// Returns pseudorandom bytes of a linear congruential generator.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn grow(taste: Validity) -> (Grown, HoleScan) {
    let bytes = bytes(24, 700);
    let grown =
        ArbitraryTree::arbitrary(&mut Unstructured::new(&bytes)).unwrap().grow(taste).unwrap();
    let scan = scan_holes(&grown.tree, &HoleScanOptions::default()).unwrap();
    (grown, scan)
}

fn ext4_image() -> (Vec<u8>, Grown) {
    let (mut grown, scan) = grow(Validity::Unix);
    let options = ext4::Options {
        uuid: Uuid::from_u128(1),
        hash_seed: Uuid::from_u128(2),
        label: Vec::new(),
        epoch: Timestamp::from_seconds(1_700_000_000),
        block_size: 1024,
        profile: ext4::Profile::Default,
        size: None,
        headroom: Some(Headroom::Bytes(0)),
        multiple: 1,
        grow_to: None,
        inodes: None,
    };
    let plan = ext4::plan(&grown.tree, &scan, &options).unwrap();
    adapt(&mut grown, &options);
    (image_of(&plan.layout.seal()), grown)
}

/// Returns the offsets of the block bitmap, the inode bitmap and the inode table of the first
/// group.
fn group(image: &[u8]) -> [usize; 3] {
    [0, 4, 8].map(|field| 1024 * u32_at(image, 2048 + field) as usize)
}

/// Returns the offset of the first block of an inode that has at least one extent.
fn first_block(image: &[u8], ino: usize) -> usize {
    let inode = group(image)[2] + 256 * (ino - 1);
    assert_eq!(u16_at(image, inode + 0x28 + 6), 0, "a tree of extents");
    1024 * u32_at(image, inode + 0x28 + 20) as usize
}

#[test]
fn every_byte_of_inodes_and_directories_is_looked_at() {
    let (image, grown) = ext4_image();
    let model = &grown.model;
    crate::ext4::check(&image, model).unwrap();
    crate::ext4_view::check(image.clone(), model).unwrap();
    assert!(model.len() > 12, "{}", model.len());

    let table = group(&image)[2];
    let root = table + 256;
    // The second inode of the tree comes after `lost+found`.
    let inodes = [root..root + 256, table + 256 * 11..table + 256 * 20];
    // A directory block ends in a checksum, which does not cover the constants before it.
    let directory = first_block(&image, 2);
    let tail = directory + 1024 - 4;
    for range in inodes.into_iter().chain([directory..tail - 8, tail..tail + 4]) {
        for at in range {
            let mut broken = image.clone();
            broken[at] ^= 1;
            assert!(crate::ext4_view::check(broken, model).is_err(), "the byte at {at}");
        }
    }
}

#[test]
fn what_checksums_do_not_cover_is_found() {
    let (image, grown) = ext4_image();
    let [block_bitmap, inode_bitmap, table] = group(&image);
    // The inode after `lost+found`.
    let inode = table + 256 * 11;
    for (what, at) in [
        ("s_free_blocks_count_lo", 1024 + 0xc),
        ("s_free_inodes_count", 1024 + 0x10),
        ("bg_free_blocks_count_lo", 2048 + 0xc),
        ("bg_used_dirs_count_lo", 2048 + 0x10),
        ("the block bitmap", block_bitmap + 3),
        ("the end of the block bitmap", block_bitmap + 1023),
        ("the inode bitmap", inode_bitmap + 1),
        ("i_mode", inode),
        ("i_uid", inode + 0x2),
        ("i_mtime", inode + 0x10),
        ("i_mtime_extra", inode + 0x88),
        ("i_crtime", inode + 0x90),
        ("i_links_count", inode + 0x1a),
        ("i_blocks_lo", inode + 0x1c),
        ("i_flags", inode + 0x20),
        ("i_size_high", inode + 0x6c),
        ("i_file_acl_lo", inode + 0x68),
        ("the magic of attributes", inode + 0xa0),
        ("an entry's inode in the root", first_block(&image, 2) + 24),
        ("an entry's name in the root", first_block(&image, 2) + 24 + 8),
        ("an entry's type in the root", first_block(&image, 2) + 24 + 7),
    ] {
        let mut broken = image.clone();
        broken[at] ^= 1;
        assert!(crate::ext4::check(&broken, &grown.model).is_err(), "{what}");
    }
}

#[test]
fn broken_volumes_are_found() {
    let (grown, _) = grow(Validity::Fat);
    for variant in [fat::Variant::Fat12, fat::Variant::Fat16, fat::Variant::Fat32] {
        let options = fat::Options {
            size: None,
            sector_size: 512,
            hidden_sectors: 7,
            volume_id: 0x1234_5678,
            label: Some("LABEL".into()),
            epoch: Timestamp::from_seconds(1_700_000_000),
            variant: Some(variant),
        };
        let image = image_of(&fat::plan(&grown.tree, &options).unwrap().layout.seal());
        let verdict = |image: Vec<u8>| {
            crate::fat::check(&image, &options)?;
            crate::fat_view::check(image, &grown.model, Some("LABEL"))
        };
        verdict(image.clone()).unwrap();

        let reserved = 512 * usize::from(u16_at(&image, 14));
        let fat = match u16_at(&image, 22) {
            0 => 512 * u32_at(&image, 36) as usize,
            few => 512 * usize::from(few),
        };
        let root = reserved + 2 * fat;
        // Offset of the slot of the first file in the root directory.
        let first = (0..).map(|slot| root + 32 * slot).find(|&at| image[at + 11] == 0x20).unwrap();
        let data = root + 32 * usize::from(u16_at(&image, 17));
        let mut places = vec![
            ("the magic", 510),
            ("the hidden sectors", 28),
            ("the number of sectors", if u16_at(&image, 19) == 0 { 32 } else { 19 }),
            ("the first FAT", reserved + 6),
            ("the second FAT", reserved + fat + 6),
            ("the end of a FAT", reserved + (fat - 1) / 2),
            ("the label", root),
            ("a name", first),
            ("an attribute", first + 11),
            ("hundredths", first + 13),
            ("a creation time", first + 14),
            ("a creation date", first + 16),
            ("an access date", first + 18),
            ("a modification time", first + 22),
            ("a modification date", first + 24),
            ("a cluster", first + 26),
            ("a size", first + 29),
            ("data", data),
        ];
        if variant == fat::Variant::Fat32 {
            places.extend([("a free count", 512 + 488), ("the copy", 6 * 512 + 3)]);
        }
        for (what, at) in places {
            let mut broken = image.clone();
            broken[at] ^= 0x10;
            assert!(verdict(broken).is_err(), "{variant}: {what}");
        }
    }
}

/// Most trees of random bytes can be planned, so that fuzzing makes progress.
#[test]
fn most_inputs_make_images() {
    let mut made = [0; 5];
    for seed in 0..100 {
        let bytes = bytes(seed, 900);
        let input = || Unstructured::new(&bytes);
        let checked = [
            TreeToExt4::arbitrary(&mut input()).unwrap().check(),
            TreeToFat::arbitrary(&mut input()).unwrap().check(),
            BytesToErofs::arbitrary(&mut input()).unwrap().check(),
            BytesToSquashfs::arbitrary(&mut input()).unwrap().check(),
            BytesToTar::arbitrary(&mut input()).unwrap().check(),
        ];
        for (count, is_made) in made.iter_mut().zip(checked) {
            *count += usize::from(is_made);
        }
    }
    let [ext4, fat, erofs, squashfs, tar] = made;
    assert!(ext4 > 50 && fat > 50 && erofs > 20 && squashfs > 20, "{made:?}");
    assert!(tar > 0, "no archive is read");
}
