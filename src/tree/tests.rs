#![expect(clippy::single_range_in_vec_init, reason = "files with one range of data")]

use std::sync::Arc;

use super::*;

/// Adds nodes by path, in the order given: `x/` is a directory, `x=y` is another name of the file
/// `y`, and everything else is a file with its own path as content.
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
    // The entries of each directory, in the order of the directories: a, b and z, then e and m of
    // a, nothing of a/e, then d, w, x and y of b, then 1 of b/d.
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

#[test]
fn a_file_is_added() {
    let before = tree(&["a/", "a/x", "a/z=a/x", "b", "c/", "c/l=b"]);
    let metadata = Metadata { mode: 0o600, flags: FileFlags::NOCOW, ..Metadata::default() };
    let directory = before.find(b"a").unwrap();
    let head: Arc<[u8]> = b"head".as_slice().into();
    let add = |directory, name: &[u8]| {
        before.with_file(directory, name, metadata.clone(), Arc::clone(&head), 1 << 40)
    };
    let (after, file) = add(directory, b"y").unwrap();
    assert_eq!(after.find(b"a/y"), Some(file));
    assert_eq!((after.inode(file).mode, after.inode(file).flags), (0o600, FileFlags::NOCOW));
    for (id, inode) in before.iter() {
        let moved = InodeId(id.0 + u32::from(id >= file));
        assert_eq!(after.path(moved), before.path(id));
        assert_eq!(after.inode(moved).links, inode.links);
        if let Kind::File { size, .. } = inode.kind {
            let mut content = vec![0; usize::try_from(size).unwrap()];
            after.open(moved).unwrap().read(0, &mut content).unwrap();
            assert_eq!(content, before.path(id));
        }
    }
    assert_eq!(after.inodes().len(), before.inodes().len() + 1);

    let reader = after.open(file).unwrap();
    for (offset, expected) in
        [(0, b"head\0"), (2, b"ad\0\0\0"), (4, b"\0\0\0\0\0"), (1 << 39, b"\0\0\0\0\0")]
    {
        let mut bytes = [1; 5];
        reader.read(offset, &mut bytes).unwrap();
        assert_eq!(&bytes, expected, "{offset}");
    }
    for (range, expected) in [
        (0..9, Some(0..4)),
        (1..3, Some(1..3)),
        (2..2, None),
        (3..1 << 40, Some(3..4)),
        (4..5, None),
    ] {
        assert_eq!(reader.next_data(range.clone()), expected, "{range:?}");
    }

    for (name, rule) in [(&b"x"[..], "a/x: two nodes"), (b"..", "..: `.` and"), (b"a/b", "a/b: ")] {
        let error = add(directory, name).unwrap_err();
        assert!(error.to_string().starts_with(rule), "{error}");
    }
}

#[test]
fn what_is_known_of_content_moves_with_the_files() {
    let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
    for name in ["a", "c"] {
        let mut bytes = vec![0; 1 << 16];
        bytes[1 << 15] = 1;
        let node = Node::File { size: 1 << 16, content: builder.content(Arc::new(bytes)).unwrap() };
        builder.add(TreeBuilder::ROOT, name.as_bytes(), Metadata::default(), node).unwrap();
    }
    let before = builder.finish().unwrap();
    for (size, expected) in [(1 << 40, Some(&[0..1 << 14][..])), (1 << 14, None)] {
        let options = HoleScanOptions { digest: true, ..HoleScanOptions::default() };
        let scan = scan_holes(&before, &options).unwrap();
        let digest = scan.digest();
        let head = vec![1; 5000].into();
        let (after, file) =
            before.with_file(InodeId::ROOT, b"b", Metadata::default(), head, size).unwrap();
        let scan = scan.with_swap_file(&after, file).unwrap();
        for (path, expected) in [
            (&b"a"[..], Some(&[1 << 15..(1 << 15) + (1 << 14)][..])),
            (b"b", expected),
            (b"c", Some(&[1 << 15..(1 << 15) + (1 << 14)])),
        ] {
            assert_eq!(scan.data(after.find(path).unwrap()), expected, "{size} {path:?}");
        }
        assert_eq!(scan.digest(), digest);
    }
}

#[test]
fn hard_links_are_kept_broken_or_refused() {
    let linked = &["a/", "a/x", "b/", "b/y=a/x", "b/z=a/x", "c"];
    let inodes = |tree: &Tree| {
        let names = ["a/x", "b/y", "b/z"].map(|path| tree.find(path.as_bytes()).unwrap());
        names.map(|id| (id.index(), tree.inode(id).links, tree.read(id).unwrap()))
    };
    let content = b"a/x".to_vec();
    let mut kept = tree(linked);
    kept.apply_hard_links(HardLinks::Keep).unwrap();
    assert_eq!(inodes(&kept), [2, 2, 2].map(|number| (number, 3, content.clone())));
    let mut broken = tree(linked);
    broken.apply_hard_links(HardLinks::Break).unwrap();
    assert_eq!(inodes(&broken), [2, 4, 5].map(|number| (number, 1, content.clone())));

    let error = tree(linked).apply_hard_links(HardLinks::Refuse).unwrap_err();
    let expected = "a/x: a hard link to the same inode as /b/y; use break for copies, or keep, \
                    instead of refuse";
    assert_eq!((error.to_string().as_str(), error.exit_code()), (expected, 3));
    broken.apply_hard_links(HardLinks::Refuse).unwrap();
}
