//! Tests of variants, cluster sizes and volume sizes.

use crate::{GIB, KIB, MIB};
use detfs::Error;
use detfs::fat::{Options, Variant, minimal_size, plan};

use super::image::Image;
use super::sample::{Sample, options, pattern, refusal, sized};

/// Returns the smallest and the largest size that an error about the size of a variant suggests.
fn offered(error: &Error) -> (u64, u64) {
    let Error::Parameter { remedy, .. } = error else { panic!("{error}") };
    let size = |word: &str| {
        let word = word.trim_end_matches(',');
        let units = [('M', MIB), ('G', GIB), ('T', GIB << 10)];
        let of = |(suffix, unit)| Some(word.strip_suffix(suffix)?.parse::<u64>().ok()? * unit);
        units.into_iter().find_map(of)
    };
    let sizes: Vec<u64> = remedy.split(' ').filter_map(size).collect();
    (sizes[0], sizes[1])
}

#[test]
fn forced_variants_are_valid_or_refused() {
    let empty = Sample::new().tree();
    for sector_size in [512, 4096] {
        for variant in [Variant::Fat12, Variant::Fat16, Variant::Fat32] {
            let forced = |size| Options { size, sector_size, variant: Some(variant), ..options() };
            let (smallest, largest) = offered(&refusal(&empty, &forced(Some(4096))));
            let minimal = minimal_size(&empty, &forced(None)).unwrap();
            assert_eq!(smallest, minimal.next_multiple_of(MIB));
            for size in [smallest, largest] {
                let image = Image::new(Sample::new(), &forced(Some(size)));
                let (read, clusters) = image.as_read();
                assert_eq!(read, variant, "{size}");
                let away = |boundary: u64| clusters.abs_diff(boundary) >= 16;
                assert!(away(4085) && away(65_525) && clusters < 0x0fff_fff1, "{clusters}");
                if size <= 4 * GIB {
                    image.check();
                }
            }
            for size in [minimal - 4096, largest + MIB] {
                let error = refusal(&empty, &forced(Some(size)));
                assert_eq!(offered(&error), (smallest, largest), "{error}");
            }
        }
    }
}

#[test]
fn variant_and_cluster_size_follow_the_size() {
    const TIB: u64 = 1 << 40;
    for (size, sector_size, variant, cluster_size) in [
        (64 * KIB, 512, Variant::Fat12, 4 * KIB),
        (MIB, 512, Variant::Fat12, 4 * KIB),
        (2 * MIB, 512, Variant::Fat12, 4 * KIB),
        (3 * MIB, 512, Variant::Fat16, 512),
        (5 * MIB, 512, Variant::Fat16, KIB),
        (16 * MIB, 512, Variant::Fat16, 2 * KIB),
        (32 * MIB, 512, Variant::Fat16, 4 * KIB),
        (33 * MIB, 512, Variant::Fat32, 512),
        (64 * MIB, 512, Variant::Fat32, 512),
        (66 * MIB, 512, Variant::Fat32, KIB),
        (130 * MIB, 512, Variant::Fat32, 2 * KIB),
        (256 * MIB, 512, Variant::Fat32, 2 * KIB),
        (260 * MIB, 512, Variant::Fat32, 4 * KIB),
        (8 * GIB, 512, Variant::Fat32, 4 * KIB),
        (8 * GIB + 4096, 512, Variant::Fat32, 8 * KIB),
        (16 * GIB, 512, Variant::Fat32, 8 * KIB),
        (32 * GIB, 512, Variant::Fat32, 16 * KIB),
        (33 * GIB, 512, Variant::Fat32, 32 * KIB),
        (2 * TIB - 4096, 512, Variant::Fat32, 32 * KIB),
        (256 * KIB, 4096, Variant::Fat12, 4 * KIB),
        (16 * MIB, 4096, Variant::Fat12, 8 * KIB),
        (17 * MIB, 4096, Variant::Fat16, 4 * KIB),
        (256 * MIB, 4096, Variant::Fat16, 4 * KIB),
        (260 * MIB, 4096, Variant::Fat32, 4 * KIB),
        (2 * TIB, 4096, Variant::Fat32, 32 * KIB),
    ] {
        let image = Image::new(Sample::new(), &Options { sector_size, ..sized(size) });
        assert_eq!(image.as_read().0, variant, "{size} {sector_size}");
        let read = u64::from(image.read(13, 1)[0]) * image.u16(11);
        assert_eq!((image.plan.variant, read), (variant, cluster_size), "{size} {sector_size}");
        // The root directory and the data area are aligned.
        let fat = if variant == Variant::Fat32 { image.u32(36) } else { image.u16(22) };
        let root = (image.u16(14) + 2 * fat) * u64::from(sector_size);
        assert_eq!(root % 4096, 0);
        assert_eq!((root + image.u16(17) * 32) % cluster_size.max(4096), 0);
        if size <= 4 * GIB {
            image.check();
        }
    }
    for (bad, sector_size) in [
        (2 * TIB, 512),
        (10 * TIB, 4096),
        (MIB + 512, 512),
        (8192, 512),
        (MIB, 256),
        (MIB, 8192),
        (MIB, 513),
    ] {
        let error = refusal(&Sample::new().tree(), &Options { sector_size, ..sized(bad) });
        assert!(matches!(error, Error::Parameter { .. } | Error::TooSmall { .. }), "{error}");
    }
}

#[test]
fn clusters_are_smaller_if_the_tree_fits_only_then() {
    let sample = || {
        let mut sample = Sample::new();
        for n in 0..1000 {
            sample.file(&format!("F{n}"), b"a few bytes");
        }
        sample
    };
    let image = Image::new(sample(), &sized(MIB));
    assert_eq!(image.read(13, 1), [1]); // there are only 240 clusters of 4 KiB
    image.check();
    let image = Image::new(sample(), &sized(8 * MIB));
    assert_eq!(image.read(13, 1), [2]); // clusters of 2 KiB would suffice for the tree
    image.check();
}

#[test]
fn a_size_too_small_names_the_shortfall_and_one_that_will_do() {
    let mut sample = Sample::new();
    sample.file("DATA", &pattern(1_000_000, 3));
    let (tree, _) = sample.finish();
    let error = refusal(&tree, &sized(512 * KIB));
    let Error::TooSmall { what, detail, needed, available } = &error else { panic!("{error}") };
    assert_eq!((&**what, *available), ("FAT", 512 * KIB));
    // 1,000,000 bytes take 1954 clusters of 512 bytes; 512 KiB less 4 + 2 * 4 + 16 KiB hold 968.
    assert_eq!(detail, "the tree takes 1954 clusters of 512 bytes, 493 KiB missing");
    let least = minimal_size(&tree, &options()).unwrap();
    assert_eq!(*needed, least);
    assert_eq!(error.exit_code(), 3);
    assert!(plan(&tree, &sized(least)).is_ok());
    assert!(plan(&tree, &sized(least - 4096)).is_err());
    // A size just below the minimum of FAT32 has space for data that a FAT32 of the minimum size
    // lacks. The size that the error suggests is then that of a FAT32.
    let mut sample = Sample::new();
    sample.huge("DATA", 32 * MIB + 300 * KIB);
    let tree = sample.tree();
    let least = minimal_size(&tree, &options()).unwrap();
    assert_eq!(plan(&tree, &sized(least)).unwrap().variant, Variant::Fat16);
    let error = refusal(&tree, &sized(33 * MIB - 300 * KIB));
    let Error::TooSmall { needed: better, .. } = error else { panic!("{error}") };
    assert_eq!(plan(&tree, &sized(better)).unwrap().variant, Variant::Fat32);
    assert!(plan(&tree, &sized(better - 4096)).is_err());

    let mut sample = Sample::new();
    sample.huge("DATA", 200 * MIB);
    let error = refusal(&sample.tree(), &Options { variant: Some(Variant::Fat12), ..options() });
    assert!(matches!(error, Error::Unrepresentable { .. }), "{error}");
}
