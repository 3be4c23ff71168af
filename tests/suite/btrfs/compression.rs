//! Every compression algorithm at every level, read by the kernel, btrfs check and GRUB.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use super::files::text;
use super::image::{Image, check_with_oracles, fill, scratch, tree, unique};
use super::inspect::{Place, extents, extents_of};
use crate::detfs::{mkfs, native, succeed};
use crate::oracle::btrfs::{number, superblocks};
use crate::oracle::{Mounted, grub_cmp, sha256, shell};
use crate::tree::{LATEST, Random};

const FS_TREE: u64 = 5;

/// Creates files that compress well, badly and not at all, from one sector to many extents long.
fn source() -> tempfile::TempDir {
    let source = tree("mkdir -p opaque/below; seq 30000 >opaque/below/text.gz; seq 9 >small");
    let write = |name: &str, bytes: &[u8]| fs::write(source.path().join(name), bytes).unwrap();
    fill(&source, "random", 1, 300_000);
    for len in [2049, 4096, 4097, 8192, 12_289, 131_071, 131_072, 131_073, 1_000_000] {
        write(&format!("text-{len}"), &text(len));
        write(&format!("same-{len}"), &vec![b's'; usize::try_from(len).unwrap()]);
    }
    // The share of incompressible data differs between sectors, so that the LZO segment headers
    // occur at every offset, including at the end of a sector.
    let mut random = Random::new(2);
    let mut mixed = Vec::new();
    for _ in 0..2048 {
        let noise = random.below(3000);
        let mut sector = random.bytes(noise);
        sector.resize(4096, b'.');
        mixed.extend(sector);
    }
    write("mixed", &mixed);
    let half = [text(131_072), Random::new(3).bytes(131_072), text(131_072)].concat();
    write("half", &half);
    source
}

fn with(algorithm: &str) -> String {
    format!("--compress={algorithm}")
}

#[test]
#[ignore = "takes seconds"]
fn every_algorithm() {
    let source = source();
    let mut sizes = BTreeMap::new();
    for (algorithm, feature) in [
        ("none", ""),
        ("lzo", "COMPRESS_LZO"),
        ("zlib", ""),
        ("zlib:1", ""),
        ("zlib:9", ""),
        ("zstd", "COMPRESS_ZSTD"),
        ("zstd:1", "COMPRESS_ZSTD"),
        ("zstd:15", "COMPRESS_ZSTD"),
    ] {
        let image = check_with_oracles(source.path(), &["--headroom=0", &with(algorithm)]);
        let used = number(&superblocks(&image.path).unwrap()[0], "bytes_used");
        sizes.insert(algorithm, used);
        let name = algorithm.split(':').next().unwrap();
        let all = extents(&image.path, FS_TREE);
        let used: BTreeSet<&str> =
            all.values().flatten().map(|extent| extent.compression.as_str()).collect();
        assert!(used.is_subset(&BTreeSet::from(["none", name])), "{algorithm}: {used:?}");
        assert!(used.contains(name), "{algorithm}: {used:?}");
        image.mounted(|root| {
            let of = |path: &str| extents_of(&all, root, path);
            assert!(of("random").iter().all(|extent| extent.compression == "none"));
            if name != "none" {
                let half = of("half");
                let kinds: Vec<_> = half.iter().map(|extent| extent.compression.as_str()).collect();
                assert_eq!(kinds, [name, "none", name]);
                // Compressing a single sector can't save a sector.
                assert_eq!(of("text-4096")[0].compression, "none");
                assert_eq!(of("same-131073").len(), 2);
            }
        });
        let flags = &superblocks(&image.path).unwrap()[0]["incompat_flags"];
        let flags = u64::from_str_radix(flags.strip_prefix("0x").unwrap(), 16).unwrap();
        let bits = [("COMPRESS_LZO", 1 << 3), ("COMPRESS_ZSTD", 1 << 4)];
        for (bit, mask) in bits {
            assert_eq!(flags & mask != 0, bit == feature, "{algorithm}: {flags:x}");
        }
        for path in ["mixed", "half", "text-1000000", "same-131073"] {
            grub_cmp(&image.path, path, &source.path().join(path))
                .unwrap_or_else(|error_text| panic!("{algorithm}: {path}: {error_text:?}"));
        }
    }
    assert!(sizes["zstd:15"] < sizes["zstd:1"] && sizes["zstd:1"] < sizes["lzo"], "{sizes:?}");
    assert!(sizes["zlib:9"] <= sizes["zlib:1"] && sizes["lzo"] < sizes["none"], "{sizes:?}");
    let uuid = unique();
    let of = |algorithm: &str| {
        sha256(&Image::identified(source.path(), &uuid, &[&with(algorithm)]).path)
    };
    for name in ["zstd", "zlib"] {
        assert_eq!(of(name), of(&format!("{name}:3")));
    }
}

/// Writes files of repeated patterns to `boot`, for which a compressor builds trees of few codes.
///
/// Returns the paths of the files. `units` are the lengths of the patterns.
fn repeated(source: &tempfile::TempDir, units: &[usize], lengths: &[usize]) -> Vec<String> {
    fs::create_dir(source.path().join("boot")).unwrap();
    let mut paths = Vec::new();
    for &unit in units {
        for &len in lengths {
            let path = format!("boot/{unit}-{len}");
            let pattern = (b'A'..=b'z').cycle().take(unit);
            let content: Vec<u8> = pattern.cycle().take(len).collect();
            fs::write(source.path().join(&path), content).unwrap();
            paths.push(path);
        }
    }
    paths
}

/// Checks that GRUB can read files of an image compressed with `algorithm`, and that they are
/// compressed.
fn grub_reads(source: &tempfile::TempDir, algorithm: &str, paths: &[String]) {
    let image = Image::new(source.path(), &["--headroom=0", &with(algorithm)]);
    let all = extents(&image.path, FS_TREE);
    let name = algorithm.split(':').next().unwrap();
    let compressed = all.values().flatten().filter(|extent| extent.compression == name).count();
    assert!(compressed >= paths.len(), "{algorithm}: {compressed} compressed extents");
    for path in paths {
        grub_cmp(&image.path, path, &source.path().join(path))
            .unwrap_or_else(|error_text| panic!("{algorithm}: {path}: {error_text:?}"));
    }
}

#[test]
fn grub_reads_repeated_patterns() {
    let source = scratch();
    let paths = repeated(&source, &[1, 2, 3, 5, 32], &[6000]);
    for algorithm in ["zlib:1", "zlib:3", "zlib:6", "zlib:9", "zstd", "lzo"] {
        grub_reads(&source, algorithm, &paths);
    }
}

#[test]
#[ignore = "deep: takes minutes"]
fn deep_grub_reads_repeated_patterns_at_every_level() {
    let source = scratch();
    let units = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 21, 32, 57, 64, 114, 255, 256, 258, 259];
    let paths = repeated(&source, &units, &[5000, 6000, 9000, 70_000, 131_072, 140_000]);
    let levels = (1..=15).map(|level| format!("zstd:{level}"));
    let levels = levels.chain((1..=9).map(|level| format!("zlib:{level}")));
    for algorithm in levels.chain(["lzo".to_owned()]) {
        grub_reads(&source, &algorithm, &paths);
    }
}

#[test]
#[ignore = "takes minutes"]
fn every_level() {
    let source = source();
    let levels = (1..=15).map(|level| format!("zstd:{level}"));
    for algorithm in levels.chain((1..=9).map(|level| format!("zlib:{level}"))) {
        check_with_oracles(source.path(), &[&with(&algorithm)]);
    }
}

/// Every level produces one image, whatever the number of threads and the processor.
#[test]
#[ignore = "deep: compresses a hundred times, under an emulator too"]
fn deep_same_image_from_another_program_at_every_level() {
    let source = source();
    let out = source.path().with_extension("image");
    let hash = |command: &mut Command| {
        succeed(command);
        let hash = sha256(&out);
        fs::remove_file(&out).unwrap();
        hash
    };
    let levels = (1..=15).map(|level| format!("zstd:{level}"));
    let levels = levels.chain((1..=9).map(|level| format!("zlib:{level}")));
    for algorithm in levels.chain(["lzo".to_owned()]) {
        let command = |threads| {
            let options = [&*with(&algorithm), "--threads", threads];
            mkfs("btrfs", source.path(), &out, LATEST, &options)
        };
        let expected = hash(&mut native(&command("1")));
        for threads in ["1", "2", "3", "8"] {
            assert_eq!(hash(&mut command(threads)), expected, "{algorithm}, {threads} threads");
        }
    }
}

/// Files are not compressed if a pattern excludes them, or according to their attributes set by
/// `chattr` and `btrfs property`.
#[test]
fn what_is_not_to_be_compressed_is_not() {
    let source = source();
    let kinds = |image: &Image, path: &str| {
        let all = extents(&image.path, FS_TREE);
        let list = image.mounted(|root| extents_of(&all, root, path));
        list.iter().map(|extent| extent.compression.clone()).collect::<BTreeSet<_>>()
    };
    let only = |name: &str| BTreeSet::from([name.to_owned()]);
    let options = ["--compress=zstd", "--no-compress=**/*.gz", "--no-compress=text-1*"];
    let image = check_with_oracles(source.path(), &options);
    assert_eq!(kinds(&image, "opaque/below/text.gz"), only("none"));
    assert_eq!(kinds(&image, "text-12289"), only("none"));
    assert_eq!(kinds(&image, "same-8192"), only("zstd"));

    let scratch = scratch();
    let host = scratch.path().join("host");
    shell("truncate -s 256M $1; mkfs.btrfs -q $1 >/dev/null", &[&host]);
    let host = Mounted::new("btrfs", "rw", Some(&host)).unwrap();
    let script = "cd $1; mkdir directory; btrfs property set directory compression lzo
        for file in plain nocow zlib none directory/below; do : >$file; done
        chattr +C nocow; btrfs property set zlib compression zlib
        btrfs property set none compression none
        for file in plain nocow zlib none directory/below; do seq 30000 >$file; done; sync";
    shell(script, &[host.path()]);
    let image = check_with_oracles(host.path(), &["--compress=zstd"]);
    for (path, kind) in [
        ("plain", "zstd"),
        ("nocow", "none"),
        ("zlib", "zlib"),
        ("none", "none"),
        ("directory/below", "lzo"),
    ] {
        assert_eq!(kinds(&image, path), only(kind), "{path}");
    }
    let image = check_with_oracles(host.path(), &[]);
    assert_eq!(kinds(&image, "plain"), only("none"));
}

/// Compressed extents are multiples of the sector size, and `bytes_used` counts their stored size.
#[test]
fn compression_takes_less() {
    let source = tree(":");
    fs::write(source.path().join("text"), text(10_000_000)).unwrap();
    let used = |options: &[&str]| {
        let image = check_with_oracles(source.path(), options);
        let stored: u64 = extents(&image.path, FS_TREE)
            .values()
            .flatten()
            .map(|extent| match extent.place {
                Place::Regular(at, len) => {
                    assert!(at % 4096 == 0 && len % 4096 == 0);
                    len
                }
                _ => 0,
            })
            .sum();
        let bytes = number(&superblocks(&image.path).unwrap()[0], "bytes_used");
        assert!(stored < bytes && bytes < stored + (1 << 20), "{stored} of {bytes}");
        bytes
    };
    let plain = used(&[]);
    assert!(used(&["--compress=zstd"]) < plain / 2);
    assert!(used(&["--compress=lzo"]) < plain);
}
