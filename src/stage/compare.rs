//! Comparison of two trees that should be equal.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::normalize::{Rules, change};
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

/// A path that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Path in the trees.
    pub path: Vec<u8>,
    /// Attributes that differ, such as `content`.
    pub what: Vec<&'static str>,
    /// Names of the rules that remove the difference from images, or `times` for the epoch. Empty
    /// if nothing removes it.
    pub covered_by: Vec<String>,
    /// If nothing removes the difference: names of built-in rules that would, but are disabled or
    /// belong to another profile.
    pub would_be_covered_by: Vec<String>,
}

/// Lists the paths that differ between two trees, and what removes each difference when both trees
/// become images with these rules and this epoch.
///
/// Paths that a rule refuses are compared like all others.
///
/// # Errors
/// [`Error::Source`](crate::Error::Source) and [`Error::Changed`](crate::Error::Changed) if a file
/// can't be read.
pub fn compare(a: &Tree, b: &Tree, rules: &Rules, epoch: Timestamp) -> Result<Vec<Difference>> {
    let cover = CoveredBy::new(a, b, rules, epoch)?;
    let wider = match cover.open.is_empty() {
        true => None,
        false => Some(CoveredBy::new(a, b, &Rules::every(), epoch)?),
    };
    let (in_a, in_b) = (paths(a), paths(b));
    let clamped = |path: &[u8]| {
        let time = |tree: &Tree, id: &InodeId| tree.inode(*id).mtime.min(epoch);
        in_a.get(path).map(|id| time(a, id)) == in_b.get(path).map(|id| time(b, id))
    };
    let differences = differing(a, b)?.into_iter().map(|(path, what)| {
        let covered_by = match what[..] {
            // The epoch alone is enough, whatever rules apply.
            ["time"] if clamped(&path) => vec![TIMES.into()],
            _ => cover.of(&path),
        };
        let wider = wider.as_ref().filter(|_| covered_by.is_empty());
        let would_be_covered_by = wider.map(|wider| wider.of(&path)).unwrap_or_default();
        Difference { path, what, covered_by, would_be_covered_by }
    });
    Ok(differences.collect())
}

/// Name under which the epoch covers times.
const TIMES: &str = "times";

/// Effect of a set of rules on the differences between two trees.
struct CoveredBy {
    /// Paths that also differ in images.
    open: BTreeMap<Vec<u8>, Vec<&'static str>>,
    /// Rules that fired on each path without removing it.
    fired: Names,
    /// Rules that removed each path.
    removed: Names,
}

/// Names of rules by path.
type Names = BTreeMap<Vec<u8>, Vec<String>>;

impl CoveredBy {
    fn new(a: &Tree, b: &Tree, rules: &Rules, epoch: Timestamp) -> Result<Self> {
        let (mut fired, mut removed) = (Names::new(), Names::new());
        let mut canonical = |tree: &Tree| -> Result<Tree> {
            let mut tree = tree.clone();
            let report = change(&mut tree, rules, epoch)?;
            for rule in report.fired.into_iter().filter(|rule| rule.remedy.is_none()) {
                let names = if rule.verb == "remove" { &mut removed } else { &mut fired };
                for path in rule.paths {
                    let names = names.entry(path).or_default();
                    if !names.contains(&rule.rule) {
                        names.push(rule.rule.clone());
                    }
                }
            }
            tree.clamp_times(epoch);
            Ok(tree)
        };
        let open = differing(&canonical(a)?, &canonical(b)?)?;
        Ok(Self { open, fired, removed })
    }

    /// Returns what removes the difference at a path, or nothing if the path still differs.
    fn of(&self, path: &[u8]) -> Vec<String> {
        if self.open.contains_key(path) {
            return Vec::new();
        }
        // The path may be in a directory that was removed.
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let directories = ends.map(|end| &path[..end]).chain([path]);
        let of_removed = directories.filter_map(|path| self.removed.get(path));
        let names: Vec<_> = of_removed.chain(self.fired.get(path)).flatten().cloned().collect();
        match names.is_empty() {
            true => vec![TIMES.into()],
            false => names,
        }
    }
}

/// Returns the paths that differ, each with the attributes that differ.
fn differing(a: &Tree, b: &Tree) -> Result<BTreeMap<Vec<u8>, Vec<&'static str>>> {
    let (in_a, in_b) = (paths(a), paths(b));
    let mut found = BTreeMap::new();
    for (path, &id) in &in_a {
        let what = match in_b.get(path) {
            None => vec!["only in the first"],
            Some(&other) => fields(a, id, b, other)?,
        };
        if !what.is_empty() {
            found.insert(path.clone(), what);
        }
    }
    for path in in_b.keys().filter(|path| !in_a.contains_key(*path)) {
        found.insert(path.clone(), vec!["only in the second"]);
    }
    Ok(found)
}

/// Returns all paths of a tree.
///
/// The path of the root is empty.
fn paths(tree: &Tree) -> BTreeMap<Vec<u8>, InodeId> {
    let mut paths = BTreeMap::from([(Vec::new(), InodeId::ROOT)]);
    let mut pending = vec![InodeId::ROOT];
    while let Some(directory) = pending.pop() {
        for entry in tree.entries(directory) {
            let id = entry.inode();
            paths.insert(tree.path_in(directory, tree.name(entry)), id);
            if tree.inode(id).kind == Kind::Directory {
                pending.push(id);
            }
        }
    }
    paths
}

fn fields(a: &Tree, id: InodeId, b: &Tree, other: InodeId) -> Result<Vec<&'static str>> {
    let (one, two) = (a.inode(id), b.inode(other));
    let kind = match (one.kind, two.kind) {
        (Kind::File { size, .. }, Kind::File { size: other_size, .. }) => {
            let same = size == other_size && a.read(id)? == b.read(other)?;
            if same { None } else { Some("content") }
        }
        (one, two) if one != two => Some("type"),
        _ => None,
    };
    let fields = [
        (a.target(id) != b.target(other)).then_some("target"),
        (one.mode != two.mode).then_some("mode"),
        ((one.uid, one.gid) != (two.uid, two.gid)).then_some("owner"),
        (a.xattrs(id) != b.xattrs(other)).then_some("extended attributes"),
        (one.links != two.links).then_some("links"),
        (one.mtime != two.mtime).then_some("time"),
    ];
    Ok(kind.into_iter().chain(fields.into_iter().flatten()).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    /// Builds a tree of files that contain one byte each, with times of `seconds` after 1970.
    fn tree(mark: u8, seconds: i64, extra: &str) -> Tree {
        let mtime = Timestamp::from_seconds(seconds);
        let at = Metadata { mtime, ..Metadata::default() };
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        for name in ["ruled", "unruled", extra] {
            let content = builder.content(Arc::new(vec![mark])).unwrap();
            let node = Node::File { size: 1, content };
            builder.add(TreeBuilder::ROOT, name.as_bytes(), at.clone(), node).unwrap();
        }
        let content = builder.content(Arc::new(vec![9])).unwrap();
        let node = Node::File { size: 1, content };
        builder.add(TreeBuilder::ROOT, b"late", at.clone(), node).unwrap();
        let link = Node::Symlink(b"x".to_vec());
        builder.add(TreeBuilder::ROOT, b"link", at.clone(), link).unwrap();
        let root = TreeBuilder::ROOT;
        let etc = builder.add(root, b"etc", Metadata::default(), Node::Directory).unwrap();
        let content = builder.content(Arc::new(vec![mark])).unwrap();
        builder.add(etc, b"hostname", at, Node::File { size: 1, content }).unwrap();
        builder.finish().unwrap()
    }

    #[test]
    fn differences_are_listed_with_what_covers_them() {
        let text = "[[rule]]\nname = \"r\"\npath = [\"ruled\", \"a\"]\nverb = \"remove\"\nreason = \"\"\n\
                    [[rule]]\nname = \"t\"\npath = \"late\"\nverb = \"truncate\"\nreason = \"\"\n";
        let rules = Rules::none().with_file(Path::new("f"), text).unwrap();
        let epoch = Timestamp::from_seconds(100);
        let found = compare(&tree(1, 200, "a"), &tree(2, 300, "b"), &rules, epoch).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|found| {
                (
                    str::from_utf8(&found.path).unwrap(),
                    found.what.join(" "),
                    found.covered_by.join(" "),
                    found.would_be_covered_by.join(" "),
                )
            })
            .collect();
        let expected = [
            ("a", "only in the first", "r", ""),
            ("b", "only in the second", "", ""),
            ("etc/hostname", "content time", "", "hostname"),
            ("late", "time", "times", ""),
            ("link", "time", "times", ""),
            ("ruled", "content time", "r", ""),
            ("unruled", "content time", "", ""),
        ];
        let expected =
            expected.map(|(path, what, by, off)| (path, what.into(), by.into(), off.into()));
        assert_eq!(found, expected);
        let same = compare(&tree(1, 5, "a"), &tree(1, 5, "a"), &rules, epoch).unwrap();
        assert_eq!(same, []);
    }
}
