//! The locations of the superblock copies, which no chunk may overlap.

use std::fs::File;

use super::image::{Image, check_with_oracles, fill, mkfs_btrfs, tree};
use crate::detfs::succeed;
use crate::oracle::Comparison;
use crate::oracle::btrfs::{DumpedTrees, first_boot, grow, superblocks};

const SECTOR: u64 = 4096;
const MIRROR: u64 = 64 << 20;
const STRIPE: u64 = 64 << 10;

/// Images that end near the copy at 64 MiB, with content that is a few sectors larger or smaller.
#[test]
#[ignore = "takes seconds"]
fn content_that_ends_around_64_mib() {
    let exact = ["--headroom=0", "--btrfs-metadata=single"];
    let source = tree(":");
    // The size of an image minus that of its content.
    let len = 40 << 20;
    fill(&source, "file", 1, len);
    let besides = Image::new(source.path(), &exact).size() - len;
    let reached = MIRROR - besides;
    let mut sizes = Vec::new();
    for sectors in [-17, -16, -15, -1, 0, 1, 15, 16, 17, 32] {
        let len = reached.checked_add_signed(sectors * 4096).unwrap();
        fill(&source, "file", 1, len);
        let image = check_with_oracles(source.path(), &exact);
        sizes.push(image.size());
        let count = superblocks(&image.path).unwrap().len();
        assert_eq!(count, if image.size() < MIRROR + SECTOR { 1 } else { 2 }, "{sectors}");
    }
    assert!(sizes.is_sorted() && sizes[0] <= MIRROR && sizes[9] > MIRROR + STRIPE, "{sizes:?}");
}

/// Metadata chunks directly before and after the copy, in both stripes.
#[test]
#[ignore = "takes seconds"]
fn metadata_around_64_mib() {
    let source = tree("for n in $(seq 3000); do echo $n >$n; done");
    let mut around = 0;
    for (mib, metadata) in [(45, "dup"), (58, "dup"), (60, "dup"), (62, "single")] {
        fill(&source, "file", 1, mib << 20);
        for headroom in ["0", "9M"] {
            let metadata = format!("--btrfs-metadata={metadata}");
            let headroom = format!("--headroom={headroom}");
            let image = check_with_oracles(source.path(), &[&metadata, &headroom]);
            let dumped = DumpedTrees::read(&image.path).unwrap();
            around += dumped
                .dev_extents
                .iter()
                .filter(|(from, (_, len))| *from + len == MIRROR || **from == MIRROR + STRIPE)
                .count();
        }
    }
    assert!(around > 5, "only {around} stripes come close to the mirror");
}

/// The kernel writes the copies when it commits a transaction, and must not overwrite the content
/// next to them.
#[test]
#[ignore = "takes seconds"]
fn the_kernel_writes_the_copies() {
    let source = tree("seq 100 >small");
    fill(&source, "file", 1, 80 << 20);
    let image = Image::new(source.path(), &[]);
    first_boot(&image.path, |root| Comparison::exact().compare(source.path(), root)).unwrap();
    let image = Image::new(source.path(), &["--headroom=0"]);
    grow(&image.path, |root| Comparison::exact().compare(source.path(), root)).unwrap();
}

/// The third copy exists as soon as the device reaches it.
#[test]
fn the_copy_at_256_gib() {
    let source = tree("seq 100 >small");
    const GIB: u64 = 1 << 30;
    let sizes = [(256 * GIB, 2), (256 * GIB + STRIPE, 3), (300 * GIB, 3)];
    for (size, count) in sizes {
        for metadata in ["dup", "single"] {
            let options = [&*format!("--size={size}"), &format!("--btrfs-metadata={metadata}")];
            // Hashing that many zeros takes minutes.
            let image =
                check_with_oracles(source.path(), &[&options[..], &["--no-sha256"]].concat());
            assert_eq!(superblocks(&image.path).unwrap().len(), count);
            assert_eq!(image.size(), size);
        }
    }
}

/// Overwriting a larger file with a smaller image truncates it.
#[test]
fn a_smaller_image_has_no_copy() {
    let source = tree("seq 100 >small");
    let image = Image::new(source.path(), &["--headroom=0"]);
    assert!(image.size() < MIRROR);
    assert_eq!(superblocks(&image.path).unwrap().len(), 1);
    let out = image.beside("again");
    File::create(&out).unwrap().set_len(MIRROR * 2).unwrap();
    succeed(mkfs_btrfs(source.path(), &out, &["--headroom=0"]).arg("--force"));
    assert_eq!(std::fs::metadata(&out).unwrap().len(), image.size());
}
