//! Names with equal CRC-32C hashes, which btrfs stores in one item.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::XattrFlags;
use tempfile::TempDir;

use super::image::{Image, check_with_oracles, mkfs_btrfs, tree};
use super::inspect::items;
use crate::oracle::{Mounted, shell};

/// A linear map from up to 64 bits to 32 bits, given by the image of each bit.
struct Linear {
    /// Vectors and the bits that they are combined from, sorted by descending highest bit. No two
    /// vectors have the same highest bit.
    basis: Vec<(u32, u64)>,
    /// Sets of bits whose image is zero.
    kernel: Vec<u64>,
}

impl Linear {
    fn new(images: impl IntoIterator<Item = u32>) -> Self {
        let mut map = Self { basis: Vec::new(), kernel: Vec::new() };
        for (bit, image) in images.into_iter().enumerate() {
            let (rest, bits) = map.reduce(image, 1 << bit);
            if rest == 0 {
                map.kernel.push(bits);
            } else {
                map.basis.push((rest, bits));
                map.basis.sort_unstable_by_key(|&(rest, _)| std::cmp::Reverse(rest));
            }
        }
        map
    }

    fn reduce(&self, mut image: u32, mut bits: u64) -> (u32, u64) {
        for &(vector, of) in &self.basis {
            if image ^ vector < image {
                (image, bits) = (image ^ vector, bits ^ of);
            }
        }
        (image, bits)
    }

    /// Returns `count` different sets of bits whose image is `image`.
    fn solutions(&self, image: u32, count: usize) -> Vec<u64> {
        let (rest, first) = self.reduce(image, 0);
        assert_eq!(rest, 0, "the bits do not suffice");
        assert!(count <= 1 << self.kernel.len(), "only {} free bits", self.kernel.len());
        let combined = |number: usize| {
            let chosen = self.kernel.iter().enumerate().filter(|(at, _)| number >> at & 1 == 1);
            chosen.fold(first, |bits, (_, vector)| bits ^ vector)
        };
        (0..count).map(combined).collect()
    }
}

/// Returns the CRC-32C of `bytes` from `seed`, without the final inversion.
fn crc(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

/// Letters whose four lowest bits can be chosen freely.
const FREE: [u8; 14] = [b'`'; 14];

/// Returns `count` names with the given beginning and end that have the same CRC from `seed`, which
/// is `hash` if it is given.
fn names_with(
    seed: u32,
    hash: Option<u32>,
    begin: &[u8],
    end: &[u8],
    count: usize,
) -> Vec<Vec<u8>> {
    let name = |bits: u64| {
        let letters =
            FREE.iter().zip(0..).map(|(letter, at)| letter | (bits >> (4 * at) & 15) as u8);
        [begin, &letters.collect::<Vec<_>>(), end].concat()
    };
    let plain = crc(seed, &name(0));
    let map = Linear::new((0..FREE.len() * 4).map(|bit| crc(seed, &name(1 << bit)) ^ plain));
    let change = hash.map_or(0, |hash| hash ^ plain);
    let names: Vec<_> = map.solutions(change, count).into_iter().map(name).collect();
    assert!(names.iter().all(|found| crc(seed, found) == plain ^ change));
    names
}

/// Returns `count` names with equal hashes, whether they name directory entries, links of an inode
/// or extended attributes.
pub fn names_of_one_hash(begin: &str, end: &str, count: usize) -> Vec<Vec<u8>> {
    names_with(!1, None, begin.as_bytes(), end.as_bytes(), count)
}

/// Returns `count` file offsets beyond one TiB, all multiples of a MiB, whose references to one
/// extent have equal hashes.
pub fn offsets_with_one_hash(count: usize) -> Vec<u64> {
    let first: u64 = 1 << 41;
    let hash = |offset: u64| crc(!0, &offset.to_le_bytes());
    let map = Linear::new((20..62).map(|bit| hash(first ^ 1 << bit) ^ hash(first)));
    let offsets: Vec<_> = map.solutions(0, count).iter().map(|bits| first ^ bits << 20).collect();
    assert!(offsets.iter().all(|&offset| hash(offset) == hash(first)));
    offsets
}

#[test]
fn what_is_made_to_collide_does() {
    for names in [names_of_one_hash("a", "z", 1000), names_of_one_hash("", "", 5)] {
        let hashes: BTreeSet<u32> = names.iter().map(|name| crc32c::crc32c(name)).collect();
        assert_eq!(hashes.len(), 1);
        assert!(names.iter().flatten().all(u8::is_ascii_graphic));
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
    let offsets: BTreeSet<u64> = offsets_with_one_hash(100).into_iter().collect();
    assert_eq!(offsets.len(), 100);
    let names = names_with(257, Some(0x1234_5678), b"x", b"", 3);
    assert!(names.iter().all(|name| crc(257, name) == 0x1234_5678));
}

fn at(source: &Path, name: &[u8]) -> std::path::PathBuf {
    source.join(OsStr::from_bytes(name))
}

#[test]
fn names_in_a_directory() {
    let source = tree("mkdir few many directories");
    for (number, name) in names_of_one_hash("a", "", 2).iter().enumerate() {
        fs::write(at(&source.path().join("few"), name), number.to_string()).unwrap();
    }
    for (number, name) in names_of_one_hash("b", "c", 300).iter().enumerate() {
        fs::write(at(&source.path().join("many"), name), number.to_string()).unwrap();
    }
    for name in names_of_one_hash("", "directory", 20) {
        fs::create_dir_all(at(&source.path().join("directories"), &name).join("below")).unwrap();
    }
    for options in [&[][..], &["--btrfs-node-size=65536", "--btrfs-compat=old"]] {
        let image = check_with_oracles(source.path(), options);
        // Three items for the root, one for each of its subdirectories, and one for each of the
        // twenty directories.
        assert_eq!(items(&image.path, "fs", "DIR_ITEM"), 3 + 3 + 20);
        assert_eq!(items(&image.path, "fs", "DIR_INDEX"), 3 + 2 + 300 + 20 + 20);
    }
    // The kernel looks up, removes and adds entries among the colliding names.
    let image = Image::new(source.path(), &[]);
    let some = names_of_one_hash("b", "c", 302);
    let change = |root: &Path| {
        fs::remove_file(at(&root.join("many"), &some[7])).unwrap();
        fs::rename(at(&root.join("many"), &some[8]), at(&root.join("many"), &some[301])).unwrap();
        fs::write(at(&root.join("many"), &some[300]), "new").unwrap();
    };
    crate::oracle::btrfs::session(&image.path, "rw", change).unwrap();
    crate::oracle::btrfs::btrfs_check(&image.path).unwrap();
    image.mounted(|root| {
        assert_eq!(fs::read_to_string(at(&root.join("many"), &some[300])).unwrap(), "new");
        assert_eq!(fs::read_to_string(at(&root.join("many"), &some[301])).unwrap(), "8");
        assert!(!at(&root.join("many"), &some[7]).exists());
    });
}

/// An item with as many names as fit into a leaf, and one name more.
#[test]
fn an_item_of_names_that_is_full_and_one_that_is_too_full() {
    // A leaf has 16,283 bytes, of which the item header takes 25. Each entry takes 30 bytes and the
    // name.
    let most = (16_283 - 25) / (30 + 255);
    let names = names_of_one_hash("", &"n".repeat(255 - FREE.len()), most + 1);
    let source = tree("mkdir directory");
    for name in &names[1..] {
        fs::write(at(&source.path().join("directory"), name), "").unwrap();
    }
    let image = check_with_oracles(source.path(), &[]);
    assert_eq!(items(&image.path, "fs", "DIR_ITEM"), 2);
    fs::write(at(&source.path().join("directory"), &names[0]), "").unwrap();
    let out = image.beside("refused");
    let output = mkfs_btrfs(source.path(), &out, &[]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("directory"), "{message}");
    assert!(!out.exists());
    check_with_oracles(source.path(), &["--btrfs-node-size=32768"]);
}

fn set(at: &Path, name: &[u8], value: &[u8]) {
    rustix::fs::lsetxattr(at, name, value, XattrFlags::empty()).unwrap();
}

#[test]
fn names_of_attributes() {
    let host = Mounted::new("tmpfs", "size=64m", None).unwrap();
    let file = host.path().join("file");
    fs::write(&file, "x").unwrap();
    let names = names_of_one_hash("trusted.", "", 100);
    for (number, name) in names.iter().enumerate() {
        set(&file, name, number.to_string().as_bytes());
    }
    for name in names_of_one_hash("user.", "", 3) {
        set(host.path(), &name, b"");
    }
    let image = check_with_oracles(host.path(), &[]);
    assert_eq!(items(&image.path, "fs", "XATTR_ITEM"), 2);

    // Each entry takes 30 bytes, the name and the value.
    let total = 16_283 - 25;
    let len = (total - 3 * (30 + names[0].len())) / 3;
    let file = host.path().join("full");
    fs::write(&file, "x").unwrap();
    let rest = total - 3 * (30 + names[0].len()) - 2 * len;
    for (name, len) in names.iter().zip([len, len, rest]) {
        set(&file, name, &vec![7; len]);
    }
    check_with_oracles(host.path(), &[]);
    set(&file, &names[2], &vec![7; rest + 1]);
    let out = image.beside("refused");
    let output = mkfs_btrfs(host.path(), &out, &[]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("full: "), "{message}");
}

/// A file with many names, some of which share a directory item and some an inode reference item.
#[test]
fn names_of_an_inode() {
    let source = tree("mkdir a b; : >a/0");
    let first = source.path().join("a/0");
    let link = |directory: &str, name: &[u8]| {
        let to = at(&source.path().join(directory), name);
        fs::hard_link(&first, to).unwrap_or_else(|error| panic!("{name:?}: {error}"));
    };
    for number in 0..100 {
        link("a", format!("m{number:03}-{}", "m".repeat(240)).as_bytes());
    }
    // Names that sort before and after those that fill an item.
    for (begin, count) in [("1", 20), ("z", 20)] {
        names_of_one_hash(begin, "", count).iter().for_each(|name| link("a", name));
    }
    check_with_oracles(source.path(), &[]);

    // The hash of a name depends on its directory. The inode numbers of two directories are used to
    // construct names in both with equal hashes. Some names at the end of `b` also overflow its
    // item.
    for number in 0..100 {
        link("b", format!("m{number:03}-{}", "m".repeat(240)).as_bytes());
    }
    let numbers = check_with_oracles(source.path(), &[])
        .mounted(|root| ["a", "b"].map(|name| fs::metadata(root.join(name)).unwrap().ino()));
    let [a, b] = numbers.map(|number| u32::try_from(number).unwrap());
    let mut hashes = BTreeSet::new();
    for (number, name) in names_with(a, Some(0x7654_3210), b"zz", b"", 3).iter().enumerate() {
        hashes.insert(crc(a, name));
        link("a", name);
        let other = &names_with(b, Some(0x7654_3210), b"zz", b"", 3)[number];
        hashes.insert(crc(b, other));
        link("b", other);
    }
    assert_eq!(hashes.len(), 1);
    let image = check_with_oracles(source.path(), &[]);
    let numbers =
        image.mounted(|root| ["a", "b"].map(|name| fs::metadata(root.join(name)).unwrap().ino()));
    assert_eq!(numbers, [a, b].map(u64::from), "the premise of this test");
    let key = format!("INODE_EXTREF {}", 0x7654_3210);
    let text = crate::oracle::btrfs::dump_tree(&image.path, "fs").unwrap();
    assert!(text.contains(&key), "no item holds names of two directories");

    // The kernel finds the colliding names when it removes them.
    let script = "cd $1; rm a/z* b/z*; rm a/m01* b/m09* a/1*";
    crate::oracle::btrfs::session(&image.path, "rw", |root| shell(script, &[root])).unwrap();
    crate::oracle::btrfs::btrfs_check(&image.path).unwrap();
}

#[test]
fn collisions_in_the_root() {
    let source: TempDir = tree(":");
    for name in names_of_one_hash("", "", 50) {
        fs::write(at(source.path(), &name), &name).unwrap();
    }
    check_with_oracles(source.path(), &["--dedup", "--compress=zstd"]);
}
