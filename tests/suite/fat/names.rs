//! Tests of short and long names, and of everything that FAT can't store.

use crate::{GIB, MIB};
use detfs::Error;
use detfs::fat::Options;
use detfs::tree::Node;

use super::image::{Image, expected, extracted};
use super::sample::{Sample, metadata, options, refusal, sized};
use crate::oracle::mtools;

#[test]
fn names_come_out_as_they_went_in() {
    let mut sample = Sample::new();
    for name in [
        "BOOTX64.EFI",
        "lower.txt",
        "UPPER.low",
        "low.UPP",
        "Mixed.txt",
        "x86_64-linux.conf",
        ".hidden",
        "..two",
        " lead",
        "in side",
        "a+b,c;d=e[f]",
        "Größe",
        "ΣΑΣ",
        "日本語.txt",
        "ß",
        "SS",
        "no.ext.tar.gz",
        "LITERA~1.TXT",
        "literally longer.txt",
        "{}^#&~$%'-_@`!()",
        "com10",
        "exactly13char",
        "exactly-twenty-six-units.x",
        "one more than twenty-six.xy",
    ] {
        sample.file(name, name.as_bytes());
    }
    sample.file(&"l".repeat(255), b"255 units");
    let expected = expected(&sample);
    let image = Image::new(sample, &sized(MIB));
    image.check();
    assert_eq!(extracted(&image), expected);
}

/// Returns the slots of the root directory of a FAT12 or FAT16.
fn root_slots(image: &Image) -> Vec<[u8; 32]> {
    let offset = (image.u16(14) + 2 * image.u16(22)) * image.u16(11);
    let bytes = image.read(offset, usize::try_from(image.u16(17) * 32).unwrap());
    let slots = bytes.chunks(32).map(|slot| slot.try_into().unwrap());
    slots.take_while(|slot: &[u8; 32]| slot[0] != 0).collect()
}

/// Returns the long names in `slots`, assembled according to the specification.
fn long_names(slots: &[[u8; 32]]) -> Vec<String> {
    let mut names = Vec::new();
    let mut units: Vec<u16> = Vec::new();
    for slot in slots {
        if slot[11] == 0x0f {
            let parts = [&slot[1..11], &slot[14..26], &slot[28..32]].concat();
            let part = parts.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            units.splice(0..0, part);
        } else {
            units.truncate(units.iter().position(|&unit| unit == 0).unwrap_or(units.len()));
            names.push(String::from_utf16(&units).unwrap());
            units.clear();
        }
    }
    names
}

/// Characters beyond the first plane are stored as surrogates. mtools shows them as `__`, so the
/// test reads the slots.
#[test]
fn characters_beyond_the_first_plane_are_surrogates() {
    let names = ["😀".repeat(6) + "x", "😀".repeat(13), "a😀".repeat(51), "𝔣𝔞𝔱".to_owned()];
    let mut sample = Sample::new();
    for name in &names {
        sample.file(name, b"");
    }
    let image = Image::new(sample, &sized(MIB));
    image.check();
    let mut sorted = names.to_vec();
    sorted.sort();
    assert_eq!(long_names(&root_slots(&image)), sorted);
}

#[test]
fn names_and_attributes_are_in_their_slots() {
    let mut sample = Sample::new();
    sample.file("a.TXT", b"12345");
    sample.directory("Dir");
    let image = Image::new(sample, &Options { label: Some("lab".into()), ..sized(MIB) });
    let slots = root_slots(&image);
    let names: Vec<_> = slots.iter().map(|slot| (&slot[..11], slot[11], slot[12])).collect();
    let name = |name: &'static str, attr, case| (name.as_bytes(), attr, case);
    assert_eq!(names[0], name("LAB        ", 0x08, 0));
    assert_eq!((names[1].1, slots[1][0]), (0x0f, 0x41));
    assert_eq!(names[2], name("DIR        ", 0x10, 0));
    assert_eq!(names[3], name("A       TXT", 0x20, 0x08));
    assert_eq!(names.len(), 4);
    // The times of `MTIME`: 2023-11-14, 22:13:20 and 1.5 s. Then sizes and first clusters,
    // beginning with the directory.
    let (date, time) = ((43 << 9 | 11 << 5 | 14u16), (22 << 11 | 13 << 5 | 10u16));
    for (slot, cluster, size) in [(&slots[0], 0, 0), (&slots[2], 2, 0), (&slots[3], 3, 5)] {
        let half = |at: usize| u16::from_le_bytes([slot[at], slot[at + 1]]);
        assert_eq!(slot[13], 150);
        assert_eq!(
            [half(14), half(16), half(18), half(22), half(24)],
            [time, date, date, time, date]
        );
        assert_eq!([half(20), half(26), half(28), half(30)], [0, cluster, size, 0]);
    }
}

#[test]
fn a_thousand_names_that_are_alike() {
    let mut sample = Sample::new();
    for n in 0..1000 {
        sample.file(&format!("same beginning/same beginning {n}.text"), n.to_string().as_bytes());
    }
    let expected = expected(&sample);
    let image = Image::new(sample, &sized(8 * MIB));
    image.check();
    let listing = mtools(&image.path, "mdir", ["::/same beginning"]).unwrap();
    assert!(listing.contains("SAMEBE~1 TEX"), "{listing}");
    assert!(listing.contains("SAM~1000 TEX"), "{listing}");
    assert_eq!(extracted(&image), expected);
}

#[test]
fn what_fat_cannot_hold_is_an_error_with_its_path() {
    let with = |make: &dyn Fn(&mut Sample)| {
        let mut sample = Sample::new();
        sample.directory("dir");
        make(&mut sample);
        let error = refusal(&sample.tree(), &options());
        let Error::Unrepresentable { path, rule, remedy } = error else { panic!("{error}") };
        assert!(!remedy.is_empty());
        (String::from_utf8_lossy(&path).into_owned(), rule)
    };
    for name in [
        "a\"", "a*", "a:b", "a<", "a>", "a?", "a\\b", "a|", "a\n", "a\u{7f}", "a.", "a ", "NUL",
        "con", "prn.txt", "Aux", "com0", "COM9.log", "lpt1", "LPT0.x.y",
    ] {
        let path = format!("dir/{name}");
        assert_eq!(
            with(&|sample| {
                sample.file(&path, b"");
            })
            .0,
            path
        );
    }
    let (path, rule) = with(&|sample| {
        let parent = sample.directories["dir"];
        sample.builder.add(parent, b"\xff\xfe", metadata(), Node::Directory).unwrap();
    });
    assert_eq!((path.as_str(), rule.contains("UTF-8")), ("dir/\u{fffd}\u{fffd}", true));
    for (one, other) in [
        ("Readme", "readme"),
        ("STRASSE ß", "strasse ẞ"),
        ("σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("I", "ı"),
        ("İ", "İ".to_lowercase().as_str()),
    ] {
        let make = |sample: &mut Sample| {
            sample.file(&format!("dir/{one}"), b"");
            sample.file(&format!("dir/{other}"), b"");
        };
        if one == "İ" {
            // The lower case of this letter is two characters, so FAT treats the names as
            // different.
            let mut sample = Sample::new();
            make(&mut sample);
            Image::new(sample, &options()).check();
            continue;
        }
        let (path, rule) = with(&make);
        assert_eq!(path, format!("dir/{}", one.max(other)));
        assert!(rule.contains(&format!("dir/{} ", one.min(other))), "{rule}");
    }
    for (node, word) in [
        (Node::Symlink(b"x".to_vec()), "symbolic link"),
        (Node::Fifo, "named pipe"),
        (Node::Socket, "socket"),
        (Node::CharDevice(1, 3), "character device"),
        (Node::BlockDevice(8, 0), "block device"),
    ] {
        let (path, rule) = with(&|sample| {
            sample.node("dir/x", metadata(), node.clone());
        });
        assert_eq!((path.as_str(), rule.contains(word)), ("dir/x", true), "{rule}");
    }
    let (path, rule) = with(&|sample| sample.huge("dir/x", 4 * GIB));
    assert_eq!((path.as_str(), rule.contains("4294967295")), ("dir/x", true), "{rule}");
}

#[test]
fn labels_out_of_range_are_refused() {
    for label in ["", "twelve bytes", "a.b", "Ä", "No Name"] {
        let options = Options { label: Some(label.to_owned()), ..options() };
        let error = refusal(&Sample::new().tree(), &options);
        assert!(matches!(error, Error::Parameter { .. }), "{error}");
    }
}
