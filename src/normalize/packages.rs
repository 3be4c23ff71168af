//! Files that packages installed, according to the databases of package managers in the tree: they
//! may be newer than the epoch although nothing has changed them.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::tree::{Entry, InodeId, Kind, Tree};

/// Directories of package databases. The format of rpm's database is different and is not
/// supported.
const DATABASES: [&[u8]; 5] =
    [b"lib/apk/db", b"usr/lib/apk/db", b"usr/lib/opkg", b"var/lib/dpkg", b"var/lib/pacman/local"];

/// Largest size of a package manager's list, in bytes. The files that a longer list names count as
/// not installed by any package.
const MAX: u64 = 64 << 20;

/// Returns the inodes that packages of pacman, dpkg, opkg, and apk installed, and those of the
/// databases.
pub(super) fn package_files(tree: &Tree) -> Result<BTreeSet<InodeId>> {
    let mut found = BTreeSet::new();
    let mut pending: Vec<_> = DATABASES.iter().filter_map(|path| tree.find(path)).collect();
    while let Some(id) = pending.pop() {
        found.insert(id);
        pending.extend(tree.entries(id).iter().map(Entry::inode));
    }
    let mut add = |path: &[u8]| found.extend(under_links(tree, path));
    for package in children(tree, b"var/lib/pacman/local") {
        if let Some(files) = tree.child(package.1, b"files") {
            // Lines that start with `%` are section names, such as `%FILES%`.
            let text = list(tree, files)?;
            lines(&text).filter(|line| !line.starts_with(b"%")).for_each(&mut add);
        }
    }
    for place in [&b"var/lib/dpkg/info"[..], b"usr/lib/opkg/info"] {
        for (_, file) in
            children(tree, place).into_iter().filter(|(name, _)| name.ends_with(b".list"))
        {
            let text = list(tree, file)?;
            lines(&text).filter_map(|line| line.strip_prefix(b"/")).for_each(&mut add);
        }
    }
    for path in [&b"lib/apk/db/installed"[..], b"usr/lib/apk/db/installed"] {
        let Some(file) = tree.resolve(path) else { continue };
        // `F:` is a directory, and `R:` a file in the last directory.
        let (text, mut directory) = (list(tree, file)?, &b""[..]);
        for line in lines(&text) {
            match line.split_at_checked(2) {
                Some((b"F:", path)) => directory = path,
                Some((b"R:", name)) => add(&[directory, name].join(&b'/')),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Returns the text of a list, or nothing if the node can't be a list.
fn list(tree: &Tree, file: InodeId) -> Result<Vec<u8>> {
    match tree.inode(file).kind {
        Kind::File { size: ..=MAX, .. } => tree.read(file),
        _ => Ok(Vec::new()),
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

/// Returns the names and inodes in a directory, or nothing if it does not exist.
fn children<'a>(tree: &'a Tree, path: &[u8]) -> Vec<(&'a [u8], InodeId)> {
    let entries = tree.find(path).map(|directory| tree.entries(directory)).unwrap_or_default();
    entries.iter().map(|entry| (tree.name(entry), entry.inode())).collect()
}

/// Finds a path, following symlinks in its parents only.
fn under_links(tree: &Tree, path: &[u8]) -> Option<InodeId> {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => tree.child(tree.resolve(&path[..slash])?, &path[slash + 1..]),
        None => tree.child(InodeId::ROOT, path),
    }
}
