//! Content that occurs more than once is stored once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tempfile::TempDir;

use super::image::{Image, check_with_oracles, everything, fill, tree};
use super::inspect::{Place, extents, items};
use crate::oracle::btrfs::{mount_btrfs, session};
use crate::oracle::{Comparison, grub_cmp, shell};
use crate::tree::Random;

const FS_TREE: u64 = 5;

/// Returns the number of references to each data extent, counted in the file extents.
fn references(image: &Image, subvolume: u64) -> BTreeMap<u64, usize> {
    let mut found = BTreeMap::new();
    for extent in extents(&image.path, subvolume).values().flatten() {
        if let Place::Regular(at, _) = extent.place {
            *found.entry(at).or_insert(0) += 1;
        }
    }
    found
}

/// Creates a tree in which `count` files have the same two sectors.
fn shared_by(count: u64) -> TempDir {
    let source = tree(":");
    for at in 0..count {
        fill(&source, &format!("same-{at:05}"), 1, 8192);
    }
    fill(&source, "other", 2, 8192);
    source
}

/// Up to 33 references are stored inline in the extent item.
#[test]
fn so_many_sharers() {
    for (count, keyed) in [(1, 0), (2, 0), (33, 0), (34, 1), (35, 2), (200, 167)] {
        let source = shared_by(count);
        for options in [&["--dedup"][..], &["--dedup", "--btrfs-compat=old"]] {
            let image = check_with_oracles(source.path(), options);
            let mut found: Vec<_> = references(&image, FS_TREE).into_values().collect();
            found.sort_unstable();
            let expected =
                if count == 1 { vec![1, 1] } else { vec![1, usize::try_from(count).unwrap()] };
            assert_eq!(found, expected);
            assert_eq!(items(&image.path, "extent", "EXTENT_DATA_REF"), keyed, "{count}");
            let last = format!("same-{:05}", count - 1);
            grub_cmp(&image.path, &last, &source.path().join(&last)).unwrap();
        }
    }
}

#[test]
fn ten_thousand_sharers() {
    let source = shared_by(10_000);
    let image = check_with_oracles(source.path(), &["--dedup", "--headroom=0"]);
    assert_eq!(references(&image, FS_TREE).into_values().max(), Some(10_000));
    let plain = Image::new(source.path(), &["--headroom=0"]);
    assert!(plain.size() > image.size() + 9999 * 8192 * 9 / 10);
}

/// The kernel unshares an extent of one file when it is written to.
#[test]
fn shared_extents_are_written_to() {
    let source = shared_by(100);
    let image = Image::new(source.path(), &["--dedup"]);
    let script = "cd $1; printf x | dd of=same-00007 bs=1 seek=5000 conv=notrunc status=none
        rm same-00008 same-00099; truncate -s 4096 same-00009; sync; btrfs -q scrub start -B .
        cat same-00010 >new; sync";
    session(&image.path, "rw", |root| shell(script, &[root])).unwrap();
    let edit = "cd $1; printf x | dd of=same-00007 bs=1 seek=5000 conv=notrunc status=none
        rm same-00008 same-00099; truncate -s 4096 same-00009; cat same-00010 >new";
    shell(edit, &[source.path()]);
    crate::oracle::btrfs::btrfs_check(&image.path).unwrap();
    let look = |root: &Path| Comparison::names_and_content().compare(source.path(), root);
    mount_btrfs(&image.path, look).unwrap().unwrap();
}

/// Ranges within files are shared, not only whole files. With and without deduplication, compressed
/// or not, the mounted trees are equal.
#[test]
fn the_view_is_the_same_and_the_size_is_smaller() {
    let source = tree("mkdir below");
    fill(&source, "a", 1, 1_000_000);
    fill(&source, "below/same", 1, 1_000_000);
    fill(&source, "shorter", 1, 700_000);
    fill(&source, "one-sector", 5, 4096);
    fill(&source, "one-sector-again", 5, 4096);
    fill(&source, "not-the-tail", 5, 4000);
    let repeated = Random::new(7).bytes(131_072).repeat(20);
    fs::write(source.path().join("repeats-itself"), repeated).unwrap();
    let text = super::files::text(1_000_000);
    fs::write(source.path().join("text"), &text).unwrap();
    fs::write(source.path().join("below/text"), &text[..500_000]).unwrap();
    shell("ln $1/a $1/below/link; chmod 600 $1/below/same", &[source.path()]);
    let sparse = File::create(source.path().join("sparse")).unwrap();
    for at in [0, 5, 10, 30] {
        sparse.write_all_at(&Random::new(8).bytes(65_536), at << 20).unwrap();
    }
    for compression in ["none", "zstd", "lzo", "zlib"] {
        let compress = format!("--compress={compression}");
        let plain = check_with_oracles(source.path(), &["--headroom=0", &compress]);
        let shared = check_with_oracles(source.path(), &["--headroom=0", &compress, "--dedup"]);
        assert!(shared.size() + 4_000_000 < plain.size(), "{compression}");
        let counts: BTreeSet<usize> = references(&shared, FS_TREE).into_values().collect();
        assert!(counts.contains(&20) && counts.contains(&4), "{compression}: {counts:?}");
        let verdict = mount_btrfs(&plain.path, |plain| {
            mount_btrfs(&shared.path, |shared| everything().compare(plain, shared))
        });
        verdict.unwrap().unwrap().unwrap();
        for path in ["below/same", "repeats-itself", "below/text"] {
            grub_cmp(&shared.path, path, &source.path().join(path)).unwrap();
        }
    }
}

/// References to one extent with equal hashes of inode and offset have consecutive keys.
#[test]
fn references_with_one_hash() {
    let source = tree(":");
    let block = Random::new(9).bytes(65_536);
    let file = File::create(source.path().join("file")).unwrap();
    let offsets = super::collisions::offsets_with_one_hash(40);
    for at in (0..40).map(|at| at << 20).chain(offsets.iter().copied()) {
        file.write_all_at(&block, at).unwrap();
    }
    let image = judged_content(&source, &offsets);
    let keyed = items(&image.path, "extent", "EXTENT_DATA_REF");
    assert_eq!(keyed, 40 + offsets.len() - 33);
}

/// Creates and checks an image without reading all of its holes, which are exbibytes large.
fn judged_content(source: &TempDir, offsets: &[u64]) -> Image {
    let image = Image::new(source.path(), &["--dedup"]);
    crate::oracle::btrfs::btrfs_check(&image.path).unwrap();
    crate::oracle::btrfs::DumpedTrees::read(&image.path).unwrap().sound().unwrap();
    image.mounted(|root| {
        let file = File::open(root.join("file")).unwrap();
        let mut bytes = vec![0; 65_536];
        for &at in offsets {
            file.read_exact_at(&mut bytes, at).unwrap();
            assert!(bytes == Random::new(9).bytes(65_536), "{at}");
        }
    });
    image
}
