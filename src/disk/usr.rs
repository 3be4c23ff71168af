//! `/usr` in a partition of its own.

use std::sync::Arc;

use super::subtree::USR;
use crate::error::{Error, Result};
use crate::report::Warning;
use crate::tree::{InodeId, Kind, Tree};

/// A tree divided between the root and `/usr`.
pub(super) struct DividedUsr {
    /// Tree of the root, in which `/usr` is an empty directory.
    pub(super) root: Tree,
    pub(super) usr: Arc<Tree>,
    pub(super) warnings: Vec<Warning>,
}

/// Divides a tree between the root and `/usr`.
pub(super) fn divide(tree: &Tree) -> Result<DividedUsr> {
    let Some(usr) = tree.directory(USR).filter(|&usr| tree.holds_files(usr)) else {
        let rule = "the tree has no files there, and they are to get a partition of their own";
        return Err(Error::unrepresentable(USR, rule, "add them, or leave out `image.usr`"));
    };
    let warnings = shared_files(tree, usr)
        .into_iter()
        .map(|file| Warning {
            path: tree.path(file),
            message: "it has names in /usr and elsewhere, so each of the two file systems gets a \
                      copy"
                .to_owned(),
        })
        .collect();
    let root = tree.with_empty_dirs(&[usr])?;
    Ok(DividedUsr { root, usr: Arc::new(tree.subtree(usr)?), warnings })
}

/// Returns the files with names both inside and outside of a directory, in tree order.
fn shared_files(tree: &Tree, directory: InodeId) -> Vec<InodeId> {
    let mut is_inside = vec![false; tree.inodes().len()];
    is_inside[directory.index()] = true;
    // A directory comes after its parent.
    let directories = || {
        let all = tree.iter().filter(|(_, inode)| matches!(inode.kind, Kind::Directory));
        all.map(|(id, _)| id)
    };
    for id in directories() {
        is_inside[id.index()] |= is_inside[tree.parent(id).index()];
    }
    let (mut inside, mut outside) = (is_inside.clone(), vec![false; is_inside.len()]);
    for parent in directories() {
        let names = if is_inside[parent.index()] { &mut inside } else { &mut outside };
        tree.entries(parent).iter().for_each(|entry| names[entry.inode().index()] = true);
    }
    let files = tree.iter().filter(|(_, inode)| !matches!(inode.kind, Kind::Directory));
    files.map(|(id, _)| id).filter(|id| inside[id.index()] && outside[id.index()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, TreeBuilder};

    #[test]
    fn links_between_root_and_usr_are_reported() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let both = builder.file("etc/both", "both", Metadata::default()).unwrap();
        let inner = builder.file("usr/lib/inner", "inner", Metadata::default()).unwrap();
        let outer = builder.file("var/outer", "outer", Metadata::default()).unwrap();
        builder.hard_link("usr/lib/both", both).unwrap();
        builder.hard_link("usr/again", inner).unwrap();
        builder.hard_link("zzz", outer).unwrap();
        let DividedUsr { root, usr, warnings } = divide(&builder.finish().unwrap()).unwrap();
        let paths: Vec<_> = warnings.iter().map(|warning| &*warning.path).collect();
        assert_eq!(paths, [b"etc/both"]);
        assert!(root.entries(root.directory(USR).unwrap()).is_empty());
        assert_eq!(root.read(root.find(b"zzz").unwrap()).unwrap(), b"outer");
        assert_eq!(usr.read(usr.find(b"lib/both").unwrap()).unwrap(), b"both");
        assert_eq!(usr.find(b"again"), usr.find(b"lib/inner"));
    }

    #[test]
    fn a_tree_without_usr_is_refused() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        builder.symlink("usr", "system", Metadata::default()).unwrap();
        builder.file("system/x", "x", Metadata::default()).unwrap();
        let error = divide(&builder.finish().unwrap()).err().unwrap().to_string();
        assert!(error.starts_with("usr: the tree has no files there"), "{error}");
    }
}
