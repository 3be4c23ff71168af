//! File content: inline and in extents, at the limits of both, and holes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{SeekFrom, seek};

use super::image::{Image, check_with_oracles, fill, tree};
use super::inspect::{FileExtent, Place, extents, extents_of};
use crate::oracle::btrfs::{btrfs_check, mount_btrfs};
use crate::oracle::{Mounted, grub_cmp};

const FS_TREE: u64 = 5;

/// Returns the extents of each of the files in the root directory.
fn of_files(image: &Image, names: &[String]) -> BTreeMap<String, Vec<FileExtent>> {
    let all = extents(&image.path, FS_TREE);
    image.mounted(|root| {
        names.iter().map(|name| (name.clone(), extents_of(&all, root, name))).collect()
    })
}

#[test]
fn sizes_around_the_inline_limits() {
    let sizes = [0, 1, 2046, 2047, 2048, 2049, 3994, 4094, 4095, 4096, 4097, 8192, 8193];
    let source = tree(":");
    for size in sizes {
        fill(&source, &size.to_string(), size, size);
    }
    let names: Vec<String> = sizes.iter().map(u64::to_string).collect();
    for (options, most) in [
        (&[][..], 2048),
        (&["--btrfs-max-inline=0"], 0),
        (&["--btrfs-max-inline=1"], 1),
        (&["--btrfs-max-inline=2047"], 2047),
        (&["--btrfs-max-inline=2049"], 2049),
        (&["--btrfs-max-inline=4095"], 4095),
        (&["--btrfs-max-inline=4095", "--btrfs-node-size=65536"], 4095),
        (&["--compress=zstd"], 2048),
        (&["--dedup"], 2048),
    ] {
        let image = check_with_oracles(source.path(), options);
        for (name, list) in of_files(&image, &names) {
            let size: u64 = name.parse().unwrap();
            let context = format!("{options:?}: {list:?}");
            match &list[..] {
                [] => assert_eq!(size, 0, "{context}"),
                [FileExtent { place: Place::Inline(len), offset: 0, compression, .. }] => {
                    assert!((1..=most).contains(&size), "{context}");
                    assert_eq!((*len, compression.as_str()), (size, "none"), "{context}");
                }
                [FileExtent { place: Place::Regular(at, len), offset: 0, len: all, .. }] => {
                    assert!(size > most, "{size}: {context}");
                    let rounded = size.next_multiple_of(4096);
                    assert_eq!((at % 4096, *len, *all), (0, rounded, rounded), "{context}");
                }
                _ => panic!("{context}"),
            }
        }
    }
}

/// Includes the largest inline files that fit into nodes of 4096 bytes.
#[test]
fn inline_in_small_nodes() {
    let source = tree(":");
    for size in [1, 2048, 3948, 3949, 3950, 4095] {
        fill(&source, &size.to_string(), size, size);
    }
    check_with_oracles(source.path(), &["--btrfs-node-size=4096", "--btrfs-max-inline=3949"]);
}

/// File sizes around the maximum size of an extent that is compressed or shared.
#[test]
fn files_around_128_kib() {
    const K: u64 = 1 << 10;
    let source = tree(":");
    let sizes = [128 * K - 1, 128 * K, 128 * K + 1, 256 * K, 256 * K + 1, 257 * K];
    for size in sizes {
        fill(&source, &size.to_string(), size, size);
        fs::write(source.path().join(format!("{size}-text")), text(size)).unwrap();
    }
    for options in [&[][..], &["--dedup"], &["--compress=zstd"], &["--compress=lzo", "--dedup"]] {
        let image = check_with_oracles(source.path(), options);
        for (inode, list) in extents(&image.path, FS_TREE) {
            let mut next = 0;
            for extent in &list {
                assert_eq!(extent.offset, next, "{inode}: {list:?}");
                next += extent.len;
                let Place::Regular(_, stored) = extent.place else { panic!("{extent:?}") };
                if extent.compression != "none" {
                    assert!(extent.len <= 128 * K && stored < extent.len, "{extent:?}");
                }
            }
        }
    }
}

/// Returns text of length `len` that compresses, but not to almost nothing.
pub fn text(len: u64) -> Vec<u8> {
    let lines = (0..).flat_map(|at: u64| format!("{:x}\n", at * at * at).into_bytes());
    lines.take(usize::try_from(len).unwrap()).collect()
}

/// Returns the ranges where the kernel reports data in a file.
fn data_of(file: &Path) -> Vec<(u64, u64)> {
    let file = File::open(file).unwrap();
    let (mut found, mut at) = (Vec::new(), 0);
    while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
        at = seek(&file, SeekFrom::Hole(start)).unwrap();
        found.push((start, at));
    }
    found
}

/// Runs of zeros become holes by the rule of the scan, whether or not they are holes in the source.
#[test]
fn holes_at_every_place() {
    const GRANULE: u64 = 4096;
    // The granules with data, and the ranges where data is stored. If the first of four granules
    // has data, all four are stored.
    type Runs = &'static [(u64, u64)];
    let files: [(&str, &[u64], Runs); 7] = [
        ("leading", &[19], &[(19, 20)]),
        ("interior", &[0, 1, 18, 19], &[(0, 4), (18, 20)]),
        ("trailing", &[0], &[(0, 4)]),
        ("data-first", &[0, 2, 4, 6, 8, 10, 12, 14, 16, 18], &[(0, 20)]),
        ("zeros-first", &[1, 3, 5, 7], &[(1, 2), (3, 4), (5, 6), (7, 8)]),
        ("middle", &[5, 6, 9], &[(5, 7), (9, 10)]),
        ("all", &[], &[]),
    ];
    let (sparse, dense) = (tree(":"), tree(":"));
    for (name, data, _) in files {
        let mut bytes = vec![0; usize::try_from(20 * GRANULE).unwrap()];
        data.iter().for_each(|at| bytes[usize::try_from(at * GRANULE).unwrap() + 17] = 1);
        fs::write(dense.path().join(name), &bytes).unwrap();
        let file = File::create(sparse.path().join(name)).unwrap();
        file.set_len(20 * GRANULE).unwrap();
        data.iter().for_each(|at| file.write_all_at(&[1], at * GRANULE + 17).unwrap());
    }
    for options in [&[][..], &["--compress=zstd"], &["--dedup"], &["--btrfs-compat=old"]] {
        for source in [&sparse, &dense] {
            let image = check_with_oracles(source.path(), options);
            image.mounted(|root| {
                for (name, _, runs) in files {
                    let runs: Vec<_> =
                        runs.iter().map(|(from, to)| (from * GRANULE, to * GRANULE)).collect();
                    assert_eq!(data_of(&root.join(name)), runs, "{options:?}: {name}");
                }
            });
            grub_cmp(&image.path, "data-first", &source.path().join("data-first")).unwrap();
        }
    }
}

/// The limits of file sizes.
#[test]
fn files_of_exbibytes() {
    const TIB: u64 = 1 << 40;
    let host = Mounted::new("tmpfs", "size=64m", None).unwrap();
    let last = (1 << 63) - 8192;
    let files: [(&str, u64, &[u64]); 4] = [
        ("beyond-2-TiB", 3 * TIB, &[4096, 2 * TIB - 4096, 2 * TIB + 4096, 3 * TIB - 4096]),
        ("beyond-16-TiB", 17 * TIB, &[4096, 16 * TIB + 4096]),
        ("largest", (1 << 63) - 4096, &[4096, TIB + 4096, last]),
        ("largest-and-empty", (1 << 63) - 4096, &[]),
    ];
    for (name, size, data) in files {
        let file = File::create(host.path().join(name)).unwrap();
        file.set_len(size).unwrap();
        data.iter().for_each(|&at| file.write_all_at(b"data", at).unwrap());
    }
    for options in [&[][..], &["--dedup", "--compress=zstd"]] {
        let image = Image::new(host.path(), options);
        btrfs_check(&image.path).unwrap();
        image.mounted(|root| {
            for (name, size, data) in files {
                let file = File::open(root.join(name)).unwrap();
                assert_eq!(file.metadata().unwrap().len(), size, "{name}");
                let expected: Vec<_> = data.iter().map(|&at| (at, at + 4096)).collect();
                assert_eq!(data_of(&root.join(name)), expected, "{name}");
                for &at in data {
                    let mut bytes = vec![0; 4096];
                    file.read_exact_at(&mut bytes, at).unwrap();
                    assert_eq!(bytes[..4], *b"data");
                    assert!(bytes[4..].iter().all(|&byte| byte == 0));
                }
            }
        });
    }
}

/// An extent has at most 128 MiB.
#[test]
#[ignore = "takes minutes"]
fn files_around_128_mib() {
    const MOST: u64 = 128 << 20;
    let source = tree(":");
    for (size, count) in [(MOST - 1, 1), (MOST, 1), (MOST + 1, 2)] {
        fill(&source, "file", size, size);
        for options in [&[][..], &["--btrfs-metadata=single", "--headroom=0"]] {
            let image = check_with_oracles(source.path(), options);
            let list = &of_files(&image, &["file".into()])["file"];
            // Superblock mirrors may split the file further.
            assert!((count..count + 3).contains(&list.len()), "{size}: {list:?}");
            let mut next = 0;
            for extent in list {
                assert!(extent.offset == next && extent.len <= MOST, "{list:?}");
                next += extent.len;
            }
            assert_eq!(next, size.next_multiple_of(4096));
        }
        for options in [&["--compress=zstd:1"][..], &["--dedup"]] {
            check_with_oracles(source.path(), options);
        }
    }
}

/// Block counts match those of the kernel.
#[test]
fn blocks_of_files() {
    let source = tree(":");
    fill(&source, "inline", 1, 100);
    fill(&source, "one", 1, 4000);
    fill(&source, "many", 1, 100_000);
    let image = Image::new(source.path(), &[]);
    let blocks = |name: &str| {
        let look = |root: &Path| fs::metadata(root.join(name)).unwrap().blocks();
        mount_btrfs(&image.path, look).unwrap()
    };
    assert_eq!(["inline", "one", "many"].map(blocks), [8, 8, 200]);
}
