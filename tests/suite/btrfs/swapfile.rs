//! Swap files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::image::{Image, check_with_oracles, everything, tree};
use super::inspect::{FileExtent, Place, extents, extents_of};
use crate::oracle::btrfs::{DumpedTrees, btrfs_check, grow, swap_on};
use crate::oracle::{Comparison, run, shell};

const MIB: u64 = 1 << 20;

#[test]
fn it_can_be_swapped_to() {
    let source = tree("mkdir swap; chmod 700 swap; seq 1000 >file");
    for (options, path, size) in [
        (&["--swapfile=swapfile:16M"][..], "swapfile", 16 * MIB),
        (
            &["--subvolume=swap:nodatacow", "--swapfile=swap/swapfile:512M", "--compress=zstd"],
            "swap/swapfile",
            512 * MIB,
        ),
        (&["--subvolume=swap", "--swapfile=swap/file:40960", "--headroom=0"], "swap/file", 40_960),
        (&["--swapfile=swap/file:300M", "--dedup", "--btrfs-compat=old"], "swap/file", 300 * MIB),
    ] {
        let image = Image::new(source.path(), options);
        btrfs_check(&image.path).unwrap();
        DumpedTrees::read(&image.path).unwrap().sound().unwrap();
        image.mounted(|root| {
            let comparison = everything().without(path);
            comparison.compare(source.path(), root).unwrap();
            let file = root.join(path);
            let metadata = fs::metadata(&file).unwrap();
            let found = (metadata.len(), metadata.mode(), metadata.uid(), metadata.blocks() * 512);
            assert_eq!(found, (size, 0o100_600, 0, size), "{options:?}");
            let flags = shell("lsattr $1", &[&file]);
            assert!(flags.split(' ').next().unwrap().contains('C'), "{flags}");
            let known = run("blkid", ["-p".as_ref(), file.as_os_str()]);
            assert!(known.stdout.contains("TYPE=\"swap\""), "{}", known.all());
        });
        // All space is allocated, although almost none of it is written.
        let subvolume = if options[0].starts_with("--subvolume") { 256 } else { 5 };
        let all = extents(&image.path, subvolume);
        let list: Vec<FileExtent> = image.mounted(|root| extents_of(&all, root, path));
        let stored: u64 = list.iter().map(|extent| extent.len).sum();
        assert_eq!(stored, size, "{list:?}");
        let written: u64 = list
            .iter()
            .filter(|extent| matches!(extent.place, Place::Regular(..)))
            .map(|extent| extent.len)
            .sum();
        assert!(written <= 64 << 10, "{list:?}");
        assert!(fs::metadata(&image.path).unwrap().blocks() * 512 < 32 * MIB);
        if size >= MIB {
            assert_eq!(swap_on(&image.path, "rw", path).unwrap(), size - 4096);
        }
    }
}

/// Files with a swap signature are stored like those that `--swapfile` adds, whatever their
/// content.
#[test]
fn those_of_the_tree_can_be_swapped_to() {
    let source = tree(
        "mkdir d; for name in 4096 16384 65536 used; do truncate -s 8M d/$name; done
        head -c 2M /dev/urandom >half; cat half half | dd of=d/used conv=notrunc status=none
        for size in 4096 16384 65536; do mkswap -q -p $size d/$size; done
        mkswap -q d/used; chmod 600 d/*",
    );
    for options in [&["--headroom=1G"][..], &["--headroom=1G", "--dedup", "--compress=zstd"]] {
        let image = check_with_oracles(source.path(), options);
        image.mounted(|root| {
            for name in ["4096", "16384", "65536", "used"] {
                let file = root.join("d").join(name);
                assert_eq!(fs::metadata(&file).unwrap().blocks() * 512, 8 * MIB, "{name}");
                let flags = shell("lsattr $1", &[&file]);
                assert!(flags.split(' ').next().unwrap().contains('C'), "{flags}");
            }
        });
        for path in ["d/4096", "d/used"] {
            assert_eq!(swap_on(&image.path, "rw", path).unwrap(), 8 * MIB - 4096, "{path}");
        }
    }
}

#[test]
fn a_file_system_with_one_stands_what_is_done_to_them() {
    let source = tree("mkdir swap; seq 1000 >file");
    let options = ["--subvolume=swap:nodatacow", "--swapfile=swap/file:64M"];
    let image = Image::new(source.path(), &options);
    let compare =
        |root: &Path| Comparison::exact().without("swap/file").compare(source.path(), root);
    grow(&image.path, compare).unwrap();
}
