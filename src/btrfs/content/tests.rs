use std::sync::Arc;

use super::*;
use crate::tree::{Metadata, Node, SurveyOptions, TreeBuilder, survey};

const K: usize = 1 << 10;

/// Bytes that don't compress.
fn noise(len: usize, seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[7]
    };
    (0..len).map(next).collect()
}

/// Bytes that compress to about half.
fn text(len: usize, seed: u8) -> Vec<u8> {
    noise(len, seed).into_iter().map(|byte| b'a' + byte % 16).collect()
}

/// A tree of files in one directory, in the order given.
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

const PLAIN: Treatment = Treatment { checksum: true, compression: None, inline: false };

fn options(threads: usize) -> ContentOptions<'static> {
    ContentOptions {
        threads: NonZero::new(threads).unwrap(),
        checksum: Checksum::Crc32c,
        dedup: false,
        max_inline: 2048,
        spool: None,
    }
}

/// The checksums that content has, sector by sector.
fn sums(checksum: Checksum, content: &[u8]) -> Vec<u8> {
    let mut sums = Vec::new();
    for sector in content.chunks(SECTOR) {
        let mut sector = sector.to_vec();
        sector.resize(SECTOR, 0);
        sums.extend_from_slice(&checksum.digest(&sector)[..checksum.size()]);
    }
    sums
}

#[test]
fn plain_content_is_one_piece_for_each_range() {
    let mut holed = noise(200 * K, 1);
    holed[64 * K..96 * K].fill(0);
    let files =
        [noise(1, 2), Vec::new(), noise(4096, 3), holed, noise(5000 * K + 7, 4), noise(4097, 5)];
    let tree = tree(&files);
    let survey = survey(&tree, &SurveyOptions::default()).unwrap();
    for checksum in [Checksum::Crc32c, Checksum::Xxhash, Checksum::Sha256, Checksum::Blake2b] {
        let options = ContentOptions { checksum, ..options(2) };
        let contents = examine(&tree, &survey, &|_| PLAIN, &options).unwrap();
        let expected: [&[(u64, u64, u64)]; 6] = [
            &[(0, 1, 0)],
            &[],
            &[(0, 4096, 1)],
            &[(0, 64 << 10, 2), (96 << 10, 104 << 10, 18)],
            &[(0, (5000 << 10) + 7, 44)],
            &[(0, 4097, 1295)],
        ];
        let mut all = Vec::new();
        let mut count = 0;
        for (number, expected) in (0..).zip(expected) {
            let pieces = contents.pieces(file(number));
            let found: Vec<_> = pieces.iter().map(|p| (p.from, p.len, p.first_sum)).collect();
            assert_eq!(found, expected, "{number}");
            assert_eq!(contents.first_piece(file(number)), count);
            assert_eq!(contents.inline(file(number)), None);
            for piece in pieces {
                let at = |offset| usize::try_from(offset).unwrap();
                let content = &files[number as usize][at(piece.from)..at(piece.from + piece.len)];
                all.extend(sums(checksum, content));
                assert_eq!((piece.same_as, piece.stored), (count, Stored::Plain));
                count += 1;
            }
        }
        assert!(contents.sums() == all, "{}", checksum.name());
        assert!(contents.spool().is_none());
        assert!(contents.pieces(InodeId::ROOT).is_empty());
    }
}
