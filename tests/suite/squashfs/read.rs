//! Images of mksquashfs: what the reader finds is what the kernel shows.

use std::path::Path;

use detfs::Squashfs;

use super::image::scratch;
use crate::oracle::shell;
use crate::oracle::squashfs::{mount_squashfs, unsquashfs};
use crate::read_back::{image_of_mounted, image_of_read};
use crate::tree::stressed;

fn mksquashfs(options: &str, image: &Path) {
    let script = format!("mksquashfs $1 $2 -noappend -quiet -no-progress {options}");
    shell(&script, &[stressed(2000), image]);
}

fn ours(image: &Path, options: &str) -> Vec<u8> {
    let ours = image_of_read(&Squashfs::default(), image);
    ours.unwrap_or_else(|error| panic!("{options}: {error:?}"))
}

#[test]
fn the_reader_finds_what_the_kernel_shows() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    for options in [
        "",
        "-comp lzo",
        "-comp lzo -Xalgorithm lzo1x_1_15 -b 4096",
        "-comp lz4 -Xhc",
        "-comp xz -Xbcj x86,arm",
        "-comp zstd -Xcompression-level 3 -b 1M",
        "-comp gzip -Xstrategy huffman_only,run_length_encoded",
        "-noI -noD -noF -noX -no-exports",
        "-no-fragments -no-duplicates -no-sparse",
        "-tailends -no-hardlinks",
        "-all-root -no-xattrs -all-time 1600000000",
    ] {
        mksquashfs(options, &image);
        let kernel = mount_squashfs(&image, image_of_mounted);
        let kernel = kernel.unwrap_or_else(|error| panic!("{options}: {error:?}"));
        assert!(ours(&image, options) == kernel, "{options}: the kernel shows another tree");
    }
}

/// The kernel does not read LZMA.
#[test]
fn the_reader_finds_what_unsquashfs_extracts() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    mksquashfs("-comp lzma", &image);
    assert!(ours(&image, "lzma") == unsquashfs(&image, image_of_mounted).unwrap());
    mksquashfs("-comp lzma -all-root", &image);
    assert!(ours(&image, "lzma") != image_of_mounted(stressed(2000)));
}
