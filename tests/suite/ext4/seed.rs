//! The UUID and the hash seed change only the bytes that depend on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use detfs::Uuid;
use detfs::ext4::{Options, Profile};
use detfs::tree::Tree;

use super::inspect::{block_of, extents, inode_field, superblock_field};
use super::sample::{Comb, Image, ROOT, Sample, metadata, options, with_xattr};
use crate::oracle::shell;

const BLOCK: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// With its offset in the block.
    Superblock(usize),
    Descriptors,
    Inodes,
    Linear,
    Index,
    /// A leaf of an indexed directory.
    Leaf,
    Extents,
    Attributes,
    Orphans,
}

impl Kind {
    /// Returns whether a byte of a block of this kind depends on the UUID.
    fn by_uuid(self, at: usize) -> bool {
        match self {
            // s_uuid, s_checksum_seed, s_checksum
            Self::Superblock(start) => {
                matches!(at.wrapping_sub(start), 0x68..0x78 | 0x270..0x274 | 0x3FC..0x400)
            }
            // The checksums of the bitmaps, low and high, and that of the descriptor.
            Self::Descriptors => matches!(at % 64, 0x18..0x1C | 0x1E..0x20 | 0x38..0x3C),
            // i_generation, l_i_checksum_lo, i_checksum_hi
            Self::Inodes => matches!(at % 256, 0x64..0x68 | 0x7C..0x7E | 0x82..0x84),
            // h_checksum
            Self::Attributes => matches!(at, 0x10..0x14),
            Self::Linear | Self::Index | Self::Leaf | Self::Extents | Self::Orphans => {
                at >= BLOCK - 4
            }
        }
    }

    /// Returns whether a byte of a block of this kind depends on the seed of the directory hash.
    fn by_hash_seed(self, at: usize) -> bool {
        match self {
            Self::Superblock(start) => {
                matches!(at.wrapping_sub(start), 0xEC..0xFC | 0x3FC..0x400)
            }
            Self::Index | Self::Leaf => true,
            _ => false,
        }
    }

    fn name(self) -> Self {
        if let Self::Superblock(_) = self { Self::Superblock(0) } else { self }
    }
}

/// Builds a tree with names of one length, so that another order by hash fills as many blocks.
fn tree() -> Arc<Tree> {
    let mut sample = Sample::new();
    let directory = sample.directory(ROOT, "indexed");
    for number in 0..2000 {
        sample.empty(directory, format!("name-{number:05}"), metadata(0o644));
    }
    let directory = sample.directory(ROOT, "linear");
    sample.empty(directory, "xattr", with_xattr("user.x", vec![7; 300]));
    sample.content("comb", 400 << 13, Arc::new(Comb(400)));
    sample.file("file", vec![7; 100_000]);
    sample.finish()
}

/// Returns the kinds of blocks, by block number.
fn kinds(image: &Path) -> BTreeMap<u64, Kind> {
    let mut kinds = BTreeMap::from([(0, Kind::Superblock(1024))]);
    let text = shell("dumpe2fs $1 2>/dev/null", &[image]);
    for line in text.lines().map(str::trim) {
        let number = |text: &str| text.split([',', ' ']).next().unwrap().parse::<u64>().unwrap();
        let mut ranged = |before: &str, kind| {
            if let Some((_, range)) = line.split_once(before) {
                let (first, last) = range.split_once('-').unwrap();
                kinds.extend((number(first)..=number(last)).map(|block| (block, kind)));
            }
        };
        ranged("Group descriptors at ", Kind::Descriptors);
        ranged("Inode table at ", Kind::Inodes);
        if let Some((_, block)) = line.split_once("Backup superblock at ") {
            kinds.insert(number(block), Kind::Superblock(0));
        }
    }
    let blocks = |path: &str| inode_field(image, path, "Size") / BLOCK as u64;
    for path in ["/", "/linear", "/lost+found"] {
        kinds.extend((0..blocks(path)).map(|at| (block_of(image, path, at), Kind::Linear)));
    }
    kinds.extend((0..blocks("/indexed")).map(|at| {
        (block_of(image, "/indexed", at), if at == 0 { Kind::Index } else { Kind::Leaf })
    }));
    kinds.extend(extents(image, "/comb").index.into_iter().map(|block| (block, Kind::Extents)));
    kinds.insert(inode_field(image, "/linear/xattr", "File ACL"), Kind::Attributes);
    let orphans = format!("<{}>", superblock_field(image, "Orphan file inode"));
    kinds.extend((0..blocks(&orphans)).map(|at| (block_of(image, &orphans, at), Kind::Orphans)));
    kinds
}

/// Compares images with two sets of options, and returns the kinds of blocks in which they differ.
fn differing(one: &Options, other: &Options, allowed: fn(Kind, usize) -> bool) -> BTreeSet<Kind> {
    let [one, other] = [one, other].map(|options| {
        let image = Image::new(&tree(), options);
        image.check_with_oracles(|_| ()).unwrap();
        image
    });
    let kinds = kinds(&one.path);
    assert!(kinds == self::kinds(&other.path), "something moved");
    let [one, other] = [one, other].map(|image| fs::read(image.path).unwrap());
    assert_eq!(one.len(), other.len());
    let mut differing = BTreeSet::new();
    for (block, (one, other)) in (0..).zip(one.chunks(BLOCK).zip(other.chunks(BLOCK))) {
        if one == other {
            continue;
        }
        let kind = kinds.get(&block).copied();
        let kind = kind.unwrap_or_else(|| panic!("block {block} of no such kind differs"));
        for at in (0..BLOCK).filter(|&at| one[at] != other[at]) {
            assert!(allowed(kind, at), "byte {at} of block {block}, {kind:?}, differs");
        }
        differing.insert(kind.name());
    }
    differing
}

#[test]
#[ignore = "takes seconds"]
fn a_seed_changes_what_it_is_for() {
    // Two groups, the second with backups.
    let one = Options { profile: Profile::Modern, size: Some(200 << 20), ..options() };
    let uuid = Options { uuid: Uuid::from_u128(42), ..one.clone() };
    let all = [
        Kind::Superblock(0),
        Kind::Descriptors,
        Kind::Inodes,
        Kind::Linear,
        Kind::Index,
        Kind::Leaf,
        Kind::Extents,
        Kind::Attributes,
        Kind::Orphans,
    ];
    assert_eq!(differing(&one, &uuid, Kind::by_uuid), BTreeSet::from(all));
    let hash_seed = Options { hash_seed: Uuid::from_u128(42), ..one.clone() };
    let hashed = [Kind::Superblock(0), Kind::Index, Kind::Leaf];
    assert_eq!(differing(&one, &hash_seed, Kind::by_hash_seed), BTreeSet::from(hashed));
    assert_eq!(differing(&one, &one, |_, _| false), BTreeSet::new());
}
