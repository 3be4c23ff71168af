//! The extent tree: allocated space, and the references to it.

use super::super::super::address::LogicalAddr;
use super::super::super::hash;
use super::super::super::key::Key;
use super::super::super::spec::{
    BlockGroupFlags, ExtentDataRef, ExtentFlags, ExtentInlineRef, ExtentItem, SECTOR, item_type,
};
use super::super::items::{Id, ItemPlace, exact, prefix};
use super::super::reader::Reader;
use super::super::root::MAX_LEVEL;
use super::super::superblock::Super;
use super::extent::Extent;
use super::files::Use;
use super::report::{Report, unmatched};
use super::walk::{TreeBlock, Trees};
use crate::violation::{Result, Violation};

/// References from a file to a data extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct DataRef {
    start: LogicalAddr,
    root: u64,
    ino: u64,
    offset: u64,
    count: u64,
}

/// Allocated space, in ascending address order.
#[derive(Debug, Default)]
pub(super) struct Extents {
    tree_blocks: Vec<TreeBlock>,
    data: Vec<Extent>,
    data_refs: Vec<DataRef>,
    /// The last extent: its place, and the number of references that it declares; for data, also
    /// the number that was found.
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    place: ItemPlace,
    refs: u64,
    found: u64,
    /// Key of the last reference with an item of its own.
    keyed: Option<Key>,
    is_data: bool,
}

impl Extents {
    pub(super) fn item(&mut self, superblock: &Super, place: ItemPlace, data: &[u8]) -> Result<()> {
        match place.key.item_type {
            item_type::EXTENT_ITEM | item_type::METADATA_ITEM => {
                let before = self.check_last();
                self.extent(superblock, place, data).and(before)
            }
            item_type::EXTENT_DATA_REF => self.keyed_ref(place, data),
            _ => Err(place.breaks("item does not belong here or is not supported")),
        }
    }

    /// Checks that all references of the last extent were found.
    fn check_last(&mut self) -> Result<()> {
        let Some(Last { place, refs, found, .. }) = self.last.take() else { return Ok(()) };
        place.require(refs == found, || format!("refs is {refs}, and {found} are listed"))
    }

    fn extent(&mut self, superblock: &Super, place: ItemPlace, data: &[u8]) -> Result<()> {
        let Key { objectid, item_type, offset } = place.key;
        let start = LogicalAddr(objectid);
        let (item, mut rest) =
            prefix::<ExtentItem>(data).ok_or_else(|| place.breaks("not an extent"))?;
        place.require(item.generation.get() <= superblock.generation(), || {
            format!("generation is {}, newer than all", item.generation)
        })?;
        let is_data = match ExtentFlags::from_bits_retain(item.flags.get()) {
            ExtentFlags::DATA => true,
            ExtentFlags::TREE_BLOCK => false,
            other => return Err(place.breaks(format_args!("flags are {:#x}", other.bits()))),
        };
        place.require(
            is_data == (item_type == item_type::EXTENT_ITEM),
            || "key and flags are not of the same kind",
        )?;
        let len = if is_data { offset } else { superblock.node_size() as u64 };
        place.require(
            start.is_multiple_of(SECTOR) && len.is_multiple_of(SECTOR) && len > 0,
            || "not aligned, or empty",
        )?;
        place.require(start.checked_add(len).is_some(), || "end is not a valid address")?;
        let last = self.tree_blocks.last().map(|block| (block.address, superblock.node_size()));
        let last =
            last.map_or(LogicalAddr(0), |(address, size)| address.saturating_add(size as u64));
        let last = last.max(self.data.last().map_or(LogicalAddr(0), |data| data.start + data.len));
        place.require(last <= start, || "overlaps the previous one")?;
        let mut found = 0;
        let mut before: Option<(u8, u64)> = None;
        while let Some(&kind) = rest.first() {
            let order;
            (order, rest) = if kind == item_type::EXTENT_DATA_REF && is_data {
                let (record, rest) = rest
                    .get(1..)
                    .and_then(prefix::<ExtentDataRef>)
                    .ok_or_else(|| place.breaks("a reference is too short"))?;
                found += u64::from(record.count.get());
                (self.data_ref(place, record)?, rest)
            } else if kind == item_type::TREE_BLOCK_REF && !is_data {
                let (record, rest) = prefix::<ExtentInlineRef>(rest)
                    .ok_or_else(|| place.breaks("a reference is too short"))?;
                found += 1;
                let level = u8::try_from(offset).ok().filter(|&level| level <= MAX_LEVEL);
                let level = level.ok_or_else(|| place.breaks("there is no such level"))?;
                let (owner, generation) = (record.offset.get(), item.generation.get());
                self.tree_blocks.push(TreeBlock { address: start, level, owner, generation });
                (owner, rest)
            } else {
                return Err(place.breaks(format_args!(
                    "a reference is of type {kind}, which does not belong here or can't be read"
                )));
            };
            // By ascending type, then by descending hash.
            let ordered = before.is_none_or(|(last_kind, last_order)| {
                last_kind < kind || (last_kind == kind && last_order >= order)
            });
            place.require(ordered, || "its references are not in order")?;
            before = Some((kind, order));
        }
        if is_data {
            self.data.push(Extent { start, len });
        } else {
            place.require(found == 1, || "in more than one tree, or in no tree")?;
        }
        let refs = item.refs.get();
        place.require(found <= refs, || format!("refs is {refs}, and {found} are listed"))?;
        self.last = Some(Last { place, refs, found, keyed: None, is_data });
        Ok(())
    }

    fn keyed_ref(&mut self, place: ItemPlace, data: &[u8]) -> Result<()> {
        let record = exact::<ExtentDataRef>(data);
        let record = record.ok_or_else(|| place.breaks("not a reference"))?;
        let hash = self.data_ref(place, record)?;
        let Some(last) = &mut self.last else {
            return Err(place.breaks("there is no extent for it"));
        };
        place.require(
            last.is_data && last.place.key.objectid == place.key.objectid,
            || "there is no extent for it",
        )?;
        // The next key is used if the key with that hash was taken.
        let offset = place.key.offset;
        let follows = last.keyed.is_some_and(|keyed| keyed.offset.checked_add(1) == Some(offset));
        place.require(offset == hash || (offset > hash && follows), || {
            format!("its hash is {hash}")
        })?;
        last.keyed = Some(place.key);
        last.found = last.found.saturating_add(record.count.get().into());
        Ok(())
    }

    /// Records a data reference and returns its hash.
    fn data_ref(&mut self, place: ItemPlace, record: &ExtentDataRef) -> Result<u64> {
        let (root, ino, offset) = (record.root.get(), record.objectid.get(), record.offset.get());
        let count = u64::from(record.count.get());
        place.require(count > 0, || "the count of a reference is 0")?;
        place.require(offset.is_multiple_of(SECTOR), || {
            format!("the offset of a reference is {offset}")
        })?;
        let start = LogicalAddr(place.key.objectid);
        self.data_refs.push(DataRef { start, root, ino, offset, count });
        Ok(hash::extent_data_ref(root, ino, offset))
    }

    /// Returns all allocated space, in ascending order.
    pub(super) fn allocated(&self, node_size: u64) -> Vec<Extent> {
        let extent = |block: &TreeBlock| Extent { start: block.address, len: node_size };
        let blocks = self.tree_blocks.iter().map(extent);
        let mut all: Vec<_> = blocks.chain(self.data.iter().copied()).collect();
        all.sort_unstable();
        all
    }

    /// Compares the extent tree with the tree blocks and with the file extents.
    ///
    /// `uses` are the file extents of all files; they are sorted by extent.
    pub(super) fn compare(
        &mut self,
        reader: &Reader<'_>,
        trees: &Trees,
        uses: &mut [Use],
        report: &mut Report,
    ) {
        let last = self.check_last();
        report.keep(last);
        let blocks: Vec<_> = trees.blocks().collect();
        let (unlisted, unused) = unmatched(&blocks, &self.tree_blocks);
        for (list, rule) in [
            (unlisted, "no matching METADATA_ITEM in the extent tree"),
            (unused, "in the extent tree, but in no tree"),
        ] {
            for TreeBlock { address, level, owner, generation } in list {
                let owner = Id(*owner);
                let place = format_args!(
                    "block {address} of tree {owner}, level {level}, generation {generation}"
                )
                .to_string();
                report.add(Violation::new(place, rule));
            }
        }
        uses.sort_by_key(|one| {
            (one.extent(), one.place.tree, one.place.key.objectid, one.origin())
        });
        self.compare_data(reader, uses, report);
        self.compare_refs(uses, report);
    }

    fn compare_data(&self, reader: &Reader<'_>, uses: &[Use], report: &mut Report) {
        let mut used: Vec<_> = uses.iter().map(Use::extent).collect();
        used.dedup();
        let (unlisted, unused) = unmatched(&used, &self.data);
        for (list, rule) in [
            (unlisted, "in a file, but without a matching EXTENT_ITEM in the extent tree"),
            (unused, "in the extent tree, but in no file"),
        ] {
            for extent in list {
                report.add(Violation::new(extent, rule));
            }
        }
        for extent in &self.data {
            let chunk = reader.chunks.find(extent.start, extent.len);
            if !chunk.is_some_and(|chunk| chunk.flags.contains(BlockGroupFlags::DATA)) {
                report.add(Violation::new(extent, "not in one chunk for data"));
            }
        }
        for pair in uses.windows(2) {
            if let [one, other] = pair
                && one.item.disk_bytenr == other.item.disk_bytenr
                && one.item.head.compression != other.item.head.compression
            {
                report
                    .add(other.place.breaks("another file has its extent differently compressed"));
            }
        }
    }

    fn compare_refs(&mut self, uses: &[Use], report: &mut Report) {
        let mut wanted: Vec<DataRef> = Vec::new();
        for one in uses {
            let start = one.extent().start;
            let (root, ino, offset) = (one.place.tree, one.place.key.objectid, one.origin());
            let next = DataRef { start, root, ino, offset, count: 1 };
            match wanted.last_mut() {
                Some(last) if (DataRef { count: 1, ..*last }) == next => last.count += 1,
                _ => wanted.push(next),
            }
        }
        self.data_refs.sort_unstable();
        let (unlisted, unused) = unmatched(&wanted, &self.data_refs);
        for (list, rule) in [
            (unlisted, "in a file, but the extent tree has fewer"),
            (unused, "in the extent tree, but the file has fewer"),
        ] {
            for DataRef { start, root, ino, offset, count } in list {
                let place = format_args!(
                    "extent at {start}, {count} references of inode {ino} of tree {} at {offset}",
                    Id(*root)
                )
                .to_string();
                report.add(Violation::new(place, rule));
            }
        }
    }
}
