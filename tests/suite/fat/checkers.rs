//! Images of every variant with each checker, and images with errors that each checker detects.

use std::collections::BTreeSet;
use std::fs;

use crate::MIB;
use detfs::fat::{Options, Variant};

use super::image::{Image, expected, extracted};
use super::sample::{pattern, sized, small};
use crate::oracle::{blkid, fsck_fat, grub_cmp, grub_ls, mtools};

#[test]
fn volumes_of_all_variants_are_clean() {
    for (size, sector_size, variant) in [
        (MIB, 512, Variant::Fat12),
        (8 * MIB, 512, Variant::Fat16),
        (33 * MIB, 512, Variant::Fat32),
        (100 * MIB, 512, Variant::Fat32),
        (512 * MIB, 512, Variant::Fat32),
        (40 * MIB, 1024, Variant::Fat16),
        (66 * MIB, 1024, Variant::Fat32),
        (140 * MIB, 2048, Variant::Fat32),
        (4 * MIB, 4096, Variant::Fat12),
        (256 * MIB, 4096, Variant::Fat16),
        (260 * MIB, 4096, Variant::Fat32),
    ] {
        let sample = small();
        let expected = expected(&sample);
        let image = Image::new(sample, &Options { sector_size, ..sized(size) });
        assert_eq!(image.plan.variant, variant, "{size} {sector_size}");
        assert_eq!(image.plan.warnings, []);
        image.check();
        assert!(extracted(&image) == expected, "{size} {sector_size}");
    }
}

#[test]
fn fsck_complains_about_damage() {
    let label = Some("ESP".to_owned());
    let image = || Image::new(small(), &Options { label: label.clone(), ..sized(33 * MIB) });
    let fresh = image();
    fresh.check();
    let fat = fresh.u16(14) * 512;
    let second = fat + fresh.u32(36) * 512;
    let root = second + fresh.u32(36) * 512;
    let directory = fresh.u16(root + 32 + 26); // the slot after the label: EFI
    let efi = root + (directory - 2) * 512;
    for (what, offset, bytes) in [
        ("second FAT", second + 12, &[9][..]),
        ("media byte", fat, &[0xf0]),
        ("chain cut short", fat + 4 * 8, &[0xff, 0xff, 0xff, 0x0f]),
        ("lost chain", fat + 4 * 60_000, &[0xff, 0xff, 0xff, 0x0f]),
        ("backup boot sector", 6 * 512 + 67, &[0x77]),
        ("FSInfo count", 512 + 488, &[0x77]),
        ("FSInfo signature", 512, &[0]),
        ("dirty bit", 0x41, &[1]),
        ("label in the boot sector", 71, b"X"),
        ("label in the root directory", root, b"X"),
        ("first cluster", root + 32 + 26, &[0xff, 0xff]),
        ("dot entry", efi + 26, &[0x55]),
        ("dot-dot entry", efi + 32 + 26, &[2]),
        ("short name", efi + 64, b"*"),
    ] {
        let image = image();
        image.write(offset, bytes);
        assert!(fsck_fat(&image.path).is_err(), "{what}");
    }
}

#[test]
fn mtools_tell_content_and_names() {
    let sample = small();
    let wanted = expected(&sample);
    let image = Image::new(sample, &sized(MIB));
    let whole = image.read(0, usize::try_from(MIB).unwrap());
    let find = |text: &[u8]| whole.windows(text.len()).position(|w| w == text).unwrap() as u64;
    image.write(find(b"timeout 0\n"), b"T");
    let got = extracted(&image);
    assert!(got != wanted);
    assert_eq!(got["loader/loader.conf"], Some(b"Timeout 0\n".to_vec()));

    let image = Image::new(small(), &sized(MIB));
    image.write(find(b"l\0o\0a\0d\0e\0\x0f"), b"L"); // the long name of loader.conf
    assert!(!extracted(&image).contains_key("loader/loader.conf"));
    image.write(0, &[0; 512]);
    assert!(mtools(&image.path, "mdir", ["::/"]).is_err());
}

#[test]
fn blkid_tells_label_id_and_variant() {
    for (size, version) in [(MIB, "FAT12"), (8 * MIB, "FAT16"), (33 * MIB, "FAT32")] {
        for label in [None, Some("esp 1")] {
            let label = label.map(str::to_owned);
            let options = Options { label: label.clone(), ..sized(size) };
            let image = Image::new(small(), &options);
            image.check();
            let mut values = blkid(&image.path);
            let label = label.map(|_| "ESP\\ 1".to_owned()); // as blkid escapes it
            assert_eq!(values["TYPE"], "vfat");
            assert_eq!(values["VERSION"], version);
            assert_eq!(values["UUID"], "1234-ABCD");
            assert_eq!(values.remove("LABEL"), label);
            assert_eq!(values.remove("LABEL_FATBOOT"), label);
            image.write(510, &[0]);
            image.write(0, &[0; 100]);
            assert!(!blkid(&image.path).contains_key("TYPE"));
        }
    }
}

#[test]
fn grub_reads_names_and_content() {
    for size in [MIB, 8 * MIB, 33 * MIB] {
        let mut sample = small();
        sample.file("𝔣𝔞𝔱/Größe", &pattern(10_000, 5));
        sample.file("lower.txt", b"");
        let content = sample.content.clone();
        let image = Image::new(sample, &sized(size));
        let file = image.directory.path().join("file");
        let same = |path: &str, name: &str| {
            fs::write(&file, &**content[name]).unwrap();
            grub_cmp(&image.path, path, &file)
        };
        for name in ["EFI/Linux/some-kernel-6.1.0.efi", "𝔣𝔞𝔱/Größe", "loader/loader.conf"]
        {
            same(name, name).unwrap();
        }
        same("loader/loader.conf", "loader/entries.srel").unwrap_err();
        same("missing", "empty").unwrap_err();
        let names = grub_ls(&image.path, "").unwrap();
        let names: BTreeSet<_> = names.split_whitespace().collect();
        // GRUB 2.06 shows short names in lower case, whatever their flags.
        assert_eq!(names, BTreeSet::from(["efi/", "loader/", "empty", "𝔣𝔞𝔱/", "lower.txt"]));
        image.write(510, &[0]);
        image.write(11, &[0; 2]);
        same("loader/loader.conf", "loader/loader.conf").unwrap_err();
    }
}
