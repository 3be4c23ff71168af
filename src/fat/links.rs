//! Omission of nodes that FAT can't store, in particular of symlinks whose targets are on the
//! volume too, so that nothing is lost.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::format::LeaveOut;
use crate::name::Escaped;
use crate::report::Warning;
use crate::tree::{InodeId, Kind, Tree};

/// Returns the tree without symlinks below the directory `volume` whose targets are below it too,
/// or without all nodes that FAT can't store, and a warning for each.
///
/// All others cause an error when the volume is planned.
pub(super) fn leave_out(
    tree: Tree,
    volume: InodeId,
    leave_out: &LeaveOut<'_>,
) -> Result<(Tree, Vec<Warning>)> {
    let (mut names, mut warnings) = (BTreeSet::new(), Vec::new());
    let within = within(&tree, volume);
    for (id, inode) in tree.iter() {
        if inode.kind != Kind::Directory || !within[id.index()] {
            continue;
        }
        for (position, entry) in tree.entry_range(id).zip(tree.entries(id)) {
            let node = entry.inode();
            let target = match tree.inode(node).kind {
                Kind::Directory | Kind::File { .. } => continue,
                Kind::Symlink => target(&tree, id, node, leave_out),
                _ => None,
            };
            let message = match target.filter(|target| within[target.index()]) {
                Some(target) => {
                    let target = tree.path(target);
                    format!(
                        "symlink is left out, because FAT has no symlinks; its target /{} is kept",
                        Escaped(&target)
                    )
                }
                None if leave_out.all => "left out, because FAT can't store it".to_owned(),
                None => continue,
            };
            names.insert(position);
            warnings.push(Warning { path: tree.path_in(id, tree.name(entry)), message });
        }
    }
    let tree = if names.is_empty() { tree } else { tree.without_entries(&names)? };
    Ok((tree, warnings))
}

/// Returns the file or directory that a symlink in `directory` leads to, if it is in the tree.
fn target(
    tree: &Tree,
    directory: InodeId,
    link: InodeId,
    leave_out: &LeaveOut<'_>,
) -> Option<InodeId> {
    let target = tree.target(link);
    let path = match target.strip_prefix(b"/") {
        Some(_) => (leave_out.locate)(target)?,
        None => {
            let path = tree.path_in(directory, target);
            stays_inside(&path).then_some(path)?
        }
    };
    let found = tree.resolve(&path)?;
    matches!(tree.inode(found).kind, Kind::File { .. } | Kind::Directory).then_some(found)
}

/// Returns whether no prefix of a relative path leads above its starting point.
fn stays_inside(path: &[u8]) -> bool {
    let mut depth = 0_u64;
    path.split(|&byte| byte == b'/').all(|name| {
        match name {
            b"" | b"." => {}
            b".." if depth == 0 => return false,
            b".." => depth -= 1,
            _ => depth += 1,
        }
        true
    })
}

/// Returns for each inode whether it is `directory` or below it.
fn within(tree: &Tree, directory: InodeId) -> Vec<bool> {
    let mut within = vec![false; tree.inodes().len()];
    for (id, _) in tree.iter() {
        within[id.index()] = id == directory || within[tree.parent(id).index()];
    }
    within
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    #[test]
    fn only_links_to_what_is_there_are_left_out() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let mut add = |parent, name: &str, node| {
            builder.add(parent, name.as_bytes(), Metadata::default(), node).unwrap()
        };
        let link = |target: &str| Node::Symlink(target.as_bytes().to_vec());
        let boot = add(TreeBuilder::ROOT, "boot", Node::Directory);
        add(TreeBuilder::ROOT, "usr", Node::Directory);
        add(TreeBuilder::ROOT, "link", link("boot"));
        let deep = add(boot, "deep", Node::Directory);
        for (name, target) in [
            ("absolute", "/boot/deep"),
            ("chain", "relative"),
            ("dangling", "nothing"),
            ("loop", "loop"),
            ("outside", "../usr"),
            ("relative", "./deep"),
            ("up", "../../boot/deep"),
        ] {
            add(boot, name, link(target));
        }
        add(deep, "back", link("../deep"));
        add(boot, "pipe", Node::Fifo);
        let tree = builder.finish().unwrap();
        for (all, expected) in [
            (false, &["boot/absolute", "boot/chain", "boot/deep/back", "boot/relative"][..]),
            (
                true,
                &[
                    "boot/absolute",
                    "boot/chain",
                    "boot/dangling",
                    "boot/deep/back",
                    "boot/loop",
                    "boot/outside",
                    "boot/pipe",
                    "boot/relative",
                    "boot/up",
                ],
            ),
        ] {
            let volume = tree.find(b"boot").unwrap();
            let options = LeaveOut { locate: &|target| Some(target.to_vec()), all };
            let before = tree.subtree(InodeId::ROOT).unwrap();
            let (after, warnings) = leave_out(before, volume, &options).unwrap();
            let mut paths: Vec<_> =
                warnings.iter().map(|one| Escaped(&one.path).to_string()).collect();
            paths.sort();
            assert_eq!(paths, expected);
            assert!(expected.iter().all(|path| after.find(path.as_bytes()).is_none()));
            let kept = tree.iter().filter(|(id, _)| after.find(&tree.path(*id)).is_some()).count();
            assert_eq!(kept, tree.inodes().len() - expected.len());
        }
    }
}
