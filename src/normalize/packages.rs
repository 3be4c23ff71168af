//! What packages brought, by the databases of package managers in the tree: their files may be newer
//! than the epoch without anything having happened to them.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::tree::{Entry, InodeId, Kind, Tree};

/// The directories of databases. That of rpm is a database of its own kind, which is not read.
const DATABASES: [&[u8]; 5] =
    [b"lib/apk/db", b"usr/lib/apk/db", b"usr/lib/opkg", b"var/lib/dpkg", b"var/lib/pacman/local"];

/// No list of a package manager is longer, in bytes. What a longer one names counts as brought by
/// no package.
const MAX: u64 = 64 << 20;

/// The inodes that packages of pacman, dpkg, opkg, and apk brought, and those of their databases.
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
            // Sections have names like `%FILES%`.
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
        // `F:` is a directory, and `R:` a file in the last one.
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

/// The text of a list; nothing if it can't be one.
fn list(tree: &Tree, file: InodeId) -> Result<Vec<u8>> {
    match tree.inode(file).kind {
        Kind::File { size: ..=MAX, .. } => tree.read(file),
        _ => Ok(Vec::new()),
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
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
