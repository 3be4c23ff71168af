//! Tests of large files and of large, deep and empty directories.

use std::collections::BTreeMap;

use crate::{GIB, MIB};
use detfs::Error;
use detfs::fat::{Options, Variant};

use super::image::{Image, expected, extracted};
use super::sample::{Sample, options, refusal, sized};
use crate::oracle::{fsck_fat, mtools};

#[test]
fn the_largest_files_are_readable() {
    let with = |size| {
        let mut sample = Sample::new();
        sample.huge("LARGE", size);
        sample.file("after", b"after");
        let image = Image::new(sample, &options());
        assert_eq!(mtools(&image.path, "mtype", ["::/after"]).unwrap(), "after");
        let listing = mtools(&image.path, "mdir", ["::/LARGE"]).unwrap();
        let digits: String = listing.chars().filter(|c| *c != ' ').collect();
        assert!(digits.contains(&format!("LARGE{size}")), "{listing}");
        image
    };
    let image = with(4 * GIB - 4096);
    image.check();
    assert_eq!(image.plan.warnings, []);
    // fsck.fat 4.2 multiplies in 32 bits and finds no clusters here, although all of them exist.
    for size in [4 * GIB - 4095, 4 * GIB - 1] {
        let image = with(size);
        let error_text = fsck_fat(&image.path).unwrap_err().0;
        assert_eq!(error_text.matches("\n/").count(), 2, "{error_text}");
        assert!(error_text.contains("cluster chain length is 0 bytes"), "{error_text}");
        assert_eq!(image.plan.warnings[0].path, b"LARGE");
        assert!(image.plan.warnings[0].message.contains("fsck.fat"));
        let (_, clusters) = image.as_read();
        assert_eq!(image.used(clusters).0, 1 + (1 << 20) + 1);
    }
}

/// Fills a directory with `slots` slots and returns the number of names. Most names have 255 units,
/// since fsck.fat compares each pair of entries.
fn slots(sample: &mut Sample, directory: &str, slots: usize) -> usize {
    let (long, short) = (slots / 21, slots % 21);
    for n in 0..long {
        sample.file(&format!("{directory}{n:0>255}"), b"");
    }
    for n in 0..short {
        sample.file(&format!("{directory}{n}"), b"");
    }
    long + short
}

#[test]
fn a_directory_has_65536_slots() {
    let full = |used: usize| {
        let mut sample = Sample::new();
        sample.directory("d");
        let names = slots(&mut sample, "d/", used - 2); // besides `.` and `..`
        (sample, names)
    };
    let (sample, names) = full(65_536);
    let image = Image::new(sample, &options());
    image.check();
    let listed = mtools(&image.path, "mdir", ["-b", "::/d"]).unwrap();
    assert_eq!(listed.lines().count(), names);
    let error = refusal(&full(65_537).0.tree(), &options());
    let Error::Unrepresentable { path, rule, .. } = &error else { panic!("{error}") };
    assert_eq!((path.as_slice(), rule.contains("65537")), (&b"d"[..], true), "{error}");
}

#[test]
fn the_root_directory_grows() {
    let full = |used: usize| {
        let mut sample = Sample::new();
        let names = slots(&mut sample, "", used);
        (sample, names)
    };
    for (used, label, entries) in
        [(511, true, 512), (512, false, 512), (512, true, 640), (3000, true, 3072)]
    {
        let label = label.then(|| "LABEL".to_owned());
        for size in [2 * MIB, 16 * MIB] {
            let (sample, names) = full(used);
            let image = Image::new(sample, &Options { label: label.clone(), ..sized(size) });
            assert_eq!(image.u16(17), entries);
            image.check();
            let listed = mtools(&image.path, "mdir", ["-b", "::/"]).unwrap();
            assert_eq!(listed.lines().count(), names);
        }
    }
    // FAT12 and FAT16 count up to 65,535 slots, and here in whole units of 4 KiB. FAT32 counts up
    // to 65,536.
    for (used, variant) in [(65_408, Variant::Fat12), (65_409, Variant::Fat32)] {
        let image = Image::new(full(used).0, &options());
        assert_eq!(image.plan.variant, variant);
        image.check();
    }
    let tree = full(65_409).0.tree();
    let error = refusal(&tree, &sized(16 * MIB));
    assert!(matches!(error, Error::TooSmall { .. }), "{error}");
    let error = refusal(&tree, &Options { variant: Some(Variant::Fat16), ..sized(16 * MIB) });
    assert!(error.to_string().contains("65409 slots"), "{error}");
}

#[test]
fn directories_nest_a_hundred_deep() {
    let mut sample = Sample::new();
    let path: Vec<_> = (0..100).map(|n| format!("d{n}")).collect();
    for depth in 1..=path.len() {
        sample.directory(&path[..depth].join("/"));
    }
    sample.file(&(path.join("/") + "/File at the bottom"), b"deep");
    let expected = expected(&sample);
    let image = Image::new(sample, &options());
    image.check();
    assert_eq!(extracted(&image), expected);
}

#[test]
fn an_empty_tree_is_a_volume() {
    for label in [None, Some("EMPTY".to_owned())] {
        for variant in [Variant::Fat12, Variant::Fat16, Variant::Fat32] {
            let options = Options { label: label.clone(), variant: Some(variant), ..options() };
            let image = Image::new(Sample::new(), &options);
            image.check();
            assert_eq!(extracted(&image), BTreeMap::new());
        }
    }
}
