//! Labels of file systems, which are those of their partitions as far as the format has room.

/// The first bytes of a text, up to the last whole character.
fn cut(label: &str, len_max: usize) -> &str {
    let end = (0..=len_max.min(label.len())).rev().find(|&end| label.is_char_boundary(end));
    &label[..end.unwrap_or(0)]
}

/// What ext4 has room for.
pub(super) fn ext4(label: &str) -> &str {
    cut(label, 16)
}

/// What swap space has room for.
pub(super) fn swap(label: &str) -> &str {
    cut(label, 15)
}

/// What FAT has room for, without the characters that it has not, and spaces at either end.
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
