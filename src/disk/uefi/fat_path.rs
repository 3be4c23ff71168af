//! Paths on FAT, which ignores case.

use crate::tree::{InodeId, Tree};

/// Returns the names of a path, which slashes or backslashes separate.
fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/' || byte == b'\\').filter(|name| !name.is_empty())
}

/// Returns the name and the inode that `name` refers to in a directory on FAT.
fn child<'a>(tree: &'a Tree, directory: InodeId, name: &[u8]) -> Option<(&'a [u8], InodeId)> {
    let mut entries = tree.entries(directory).iter();
    entries.find_map(|entry| {
        let found = tree.name(entry);
        found.eq_ignore_ascii_case(name).then_some((found, entry.inode()))
    })
}

/// Returns the inode at a path on FAT.
pub(crate) fn find(tree: &Tree, path: &[u8]) -> Option<InodeId> {
    names(path).try_fold(InodeId::ROOT, |directory, name| Some(child(tree, directory, name)?.1))
}

/// Returns a path with the spelling of those of its components that exist on a FAT.
pub(crate) fn spelled(tree: &Tree, path: &[u8]) -> Vec<u8> {
    let mut directory = Some(InodeId::ROOT);
    let mut spelled = Vec::new();
    for name in names(path) {
        let found = directory.and_then(|directory| child(tree, directory, name));
        directory = found.map(|(_, id)| id);
        spelled.push(found.map_or(name, |(name, _)| name));
    }
    spelled.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, TreeBuilder};

    #[test]
    fn case_does_not_matter() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        builder.file("EFI/boot/x", "", Metadata::default()).unwrap();
        let tree = builder.finish().unwrap();
        for path in ["EFI/boot/x", "\\efi\\BOOT\\X", "/Efi//Boot/x"] {
            assert_eq!(find(&tree, path.as_bytes()), tree.find(b"EFI/boot/x"), "{path}");
            assert_eq!(spelled(&tree, path.as_bytes()), b"EFI/boot/x", "{path}");
        }
        assert_eq!(find(&tree, b"EFI/boot/y"), None);
        assert_eq!(spelled(&tree, b"efi/BOOT/Y/BOOT"), b"EFI/boot/Y/BOOT");
    }
}
