//! Volume labels.

use crate::error::{Error, Result};

/// Encodes a label in upper case, padded with spaces.
pub(super) fn encode(label: &str) -> Result<[u8; 11]> {
    let fail = |rule: String| {
        let remedy = "use 1 to 11 characters: ASCII letters, digits, spaces or $%'-_@~`!(){}^#&";
        Err(Error::parameter("label", rule, remedy))
    };
    if label.is_empty() || label.len() > 11 {
        return fail(format!("{label:?} is {} bytes, FAT allows 11", label.len()));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || " $%'-_@~`!(){}^#&".contains(c);
    if let Some(c) = label.chars().find(|&c| !legal(c)) {
        return fail(format!("{label:?} contains {c:?}"));
    }
    if label.starts_with(' ') || label.ends_with(' ') {
        return fail(format!("{label:?} begins or ends with a space"));
    }
    if label.eq_ignore_ascii_case("NO NAME") {
        return fail(format!("{label:?} is reserved for a volume without a label"));
    }
    let mut bytes = [b' '; 11];
    bytes[..label.len()].copy_from_slice(label.to_ascii_uppercase().as_bytes());
    Ok(bytes)
}

/// Converts the name of a partition to a label of at most 11 uppercase characters, with `_` for
/// characters that FAT does not allow, and without spaces at either end.
pub(super) fn from_partition(name: &str) -> String {
    let letter = |c: char| match c {
        _ if !c.is_ascii() || c.is_ascii_control() => '_',
        '*' | '?' | '.' | ',' | ';' | ':' | '/' | '\\' | '|' | '+' | '=' | '<' | '>' | '['
        | ']' | '"' => '_',
        _ => c.to_ascii_uppercase(),
    };
    let label: String = name.chars().take(11).map(letter).collect();
    label.trim_matches(' ').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_partitions_are_converted() {
        for (label, expected) in [
            ("esp", "ESP"),
            ("root-x86-64", "ROOT-X86-64"),
            ("a*b?c.d\u{7f}", "A_B_C_D_"),
            ("größer als elf", "GR__ER ALS"),
            (" a ", "A"),
            ("\\/\"[]", "_____"),
        ] {
            assert_eq!(from_partition(label), expected);
        }
    }

    #[test]
    fn labels_are_judged() {
        for (label, bytes) in [
            ("ESP", b"ESP        "),
            ("efi system", b"EFI SYSTEM "),
            ("12345678901", b"12345678901"),
            ("A-B_C", b"A-B_C      "),
        ] {
            assert_eq!(encode(label).unwrap(), *bytes, "{label}");
        }
        for bad in ["", "123456789012", " A", "A ", "A.B", "A/B", "Ä", "A\n", "no name", "A+B"] {
            assert!(encode(bad).is_err(), "{bad}");
        }
    }
}
