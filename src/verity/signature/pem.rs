//! Blocks of PEM files.

/// A block of a PEM file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    /// The block, from its first line to its last.
    text: &'a str,
}

impl Block<'_> {
    /// Returns the bytes of the block; `None` if they are not base64, or encrypted in the format
    /// before PKCS#8.
    pub(super) fn decode(&self) -> Option<Vec<u8>> {
        pem_rfc7468::decode_vec(self.text.as_bytes()).ok().map(|(_, bytes)| bytes)
    }

    /// Returns whether the block has the encryption header of the format before PKCS#8.
    pub(super) fn is_encrypted(&self) -> bool {
        self.text.lines().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"))
    }
}

/// Returns the blocks of a file, which may contain other text between them.
pub(super) fn blocks(file: &[u8]) -> impl Iterator<Item = Block<'_>> {
    let mut rest = str::from_utf8(file).unwrap_or_default();
    std::iter::from_fn(move || {
        let (_, found) = rest.split_at(rest.find("-----BEGIN ")?);
        let (label, _) = found.strip_prefix("-----BEGIN ")?.split_once("-----")?;
        let end = format!("-----END {label}-----");
        let (text, more) = found.split_at(found.find(&end)? + end.len());
        rest = more;
        Some(Block { label, text })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_among_other_text() {
        let file = b"Bag Attributes\n-----BEGIN A-----\nAQID\n-----END A-----\nmore\n\
            -----BEGIN B C-----\r\nBAUG\r\n-----END B C-----\r\n-----BEGIN D-----\nAQID\n";
        let found: Vec<_> = blocks(file).map(|block| (block.label, block.decode())).collect();
        assert_eq!(found, [("A", Some(vec![1, 2, 3])), ("B C", Some(vec![4, 5, 6]))]);
    }

    #[test]
    fn what_is_not_pem_has_no_blocks() {
        for file in [&b""[..], b"\xff\xfe", b"-----BEGIN", b"-----BEGIN A-----\n-----END B-----\n"]
        {
            assert_eq!(blocks(file).count(), 0, "{file:?}");
        }
    }

    #[test]
    fn damaged_blocks_are_no_bytes() {
        let file = b"-----BEGIN A-----\nA*ID\n-----END A-----\n";
        assert_eq!(blocks(file).map(|block| block.decode()).collect::<Vec<_>>(), [None]);
    }
}
