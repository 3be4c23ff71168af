//! Other content and other times for the inodes of a tree, whose source is never modified.

use std::sync::Arc;

use super::{ContentId, ContentReader, ContentSource, InodeId, Kind, Tree};
use crate::error::Result;
use crate::time::Timestamp;

/// New content of a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Replacement {
    /// The whole content.
    Whole(Vec<u8>),
    /// The first bytes of the content, no more than the file has.
    Head(Vec<u8>),
}

impl Tree {
    /// Replaces the content of regular files.
    pub(crate) fn replace_content(&mut self, replacements: Vec<(InodeId, Replacement)>) {
        let number = u16::try_from(self.sources.len()).expect("a tree has a handful of sources");
        let mut edited = Vec::new();
        for (id, replacement) in replacements {
            let index = u32::try_from(edited.len()).expect("as many as inodes");
            let Kind::File { size, content } = self.inode(id).kind else {
                unreachable!("only regular files have content")
            };
            let (bytes, size, is_whole) = match replacement {
                Replacement::Whole(bytes) => (Arc::from(&*bytes), bytes.len() as u64, true),
                Replacement::Head(bytes) => (Arc::from(bytes), size, false),
            };
            let source = Arc::clone(&self.sources[usize::from(content.source)]);
            edited.push(Edited { bytes, is_whole, source, index: content.index });
            self.inodes[id.index()].kind =
                Kind::File { size, content: ContentId { source: number, index } };
        }
        self.sources.push(Arc::new(EditedSource(edited)));
    }

    /// Sets the modification time of an inode.
    pub(crate) fn set_mtime(&mut self, id: InodeId, mtime: Timestamp) {
        self.inodes[id.index()].mtime = mtime;
    }
}

struct EditedSource(Vec<Edited>);

/// Replaced content, along with the original.
struct Edited {
    /// The whole content, or its first bytes. All readers share them.
    bytes: Arc<[u8]>,
    is_whole: bool,
    source: Arc<dyn ContentSource>,
    index: u32,
}

impl ContentSource for EditedSource {
    fn open(&self, index: u32, path: &dyn Fn() -> Vec<u8>) -> Result<Box<dyn ContentReader>> {
        let Edited { bytes, is_whole, source, index } = &self.0[index as usize];
        let bytes = Arc::clone(bytes);
        if *is_whole {
            return Ok(Box::new(BytesReader(bytes)));
        }
        Ok(Box::new(PatchedReader { head: bytes, rest: source.open(*index, path)? }))
    }
}

struct BytesReader(Arc<[u8]>);

impl ContentReader for BytesReader {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let start = usize::try_from(offset).expect("it is in memory");
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(())
    }
}

struct PatchedReader {
    head: Arc<[u8]>,
    rest: Box<dyn ContentReader>,
}

impl ContentReader for PatchedReader {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.rest.read(offset, buffer)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.head.len());
        let head = &self.head[start..];
        let length = head.len().min(buffer.len());
        buffer[..length].copy_from_slice(&head[..length]);
        Ok(())
    }

    fn verify(&self) -> Result<()> {
        self.rest.verify()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    #[test]
    fn content_and_names_are_changed() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let mut ids = Vec::new();
        for name in ["a", "b", "c"] {
            let content = builder.content(Arc::new(b"0123456789".to_vec())).unwrap();
            let node = Node::File { size: 10, content };
            let root = TreeBuilder::ROOT;
            ids.push(builder.add(root, name.as_bytes(), Metadata::default(), node).unwrap());
        }
        builder.link(TreeBuilder::ROOT, b"d", ids[0]).unwrap();
        let mut tree = builder.finish().unwrap();
        let find = |tree: &Tree, path: &[u8]| tree.find(path).unwrap();
        let (a, b) = (find(&tree, b"a"), find(&tree, b"b"));
        tree.replace_content(vec![
            (a, Replacement::Head(b"abc".to_vec())),
            (b, Replacement::Whole(b"new".to_vec())),
        ]);
        tree.set_mtime(b, Timestamp::from_seconds(7));
        let tree = tree.without_entries(&BTreeSet::from([0, 2])).unwrap();
        assert!(tree.find(b"a").is_none() && tree.find(b"c").is_none());
        let (d, b) = (find(&tree, b"d"), find(&tree, b"b"));
        assert_eq!(tree.inode(d).links, 1);
        assert_eq!(tree.read(d).unwrap(), b"abc3456789");
        assert_eq!(tree.read(b).unwrap(), b"new");
        assert_eq!(tree.inode(b).mtime.seconds, 7);
        for range in [0..2, 1..5, 3..4, 2..10] {
            let mut bytes = vec![0; range.len()];
            tree.open(d).unwrap().read(range.start as u64, &mut bytes).unwrap();
            assert_eq!(bytes, b"abc3456789"[range]);
        }
        assert_eq!(tree.read_head(d, 4).unwrap(), b"abc3");
    }
}
