//! Owners that a tree does not know: files that a user of the host owns.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::tree::{InodeId, Kind, Tree};

/// Largest size of a list of users or groups, in bytes. A longer list counts as defining root only.
const MAX: u64 = 16 << 20;

/// The kind and the id of an owner.
type Owner = (&'static str, u32);

/// Lists the paths whose user or group is not in the tree's own lists, each with the reason, apart
/// from those below a directory with the same owner. Entries in `removed` are skipped.
pub(super) fn unknown(tree: &Tree, removed: &BTreeSet<usize>) -> Result<Vec<(Vec<u8>, String)>> {
    let users = ids(tree, [b"etc/passwd", b"usr/lib/passwd"])?;
    let groups = ids(tree, [b"etc/group", b"usr/lib/group"])?;
    let unknown = |id: InodeId| -> Option<Owner> {
        let inode = tree.inode(id);
        match (users.contains(&inode.uid), groups.contains(&inode.gid)) {
            (false, _) => Some(("user", inode.uid)),
            (true, false) => Some(("group", inode.gid)),
            (true, true) => None,
        }
    };
    let mut found = Vec::new();
    let mut add = |owner: Option<Owner>, path: &dyn Fn() -> Vec<u8>| {
        found.extend(owner.map(|(kind, id)| {
            (path(), format!("owned by {kind} {id}, which the tree does not define"))
        }));
    };
    let of_root = unknown(InodeId::ROOT);
    add(of_root, &Vec::new);
    let mut pending = vec![(InodeId::ROOT, of_root)];
    while let Some((directory, above)) = pending.pop() {
        for (at, entry) in tree.entry_range(directory).zip(tree.entries(directory)) {
            if removed.contains(&at) {
                continue;
            }
            let id = entry.inode();
            let owner = unknown(id);
            add(owner.filter(|_| owner != above), &|| match directory {
                InodeId::ROOT => tree.name(entry).to_vec(),
                _ => [&tree.path(directory), tree.name(entry)].join(&b'/'),
            });
            if tree.inode(id).kind == Kind::Directory {
                pending.push((id, owner));
            }
        }
    }
    Ok(found)
}

/// Returns the numbers in the third field of lists of users or groups, and that of root.
fn ids(tree: &Tree, lists: [&[u8]; 2]) -> Result<BTreeSet<u32>> {
    let mut ids = BTreeSet::from([0]);
    for id in lists.into_iter().filter_map(|list| tree.resolve(list)) {
        if !matches!(tree.inode(id).kind, Kind::File { size, .. } if size <= MAX) {
            continue;
        }
        let text = tree.read(id)?;
        let number = |line: &[u8]| {
            str::from_utf8(line.split(|&b| b == b':').nth(2)?).ok()?.parse::<u32>().ok()
        };
        ids.extend(text.split(|&byte| byte == b'\n').filter_map(number));
    }
    Ok(ids)
}
