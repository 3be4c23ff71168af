//! What packages brought, by the databases of package managers in the tree: their files may be newer
//! than the epoch without anything having happened to them.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::tree::{Entry, InodeId, Kind, Tree};

/// The inodes that packages of pacman and dpkg brought, and those of their databases.
pub(super) fn brought(tree: &Tree) -> Result<BTreeSet<InodeId>> {
    let mut found = BTreeSet::new();
    let databases = [&b"var/lib/dpkg"[..], b"var/lib/pacman/local"];
    let mut pending: Vec<_> = databases.iter().filter_map(|path| tree.find(path)).collect();
    while let Some(id) = pending.pop() {
        found.insert(id);
        pending.extend(tree.entries(id).iter().map(Entry::inode));
    }
    let mut list = |file: InodeId, take: fn(&[u8]) -> Option<&[u8]>| -> Result<()> {
        if matches!(tree.inode(file).kind, Kind::File { .. }) {
            let text = tree.read(file)?;
            let paths = text.split(|&byte| byte == b'\n').filter_map(take);
            // Its parents may be symlinks: dpkg has files in `/lib` that are in `/usr/lib`.
            found.extend(paths.filter_map(|path| under_links(tree, path)));
        }
        Ok(())
    };
    for package in children(tree, b"var/lib/pacman/local") {
        if let Some(files) = tree.child(package.1, b"files") {
            // Sections have names like `%FILES%`.
            list(files, |line| (!line.starts_with(b"%")).then_some(line))?;
        }
    }
    for (name, file) in children(tree, b"var/lib/dpkg/info") {
        if name.ends_with(b".list") {
            list(file, |line| line.strip_prefix(b"/"))?;
        }
    }
    Ok(found)
}

/// What is in a directory, if it is there.
fn children<'a>(tree: &'a Tree, path: &[u8]) -> Vec<(&'a [u8], InodeId)> {
    let entries = tree.find(path).map(|directory| tree.entries(directory)).unwrap_or_default();
    entries.iter().map(|entry| (tree.name(entry), entry.inode())).collect()
}

/// Finds a path whose parents may be symlinks.
fn under_links(tree: &Tree, path: &[u8]) -> Option<InodeId> {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => tree.child(tree.resolve(&path[..slash])?, &path[slash + 1..]),
        None => tree.child(InodeId::ROOT, path),
    }
}
