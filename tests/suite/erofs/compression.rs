//! Compressed files: every shape of the index, and content that does not compress.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{XattrFlags, setxattr};

use super::image::{Image, text, tree};
use crate::detfs::{mkfs, succeed};
use crate::tree::{LATEST, Random};

const BLOCK: u64 = 4096;
const PIECE: u64 = 128 << 10;

const ALGORITHMS: [&str; 3] = ["zstd", "lz4", "lz4hc"];

/// Files of 1 to 70 blocks, whose indexes start at every offset that a pack can start at.
///
/// An index has packs of 2 entries up to a multiple of 32 bytes, then packs of 16 entries, and
/// packs of 2 at the end. Pieces have 32 entries.
#[test]
fn every_shape_of_an_index_is_read() {
    let source = tree("");
    for (phase, value) in [None, Some(3), Some(11), Some(19), Some(27)].into_iter().enumerate() {
        for blocks in 1..=70 {
            let rest = [0, 1, BLOCK - 1][(phase + usize::try_from(blocks).unwrap()) % 3];
            let file = source.path().join(format!("{phase}-{blocks}"));
            fs::write(&file, text(blocks, blocks * BLOCK - rest)).unwrap();
            if let Some(len) = value {
                // No two values are the same, so none is shared.
                let value = format!("{phase}-{blocks:0>width$}", width = len - 2);
                setxattr(&file, "user.v", value.as_bytes(), XattrFlags::empty()).unwrap();
            }
        }
    }
    for algorithm in ALGORITHMS {
        let compress = format!("--compress={algorithm}");
        let image = Image::checked(source.path(), &[&compress]);
        assert!(image.size() < 5 * 70 * 35 * BLOCK / 2, "{algorithm}: {}", image.size());
    }
    // Without tails that follow the inode.
    Image::checked(source.path(), &["--compress=lz4", "--erofs-profile=linux-5.15"]);
}

/// Pieces that compress and pieces that don't, in any order.
#[test]
fn what_does_not_compress_is_stored_as_it_is() {
    let source = tree("");
    for mask in 0..8u64 {
        for rest in [0, 1, 3000, 5000] {
            let mut content = Vec::new();
            for piece in 0..3 {
                content.extend(match mask >> piece & 1 {
                    0 => text(mask, PIECE),
                    _ => Random::new(mask * 8 + piece).bytes(PIECE),
                });
            }
            content.extend(text(9, rest));
            fs::write(source.path().join(format!("{mask}-{rest}")), content).unwrap();
        }
    }
    for len in [1, 100, 4095, 4096, 4097, 8192, PIECE - 1, PIECE, PIECE + 1] {
        fs::write(source.path().join(format!("random-{len}")), Random::new(len).bytes(len))
            .unwrap();
        let same = "x".repeat(usize::try_from(len).unwrap());
        fs::write(source.path().join(format!("same-{len}")), same).unwrap();
    }
    let plain = Image::checked(source.path(), &[]).size();
    for algorithm in ALGORITHMS {
        let image = Image::checked(source.path(), &[&format!("--compress={algorithm}")]);
        assert!(image.size() < plain * 7 / 10, "{algorithm}: {} of {plain}", image.size());
    }
}

#[test]
fn the_image_does_not_depend_on_threads() {
    let source = tree("");
    for number in 0..40 {
        fs::write(source.path().join(format!("{number}")), text(number % 30, number * 33_333))
            .unwrap();
    }
    let bytes = |threads: &str| {
        let image = Image::checked(source.path(), &["--compress=lz4hc:3", "--dedup", threads]);
        fs::read(&image.path).unwrap()
    };
    assert!(bytes("--threads=1") == bytes("--threads=7"));
}

/// Pieces of files that are not equal, with and without holes.
#[test]
fn equal_chunks_are_stored_once() {
    const KIB: u64 = 1024;
    let source = tree("");
    let random = |seed: u64, kib: u64| Random::new(seed).bytes(kib * KIB);
    let write = |name: &str, pieces: &[Vec<u8>]| {
        fs::write(source.path().join(name), pieces.concat()).unwrap();
    };
    write("a", &[random(1, 128), random(2, 128), random(3, 128), random(4, 100)]);
    // In another order, and with an end of its own.
    write("b", &[random(3, 128), random(5, 128), random(1, 128), random(6, 99)]);
    // With what is new in `b`, and with a piece that occurs twice.
    write("c", &[random(7, 128), random(5, 128), random(7, 128), random(1, 128)]);
    // With an equal end.
    write("d", &[random(8, 128), random(4, 100)]);
    write("twin-of-c", &[random(7, 128), random(5, 128), random(7, 128), random(1, 128)]);
    write("short", &[random(1, 3)]);
    write("short-twin", &[random(1, 3)]);
    let holes = File::create(source.path().join("holes")).unwrap();
    holes.set_len(512 * KIB).unwrap();
    holes.write_all_at(&random(2, 128), 256 * KIB).unwrap();

    let image = |options: &[&str]| Image::checked(source.path(), &[&["--dedup"], options].concat());
    // The pieces 1, 2, 3, 5, 7 and 8, the ends of `a` and `d`, and that of `b`.
    let unique = (6 * 128 + 100 + 99) * KIB;
    let found = image(&[]);
    assert!((unique..unique + 16 * KIB).contains(&found.size()), "{}, {unique}", found.size());
    assert!(found.features().contains("chunked_file"));
    let old = image(&["--erofs-profile=linux-5.10"]);
    assert!(old.size() > unique * 3 / 2 && !old.features().contains("chunked_file"));
    // Only the holes compress, so that file shares nothing.
    assert!(image(&["--compress=lz4"]).size() < unique + (128 + 32) * KIB);
    // Smaller pieces find more: those of `a` at another offset.
    let large = source.path().join("e");
    fs::write(large, [random(9, 8), random(1, 96), random(10, 1)].concat()).unwrap();
    let (coarse, fine) = (image(&[]).size(), image(&["--erofs-cluster-size=8K"]).size());
    assert!(fine + 90 * KIB < coarse, "{fine}, {coarse}");
}

#[test]
fn equal_files_are_stored_once() {
    let source = tree("mkdir a b");
    for (name, content) in [
        ("random", Random::new(1).bytes(300_001)),
        ("text", text(1, 300_001)),
        ("short", text(2, 5000)),
        ("block", text(3, 4096)),
    ] {
        fs::write(source.path().join("a").join(name), &content).unwrap();
        fs::write(source.path().join("b").join(name), &content).unwrap();
    }
    for compress in ["none", "lz4"] {
        let compress = format!("--compress={compress}");
        let twice = Image::checked(source.path(), &[&compress]).size();
        let once = Image::checked(source.path(), &[&compress, "--dedup"]).size();
        assert!(once * 20 < twice * 11, "{compress}: {once} of {twice}");
    }
}

/// Files of all lengths up to that of a piece, and pieces that do not compress.
#[test]
fn short_files_are_compressed_together() {
    let source = tree("mkdir a b");
    let lens =
        (0..300).map(|number| number * number * 2 % PIECE).chain([PIECE - 1, PIECE, PIECE * 2]);
    for (number, len) in lens.enumerate() {
        let number = u64::try_from(number).unwrap();
        let content = match number % 10 {
            0 => Random::new(number).bytes(len),
            _ => text(number, len),
        };
        fs::write(source.path().join(format!("a/{number}")), &content).unwrap();
        if number % 3 == 0 {
            let file = source.path().join(format!("b/{number}"));
            fs::write(&file, &content).unwrap();
            setxattr(&file, "user.a", &content[..content.len().min(9)], XattrFlags::empty())
                .unwrap();
        }
    }
    for algorithm in ALGORITHMS {
        let compress = format!("--compress={algorithm}");
        let alone = Image::checked(source.path(), &[&compress, "--dedup"]).size();
        let together = Image::checked(source.path(), &[&compress, "--dedup", "--fragments"]);
        // `feature_incompat`: Debian 12's dump.erofs does not know the feature.
        assert_eq!(fs::read(&together.path).unwrap()[1024 + 80] & 0x20, 0x20);
        // Lines that count compress as well alone.
        assert!(together.size() < alone * 11 / 10, "{algorithm}: {}, {alone}", together.size());
        let twice = Image::checked(source.path(), &[&compress, "--fragments"]);
        assert!(twice.size() > together.size() * 11 / 10, "{algorithm}");
    }
    let threads = ["--threads=1", "--threads=9"].map(|threads| {
        let options = ["--compress=lz4", "--fragments", threads];
        fs::read(&Image::checked(source.path(), &options).path).unwrap()
    });
    assert!(threads[0] == threads[1]);
}

#[test]
fn matching_files_are_not_compressed() {
    let source = tree("mkdir -p usr/lib; seq 100000 >usr/lib/a; seq 100000 >b");
    let size = |options: &[&str]| Image::checked(source.path(), options).size();
    let (all, one) = (size(&["--compress=lz4"]), size(&["--compress=lz4", "--no-compress=usr"]));
    assert!(one > all + (100 << 10), "{all}, {one}");
}

/// Returns what a run of `detfs mkfs erofs` says that must fail.
fn refused(source: &Path, options: &[&str]) -> String {
    let output = mkfs("erofs", source, &source.join("../image"), LATEST, options).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn algorithms_that_a_kernel_does_not_read_are_refused() {
    let source = tree("seq 9999 >file");
    for (options, words) in [
        (
            &["--compress=lzma"][..],
            "--compress: erofs can't be written with the compression `lzma`",
        ),
        (&["--compress=deflate:1"], "`deflate:1`; use zstd, lz4hc or lz4"),
        (&["--compress=zstd:23"], "--compress: zstd has no level 23; use a level from 1 to 22"),
        (&["--compress=lz4hc:0"], "--compress: lz4hc has no level 0; use a level from 1 to 12"),
        (
            &["--compress=zstd", "--erofs-profile=linux-6.1"],
            "--compress: kernels of the profile linux-6.1 don't read zstd; use \
             --erofs-profile=linux-6.10",
        ),
        (
            &["--compress=lz4", "--erofs-profile=linux-5.10"],
            "the profile linux-5.10 don't read lz4; use --erofs-profile=linux-5.15",
        ),
        (
            &["--compress=lz4", "--fragments", "--erofs-profile=linux-5.15"],
            "--fragments: kernels of the profile linux-5.15 don't read them; use \
             --erofs-profile=linux-6.1",
        ),
    ] {
        let error = refused(source.path(), options);
        assert!(error.contains(words), "{error}");
    }
    // Everything is accepted that is not used.
    let out = source.path().join("../unused");
    let options = ["--compress=none", "--erofs-profile=linux-5.4"];
    succeed(&mut mkfs("erofs", source.path(), &out, LATEST, &options));
    fs::remove_file(out).unwrap();
}
