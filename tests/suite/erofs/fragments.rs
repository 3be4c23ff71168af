//! Ends of files in the packed inode, and pieces of other sizes.

use std::fs;
use std::path::Path;

use rustix::fs::{XattrFlags, setxattr};

use super::image::{Image, scratch, text, tree};
use crate::detfs::{mkfs, succeed};
use crate::oracle::erofs::mount_erofs;
use crate::oracle::sid;
use crate::tree::{LATEST, Random};

const BLOCK: u64 = 4096;

/// Lengths around multiples of `piece`, with every kind of rest.
fn lens(piece: u64) -> Vec<u64> {
    let rests = [0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, piece / 2 + 7, piece - 1];
    (0..4).flat_map(|count| rests.map(|rest| count * piece + rest)).collect()
}

/// Long files whose pieces compress or don't, with indexes that start at every offset that a pack
/// can start at.
#[test]
fn ends_of_long_files_are_compressed_together() {
    const PIECE: u64 = 128 << 10;
    let source = tree("mkdir a b");
    for (number, len) in (0..).zip(lens(PIECE)) {
        for (phase, value) in [0, 3, 11, 19, 27].into_iter().enumerate() {
            let name = format!("a/{number}-{phase}");
            let mut content = text(number, len);
            if phase == 1 && len > PIECE {
                let random = Random::new(number).bytes(PIECE);
                content[..random.len()].copy_from_slice(&random);
            }
            fs::write(source.path().join(&name), &content).unwrap();
            if value > 0 {
                let value = format!("{name:0>value$}");
                let file = source.path().join(&name);
                setxattr(&file, "user.v", value.as_bytes(), XattrFlags::empty()).unwrap();
            }
            if phase == 2 {
                fs::write(source.path().join(format!("b/{number}")), &content).unwrap();
            }
        }
    }
    for options in [&["--compress=zstd"][..], &["--compress=lz4", "--dedup"]] {
        let alone = Image::checked(source.path(), options).size();
        let together = Image::checked(source.path(), &[options, &["--fragments"]].concat());
        assert!(together.size() < alone, "{options:?}: {}, {alone}", together.size());
    }
}

/// A long file with holes keeps its end, because it may be in chunks, as does one that is not
/// compressed.
#[test]
fn some_ends_are_no_fragments() {
    let source = tree("truncate -s 1M holes; seq 100000 | dd of=holes conv=notrunc status=none");
    fs::write(source.path().join("excluded"), text(1, 300_000)).unwrap();
    let has_fragments = || {
        let options = ["--compress=zstd", "--fragments", "--no-compress=excluded"];
        let image = Image::checked(source.path(), &options);
        // `feature_incompat`: Debian 12's dump.erofs does not know the feature.
        fs::read(&image.path).unwrap()[1024 + 80] & 0x20 != 0
    };
    assert!(!has_fragments());
    fs::write(source.path().join("text"), text(1, 300_000)).unwrap();
    assert!(has_fragments());
}

/// Pieces of all sizes, in all algorithms.
#[test]
fn pieces_of_all_sizes_are_read() {
    for (size, algorithm) in
        [("8K", "zstd"), ("16K", "lz4"), ("64K", "lz4hc:3"), ("256K", "zstd"), ("1M", "lz4")]
    {
        let number: u64 = size.trim_end_matches(['K', 'M']).parse().unwrap();
        let piece = if size.ends_with('M') { number << 20 } else { number << 10 };
        let source = tree("");
        for (number, len) in (0..).zip(lens(piece)) {
            fs::write(source.path().join(format!("{number}")), text(number, len)).unwrap();
        }
        let options = [&format!("--erofs-cluster-size={size}"), &format!("--compress={algorithm}")];
        let options = options.map(String::as_str);
        Image::checked(source.path(), &options);
        Image::checked(source.path(), &[&options[..], &["--fragments"]].concat());
    }
}

/// Larger pieces compress better.
#[test]
fn larger_pieces_make_a_smaller_image() {
    let source = tree("");
    for number in 0..20 {
        fs::write(source.path().join(format!("{number}")), text(number % 3, 300_000)).unwrap();
    }
    let size = |cluster: &str| {
        let cluster = format!("--erofs-cluster-size={cluster}");
        Image::checked(source.path(), &["--compress=zstd", "--fragments", &cluster]).size()
    };
    let sizes = ["8K", "64K", "1M"].map(size);
    assert!(sizes.is_sorted_by(|larger, smaller| larger > smaller), "{sizes:?}");
}

/// fsck.erofs of Debian sid, which knows fragments, reads images with and without them, and fails
/// without the end of the packed inode.
#[test]
#[ignore = "makes a Debian sid"]
fn deep_the_newest_fsck_reads_fragments() {
    let source = tree("");
    for (number, len) in (0..).zip(lens(64 << 10)) {
        let name = |copy: &str| source.path().join(format!("{number}{copy}"));
        fs::write(name(""), text(number, len)).unwrap();
        fs::write(name("-twin"), text(number, len)).unwrap();
    }
    fs::write(source.path().join("random"), Random::new(1).bytes(200_000)).unwrap();
    let fsck = |image: &Path| {
        sid().command("fsck.erofs").arg("--extract").arg(image).status().unwrap().success()
    };
    for compress in ["zstd", "lz4"] {
        let compress = format!("--compress={compress}");
        let options = [compress.as_str(), "--dedup", "--fragments", "--erofs-cluster-size=64K"];
        for count in 2..=options.len() {
            let image = Image::checked(source.path(), &options[..count]);
            assert!(fsck(&image.path), "{:?}", &options[..count]);
        }
        let image = Image::checked(source.path(), &options);
        // The packed inode is the last one in the image.
        let file = fs::File::options().write(true).open(&image.path).unwrap();
        file.set_len(image.size() - BLOCK).unwrap();
        assert!(!fsck(&image.path));
    }
}

/// An end beyond 4 GiB of the packed inode needs an index whose entries have 8 bytes.
#[test]
#[ignore = "deep: more than 4 GiB of content"]
fn deep_fragments_beyond_4_gib() {
    let source = tree("mkdir a z");
    let (first, piece) = (source.path().join("a/0"), 1u64 << 20);
    fs::write(&first, text(1, piece - 1)).unwrap();
    for number in 1..4200 {
        fs::hard_link(&first, source.path().join(format!("a/{number}"))).unwrap();
    }
    for (number, rest) in [1, BLOCK, BLOCK + 1, 500_000].into_iter().enumerate() {
        let mut content = [Random::new(2).bytes(piece), text(7, 2 * piece + rest)].concat();
        content.rotate_left(number);
        fs::write(source.path().join(format!("z/{number}")), content).unwrap();
    }
    let scratch = scratch();
    let image = scratch.path().join("image");
    let options = ["--compress=lz4", "--fragments", "--erofs-cluster-size=1M", "--hardlinks=break"];
    succeed(&mut mkfs("erofs", source.path(), &image, LATEST, &options));
    let differing = mount_erofs(&image, |root| {
        let names = ["a/0", "a/4199", "z/0", "z/1", "z/2", "z/3"];
        let read = |root: &Path, name: &str| fs::read(root.join(name)).unwrap();
        names.into_iter().find(|name| read(source.path(), name) != read(root, name))
    });
    assert_eq!(differing.unwrap(), None);
}
