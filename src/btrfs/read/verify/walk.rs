//! Walks over every block of every tree.

use std::collections::BTreeMap;

use super::super::super::address::LogicalAddr;
use super::super::super::key::Key;
use super::super::super::spec::{BlockGroupFlags, objectid};
use super::super::block::{Block, Expected};
use super::super::items::{Id, ItemPlace};
use super::super::reader::Reader;
use super::super::root::Root;
use super::report::Report;
use crate::violation::{Result, Violation};

/// A tree block that was visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TreeBlock {
    pub(super) address: LogicalAddr,
    pub(super) level: u8,
    pub(super) owner: u64,
    pub(super) generation: u64,
}

/// Blocks of the trees that were walked, by address.
#[derive(Debug, Default)]
pub(super) struct Trees(BTreeMap<LogicalAddr, TreeBlock>);

impl Trees {
    /// Returns all blocks, by address.
    pub(super) fn blocks(&self) -> impl Iterator<Item = TreeBlock> {
        self.0.values().copied()
    }

    /// Walks a tree and passes its items to `look`.
    pub(super) fn walk(
        &mut self,
        reader: &Reader<'_>,
        root: Root,
        report: &mut Report,
        mut look: impl FnMut(ItemPlace, &[u8]) -> Result<()>,
    ) {
        for visit in reader.walk(root, Key::MIN..=Key::MAX) {
            let Some((visited, block)) = report.keep(visit) else { continue };
            report.keep(self.note(reader, &visited));
            let Block::Leaf(leaf) = block else { continue };
            let mut items = leaf.items().peekable();
            if items.peek().is_none() {
                report.keep(check_empty(&visited));
            }
            for (key, data) in items {
                report.keep(look(ItemPlace { tree: root.id, key }, data));
            }
        }
    }

    /// Records a block, which must be in a chunk of its kind and equal in all copies.
    fn note(&mut self, reader: &Reader<'_>, visited: &Expected) -> Result<()> {
        let Expected { address, level, owner, generation, .. } = *visited;
        let breaks = |rule: &str| {
            Err(Violation::new(format_args!("tree {}, block {address}", Id(owner)), rule))
        };
        if self.0.insert(address, TreeBlock { address, level, owner, generation }).is_some() {
            return breaks("in a tree already");
        }
        let size = reader.superblock.node_size();
        let wanted = match owner {
            objectid::CHUNK_TREE => BlockGroupFlags::SYSTEM,
            _ => BlockGroupFlags::METADATA,
        };
        let chunk = reader.chunks.find(address, size as u64);
        if !chunk.is_some_and(|chunk| chunk.flags.contains(wanted)) {
            return breaks("in a chunk of another type");
        }
        let mut first: Option<Vec<u8>> = None;
        for at in reader.chunks.physical(address, size as u64)? {
            let mut copy = vec![0; size];
            reader.device.read(at, &mut copy)?;
            match &first {
                Some(first) if *first != copy => return breaks("its copies differ"),
                Some(_) => {}
                None => first = Some(copy),
            }
        }
        Ok(())
    }
}

fn check_empty(leaf: &Expected) -> Result<()> {
    let may = [objectid::CSUM_TREE, objectid::UUID_TREE, objectid::FREE_SPACE_TREE];
    if may.contains(&leaf.owner) {
        return Ok(());
    }
    let place = format_args!("tree {}, block {}", Id(leaf.owner), leaf.address).to_string();
    Err(Violation::new(place, "has no items"))
}
