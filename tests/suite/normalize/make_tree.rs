//! Small trees for tests.

use std::sync::Arc;

use detfs::Timestamp;
use detfs::tree::{Metadata, Node, NodeId, Tree, TreeBuilder};

/// Latest time in every image: 2023-11-14, day 19675.
pub const EPOCH: i64 = 1_700_000_000;

/// A path, its content or symlink target, and its modification time in seconds. The path of a
/// directory ends in a slash, and that of a symlink in `@`.
pub type Put = (&'static str, &'static [u8], i64);

fn at(seconds: i64) -> Metadata {
    Metadata { mode: 0o755, mtime: Timestamp::from_seconds(seconds), ..Metadata::default() }
}

/// Returns a tree of these nodes. Other directories in their paths have the time 0.
pub fn make_tree(parts: &[&[Put]]) -> Tree {
    let puts: Vec<&Put> = parts.iter().copied().flatten().collect();
    let mut builder = TreeBuilder::new(at(0)).unwrap();
    let mut directories: Vec<(String, NodeId)> = vec![(String::new(), TreeBuilder::ROOT)];
    for (path, content, seconds) in &puts {
        let path = path.trim_end_matches('/');
        let mut parent = TreeBuilder::ROOT;
        let ends = path.match_indices('/').map(|(at, _)| at);
        let is_directory = puts.iter().any(|(other, ..)| other.strip_suffix('/') == Some(path));
        for end in ends.chain(is_directory.then_some(path.len())) {
            let directory = &path[..end];
            parent = match directories.iter().find(|(path, _)| path == directory) {
                Some((_, node)) => *node,
                None => {
                    let own = format!("{directory}/");
                    let put = puts.iter().find(|(path, ..)| *path == own);
                    let metadata = at(put.map_or(0, |(.., seconds)| *seconds));
                    let name = directory.rsplit('/').next().unwrap();
                    let node = builder.add(parent, name.as_bytes(), metadata, Node::Directory);
                    directories.push((directory.to_owned(), node.unwrap()));
                    directories.last().unwrap().1
                }
            };
        }
        if !is_directory {
            let name = path.rsplit('/').next().unwrap();
            let (name, node) = match name.strip_suffix('@') {
                Some(name) => (name, Node::Symlink(content.to_vec())),
                None => {
                    let id = builder.content(Arc::new(content.to_vec())).unwrap();
                    (name, Node::File { size: content.len() as u64, content: id })
                }
            };
            builder.add(parent, name.as_bytes(), at(*seconds), node).unwrap();
        }
    }
    builder.finish().unwrap()
}
