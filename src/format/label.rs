//! Labels of file systems.

/// Returns the longest prefix of `label` that has at most `len_max` bytes and ends at a character
/// boundary.
pub(crate) fn truncate(label: &str, len_max: usize) -> &str {
    let end = (0..=len_max.min(label.len())).rev().find(|&end| label.is_char_boundary(end));
    &label[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_cut_between_characters() {
        for (label, of_16, of_15) in [
            ("", "", ""),
            ("root-x86-64", "root-x86-64", "root-x86-64"),
            ("usr-x86-64-verity-sig", "usr-x86-64-verit", "usr-x86-64-veri"),
            ("12345678901234ä", "12345678901234ä", "12345678901234"),
            ("123456789012345ä", "123456789012345", "123456789012345"),
        ] {
            assert_eq!((truncate(label, 16), truncate(label, 15)), (of_16, of_15));
        }
    }
}
