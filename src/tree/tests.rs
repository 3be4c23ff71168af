use std::sync::Arc;

use super::*;

/// Adds nodes by path, in the order given: `x/` is a directory, `x=y` another name of the file
/// `y`, and everything else a file with its own path as content.
fn tree(paths: &[&str]) -> Tree {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    let mut nodes = vec![(String::new(), TreeBuilder::ROOT)];
    for path in paths {
        let find = |path: &str| nodes.iter().find(|(known, _)| known == path).unwrap().1;
        let (path, target) = path.split_once('=').map_or((*path, None), |(a, b)| (a, Some(b)));
        let bare = path.trim_end_matches('/');
        let (parent, name) = bare.rsplit_once('/').unwrap_or(("", bare));
        let (parent, name) = (find(parent), name.as_bytes());
        if let Some(target) = target {
            builder.link(parent, name, find(target)).unwrap();
            continue;
        }
        let node = if path.ends_with('/') {
            Node::Directory
        } else {
            let content = builder.content(Arc::new(path.as_bytes().to_vec())).unwrap();
            Node::File { size: path.len() as u64, content }
        };
        let id = builder.add(parent, name, Metadata::default(), node).unwrap();
        nodes.push((bare.to_owned(), id));
    }
    builder.finish().unwrap()
}

#[test]
fn entries_have_positions() {
    let tree = tree(&["z", "b/", "b/y", "b/x", "b/d/", "b/d/1", "a/", "a/m=b/x", "a/e/", "b/w=z"]);
    let find = |path: &str| tree.find(path.as_bytes()).unwrap();
    // The entries of each directory, in the order of the directories: a and b and z, then e and m
    // of a, nothing of a/e, then d, w, x and y of b, then 1 of b/d.
    for (path, expected) in
        [("", 0..3), ("a", 3..5), ("a/e", 5..5), ("b", 5..9), ("b/d", 9..10), ("z", 0..0)]
    {
        assert_eq!(tree.entry_range(find(path)), expected, "{path}");
    }
    assert_eq!(tree.entry_count(), 10);
    for (path, parent, index) in [
        ("a", "", 0),
        ("b", "", 1),
        ("a/e", "a", 0),
        ("b/x", "a", 1), // its first name is a/m
        ("b/d", "b", 0),
        ("z", "b", 1), // its first name is b/w
        ("b/y", "b", 3),
        ("b/d/1", "b/d", 0),
    ] {
        let id = find(path);
        assert_eq!(tree.entry_position(id), (find(parent), index), "{path}");
        assert_eq!(tree.entries(find(parent))[index].inode(), id, "{path}");
    }
}
