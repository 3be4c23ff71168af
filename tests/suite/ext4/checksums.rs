//! Every checksum is present: e2fsck and the kernel report a single flipped bit.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use detfs::ext4::{Options, Profile};

use super::PROFILES;
use super::inspect::{block_of, debugfs, extents, inode_field, superblock_field};
use super::sample::{Comb, Image, ROOT, Sample, metadata, options, with_xattr};
use crate::oracle::{Mounted, e2fsck, flip, mount_ext4, run, shell};

const BLOCK: u64 = 1024;
/// Offset of the first group descriptor.
const DESCRIPTOR: u64 = 2 * BLOCK;

/// Creates an image with every kind of block that has a checksum.
fn image(profile: Profile) -> Image {
    image_of(profile, 500)
}

/// Creates the same image with an indexed directory of `names` names.
fn image_of(profile: Profile, names: u32) -> Image {
    let mut sample = Sample::new();
    let linear = sample.directory(ROOT, "linear");
    sample.empty(linear, "xattr", with_xattr("user.x", vec![7; 300]));
    let indexed = sample.directory(ROOT, "indexed");
    for number in 0..names {
        sample.empty(indexed, format!("{number:03}-{}", "n".repeat(251)), metadata(0o644));
    }
    sample.content("comb", 400 << 13, Arc::new(Comb(400)));
    Image::new(&sample.finish(), &Options { block_size: 1024, profile, ..options() })
}

/// Reads everything below a directory, and fails if the kernel reports an error.
fn walk(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            walk(&path)?;
            continue;
        }
        // Files are read by name, so that the index is used.
        fs::read(&path)?;
        if path.ends_with("xattr") {
            rustix::fs::lgetxattr(&path, "user.x", &mut [0; 512][..])?;
        }
    }
    Ok(())
}

/// Returns the offset of the inode of a path in the image.
fn inode(image: &Image, path: &str) -> u64 {
    let text = debugfs(&image.path, &format!("imap {path}"));
    let (_, place) = text.split_once("located at block ").unwrap();
    let (block, offset) = place.trim().split_once(", offset 0x").unwrap();
    block.parse::<u64>().unwrap() * BLOCK + u64::from_str_radix(offset, 16).unwrap()
}

/// Returns the offset of a block of the orphan file.
fn orphan(image: &Image) -> u64 {
    let number = superblock_field(&image.path, "Orphan file inode");
    block_of(&image.path, &format!("<{number}>"), 3) * BLOCK
}

type Place = fn(&Image) -> u64;

/// Bits that only a checksum protects, and the checksums themselves.
const PLACES: [(&str, Place); 21] = [
    ("superblock, s_last_mounted", |_| 1024 + 0x88),
    ("superblock, s_checksum", |_| 1024 + 0x3FC),
    ("descriptor, bg_reserved", |_| DESCRIPTOR + 0x3C),
    ("descriptor, bg_checksum", |_| DESCRIPTOR + 0x1E),
    ("inode, nanoseconds of i_mtime", |image| inode(image, "/linear/xattr") + 0x89),
    ("inode, l_i_checksum_lo", |image| inode(image, "/linear/xattr") + 0x7C),
    ("inode, i_checksum_hi", |image| inode(image, "/linear/xattr") + 0x82),
    ("inode of the journal, l_i_checksum_lo", |image| inode(image, "<8>") + 0x7C),
    ("inode of a directory, l_i_checksum_lo", |image| inode(image, "/indexed") + 0x7C),
    ("extent leaf, unused", |image| {
        extents(&image.path, "/comb").index.last().unwrap() * BLOCK + 12 * 80
    }),
    ("extent leaf, et_checksum", |image| {
        extents(&image.path, "/comb").index.last().unwrap() * BLOCK + 1020
    }),
    ("extent index, et_checksum", |image| extents(&image.path, "/comb").index[0] * BLOCK + 1020),
    ("directory, slack", |image| block_of(&image.path, "/linear", 0) * BLOCK + 1000),
    ("directory, det_checksum", |image| block_of(&image.path, "/linear", 0) * BLOCK + 1020),
    ("root directory, det_checksum", |image| block_of(&image.path, "/", 0) * BLOCK + 1020),
    ("indexed directory's leaf, det_checksum", |image| {
        block_of(&image.path, "/indexed", 9) * BLOCK + 1020
    }),
    ("index root, dt_checksum", |image| block_of(&image.path, "/indexed", 0) * BLOCK + 1020),
    ("index node, dt_checksum", |image| block_of(&image.path, "/indexed", 1) * BLOCK + 1020),
    ("attributes, between entries and values", |image| {
        inode_field(&image.path, "/linear/xattr", "File ACL") * BLOCK + 200
    }),
    ("attributes, h_checksum", |image| {
        inode_field(&image.path, "/linear/xattr", "File ACL") * BLOCK + 0x10
    }),
    ("orphan file, ob_checksum", |image| orphan(image) + 1020),
];

#[test]
fn a_bit_elsewhere_is_seen() {
    let image = image(Profile::Modern);
    image.check_with_oracles(walk).unwrap().unwrap();
    let features = superblock_field(&image.path, "Filesystem features");
    assert!(features.contains("metadata_csum_seed"), "{features}");
    assert_eq!(extents(&image.path, "/comb").depth, 2);
    for (what, place) in PLACES {
        let offset = place(&image);
        flip(&image.path, offset);
        let said = run("e2fsck", [OsStr::new("-fn"), image.path.as_os_str()]);
        let error_text = said.all().to_lowercase();
        let words = ["checksum", "invalid journal", "orphan file"];
        assert!(words.iter().any(|word| error_text.contains(word)), "{what}: {}", said.all());
        e2fsck(&image.path).unwrap_err();
        let read = mount_ext4(&image.path, walk);
        // For descriptors, the kernel only warns unless the file system is mounted writable.
        let written = || Mounted::new("ext4", "rw", Some(&image.path));
        assert!(!matches!(read, Ok(Ok(()))) || written().is_err(), "unseen by the kernel: {what}");
        flip(&image.path, offset);
        e2fsck(&image.path).unwrap_or_else(|error_text| panic!("{what} {offset}: {error_text:?}"));
    }
}

/// The checksums of bitmaps are stored in the group descriptor, whose own checksum has to be
/// updated.
#[test]
fn bitmaps_have_checksums() {
    for profile in PROFILES {
        // bg_block_bitmap_csum_lo, bg_inode_bitmap_csum_lo, and the same _hi
        for (name, field) in [("block", 0x18), ("inode", 0x1A), ("block", 0x38), ("inode", 0x3A)] {
            let image = image(profile);
            flip(&image.path, DESCRIPTOR + field);
            mend_descriptor(&image);
            let said = run("e2fsck", [OsStr::new("-fn"), image.path.as_os_str()]);
            let error_text = format!("{name} bitmap does not match checksum");
            assert!(said.stdout.contains(&error_text), "{profile:?}: {}", said.all());
            e2fsck(&image.path).unwrap_err();

            let mounted = Mounted::new("ext4", "rw", Some(&image.path)).unwrap();
            let made = fs::write(mounted.path().join("new"), vec![1; 4096]);
            run("sync", [OsStr::new("-f"), mounted.path().as_os_str()]);
            assert!(made.is_err() || mounted.errors() > 0, "{profile:?}: {name} {field:x}");
        }
    }
}

/// Returns the crc32c of `bytes` from a seed, without the final inversion.
fn crc(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

fn mend_descriptor(image: &Image) {
    let seed = crc(!0, &image.read(1024 + 0x68, 16));
    let mut descriptor = image.read(DESCRIPTOR, 64);
    descriptor[0x1E..0x20].fill(0);
    let sum = crc(crc(seed, &0u32.to_le_bytes()), &descriptor);
    let file = File::options().write(true).open(&image.path).unwrap();
    file.write_all_at(&sum.to_le_bytes()[..2], DESCRIPTOR + 0x1E).unwrap();
}

#[test]
fn a_mended_descriptor_is_clean() {
    let image = image(Profile::Default);
    flip(&image.path, DESCRIPTOR + 0x1E);
    mend_descriptor(&image);
    image.check_with_oracles(walk).unwrap().unwrap();
}

/// With a checksum seed in the superblock, a new UUID changes nothing else. Otherwise, tune2fs
/// recomputes all checksums (which fails now and then for an index of several levels, even one
/// written by the kernel).
#[test]
fn the_uuid_can_be_changed() {
    for profile in PROFILES {
        let image = image_of(profile, 200);
        let own_seed = superblock_field(&image.path, "Filesystem features")
            .split(' ')
            .any(|feature| feature == "metadata_csum_seed");
        assert_eq!(own_seed, profile == Profile::Modern);
        let before = fs::read(&image.path).unwrap();
        let uuid = "5a5a5a5a-1111-4222-8333-444444444444";
        shell(&format!("tune2fs -U {uuid} $1 >$2"), &[&image.path, &image.beside("log")]);
        assert_eq!(superblock_field(&image.path, "Filesystem UUID"), uuid);
        image.check_with_oracles(walk).unwrap().unwrap();
        let after = fs::read(&image.path).unwrap();
        let changed = before.chunks(1024).zip(after.chunks(1024)).enumerate();
        let changed: Vec<_> =
            changed.filter(|(_, (one, two))| one != two).map(|(block, _)| block).collect();
        if own_seed {
            let super_blocks = [1, 8193, 24_577];
            assert!(changed.iter().all(|block| super_blocks.contains(block)), "{changed:?}");
        } else {
            assert!(changed.len() > 100, "{changed:?}");
        }
    }
}
