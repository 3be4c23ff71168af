//! Images of mksquashfs, and damaged ones.

use std::mem::offset_of;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use zerocopy::FromBytes;

use super::super::spec::{BaseInode, RegInode, SuperBlock};
use super::*;
use crate::tree::difference::difference;
use crate::tree::dir::DirOptions;
use crate::tree::{Directory, Source, Tree};

/// Makes a tree with everything that the format stores.
const SAMPLE: &str = r#"
    cd "$1"
    for size in 1 4095 4096 4097 131071 131072 131073 400000 1048576; do
        seq $size | head -c $size >size-$size
    done
    touch empty
    head -c 300000 /dev/zero >zeros
    (head -c 200000 /dev/zero; seq 100; head -c 500000 /dev/zero) >holes
    seq 60 | sed 's/.*/&&&&&&&&&&&/' >text; cp text twin; ln text link; mkdir sub sub/sub empty-dir
    ln text sub/other-link
    ln -s text symlink; ln -s "$(printf '%04000d' 7)" long-symlink
    mkfifo pipe; mknod character c 4095 1048575; mknod block b 8 300
    chown 1000:70000 size-1; chown 4000000000:0 sub; chmod 7751 sub; chmod 0 pipe
    touch -d @0 empty; touch -d @4294967295 text
    mkdir names; cd names
    for i in $(seq 700); do touch "a-rather-long-name-of-a-file-$i"; done; cd ..
    setfattr -n user.small -v x text
    setfattr -n trusted.name -v "$(printf '%0300d' 1)" text
    setfattr -n trusted.name -v "$(printf '%0300d' 1)" -h symlink
    setfattr -n trusted.name -v "$(printf '%0300d' 1)" names
    setfattr -n security.other -v y -h pipe
    setfattr -n user.empty names
    setfattr -n user.many -v z sub
"#;

fn shell(script: &str, arguments: &[&Path]) {
    let output = Command::new("sh").args(["-euc", script, "sh"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Returns a directory with a tree in `tree`.
fn sample(script: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    shell(script, &[&tree]);
    directory
}

fn mksquashfs(directory: &TempDir, options: &str) -> Vec<u8> {
    let image = directory.path().join("image");
    let script = format!("mksquashfs \"$1\" \"$2\" -noappend -quiet -no-progress {options}");
    shell(&script, &[&directory.path().join("tree"), &image]);
    std::fs::read(image).unwrap()
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
fn images_of_mksquashfs_are_read() {
    let directory = sample(SAMPLE);
    let source = Directory::new(directory.path().join("tree"));
    let (source, _) = source.read(&DirOptions::default()).unwrap();
    for options in [
        "",
        "-comp zstd -Xcompression-level 3",
        "-comp xz -b 1M",
        "-comp xz -Xbcj x86,arm -Xdict-size 50%",
        "-comp lz4",
        "-comp lz4 -Xhc -b 4096",
        "-comp gzip -Xcompression-level 1 -Xwindow-size 9",
        "-no-fragments -no-exports",
        "-always-use-fragments -b 16384",
        "-noI -noD -noF -noX -noId",
        "-no-duplicates -no-sparse",
        "-nopad -all-root",
    ] {
        let tree = read(mksquashfs(&directory, options));
        let tree = tree.unwrap_or_else(|violation| panic!("{options}: {violation}"));
        if options.contains("-all-root") {
            assert_eq!(tree.inodes().iter().map(|inode| inode.uid + inode.gid).max(), Some(0));
            continue;
        }
        assert_eq!(difference(&source, &tree, false), None, "{options}");
    }
    let tree = read(mksquashfs(&directory, "-no-xattrs")).unwrap();
    assert_eq!(tree.xattr_sets().len(), 1, "only the empty set");
}

/// A comparison with a changed tree finds the change.
#[test]
fn another_tree_differs() {
    let directory = sample("echo a >$1/file");
    let tree = read(mksquashfs(&directory, "")).unwrap();
    shell("echo b >$1/file", &[&directory.path().join("tree")]);
    let other = read(mksquashfs(&directory, "")).unwrap();
    assert_eq!(difference(&tree, &tree, true), None);
    assert!(difference(&tree, &other, false).is_some());
}

/// Every changed byte of uncompressed metadata is either a violation or a different tree, except in
/// fields that no reader uses.
#[test]
fn a_changed_byte_is_found() {
    let directory = sample(
        "cd $1; seq 3000 >file; seq 9 >small; ln small link; ln -s file symlink; mkdir sub
         mknod sub/device c 5 1; mkfifo sub/pipe; chown 5 sub; setfattr -n user.a -v b small",
    );
    for compressor in ["gzip", "lz4", "zstd", "xz"] {
        let options = format!("-comp {compressor} -b 4096 -nopad -noI -noF -noX -noId");
        let image = mksquashfs(&directory, &options);
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
            mksquashfs(&sample(SAMPLE), "-comp zstd -noI")
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
