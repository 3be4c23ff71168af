//! Images of mkfs.erofs, and damaged ones.

use std::mem::offset_of;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::spec::{ISLOT, InodeCompact, SUPER_OFFSET, SuperBlock};
use super::*;
use crate::tree::difference::difference;
use crate::tree::dir::DirOptions;
use crate::tree::{Directory, Source, Tree};

/// Makes a tree with everything that the format stores.
const SAMPLE: &str = r#"
    cd "$1"
    for size in 1 4095 4096 4097 8192 65535 65536 65537 131073 400000; do
        seq $size | head -c $size >size-$size
        yes | head -c $size >same-$size
        head -c $size /dev/urandom >random-$size
        (head -c $size /dev/urandom; seq $size) >mixed-$size
    done
    for size in $(seq 4000 1111 90000); do seq 30000 | head -c $size >text-$size; done
    touch empty
    head -c 300000 /dev/zero >zeros
    truncate -s 500000 holes; seq 100 | dd of=holes bs=1 seek=200000 conv=notrunc status=none
    seq 60 >text; cp text twin; ln text link; mkdir sub sub/sub empty-dir
    ln text sub/other-link
    ln -s text symlink; ln -s "$(printf '%04000d' 7)" long-symlink
    mkfifo pipe; mknod character c 4095 1048575; mknod block b 8 300
    chown 1000:70000 size-1; chown 4000000000:0 sub; chmod 7751 sub; chmod 0 pipe
    touch -d @-5.25 empty; touch -d @4294967299.75 text
    mkdir names; cd names
    for i in $(seq 700); do touch "a-rather-long-name-of-a-file-$i"; done; touch '!' '-' z; cd ..
    for file in size-* same-* text; do
        setfattr -n user.shared -v "$(printf '%0100d' 1)" $file
    done
    setfattr -n user.small -v x text
    setfattr -n trusted.name -v "$(printf '%0300d' 1)" -h symlink
    setfattr -n security.other -v y -h pipe
    setfattr -n user.empty names
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

fn mkfs(directory: &TempDir, options: &str) -> Vec<u8> {
    let image = directory.path().join("image");
    let script = format!("mkfs.erofs --quiet {options} \"$2\" \"$1\"");
    shell(&script, &[&directory.path().join("tree"), &image]);
    std::fs::read(image).unwrap()
}

/// Reads and checks everything.
fn read(image: Vec<u8>) -> Result<Tree> {
    let size = image.len() as u64;
    let reader = Reader::open(Arc::new(image), size)?;
    reader.verify()?;
    reader.tree()
}

#[test]
fn images_of_mkfs_are_read() {
    let directory = sample(SAMPLE);
    let source = Directory::new(directory.path().join("tree"));
    let (source, _) = source.read(&DirOptions::default()).unwrap();
    for options in [
        "",
        "-x0",
        "-Enoinline_data",
        "--chunksize=4096",
        "--chunksize=65536",
        "-zlz4",
        "-zlz4hc,9 -C65536",
        "-zlz4hc -Eztailpacking",
        "-zlz4hc -C16384 -Eztailpacking",
        "-zlz4 -Efragments",
        "-zlz4hc -C65536 -Eall-fragments,ztailpacking",
    ] {
        let tree = read(mkfs(&directory, options));
        let tree = tree.unwrap_or_else(|violation| panic!("{options}: {violation}"));
        assert_eq!(difference(&source, &tree, true), None, "{options}");
    }
    let tree = read(mkfs(&directory, "-x-1")).unwrap();
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
    let image = mkfs(&sample("echo text >$1/file"), "");
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
    let directory = sample(
        "cd $1; seq 3000 >file; seq 9 >small; ln small link; ln -s file symlink; mkdir sub
         mknod sub/device c 5 1; mkfifo sub/pipe; chown 5 sub; setfattr -n user.a -v b small",
    );
    for options in ["", "--chunksize=4096"] {
        let image = mkfs(&directory, options);
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
    let directory = sample("cd $1; seq 40000 >file; seq 70000 120000 >other");
    let source = Directory::new(directory.path().join("tree"));
    let (source, _) = source.read(&DirOptions::default()).unwrap();
    let tree = read(mkfs(&directory, "-zlz4hc -C16384 -Ededupe")).unwrap();
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
            let directory = sample(SAMPLE);
            ["-zlz4hc -C65536 -Eztailpacking,fragments", "-x0"]
                .map(|options| mkfs(&directory, options))
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
