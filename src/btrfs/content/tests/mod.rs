mod codecs;

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use super::compress::ExtentEncoders;
use super::*;
use crate::tree::dir::{self, DirOptions};
use crate::tree::{HoleScanOptions, Metadata, Node, TreeBuilder, scan_holes};

const K: usize = 1 << 10;

/// Returns incompressible bytes.
fn noise(len: usize, seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[7]
    };
    (0..len).map(next).collect()
}

/// Returns bytes that compress to about half.
fn text(len: usize, seed: u8) -> Vec<u8> {
    noise(len, seed).into_iter().map(|byte| b'a' + byte % 16).collect()
}

/// Returns words of eight bytes from a small set, which every codec compresses to less than half.
fn words(len: usize, seed: u8) -> Vec<u8> {
    let word = |byte: u8| noise(8, byte % 16);
    noise(len.div_ceil(8), seed).into_iter().flat_map(word).take(len).collect()
}

/// Returns a tree of files in one directory, in the given order.
fn tree(files: &[Vec<u8>]) -> Tree {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    for (number, content) in (0..).zip(files) {
        let size = content.len() as u64;
        let content = builder.content(Arc::new(content.clone())).unwrap();
        let name = format!("{number:04}");
        let file = Node::File { size, content };
        builder.add(TreeBuilder::ROOT, name.as_bytes(), Metadata::default(), file).unwrap();
    }
    builder.finish().unwrap()
}

fn file(number: u32) -> InodeId {
    InodeId::new(number + 1)
}

const PLAIN: DataPolicy =
    DataPolicy { checksum: true, compression: None, holes: true, shared: true, inline: false };

fn options(threads: usize) -> ContentOptions<'static> {
    ContentOptions {
        threads: NonZero::new(threads).unwrap(),
        dedup: false,
        max_inline: 2048,
        observer: None,
        spool: None,
    }
}

#[test]
fn plain_content_is_one_piece_for_each_range() {
    let mut holed = noise(200 * K, 1);
    holed[64 * K..96 * K].fill(0);
    let files =
        [noise(1, 2), Vec::new(), noise(4096, 3), holed, noise(5000 * K + 7, 4), noise(4097, 5)];
    let tree = tree(&files);
    let scan = scan_holes(&tree, &HoleScanOptions::default()).unwrap();
    let contents = encode(&tree, &scan, &|_| PLAIN, &options(2)).unwrap();
    let expected: [&[(u64, u64)]; 6] = [
        &[(0, 1)],
        &[],
        &[(0, 4096)],
        &[(0, 64 << 10), (96 << 10, 104 << 10)],
        &[(0, (5000 << 10) + 7)],
        &[(0, 4097)],
    ];
    let mut count = 0;
    for (number, expected) in (0..).zip(expected) {
        let candidates = contents.candidates(file(number));
        let found: Vec<_> = candidates.iter().map(|p| (p.from, p.len)).collect();
        assert_eq!(found, expected, "{number}");
        assert_eq!(contents.first_candidate(file(number)), count);
        assert_eq!(contents.inline(file(number)), None);
        for candidate in candidates {
            assert_eq!((candidate.same_as, candidate.encoding), (count, Encoding::Plain));
            count += 1;
        }
    }
    assert!(contents.spool().is_none());
    assert!(contents.candidates(InodeId::ROOT).is_empty());
    let no_holes = |_| DataPolicy { holes: false, ..PLAIN };
    let contents = encode(&tree, &scan, &no_holes, &options(2)).unwrap();
    assert_eq!(contents.candidates(file(3)).len(), 1);
}

const ZSTD: Compression = Compression::Zstd { level: 3 };

type Rule<'a> = &'a (dyn Fn(u32) -> DataPolicy + Sync);

/// Encodes files, each with the policy for its number, and returns one line for each candidate.
///
/// Also checks that the spool contains the compressed form.
fn described(files: &[Vec<u8>], rule: Rule<'_>, options: &ContentOptions<'_>) -> Vec<String> {
    let tree = tree(files);
    let scan = scan_holes(&tree, &HoleScanOptions::default()).unwrap();
    let policy = |id: InodeId| rule(u32::try_from(id.index()).unwrap() - 1);
    let contents = encode(&tree, &scan, &policy, options).unwrap();
    let mut codecs = ExtentEncoders::default();
    let mut form = |encoding, raw: &[u8]| match encoding {
        Encoding::Plain => "plain".to_owned(),
        Encoding::Compressed { at, len, compression } => {
            let mut compressed = vec![0; usize::try_from(len).unwrap()];
            contents.spool().unwrap().read_at(at, &mut compressed).unwrap();
            assert!(codecs.compress(compression, raw).unwrap() == compressed);
            compression.to_string()
        }
    };
    let (mut described, mut count) = (Vec::new(), 0);
    for (number, content) in (0..).zip(files) {
        if let Some(inline) = contents.inline(file(number)) {
            described.push(format!("{number}: inline {}", form(inline.encoding, content)));
        }
        for candidate in contents.candidates(file(number)) {
            let at = |offset| usize::try_from(offset).unwrap();
            let raw = &content[at(candidate.from)..at(candidate.from + candidate.len)];
            let mut line = format!("{number}: {}+{} ", candidate.from, candidate.len);
            line += &form(candidate.encoding, raw);
            if candidate.same_as != count {
                line += &format!(" as {}", candidate.same_as);
            }
            described.push(line);
            count += 1;
        }
    }
    described
}

#[test]
fn what_is_compressed() {
    let spool = tempfile::tempdir().unwrap();
    let holed = [vec![0; 32 * K], words(268 * K, 1), noise(10 * K, 2)].concat();
    // Content, whether it may be inline, and what is expected.
    let cases: [(Vec<u8>, bool, &[&str]); 16] = [
        (holed, false, &["32768+131072 c", "163840+131072 c", "294912+22528 c"]),
        (noise(129 * K, 9), false, &["0+131072 plain", "131072+1024 plain"]),
        (vec![0; 4096], false, &["0+4096 plain"]),
        (vec![0; 4097], false, &["0+4097 c"]),
        (noise(4097, 3), false, &["0+4097 plain"]),
        (vec![1; 2000], false, &["0+2000 plain"]),
        (vec![1; 2000], true, &["inline c"]),
        (noise(2000, 4), true, &["inline plain"]),
        (noise(2048, 4), true, &["inline plain"]),
        (noise(2049, 4), true, &["0+2049 plain"]),
        (vec![1; 2049], true, &["inline c"]),
        (vec![1; 4095], true, &["inline c"]),
        ([noise(2049, 4), vec![0; 2046]].concat(), true, &["0+4095 plain"]),
        (vec![1; 1], true, &["inline plain"]),
        (noise(13, 1), true, &["inline plain"]),
        (Vec::new(), true, &[]),
    ];
    let files = cases.each_ref().map(|(content, ..)| content.clone());
    for compression in [ZSTD, Compression::Lzo, Compression::Zlib { level: 6 }] {
        let rule = |number: u32| DataPolicy {
            compression: Some(compression),
            inline: cases[number as usize].1,
            ..PLAIN
        };
        let mut expected = Vec::new();
        for (number, (_, _, candidates)) in cases.iter().enumerate() {
            let name = |candidate: &&str| match candidate.strip_suffix(" c") {
                Some(candidate) => format!("{number}: {candidate} {compression}"),
                None => format!("{number}: {candidate}"),
            };
            expected.extend(candidates.iter().map(name));
        }
        let options = ContentOptions { spool: Some(spool.path()), ..options(2) };
        assert_eq!(described(&files, &rule, &options), expected);
    }
}

#[test]
fn equal_pieces() {
    let spool = tempfile::tempdir().unwrap();
    let long = words(300 * K, 1);
    let files = [
        long.clone(),
        long.clone(),
        // Equal to a part of the first, where it is cut.
        long[128 * K..256 * K].to_vec(),
        // Equal to a part of the first, elsewhere.
        long[4 * K..12 * K].to_vec(),
        words(8 * K, 7),
        words(8 * K, 7),
        words(8 * K, 7),
        words(8 * K, 7),
        // The same sector, of other lengths.
        vec![0; 10],
        vec![0; 11],
        vec![0; 10],
        // Twice in one file.
        [noise(128 * K, 1), noise(128 * K, 1)].concat(),
        // What is in a leaf has no piece to share.
        vec![0; 10],
    ];
    let other = Compression::Zstd { level: 1 };
    let rule = |number| DataPolicy {
        holes: true,
        checksum: number != 5,
        compression: match number {
            6 => None,
            7 => Some(other),
            _ => Some(ZSTD),
        },
        shared: true,
        inline: number == 12,
    };
    let expected = [
        "0: 0+131072 zstd:3",
        "0: 131072+131072 zstd:3",
        "0: 262144+45056 zstd:3",
        "1: 0+131072 zstd:3 as 0",
        "1: 131072+131072 zstd:3 as 1",
        "1: 262144+45056 zstd:3 as 2",
        "2: 0+131072 zstd:3 as 1",
        "3: 0+8192 zstd:3",
        "4: 0+8192 zstd:3",
        "5: 0+8192 zstd:3",
        "6: 0+8192 plain",
        "7: 0+8192 zstd:1",
        "8: 0+10 plain",
        "9: 0+11 plain",
        "10: 0+10 plain as 12",
        "11: 0+131072 plain",
        "11: 131072+131072 plain as 15",
        "12: inline plain",
    ];
    let dedup = ContentOptions { dedup: true, spool: Some(spool.path()), ..options(3) };
    assert_eq!(described(&files, &rule, &dedup), expected);
    let plain = |number| DataPolicy { compression: None, ..rule(number) };
    let expected = expected.map(|line| match line {
        // Without compression, all but the one without checksums are equal.
        "6: 0+8192 plain" | "7: 0+8192 zstd:1" => format!("{}: 0+8192 plain as 8", &line[..1]),
        _ => line.replace("zstd:3", "plain"),
    });
    assert_eq!(described(&files, &plain, &ContentOptions { spool: None, ..dedup }), expected);
}

#[test]
fn swap_files_share_nothing() {
    let files =
        [words(256 * K, 1), words(256 * K, 1), [noise(128 * K, 1), noise(128 * K, 1)].concat()];
    let rule = |number| DataPolicy { shared: number == 0, ..PLAIN };
    let dedup = ContentOptions { dedup: true, ..options(2) };
    let found = described(&files, &rule, &dedup);
    assert!(found.len() == 6 && found.iter().all(|line| !line.contains(" as ")), "{found:?}");
}

/// Many files of every kind, and some that several threads share.
#[test]
fn threads_change_nothing() {
    let spool = tempfile::tempdir().unwrap();
    let mut files: Vec<_> = (0..200u8).map(|n| words(usize::from(n) * 97, n % 50)).collect();
    files.push([words(5000 * K, 1), noise(300 * K, 2), words(200 * K, 1)].concat());
    files.extend((0..200u8).map(|n| noise(usize::from(n) * 97, n % 50)));
    let rule = |number| DataPolicy {
        holes: true,
        checksum: number % 5 != 0,
        compression: [Some(ZSTD), Some(Compression::Lzo), None][number as usize % 3],
        shared: true,
        inline: files[number as usize].len() < 4096,
    };
    for dedup in [false, true] {
        let made = [1, 2, 7].map(|threads| {
            let options = ContentOptions { dedup, spool: Some(spool.path()), ..options(threads) };
            described(&files, &rule, &options)
        });
        assert_eq!(made[0], made[1]);
        assert_eq!(made[0], made[2]);
    }
}

/// Returns a tree of files, some of which are removed before they are read.
fn removed() -> (tempfile::TempDir, Tree) {
    let host = tempfile::tempdir().unwrap();
    for n in 0..60 {
        fs::write(host.path().join(format!("{n:02}")), vec![b'x'; 1000 * n]).unwrap();
    }
    let (tree, _) = dir::read(host.path(), &DirOptions::default()).unwrap();
    for n in [1, 17, 18, 59] {
        fs::remove_file(host.path().join(format!("{n:02}"))).unwrap();
    }
    (host, tree)
}

#[test]
fn the_first_file_that_fails_is_named() {
    let (spool, tree) = removed();
    let policy = |id: InodeId| DataPolicy { inline: id.index() == 2, ..PLAIN };
    let compress = |id| DataPolicy { compression: Some(ZSTD), ..policy(id) };
    for threads in [1, 2, 8] {
        let options = ContentOptions { spool: Some(spool.path()), ..options(threads) };
        let scan = HoleScan::default();
        let error = encode(&tree, &scan, &compress, &options).unwrap_err().to_string();
        assert!(error.starts_with("01: it was removed"), "{error}");
        // What is stored in a leaf as it is need not be read for equal content.
        let dedup = ContentOptions { dedup: true, ..options };
        let error = encode(&tree, &scan, &policy, &dedup).unwrap_err().to_string();
        assert!(error.starts_with("17: it was removed"), "{error}");
        // Nor anything if nothing is asked.
        let contents = encode(&tree, &scan, &policy, &options).unwrap();
        assert_eq!(contents.candidates(file(59)).len(), 1);
        assert!(contents.spool().is_none());
    }
}

#[test]
fn a_file_that_changes_is_found() {
    let host = tempfile::tempdir().unwrap();
    let path = host.path().join("file");
    fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let (tree, _) = dir::read(host.path(), &DirOptions::default()).unwrap();
    fs::write(&path, vec![b'y'; 9000]).unwrap();
    let dedup = ContentOptions { dedup: true, ..options(1) };
    let error = encode(&tree, &HoleScan::default(), &|_| PLAIN, &dedup).unwrap_err();
    assert!(matches!(error, crate::Error::Changed { .. }), "{error}");
}

#[test]
fn what_can_not_be_is_refused() {
    let tree = tree(&[words(10 * K, 1)]);
    let refused = |compression, spool| {
        let policy = |_| DataPolicy { compression: Some(compression), ..PLAIN };
        let options = ContentOptions { spool, ..options(1) };
        encode(&tree, &HoleScan::default(), &policy, &options).unwrap_err().to_string()
    };
    for (compression, spool, message) in [
        (Compression::Zstd { level: 16 }, None, "btrfs.compression: zstd has no level 16; use"),
        (Compression::Zlib { level: 0 }, None, "btrfs.compression: zlib has no level 0; use"),
        (ZSTD, None, "spool: not set"),
        (ZSTD, Some("/nonexistent"), "cannot create a temporary file in /nonexistent: "),
    ] {
        let error = refused(compression, spool.map(Path::new));
        assert!(error.starts_with(message), "{error}");
    }
}
