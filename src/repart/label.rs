//! File system labels, derived from partition labels and truncated to what the format allows.

/// Returns the longest prefix of `label` that has at most `len_max` bytes and ends at a character
/// boundary.
fn cut(label: &str, len_max: usize) -> &str {
    let end = (0..=len_max.min(label.len())).rev().find(|&end| label.is_char_boundary(end));
    &label[..end.unwrap_or(0)]
}

/// Truncates a label to the 16 bytes that ext4 allows.
pub(super) fn ext4(label: &str) -> &str {
    cut(label, 16)
}

/// Truncates a label to the 15 bytes that swap space allows.
pub(super) fn swap(label: &str) -> &str {
    cut(label, 15)
}

/// Converts a label to FAT's: at most 11 uppercase characters, with `_` for characters that FAT
/// does not allow, and without spaces at either end.
pub(super) fn vfat(label: &str) -> String {
    let letter = |c: char| match c {
        _ if !c.is_ascii() || c.is_ascii_control() => '_',
        '*' | '?' | '.' | ',' | ';' | ':' | '/' | '\\' | '|' | '+' | '=' | '<' | '>' | '['
        | ']' | '"' => '_',
        _ => c.to_ascii_uppercase(),
    };
    let label: String = label.chars().take(11).map(letter).collect();
    label.trim_matches(' ').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_cut_between_characters() {
        for (label, of_ext4, of_swap) in [
            ("", "", ""),
            ("root-x86-64", "root-x86-64", "root-x86-64"),
            ("usr-x86-64-verity-sig", "usr-x86-64-verit", "usr-x86-64-veri"),
            ("12345678901234ä", "12345678901234ä", "12345678901234"),
            ("123456789012345ä", "123456789012345", "123456789012345"),
        ] {
            assert_eq!((ext4(label), swap(label)), (of_ext4, of_swap));
        }
    }

    #[test]
    fn fat_has_few_characters() {
        for (label, expected) in [
            ("esp", "ESP"),
            ("root-x86-64", "ROOT-X86-64"),
            ("a*b?c.d\u{7f}", "A_B_C_D_"),
            ("größer als elf", "GR__ER ALS"),
            (" a ", "A"),
            ("\\/\"[]", "_____"),
        ] {
            assert_eq!(vfat(label), expected);
        }
    }
}
