//! Images of mksquashfs, and damaged ones.

use std::mem::offset_of;
use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;
use zerocopy::FromBytes;

use super::super::spec::{BaseInode, RegInode, SuperBlock};
use super::super::{Compression, Squashfs};
use super::*;
use crate::tree::Tree;
use crate::tree::difference::difference;
use crate::tree::sample::{EVERYTHING, SampleTree};

/// The latest time that squashfs stores.
const LATEST: i64 = u32::MAX as i64;

fn mksquashfs(sample: &SampleTree, options: &str) -> Vec<u8> {
    sample.image(&format!("mksquashfs tree image -noappend -quiet -no-progress {options}"))
}

fn open(image: Vec<u8>) -> Result<Reader> {
    let size = image.len() as u64;
    Reader::open(Arc::new(image), size)
}

/// Reads and checks everything.
fn read(image: Vec<u8>) -> Result<Tree> {
    let reader = open(image)?;
    reader.verify()?;
    reader.tree()
}

#[test]
fn own_images_are_read() {
    let sample = SampleTree::new(&[EVERYTHING]);
    let source = sample.read();
    for compression in [
        Compression::Gzip { level: 1 },
        Compression::Zstd { level: 1 },
        Compression::Lz4 { level: 0 },
        Compression::Lz4 { level: 3 },
        Compression::Xz,
    ] {
        for (block_size, fragments) in [(128 << 10, true), (4 << 10, false)] {
            let format = Squashfs { compression, block_size, fragments };
            let tree = read(sample.plan(format.clone(), LATEST));
            let tree = tree.unwrap_or_else(|violation| panic!("{format:?}: {violation}"));
            assert_eq!(difference(&source, &tree, false), None, "{format:?}");
        }
    }
}

#[test]
fn images_of_mksquashfs_are_read() {
    let sample = SampleTree::new(&[EVERYTHING]);
    let source = sample.read();
    for options in [
        "",
        "-comp zstd -Xcompression-level 3",
        "-comp xz -b 1M",
        "-comp xz -Xbcj x86,arm -Xdict-size 50%",
        "-comp lz4",
        "-comp lzma -b 64K",
        "-comp lzo",
        "-comp lzo -Xcompression-level 3",
        "-comp lzo -Xalgorithm lzo1x_1_12 -b 1M",
        "-comp lz4 -Xhc -b 4096",
        "-comp gzip -Xcompression-level 1 -Xwindow-size 9",
        "-no-fragments -no-exports",
        // With duplicates, mksquashfs 4.5.1 writes fragments that unsquashfs can't read either.
        "-always-use-fragments -b 16384 -no-duplicates",
        "-noI -noD -noF -noX -noId",
        "-no-duplicates -no-sparse",
        "-nopad -all-root",
    ] {
        let tree = read(mksquashfs(&sample, options));
        let tree = tree.unwrap_or_else(|violation| panic!("{options}: {violation}"));
        if options.contains("-all-root") {
            assert_eq!(tree.inodes().iter().map(|inode| inode.uid + inode.gid).max(), Some(0));
            continue;
        }
        assert_eq!(difference(&source, &tree, false), None, "{options}");
    }
    let tree = read(mksquashfs(&sample, "-no-xattrs")).unwrap();
    assert_eq!(tree.xattr_sets().len(), 1, "only the empty set");
}

/// A comparison with a changed tree finds the change.
#[test]
fn another_tree_differs() {
    let sample = SampleTree::new(&["echo a >file"]);
    let tree = read(mksquashfs(&sample, "")).unwrap();
    sample.change("echo b >file");
    let other = read(mksquashfs(&sample, "")).unwrap();
    assert_eq!(difference(&tree, &tree, true), None);
    assert!(difference(&tree, &other, false).is_some());
}

/// Every changed byte of uncompressed metadata is either a violation or a different tree, except in
/// fields that no reader uses.
#[test]
fn a_changed_byte_is_found() {
    let sample = SampleTree::new(&[
        "seq 3000 >file; seq 9 >small; ln small link; ln -s file symlink; mkdir sub
         mknod sub/device c 5 1; mkfifo sub/pipe; chown 5 sub; setfattr -n user.a -v b small",
    ]);
    for compressor in ["gzip", "lz4", "zstd", "xz"] {
        let options = format!("-comp {compressor} -b 4096 -nopad -noI -noF -noX -noId");
        let image = mksquashfs(&sample, &options);
        let source = read(image.clone()).unwrap();
        let (superblock, _) = SuperBlock::read_from_prefix(&image).unwrap();
        let inodes = usize::try_from(superblock.inode_table_start.get()).unwrap();
        let harmless = harmless(inodes + 2);
        for at in (0..size_of::<SuperBlock>()).chain(inodes..image.len()) {
            for bit in [0, 3, 7] {
                let mut image = image.clone();
                image[at] ^= 1 << bit;
                let tree = read(image);
                let is_missed = tree.is_ok_and(|tree| difference(&source, &tree, false).is_none());
                let is_harmless = harmless.iter().any(|range| range.contains(&at));
                assert!(!is_missed || is_harmless, "{compressor}: {at} after {inodes}");
            }
        }
    }
}

/// Returns the bytes that may have another value in an image whose first inode is at `inodes`.
fn harmless(inodes: usize) -> [Range<usize>; 4] {
    let first = size_of::<BaseInode>() + size_of::<RegInode>();
    let second = first + 4 * 4;
    let start_block = inodes + second + size_of::<BaseInode>();
    let field = |offset: usize, size: usize| offset..offset + size;
    [
        field(offset_of!(SuperBlock, mkfs_time), 4),
        // Most flags only tell how the image was made.
        field(offset_of!(SuperBlock, flags), 2),
        // Streams mark their end, so that the last block may be longer.
        field(inodes + first + 3 * 4, 4),
        // The small file has no block.
        field(start_block, 8),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Damage of any kind is no panic.
    #[test]
    fn damage_is_no_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        metadata_only in any::<bool>(),
    ) {
        static IMAGE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            mksquashfs(&SampleTree::new(&[EVERYTHING]), "-comp zstd -noI")
        });
        let mut image = IMAGE.clone();
        let range = if metadata_only { image.len() - 60_000..image.len() } else { 0..image.len() };
        for (index, byte) in changes {
            let at = range.start + index.index(range.len());
            image[at] = byte;
        }
        let _ = read(image);
    }
}
