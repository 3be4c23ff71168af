//! Images of mkfs.erofs, and damaged ones.

use std::mem::offset_of;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::super::spec::{ISLOT, InodeCompact, SUPER_OFFSET, SuperBlock};
use super::super::{Compression, Erofs, Profile};
use super::*;
use crate::tree::Tree;
use crate::tree::difference::difference;
use crate::tree::sample::{EVERYTHING, SampleTree};

/// Times that erofs stores.
const TIMES: &str = "touch -d @-5.25 empty; touch -d @4294967299.75 text";

/// The latest time of the samples.
const LATEST: i64 = 5_000_000_000;

fn mkfs(sample: &SampleTree, options: &str) -> Vec<u8> {
    sample.image(&format!("mkfs.erofs --quiet {options} image tree"))
}

/// Reads and checks everything.
fn read(image: Vec<u8>) -> Result<Tree> {
    let size = image.len() as u64;
    let reader = Reader::open(Arc::new(image), size)?;
    reader.verify()?;
    reader.tree()
}

#[test]
fn own_images_are_read() {
    let sample = SampleTree::new(&[EVERYTHING, TIMES]);
    let source = sample.read();
    let plain = Erofs::default();
    let compressed = |compression| Erofs { compression: Some(compression), ..plain.clone() };
    let zstd = compressed(Compression::Zstd { level: 1 });
    for format in [
        Erofs { profile: Profile::Linux5_4, ..plain.clone() },
        Erofs { dedup: true, ..plain.clone() },
        Erofs { profile: Profile::Linux5_15, ..compressed(Compression::Lz4) },
        compressed(Compression::Lz4hc { level: 3 }),
        Erofs { dedup: true, ..zstd.clone() },
        Erofs { fragments: true, dedup: true, ..zstd.clone() },
        Erofs { fragments: true, ..compressed(Compression::Lz4) },
        plain,
        zstd,
    ] {
        let tree = read(sample.plan(format.clone(), LATEST));
        let tree = tree.unwrap_or_else(|violation| panic!("{format:?}: {violation}"));
        assert_eq!(difference(&source, &tree, true), None, "{format:?}");
    }
}

/// Inodes with the time of the image are compact ones.
#[test]
fn own_compact_inodes_are_read() {
    let sample = SampleTree::new(&[EVERYTHING, "find . -exec touch -hd @1600000000 {} +"]);
    let tree = read(sample.plan(Erofs::default(), 1_600_000_000)).unwrap();
    assert_eq!(difference(&sample.read(), &tree, true), None);
}

#[test]
fn images_of_mkfs_are_read() {
    let sample = SampleTree::new(&[EVERYTHING, TIMES]);
    let source = sample.read();
    for options in [
        "",
        "-x0",
        "-Enoinline_data",
        "--chunksize=4096",
        "--chunksize=65536",
        "-zlz4",
        "-zlz4hc,9 -C65536",
        "-zlz4hc,12 --max-extent-bytes=8192",
        "-zlz4 -Elegacy-compress",
        "-zlz4hc -Eztailpacking",
        "-zlz4hc -C65536 -Ededupe",
        "-zlz4 -Ededupe,ztailpacking,fragments",
        "-Eforce-inode-extended,force-chunk-indexes,nosbcrc --chunksize=8192",
        "-zlz4hc -C16384 -Eztailpacking",
        "-zlz4 -Efragments",
        "-zlz4hc -C65536 -Eall-fragments,ztailpacking",
    ] {
        let tree = read(mkfs(&sample, options));
        let tree = tree.unwrap_or_else(|violation| panic!("{options}: {violation}"));
        assert_eq!(difference(&source, &tree, true), None, "{options}");
    }
    let tree = read(mkfs(&sample, "-x-1")).unwrap();
    assert_eq!(tree.xattr_sets().len(), 1, "only the empty set");
}

/// Corrects the checksum of the superblock.
fn sign(image: &mut [u8]) {
    let block = &mut image[SUPER_OFFSET..4096];
    let at = offset_of!(SuperBlock, checksum);
    block[at..at + 4].fill(0);
    let checksum = !crc32c::crc32c(block);
    block[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// A changed byte of the first block is found by the checksum.
#[test]
fn the_checksum_is_checked() {
    let image = mkfs(&SampleTree::new(&["echo text >file"]), "");
    for at in SUPER_OFFSET..4096 {
        let mut image = image.clone();
        // Bit 0 of `feature_compat` is whether there is a checksum.
        image[at] ^= 2;
        assert!(read(image).is_err(), "byte {at}");
    }
}

/// With a right checksum, every changed byte of metadata that is not zero is either a violation or
/// a different tree, except in fields that a reader does not use.
#[test]
fn a_changed_byte_is_found() {
    let sample = SampleTree::new(&[
        "seq 3000 >file; seq 9 >small; ln small link; ln -s file symlink; mkdir sub
         mknod sub/device c 5 1; mkfifo sub/pipe; chown 5 sub; setfattr -n user.a -v b small",
    ]);
    for options in ["", "--chunksize=4096"] {
        let image = mkfs(&sample, options);
        let source = read(image.clone()).unwrap();
        let start = SUPER_OFFSET + size_of::<SuperBlock>();
        for at in (start..image.len()).filter(|&at| image[at] != 0) {
            for bit in [0, 3, 7] {
                let mut image = image.clone();
                image[at] ^= 1 << bit;
                sign(&mut image);
                let tree = read(image);
                let is_missed = tree.is_ok_and(|tree| difference(&source, &tree, true).is_none());
                assert!(!is_missed || is_harmless(at), "{options}: byte {at}");
            }
        }
    }
}

/// Returns whether a byte may be one of an inode that has no effect: the number of the inode, the
/// address of no blocks, or a size with a NUL after the last name of a directory.
fn is_harmless(at: usize) -> bool {
    let in_slot = at % usize::try_from(ISLOT).unwrap();
    let start = offset_of!(InodeCompact, i_u);
    (start..start + 8).contains(&in_slot) || in_slot == offset_of!(InodeCompact, i_size)
}

/// mkfs.erofs writes full indexes for files that may share clusters.
#[test]
fn full_indexes_are_read() {
    let sample = SampleTree::new(&["seq 40000 >file; seq 70000 120000 >other"]);
    let source = sample.read();
    let tree = read(mkfs(&sample, "-zlz4hc -C16384 -Ededupe")).unwrap();
    assert_eq!(difference(&source, &tree, true), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Damage of any kind is no panic.
    #[test]
    fn damage_is_no_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        is_plain in any::<bool>(),
    ) {
        static IMAGES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
            let sample = SampleTree::new(&[EVERYTHING]);
            ["-zlz4hc -C65536 -Eztailpacking,fragments", "-x0"]
                .map(|options| mkfs(&sample, options))
        });
        let mut image = IMAGES[usize::from(is_plain)].clone();
        for (index, byte) in changes {
            let at = SUPER_OFFSET + index.index(image.len() - SUPER_OFFSET);
            image[at] = byte;
        }
        sign(&mut image);
        let _ = read(image);
    }
}
