//! Large directories, unusual names, many subdirectories, and `lost+found`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use detfs::ext4::{Options, Profile};
use detfs::tree::{Metadata, Node, TreeBuilder};

use super::inspect::{debugfs, debugfs_writes, index, superblock_field};
use super::sample::{HASH_SEED, Image, ROOT, Sample, metadata, options, refusal};
use super::{BLOCK_SIZES, PROFILES};
use crate::oracle::{e2fsck, mount_ext4, run};

/// Creates an image with a directory `d` of empty files.
///
/// The owner of each file is the position of its name.
fn listed(names: &[Vec<u8>], options: &Options) -> Image {
    let mut sample = Sample::new();
    let directory = sample.directory(ROOT, "d");
    for (number, name) in (0..).zip(names) {
        sample.empty(directory, name, Metadata { uid: number, ..metadata(0o644) });
    }
    Image::new(&sample.finish(), options)
}

/// Looks up every name, and lists the directory.
fn look(root: &Path, names: &[Vec<u8>]) -> Result<(), String> {
    let directory = root.join("d");
    for (number, name) in (0..).zip(names) {
        let found = fs::symlink_metadata(directory.join(OsStr::from_bytes(name)));
        match found {
            Ok(found) if found.uid() == number => {}
            other => return Err(format!("{name:?} is {other:?}")),
        }
    }
    let missing = directory.join("a name that is not there");
    assert!(!missing.exists());
    let listed: BTreeSet<_> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let expected = names.iter().map(|name| OsStr::from_bytes(name).to_owned()).collect();
    if listed == expected { Ok(()) } else { Err("another listing".into()) }
}

fn plain(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("name-{number}").into_bytes()).collect()
}

/// Builds the directory and checks it with e2fsck and the kernel.
///
/// Returns the number of levels of its index below the root.
fn every_name_is_found(names: &[Vec<u8>], options: &Options) -> u32 {
    let image = listed(names, options);
    image.check_with_oracles(|root| look(root, names)).unwrap().unwrap();
    index(&image.path, "/d").0
}

#[test]
fn thousands_of_names() {
    for (count, block_size, levels) in
        [(5000, 1024, 1), (5000, 2048, 0), (5000, 4096, 0), (100_000, 4096, 1)]
    {
        let options = Options { block_size, ..options() };
        let found = every_name_is_found(&plain(count), &options);
        assert_eq!(found, levels, "{count} names in blocks of {block_size}");
    }
}

#[test]
#[ignore = "takes half a minute"]
fn a_million_names() {
    assert_eq!(every_name_is_found(&plain(1_000_000), &options()), 1);
}

fn long(number: u32) -> Vec<u8> {
    format!("{number:06}-{}", "n".repeat(248)).into_bytes()
}

#[test]
fn names_of_255_bytes() {
    let count_and_size = [(3, 1024), (15, 4096), (16, 4096), (500, 1024), (2000, 4096)];
    for (count, block_size) in count_and_size {
        let names: Vec<_> = (0..count).map(long).collect();
        for profile in [Profile::Default, Profile::Ro] {
            let options = Options { block_size, profile, ..options() };
            let image = listed(&names, &options);
            image.check_with_oracles(|root| look(root, &names)).unwrap().unwrap();
        }
    }
    let mut builder = TreeBuilder::new(metadata(0o755)).unwrap();
    for name in [&[b'n'; 256][..], b"", b"a/b", b"a\0b", b".", b".."] {
        builder.add(ROOT, name, metadata(0o755), Node::Directory).unwrap_err();
    }
}

/// With blocks of 1 KiB and long names, far fewer than a million names fill an index of three
/// levels.
#[test]
fn an_index_of_three_levels() {
    let features = |image: &Image| superblock_field(&image.path, "Filesystem features");
    for (count, levels) in [(30_900, 1), (33_000, 2)] {
        let names: Vec<_> = (0..count).map(long).collect();
        let image = listed(&names, &Options { block_size: 1024, ..options() });
        image.check_with_oracles(|root| look(root, &names)).unwrap().unwrap();
        assert_eq!(index(&image.path, "/d").0, levels);
        assert_eq!(features(&image).contains("large_dir"), levels == 2, "{count}");
    }
}

/// Pairs of names with equal hashes, found by `debugfs dx_hash` among 250,000 names.
const COLLISIONS: [(u32, u32); 14] = [
    (10_479, 119_795),
    (22_705, 240_191),
    (43_448, 197_379),
    (47_445, 106_705),
    (77_108, 181_867),
    (83_772, 107_810),
    (89_526, 104_561),
    (94_775, 246_657),
    (112_043, 234_463),
    (117_023, 164_404),
    (144_219, 231_033),
    (150_212, 205_758),
    (169_306, 203_639),
    (190_128, 191_343),
];

/// Two names with equal hashes on both sides of the boundary between two leaves. The index marks
/// the second leaf with the lowest bit of the hash, without which the kernel would not look there.
#[test]
fn hashes_that_collide_across_a_leaf() {
    let mut numbers: BTreeSet<u32> = (0..500).collect();
    numbers.extend(COLLISIONS.iter().flat_map(|&(one, other)| [one, other]));
    let names: Vec<_> = numbers.into_iter().map(long).collect();
    for profile in [Profile::Default, Profile::Ro] {
        let image = listed(&names, &Options { block_size: 1024, profile, ..options() });
        let hash = |number| {
            let name = String::from_utf8(long(number)).unwrap();
            let said = debugfs(&image.path, &format!("dx_hash -h half_md4 -s {HASH_SEED} {name}"));
            let (_, hash) = said.split_once(" is 0x").unwrap();
            hash.split_once(" (minor").unwrap().0.to_owned()
        };
        for (one, other) in COLLISIONS {
            assert_eq!(hash(one), hash(other), "the premise of this test");
        }
        image.check_with_oracles(|root| look(root, &names)).unwrap().unwrap();
        let (_, hashes) = index(&image.path, "/d");
        let continued = hashes.iter().filter(|hash| *hash % 2 == 1).count();
        assert!(continued > 1, "{profile:?}: {continued} leaves go on with a hash");
    }
}

/// Bytes beyond ASCII, whose hash depends on whether bytes are signed.
#[test]
fn names_that_are_not_ascii() {
    let digit = |number: u32, place: u32| u8::try_from(number >> (7 * place) & 0x7F).unwrap();
    let foreign: Vec<Vec<u8>> = (0..3000)
        .map(|number| {
            let start = vec![0xFF; usize::try_from(number % 40).unwrap()];
            [start, vec![0x80 | digit(number, 0), 0x80 | digit(number, 1)]].concat()
        })
        .collect();
    let mixed: Vec<Vec<u8>> =
        (0..3000).map(|number| format!("Größe-ディスク-🦀-{number}").into_bytes()).collect();
    for names in [foreign, mixed] {
        let image = listed(&names, &Options { block_size: 1024, ..options() });
        image.check_with_oracles(|root| look(root, &names)).unwrap().unwrap();
        let flags = superblock_field(&image.path, "Filesystem flags");
        assert_eq!(flags, "signed_directory_hash");
        // The names can't be found with the unsigned hash.
        debugfs_writes(&image.path, "set_super_value flags 2");
        e2fsck(&image.path).unwrap_err();
        mount_ext4(&image.path, |root| look(root, &names)).unwrap().unwrap_err();
    }
}

/// A link count has 16 bits and ends at 65,000. Beyond that it is 1, which means that it is
/// unknown.
#[test]
fn directories_of_65000_directories() {
    for (count, links) in [(64_997, 64_999), (64_998, 65_000), (64_999, 1), (65_001, 1)] {
        let mut sample = Sample::new();
        let parent = sample.directory(ROOT, "d");
        for number in 0..count {
            sample.directory(parent, number.to_string());
        }
        let image = Image::new(&sample.finish(), &Options { block_size: 1024, ..options() });
        let look = |root: &Path| fs::symlink_metadata(root.join("d")).unwrap().nlink();
        assert_eq!(image.check_with_oracles(look).unwrap(), links, "{count}");
    }
}

#[test]
fn an_empty_root() {
    for profile in PROFILES {
        for block_size in BLOCK_SIZES {
            let options = Options { profile, block_size, ..options() };
            let image = Image::new(&Sample::new().finish(), &options);
            let look = |root: &Path| -> Vec<_> {
                fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name()).collect()
            };
            let found = image.check_with_oracles(look).unwrap();
            let expected: &[&str] = if profile == Profile::Ro { &[] } else { &["lost+found"] };
            assert_eq!(found, expected, "{profile:?} {block_size}");
        }
    }
}

/// e2fsck creates `lost+found` if it is missing, and puts files without a name there.
#[test]
fn lost_and_found() {
    for block_size in BLOCK_SIZES {
        let mut sample = Sample::new();
        for number in 0..100 {
            sample.file(&format!("lost-{number}"), "lost");
        }
        let image = Image::new(&sample.finish(), &Options { block_size, ..options() });
        let stat = image.check_with_oracles(|root| {
            let found = fs::symlink_metadata(root.join("lost+found")).unwrap();
            (found.mode(), found.uid(), found.gid(), found.size(), found.mtime(), found.ino())
        });
        assert_eq!(stat.unwrap(), (0o40_700, 0, 0, 16 << 10, 1_700_000_000, 11));

        let said = run("e2fsck", ["-fp".as_ref(), image.path.as_os_str()]);
        assert!(said.ok, "{}", said.all());
        let list = image.beside("requests");
        let requests: Vec<_> = (0..100).map(|number| format!("unlink /lost-{number}")).collect();
        fs::write(&list, requests.join("\n")).unwrap();
        run("debugfs", ["-w".as_ref(), "-f".as_ref(), list.as_os_str(), image.path.as_os_str()]);
        run("e2fsck", ["-fy".as_ref(), image.path.as_os_str()]);
        let saved = |root: &Path| {
            let files = fs::read_dir(root.join("lost+found")).unwrap();
            files.filter(|file| fs::read(file.as_ref().unwrap().path()).unwrap() == b"lost").count()
        };
        assert_eq!(image.check_with_oracles(saved).unwrap(), 100);
    }
}

#[test]
fn an_own_lost_and_found() {
    for profile in PROFILES {
        let options = Options { profile, ..options() };
        let mut sample = Sample::new();
        let own = sample.add(ROOT, "lost+found", metadata(0o750), Node::Directory);
        sample.empty(own, "kept", metadata(0o644));
        let image = Image::new(&sample.finish(), &options);
        let look = |root: &Path| {
            let own = root.join("lost+found");
            (fs::symlink_metadata(&own).unwrap().mode(), own.join("kept").exists())
        };
        assert_eq!(image.check_with_oracles(look).unwrap(), (0o40_750, true));

        let mut sample = Sample::new();
        sample.empty(ROOT, "lost+found", metadata(0o644));
        let message = refusal(&sample.finish(), &options);
        assert!(message.starts_with("lost+found: not a directory"), "{message}");
    }
}
