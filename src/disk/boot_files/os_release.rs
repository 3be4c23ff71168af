//! The names that a tree's `os-release` gives to its system.

use crate::disk::uefi;
use crate::error::Result;
use crate::tree::Tree;

/// The names of a system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OsRelease {
    /// `IMAGE_ID` or `ID`.
    pub(super) id: String,
    /// `PRETTY_NAME`.
    pub(super) title: String,
}

impl OsRelease {
    /// Reads the names of a tree, with the defaults of `os-release(5)`.
    pub(super) fn read(tree: &Tree) -> Result<Self> {
        let places = [&b"etc/os-release"[..], b"usr/lib/os-release"];
        let file = places.iter().find_map(|path| tree.resolve(path));
        let text = file.map(|file| uefi::text(tree, file)).transpose()?.flatten();
        Ok(Self::parse(&text.unwrap_or_default()))
    }

    fn parse(text: &str) -> Self {
        let value = |key: &str| {
            let mut values = text.lines().filter_map(|line| line.trim().strip_prefix(key));
            let value = values.next_back()?.trim().trim_matches(['"', '\'']);
            (!value.is_empty()).then(|| value.to_owned())
        };
        let id = value("IMAGE_ID=").or_else(|| value("ID=")).filter(|id| is_name(id));
        Self {
            id: id.unwrap_or_else(|| "linux".to_owned()),
            title: value("PRETTY_NAME=").unwrap_or_else(|| "Linux".to_owned()),
        }
    }
}

/// Returns whether a text can be a part of the name of a file on FAT.
pub(super) fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+~".contains(&byte);
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_defaults() {
        for (text, id, title) in [
            ("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n", "debian", "Debian GNU/Linux 12"),
            ("IMAGE_ID='appliance'\r\nID=arch\n", "appliance", "Linux"),
            ("VERSION_ID=5\nID_LIKE=debian\n", "linux", "Linux"),
            ("ID=../x\nPRETTY_NAME=\n", "linux", "Linux"),
        ] {
            let expected = OsRelease { id: id.to_owned(), title: title.to_owned() };
            assert_eq!(OsRelease::parse(text), expected, "{text}");
        }
    }
}
