//! Tree walks.

use std::ops::RangeInclusive;

use super::super::address::LogicalAddr;
use super::super::key::Key;
use super::super::spec::Header;
use super::block::{Block, Common, Expected, Leaf};
use super::items::prefix;
use super::reader::Reader;
use super::root::Root;
use crate::violation::{Result, Violation};

/// Iterator over the blocks of a tree that have keys in a range: parents before children, in
/// ascending key order.
///
/// An invalid block is returned as an error, and the blocks below it are skipped. No block is
/// visited twice: the keys below a pointer start at its own key and end before the key of the next
/// pointer.
#[derive(Debug)]
pub(super) struct Walk<'r> {
    reader: &'r Reader<'r>,
    range: RangeInclusive<Key>,
    /// The next block is the last one.
    pending: Vec<Expected>,
}

impl Iterator for Walk<'_> {
    type Item = Result<(Expected, Block)>;

    fn next(&mut self) -> Option<Self::Item> {
        let expected = self.pending.pop()?;
        let block = match self.reader.block(&expected) {
            Ok(block) => block,
            Err(violation) => return Some(Err(violation)),
        };
        if let Block::Node(pointers) = &block
            && let Some(level) = expected.level.checked_sub(1)
        {
            let mut end = expected.end;
            for pointer in pointers.iter().rev() {
                let outside = pointer.key > *self.range.end()
                    || end.is_some_and(|end| end <= *self.range.start());
                if !outside {
                    self.pending.push(Expected {
                        address: pointer.address,
                        level,
                        owner: expected.owner,
                        generation: pointer.generation,
                        first: Some(pointer.key),
                        end,
                    });
                }
                end = Some(pointer.key);
            }
        }
        Some(Ok((expected, block)))
    }
}

impl Reader<'_> {
    /// Reads a block, including its header, without checks.
    fn bytes(&self, address: LogicalAddr) -> Result<Vec<u8>> {
        let size = self.superblock.node_size();
        let mut bytes = vec![0; size];
        if let Some(at) = self.chunks.physical(address, size as u64)?.next() {
            self.device.read(at, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Returns the header of a block, unchecked.
    pub(super) fn header(&self, address: LogicalAddr) -> Result<Header> {
        let bytes = self.bytes(address)?;
        let header = prefix::<Header>(&bytes).map(|(header, _)| *header);
        header.ok_or_else(|| Violation::new(format_args!("block {address}"), "too short"))
    }

    /// Reads and checks a block.
    pub(super) fn block(&self, expected: &Expected) -> Result<Block> {
        let common = Common {
            checksum: self.superblock.checksum,
            fsid: self.superblock.record.fsid,
            chunk_tree_uuid: self.chunk_tree_uuid,
        };
        Block::parse(self.bytes(expected.address)?, expected, &common)
    }

    /// Returns the blocks of a tree that have keys in a range.
    pub(super) fn walk(&self, root: Root, range: RangeInclusive<Key>) -> Walk<'_> {
        let Root { id, address, level, generation } = root;
        let root = Expected { address, level, owner: id, generation, first: None, end: None };
        Walk { reader: self, range, pending: vec![root] }
    }

    /// Returns the leaves of a tree that have keys in a range.
    pub(super) fn leaves(
        &self,
        root: Root,
        range: RangeInclusive<Key>,
    ) -> impl Iterator<Item = Result<Leaf>> {
        self.walk(root, range).filter_map(|visit| match visit {
            Ok((_, Block::Leaf(leaf))) => Some(Ok(leaf)),
            Ok((_, Block::Node(_))) => None,
            Err(violation) => Some(Err(violation)),
        })
    }

    /// Returns the items of a tree whose keys are in a range.
    ///
    /// Only meant for ranges of few items.
    pub(super) fn items(
        &self,
        root: Root,
        range: RangeInclusive<Key>,
    ) -> Result<Vec<(Key, Vec<u8>)>> {
        let mut items = Vec::new();
        for leaf in self.leaves(root, range.clone()) {
            let leaf = leaf?;
            let inside = leaf.items().filter(|(key, _)| range.contains(key));
            items.extend(inside.map(|(key, data)| (key, data.to_vec())));
        }
        Ok(items)
    }

    /// Returns the item with a key; `None` if there is no such item.
    pub(super) fn item(&self, root: Root, key: Key) -> Result<Option<Vec<u8>>> {
        Ok(self.items(root, key..=key)?.pop().map(|(_, data)| data))
    }
}
