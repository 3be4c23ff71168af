//! Swap files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::inspect::debugfs;
use crate::detfs::{mkfs, succeed};
use crate::oracle::{Comparison, Mounted, e2fsck, ext4, shell, swap_to};

const EPOCH: i64 = 4_000_000_000;
const MIB: u64 = 1 << 20;

/// Script that creates swap files for every page size, which are sparse except for the header, and
/// a sparse file that is not a swap file.
const SWAP_FILES: &str = "cd $1; mkdir d
    for size in 4096 8192 16384 32768 65536; do
        truncate -s 8M d/$size; mkswap -q -p $size d/$size; chmod 600 d/$size
    done
    truncate -s 8M holes; printf x | dd of=holes conv=notrunc status=none";

/// Checks that every block of a file is allocated and marked as written.
fn is_whole(image: &Path, root: &Path, path: &str) {
    let metadata = fs::metadata(root.join(path)).unwrap();
    assert!(metadata.blocks() * 512 >= metadata.len(), "{path}: {} blocks", metadata.blocks());
    let extents = debugfs(image, &format!("dump_extents {path}"));
    assert!(!extents.contains("Uninit"), "{path}: {extents}");
}

#[test]
fn those_of_the_tree_keep_their_blocks() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    shell(SWAP_FILES, &[&tree]);
    let image = scratch.path().join("image");
    for (block_size, profile) in
        [("1024", "default"), ("4096", "default"), ("4096", "modern"), ("4096", "boot")]
    {
        let options = ["--force", "--ext4-block-size", block_size, "--ext4-profile", profile];
        succeed(&mut mkfs("ext4", &tree, &image, EPOCH, &options));
        ext4(&image, &tree, &Comparison::exact().without("lost+found")).unwrap();
        // The zeros are not written to the image.
        assert!(fs::metadata(&image).unwrap().blocks() * 512 < 2 * MIB);
        let mounted = Mounted::new("ext4", "rw", Some(&image)).unwrap();
        for path in ["d/4096", "d/8192", "d/16384", "d/32768", "d/65536"] {
            is_whole(&image, mounted.path(), path);
        }
        let holes = fs::metadata(mounted.path().join("holes")).unwrap();
        assert_eq!(holes.blocks() * 512 < MIB, profile != "boot");
        let taken = swap_to(&mounted.path().join("d/4096")).unwrap();
        // A page may be lost if blocks are smaller than pages.
        assert!(taken >= 8 * MIB - 2 * 4096, "{taken}");
        assert_eq!(mounted.errors(), 0);
        e2fsck(&image).unwrap();
    }
}

#[test]
fn one_is_added() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    shell("mkdir $1/swap; seq 1000 >$1/file", &[&tree]);
    let image = scratch.path().join("image");
    for size in [300 * MIB, 40_960] {
        let option = format!("--swapfile=/swap/file:{size}");
        succeed(&mut mkfs("ext4", &tree, &image, EPOCH, &[&option, "--force"]));
        let comparison = Comparison::exact().without("lost+found").without("swap/file");
        ext4(&image, &tree, &comparison).unwrap();
        assert!(fs::metadata(&image).unwrap().blocks() * 512 < 8 * MIB);
        let mounted = Mounted::new("ext4", "rw", Some(&image)).unwrap();
        let file = mounted.path().join("swap/file");
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.len(), metadata.mode(), metadata.uid()), (size, 0o100_600, 0));
        is_whole(&image, mounted.path(), "swap/file");
        assert_eq!(swap_to(&file).unwrap(), size - 4096);
        assert_eq!(mounted.errors(), 0);
        e2fsck(&image).unwrap();
    }
}
