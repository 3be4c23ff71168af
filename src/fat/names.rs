//! Names: validation, short names, and the slots of long names.
//!
//! A name must be valid on Windows, UEFI and Linux alike, so that a volume reads the same
//! everywhere. Short names depend only on the byte-sorted names of one directory and not on any
//! Unicode table, so a later version of Unicode can't change an image.

use std::collections::{BTreeMap, BTreeSet};

use zerocopy::IntoBytes;
use zerocopy::little_endian::U16;

use super::spec::{
    ATTR_LONG_NAME, LAST_LONG_ENTRY, LONG_UNITS, LongSlot, NT_LOWER_BASE, NT_LOWER_EXT,
};

/// Length of the longest name, in UTF-16 code units.
const UNITS_MAX: usize = 255;

/// The reason why FAT can't store a name, and the remedy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NameError {
    pub rule: String,
    pub remedy: &'static str,
}

/// Checks that FAT can store a name, and returns it as text.
pub(super) fn check(name: &[u8]) -> Result<&str, NameError> {
    const RENAME: &str = "rename it";
    let fault = |rule: String| Err(NameError { rule, remedy: RENAME });
    let Ok(text) = std::str::from_utf8(name) else {
        return Err(NameError {
            rule: "name is not UTF-8, but FAT stores names as Unicode".to_owned(),
            remedy: "rename it to UTF-8, for example with convmv",
        });
    };
    // U+FFFF pads the last slot of a long name, and some readers end the name there.
    let illegal = |c: &char| c.is_ascii_control() || "\"*/:<>?\\|\u{ffff}".contains(*c);
    if let Some(c) = text.chars().find(illegal) {
        return fault(format!("name contains {c:?}, which FAT does not allow"));
    }
    if text.ends_with(['.', ' ']) {
        return fault("name ends with a dot or space, which FAT would strip".to_owned());
    }
    let units = text.encode_utf16().count();
    if units > UNITS_MAX {
        return fault(format!("name is {units} UTF-16 units, FAT allows {UNITS_MAX}"));
    }
    if is_device(text) {
        return fault("name is reserved for a device on DOS and Windows".to_owned());
    }
    Ok(text)
}

/// Returns whether a name is reserved for a device.
///
/// CON, PRN, AUX, NUL, COM0 to COM9 and LPT0 to LPT9 are devices in every directory, with any
/// extension. Windows accepts superscript 1 to 3 as digits too.
fn is_device(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    if ["CON", "PRN", "AUX", "NUL"].iter().any(|device| base.eq_ignore_ascii_case(device)) {
        return true;
    }
    let Some((port, number)) = base.split_at_checked(3) else { return false };
    let mut number = number.chars();
    matches!((number.next(), number.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        && ["COM", "LPT"].iter().any(|device| port.eq_ignore_ascii_case(device))
}

/// Returns the key that must be unique in a directory: the name under simple case folding, one
/// character at a time.
///
/// Systems differ in how they fold case, so this folds as much as any of them: to upper case and
/// then to lower case, wherever the result is one character. The key only serves to reject names;
/// no byte of an image depends on it.
pub(super) fn fold(name: &str) -> String {
    fn single(mut mapped: impl Iterator<Item = char>, or: char) -> char {
        match (mapped.next(), mapped.next()) {
            (Some(c), None) => c,
            _ => or,
        }
    }
    let lower = |c: char| single(c.to_lowercase(), c);
    name.chars().map(|c| lower(single(c.to_uppercase(), c))).collect()
}

/// The on-disk form of a name in its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortName {
    /// `DIR_Name`.
    pub bytes: [u8; 11],
    /// `DIR_NTRes`.
    pub case: u8,
    /// Whether slots with the long name precede the short one.
    pub long: bool,
}

impl ShortName {
    /// Returns the number of slots of the name.
    pub(super) fn entry_count(&self, name: &str) -> usize {
        let units = if self.long { name.encode_utf16().count() } else { 0 };
        units.div_ceil(LONG_UNITS) + 1
    }

    /// Returns the checksum that links the slots of a long name to the short name.
    fn checksum(&self) -> u8 {
        self.bytes.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
    }
}

/// Returns whether a character is allowed in a short name.
fn is_short(c: char) -> bool {
    c.is_ascii_alphanumeric() || "$%'-_@~`!(){}^#&".contains(c)
}

fn padded(base: &str, extension: &str) -> [u8; 11] {
    let mut bytes = [b' '; 11];
    bytes[..base.len()].copy_from_slice(base.as_bytes());
    bytes[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
    bytes
}

/// Returns the short form of a name that is a valid short name except for its case. If base and
/// extension are each in a single case, flags preserve the case; otherwise, a long name does.
fn literal(name: &str) -> Option<ShortName> {
    let (base, extension) = match name.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (name, ""),
    };
    let fits = |part: &str, max| part.len() <= max && part.chars().all(is_short);
    if base.is_empty() || !fits(base, 8) || !fits(extension, 3) {
        return None;
    }
    let lower = |part: &str| part.contains(|c: char| c.is_ascii_lowercase());
    let mixed = |part: &str| lower(part) && part.contains(|c: char| c.is_ascii_uppercase());
    let long = mixed(base) || mixed(extension);
    let flag = |part, flag| if !long && lower(part) { flag } else { 0 };
    Some(ShortName {
        bytes: padded(&base.to_ascii_uppercase(), &extension.to_ascii_uppercase()),
        case: flag(base, NT_LOWER_BASE) | flag(extension, NT_LOWER_EXT),
        long,
    })
}

/// Returns the stem of a short name: up to 6 characters before the tail, up to 3 after the dot.
fn stem(name: &str) -> (String, String) {
    let convert = |part: &str, max| -> String {
        let kept = part.chars().filter(|c| !matches!(c, ' ' | '.')).take(max);
        kept.map(|c| if is_short(c) { c.to_ascii_uppercase() } else { '_' }).collect()
    };
    let name = name.trim_start_matches(['.', ' ']);
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    (convert(base, 6), convert(extension, 3))
}

/// Returns the short names for the names of one directory. `names` must be distinct under [`fold`],
/// and are numbered in the given order.
pub(super) fn short_names(names: &[&str]) -> Vec<ShortName> {
    let literals: Vec<_> = names.iter().map(|name| literal(name)).collect();
    let mut taken: BTreeSet<[u8; 11]> = literals.iter().flatten().map(|name| name.bytes).collect();
    // The next number of each stem, so that a thousand similar names don't each count from 1.
    let mut next: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut generate = |name: &str| {
        let (base, extension) = stem(name);
        let number = next.entry((base.clone(), extension.clone())).or_insert(1);
        loop {
            let tail = format!("~{number}");
            *number += 1;
            let kept = base.len().min(8 - tail.len());
            let bytes = padded(&format!("{}{tail}", &base[..kept]), &extension);
            if taken.insert(bytes) {
                return ShortName { bytes, case: 0, long: true };
            }
        }
    };
    let pairs = names.iter().zip(literals);
    pairs.map(|(name, literal)| literal.unwrap_or_else(|| generate(name))).collect()
}

/// Appends the slots of the long name, last slot first.
pub(super) fn encode_long(name: &str, short: &ShortName, out: &mut Vec<u8>) {
    let units: Vec<u16> = name.encode_utf16().collect();
    let count = units.len().div_ceil(LONG_UNITS);
    for (at, part) in units.chunks(LONG_UNITS).enumerate().rev() {
        let ordinal = u8::try_from(at + 1).expect("a name has at most 20 slots");
        // A NUL terminates a name that does not fill its slots; the units after it are all ones.
        let unit = |at: usize| {
            let filler = if at == part.len() { 0 } else { 0xffff };
            U16::new(part.get(at).copied().unwrap_or(filler))
        };
        let last = if at + 1 == count { LAST_LONG_ENTRY } else { 0 };
        let slot = LongSlot {
            LDIR_Ord: ordinal | last,
            LDIR_Name1: std::array::from_fn(unit),
            LDIR_Attr: ATTR_LONG_NAME,
            LDIR_Type: 0,
            LDIR_Chksum: short.checksum(),
            LDIR_Name2: std::array::from_fn(|at| unit(at + 5)),
            LDIR_FstClusLO: U16::ZERO,
            LDIR_Name3: std::array::from_fn(|at| unit(at + 11)),
        };
        out.extend_from_slice(slot.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(names: &[&str]) -> Vec<String> {
        let text = |name: &ShortName| String::from_utf8(name.bytes.to_vec()).unwrap();
        short_names(names).iter().map(text).collect()
    }

    #[test]
    fn names_are_judged() {
        for good in [
            "a", ".hidden", "a.b.c", "+,;=[]", "ä", "😀", " lead", "CONSOLE", "COM", "COM10",
            "LPTx", "x.con", "~", "a b", "COM¹²",
        ] {
            assert_eq!(check(good.as_bytes()), Ok(good), "{good}");
        }
        for c in "\"*/:<>?\\|\u{1}\u{1f}\u{7f}\n\u{ffff}".chars() {
            let name = format!("a{c}b");
            let fault = check(name.as_bytes()).unwrap_err();
            assert!(fault.rule.contains(&format!("{c:?}")), "{}", fault.rule);
        }
        for (bad, rule) in [
            ("a.", "dot or space"),
            ("a ", "dot or space"),
            ("...", "dot or space"),
            ("con", "device"),
            ("PRN", "device"),
            ("Aux.txt", "device"),
            ("nul.tar.gz", "device"),
            ("com0", "device"),
            ("COM9.x", "device"),
            ("COM²", "device"),
            ("lpt0 .txt", "device"),
            ("LPT9", "device"),
        ] {
            assert!(check(bad.as_bytes()).unwrap_err().rule.contains(rule), "{bad}");
        }
        for ill_formed in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80", b"\xc0\xaf"] {
            assert!(check(ill_formed).unwrap_err().rule.contains("not UTF-8"), "{ill_formed:?}");
        }
    }

    #[test]
    fn length_is_counted_in_utf16_units() {
        for (name, ok) in [
            ("ä".repeat(255), true),
            ("ä".repeat(256), false),
            ("😀".repeat(127) + "x", true),
            ("😀".repeat(128), false),
        ] {
            assert_eq!(check(name.as_bytes()).is_ok(), ok, "{}", name.chars().count());
        }
    }

    #[test]
    fn case_is_folded_simply() {
        for (a, b) in [
            ("readme", "README"),
            ("Größe", "GRÖßE"), // ß has no single upper case ...
            ("ß", "ẞ"),         // ... but is the lower case of ẞ
            ("ı", "I"),
            ("i", "I"),
            ("ΣΑΣ", "σας"),
            ("σ", "ς"),
            ("k", "\u{212a}"), // Kelvin
            ("µ", "μ"),        // micro, mu
            ("ſ", "s"),
            ("𐐀", "𐐨"), // Deseret, beyond the first plane
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        for (a, b) in [("ß", "ss"), ("İ", "i"), ("é", "e"), ("é", "e\u{301}"), ("ﬁ", "fi")] {
            assert_ne!(fold(a), fold(b), "{a} {b}");
        }
    }

    #[test]
    fn names_that_are_short_already_stay() {
        for (name, bytes, case, long) in [
            ("BOOTX64.EFI", b"BOOTX64 EFI", 0, false),
            ("EFI", b"EFI        ", 0, false),
            ("efi", b"EFI        ", 0x08, false),
            ("lower.txt", b"LOWER   TXT", 0x18, false),
            ("UPPER.txt", b"UPPER   TXT", 0x10, false),
            ("lower.TXT", b"LOWER   TXT", 0x08, false),
            ("a1.2", b"A1      2  ", 0x08, false),
            ("12345678.123", b"12345678123", 0, false),
            ("Mixed.txt", b"MIXED   TXT", 0, true),
            ("X.tXt", b"X       TXT", 0, true),
            ("~$%'-_@.`!(", b"~$%'-_@ `!(", 0, false),
        ] {
            assert_eq!(literal(name), Some(ShortName { bytes: *bytes, case, long }), "{name}");
        }
        for name in ["123456789", ".a", "a.b.c", "a.", "a b", "a+b", "ä", "a.longer"] {
            assert_eq!(literal(name), None, "{name}");
        }
    }

    #[test]
    fn other_names_get_a_tail() {
        for (name, expected) in [
            ("loader.conf", "LOADER~1CON"),
            ("longfilename.txt", "LONGFI~1TXT"),
            ("a.b.c", "AB~1    C  "),
            (".bashrc", "BASHRC~1   "),
            (". x.y", "X~1     Y  "),
            ("a b c d e f g", "ABCDEF~1   "),
            ("+,;=[].x+y", "______~1X_Y"),
            ("Größe", "GR__E~1    "),
            ("😀", "_~1        "),
            ("ab", "AB         "),
        ] {
            assert_eq!(short(&[name]), [expected], "{name}");
        }
    }

    #[test]
    fn tails_avoid_each_other_and_names_that_are_short_already() {
        assert_eq!(
            short(&["LONGNA~2", "longname1", "longname2", "longname3", "longna~3"]),
            ["LONGNA~2   ", "LONGNA~1   ", "LONGNA~4   ", "LONGNA~5   ", "LONGNA~3   "],
        );
        // Beyond 9 and 99, the stem is shortened, possibly to the stem of other names.
        let names: Vec<_> = (0..1200).map(|n| format!("common name {n:04}")).collect();
        let mut names: Vec<_> = names.iter().map(String::as_str).collect();
        names.push("commox name");
        let shorts = short(&names);
        for (at, expected) in [
            (0, "COMMON~1   "),
            (8, "COMMON~9   "),
            (9, "COMMO~10   "),
            (98, "COMMO~99   "),
            (99, "COMM~100   "),
            (1199, "COM~1200   "),
            (1200, "COMMOX~1   "),
        ] {
            assert_eq!(shorts[at], expected);
        }
        assert_eq!(shorts.iter().collect::<BTreeSet<_>>().len(), shorts.len());
    }

    #[test]
    fn long_names_are_cut_into_slots() {
        for (name, slots) in [
            ("x".to_owned(), 1),
            ("x".repeat(13), 1),
            ("x".repeat(14), 2),
            ("x".repeat(26), 2),
            ("x".repeat(27), 3),
            ("x".repeat(255), 20),
            ("😀".repeat(7), 2),
        ] {
            let short = ShortName { bytes: *b"XXXXXX~1   ", case: 0, long: true };
            let mut out = Vec::new();
            encode_long(&name, &short, &mut out);
            assert_eq!(out.len(), slots * 32, "{name}");
            assert_eq!(short.entry_count(&name), slots + 1);
            assert_eq!(out[0], 0x40 | u8::try_from(slots).unwrap());
        }
        let short = ShortName { bytes: *b"THEQUI~1FOX", case: 0, long: true };
        let mut out = Vec::new();
        encode_long("The quick brown.fox", &short, &mut out);
        // The example of the specification (figure "long directory entries").
        let expected = [
            &b"\x42w\0n\0.\0f\0o\0\x0f\0\x07x\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0"[..],
            b"\xff\xff\xff\xff\x01T\0h\0e\0 \0q\0\x0f\0\x07u\0i\0c\0k\0 \0b\0\0\0r\0o\0",
        ];
        assert_eq!(out, expected.concat());
    }
}
