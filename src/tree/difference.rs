//! Comparison of trees, for the tests of readers.

use super::{InodeId, Kind, Tree};

/// Returns the first difference of two trees, in everything that a format stores. Times are
/// compared in whole seconds unless `nanoseconds` is set.
pub(crate) fn difference(a: &Tree, b: &Tree, nanoseconds: bool) -> Option<String> {
    if a.inodes().len() != b.inodes().len() {
        return Some(format!("{} and {} inodes", a.inodes().len(), b.inodes().len()));
    }
    a.iter().find_map(|(id, _)| {
        let (a, b) = (describe(a, id, nanoseconds), describe(b, id, nanoseconds));
        (a != b).then(|| format!("{a}\n{b}"))
    })
}

/// Describes an inode; content is represented by its digest.
fn describe(tree: &Tree, id: InodeId, nanoseconds: bool) -> String {
    let inode = tree.inode(id);
    let kind = match inode.kind {
        Kind::File { size, .. } => format!("file of {size} bytes, {:?}", content(tree, id, size)),
        kind => format!("{kind:?} {}", tree.target(id).escape_ascii()),
    };
    let names = tree
        .entries(id)
        .iter()
        .map(|entry| format!("{} {}", tree.name(entry).escape_ascii(), entry.inode().index()));
    let (seconds, nsec) = (inode.mtime.seconds, inode.mtime.nanoseconds);
    format!(
        "{}: {kind}, {:o} {}:{} {seconds}.{} {} links, {:?}, {:?}",
        tree.path(id).escape_ascii(),
        inode.mode,
        inode.uid,
        inode.gid,
        if nanoseconds { nsec } else { 0 },
        inode.links,
        tree.xattrs(id),
        names.collect::<Vec<_>>(),
    )
}

fn content(tree: &Tree, id: InodeId, size: u64) -> Result<u32, String> {
    let reader = tree.open(id).map_err(|error| error.to_string())?;
    let mut digest = crc32fast::Hasher::new();
    let mut buffer = vec![0; 100_000];
    let mut at = 0;
    while at < size {
        let len = buffer.len().min(usize::try_from(size - at).unwrap());
        reader.read(at, &mut buffer[..len]).map_err(|error| error.to_string())?;
        digest.update(&buffer[..len]);
        at += len as u64;
    }
    Ok(digest.finalize())
}
