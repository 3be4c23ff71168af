//! Blocks of directories.

use std::ops::Range;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U64};

use super::spec::{BLOCK, Dirent, file_type};
use crate::tree::{InodeId, Kind, Tree};

/// Names of a directory in the order of their bytes, `.` and `..` among them.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    tree: &'a Tree,
    directory: InodeId,
    /// Positions of `.` and `..`.
    dot: usize,
    dot_dot: usize,
}

/// A block of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DirBlock {
    /// Positions of its names.
    pub(super) names: Range<usize>,
    /// Length of entries and names, in bytes.
    pub(super) len: u64,
}

impl<'a> Names<'a> {
    pub(super) fn new(tree: &'a Tree, directory: InodeId) -> Self {
        let entries = tree.entries(directory);
        let before = |name: &[u8]| entries.partition_point(|entry| tree.name(entry) < name);
        let (dot, dot_dot) = (before(b"."), 1 + before(b".."));
        Self { tree, directory, dot, dot_dot }
    }

    fn get(&self, position: usize) -> (&'a [u8], InodeId) {
        if position == self.dot {
            return (b".", self.directory);
        }
        if position == self.dot_dot {
            return (b"..", self.tree.parent(self.directory));
        }
        let before = usize::from(position > self.dot) + usize::from(position > self.dot_dot);
        let entry = &self.tree.entries(self.directory)[position - before];
        (self.tree.name(entry), entry.inode())
    }

    fn count(&self) -> usize {
        self.tree.entries(self.directory).len() + 2
    }

    /// Returns the blocks in order; all but the last are padded.
    pub(super) fn blocks(self) -> impl Iterator<Item = DirBlock> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let (mut end, mut len) = (start, 0);
            while end < self.count() {
                let with = len + size_of::<Dirent>() as u64 + self.get(end).0.len() as u64;
                if with > BLOCK {
                    break;
                }
                (end, len) = (end + 1, with);
            }
            let names = std::mem::replace(&mut start, end)..end;
            (!names.is_empty()).then_some(DirBlock { names, len })
        })
    }

    /// Returns the size of the directory, in bytes.
    pub(super) fn size(self) -> u64 {
        self.blocks().fold(0, |size: u64, block| size.next_multiple_of(BLOCK) + block.len)
    }

    /// Encodes a block, where `nid` returns the number of an inode.
    pub(super) fn encode(self, block: &DirBlock, nid: impl Fn(InodeId) -> u64) -> Vec<u8> {
        let names = || block.names.clone().map(|position| self.get(position));
        let mut out = Vec::new();
        let mut nameoff = block.names.len() * size_of::<Dirent>();
        for (name, id) in names() {
            let dirent = Dirent {
                nid: U64::new(nid(id)),
                nameoff: U16::new(u16::try_from(nameoff).expect("within a block")),
                file_type: file_type(self.tree.inode(id).kind),
                reserved: 0,
            };
            out.extend_from_slice(dirent.as_bytes());
            nameoff += name.len();
        }
        names().for_each(|(name, _)| out.extend_from_slice(name));
        out
    }
}

fn file_type(kind: Kind) -> u8 {
    match kind {
        Kind::File { .. } => file_type::REG_FILE,
        Kind::Directory => file_type::DIR,
        Kind::CharDevice(..) => file_type::CHRDEV,
        Kind::BlockDevice(..) => file_type::BLKDEV,
        Kind::Fifo => file_type::FIFO,
        Kind::Socket => file_type::SOCK,
        Kind::Symlink => file_type::SYMLINK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    fn tree(names: &[&str]) -> Tree {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        for name in names {
            let name = name.as_bytes();
            builder.add(TreeBuilder::ROOT, name, Metadata::default(), Node::Fifo).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn dots_are_sorted_like_all_names() {
        for (names, expected) in [
            (&[][..], ". .."),
            (&["a", "Z"], ". .. Z a"),
            (&["!", "+", "-x", "0"], "! + -x . .. 0"),
            (&[".-", ".a", "...", "..-"], ". .- .. ..- ... .a"),
        ] {
            let tree = tree(names);
            let names = Names::new(&tree, InodeId::ROOT);
            let found: Vec<_> = (0..names.count())
                .map(|position| String::from_utf8_lossy(names.get(position).0))
                .collect();
            assert_eq!(found.join(" "), expected);
        }
    }

    #[test]
    fn blocks_are_as_full_as_they_can_be() {
        // 12 bytes for each entry, 1 and 2 for the dots: 27, and 15 of 267 and one of 64 are 4096.
        let long: Vec<_> = (0..15).map(|number| format!("{number:0255}")).collect();
        let mut names: Vec<&str> = long.iter().map(String::as_str).collect();
        let last = "a".repeat(52);
        names.push(&last);
        let full = tree(&names);
        let blocks: Vec<_> = Names::new(&full, InodeId::ROOT).blocks().collect();
        assert_eq!(blocks, [DirBlock { names: 0..18, len: 4096 }]);
        assert_eq!(Names::new(&full, InodeId::ROOT).size(), 4096);
        let last = "a".repeat(53);
        *names.last_mut().unwrap() = &last;
        let more = tree(&names);
        let blocks: Vec<_> = Names::new(&more, InodeId::ROOT).blocks().collect();
        assert_eq!(
            blocks,
            [DirBlock { names: 0..17, len: 4032 }, DirBlock { names: 17..18, len: 65 }]
        );
        assert_eq!(Names::new(&more, InodeId::ROOT).size(), 4096 + 65);
    }
}
