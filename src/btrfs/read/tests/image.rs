//! Images that can be modified, with their checksums updated, and restored.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::process::Command;

use tempfile::NamedTempFile;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::btrfs::checksum::Checksum;
use crate::btrfs::key::Key;
use crate::btrfs::read::block::Block;
use crate::btrfs::read::node::root;
use crate::btrfs::read::root::Root;
use crate::btrfs::read::{Reader, Rules, Violation};
use crate::btrfs::spec::{
    Header, ItemHead, RootItem, SUPER_OFFSETS, SuperBlock, item_type, objectid,
};

const HEADER: usize = size_of::<Header>();
const HEAD: usize = size_of::<ItemHead>();

/// A tree block of the original image.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) tree: u64,
    pub(super) level: u8,
    pub(super) address: u64,
    /// Offsets of its copies.
    pub(super) copies: Vec<usize>,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) key: Key,
    pub(super) data: Vec<u8>,
}

/// An image, and the changes to the original.
pub(super) struct Image {
    pub(super) bytes: Vec<u8>,
    undo: Vec<(usize, Vec<u8>)>,
    pub(super) blocks: Vec<Place>,
    pub(super) node_size: usize,
    checksum: Checksum,
    /// The same image as a file for other programs, created when needed.
    file: Option<NamedTempFile>,
}

impl Image {
    /// Takes a valid image.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let reader = Reader::open(&bytes, 0, bytes.len() as u64).unwrap();
        let superblock = &reader.superblock;
        let mut roots = vec![superblock.chunk_root(), superblock.root_tree()];
        for (key, data) in reader.items(superblock.root_tree(), Key::MIN..=Key::MAX).unwrap() {
            if key.item_type == item_type::ROOT_ITEM {
                let item = RootItem::ref_from_bytes(&data).unwrap();
                roots.push(root(key.objectid, item).unwrap());
            }
        }
        let (node_size, checksum) = (superblock.node_size(), superblock.checksum);
        let mut blocks = Vec::new();
        for root in roots {
            blocks.extend(places(&reader, root));
        }
        Self { bytes, undo: Vec::new(), blocks, node_size, checksum, file: None }
    }

    /// Writes bytes.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        let range = at..at + bytes.len();
        self.undo.push((at, self.bytes[range.clone()].to_vec()));
        self.bytes[range].copy_from_slice(bytes);
    }

    /// Reverts all changes.
    pub(super) fn restore(&mut self) {
        if let Some(file) = &self.file {
            for (at, old) in self.undo.iter().rev() {
                file.as_file().write_all_at(old, *at as u64).unwrap();
            }
        }
        for (at, old) in self.undo.drain(..).rev() {
            self.bytes[at..at + old.len()].copy_from_slice(&old);
        }
    }

    /// Returns the violations of the strictest rules.
    pub(super) fn violations(&self) -> Vec<Violation> {
        self.violations_of(Rules::Detfs)
    }

    pub(super) fn violations_of(&self, rules: Rules) -> Vec<Violation> {
        match Reader::open(&self.bytes, 0, self.bytes.len() as u64) {
            Ok(reader) => reader.verify(rules),
            Err(violation) => vec![violation],
        }
    }

    /// Returns the complaints of `btrfs check`; `None` if the image is valid.
    pub(super) fn btrfs_check(&mut self) -> Option<String> {
        let bytes = &self.bytes;
        let file = self.file.get_or_insert_with(|| {
            let file = NamedTempFile::new().unwrap();
            write_sparse(file.as_file(), bytes);
            file
        });
        for (at, old) in &self.undo {
            let new = &self.bytes[*at..at + old.len()];
            file.as_file().write_all_at(new, *at as u64).unwrap();
        }
        let mut command = Command::new("btrfs");
        command.args(["check", "--check-data-csum"]).arg(file.path());
        let output = command.output().expect("btrfs of btrfs-progs is needed");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        // Some is told with status 0.
        let complaints = ["error", "warning", "mismatch", "bad ", "invalid", "corrupt"];
        let harmless = |line: &&str| *line == "no space info" || line.starts_with("found 0 errors");
        let lines = text.to_lowercase();
        let told = lines.lines().filter(|line| !harmless(line)).any(|line| {
            let line = line.replace("no error found", "");
            complaints.iter().any(|word| line.contains(word))
        });
        (!output.status.success() || told).then_some(text)
    }

    /// Changes all copies of the superblock.
    pub(super) fn superblock(&mut self, change: impl Fn(&mut SuperBlock)) {
        for at in 0..SUPER_OFFSETS.len() {
            self.superblock_copy(at, &change);
        }
    }

    /// Changes one copy of the superblock, if it exists.
    pub(super) fn superblock_copy(&mut self, number: usize, change: &dyn Fn(&mut SuperBlock)) {
        let at = usize::try_from(SUPER_OFFSETS[number].0).unwrap();
        let Some(bytes) = self.bytes.get(at..at + size_of::<SuperBlock>()) else { return };
        let mut superblock = SuperBlock::read_from_bytes(bytes).unwrap();
        change(&mut superblock);
        superblock.csum = self.checksum.digest(&superblock.as_bytes()[32..]);
        self.write(at, superblock.as_bytes());
    }

    /// Changes all copies of a block.
    pub(super) fn block(&mut self, place: &Place, change: impl Fn(&mut [u8])) {
        for &at in &place.copies {
            let mut block = self.bytes[at..at + self.node_size].to_vec();
            change(&mut block);
            let sum = self.checksum.digest(&block[32..]);
            block[..32].copy_from_slice(&sum);
            self.write(at, &block);
        }
    }

    /// Returns the first block of a level of a tree.
    pub(super) fn at_level(&self, tree: u64, level: u8) -> Place {
        let mut blocks = self.blocks.iter();
        let found = blocks.find(|place| place.tree == tree && place.level == level);
        found.unwrap_or_else(|| panic!("tree {tree} has no level {level}")).clone()
    }

    /// Changes the header of the first block of a level of a tree.
    pub(super) fn header(&mut self, tree: u64, level: u8, change: impl Fn(&mut Header)) {
        let place = self.at_level(tree, level);
        self.block(&place, |block| change(record(block)));
    }

    /// Returns the number of items or pointers in a block.
    pub(super) fn count(&self, place: &Place) -> usize {
        let block = &self.bytes[place.copies[0]..][..self.node_size];
        Header::ref_from_prefix(block).unwrap().0.nritems.get() as usize
    }

    /// Returns the items of a leaf, and the ranges of their data in the block.
    pub(super) fn items(&self, place: &Place) -> Vec<(Item, Range<usize>)> {
        let block = &self.bytes[place.copies[0]..][..self.node_size];
        let heads = (0..self.count(place)).map(|number| HEADER + number * HEAD);
        let item = |at: usize| {
            let head = ItemHead::ref_from_prefix(&block[at..]).unwrap().0;
            let start = HEADER + head.offset.get() as usize;
            let range = start..start + head.size.get() as usize;
            (Item { key: head.key.into(), data: block[range.clone()].to_vec() }, range)
        };
        heads.map(item).collect()
    }

    /// Changes the items of the first leaf of a tree with an item that is `wanted`.
    pub(super) fn leaf(
        &mut self,
        tree: u64,
        wanted: impl Fn(&Item) -> bool,
        change: impl FnOnce(&mut Vec<Item>),
    ) {
        let leaves = self.blocks.iter().filter(|place| place.tree == tree && place.level == 0);
        let has = |place: &&Place| self.items(place).iter().any(|(item, _)| wanted(item));
        let place = leaves.clone().find(has).expect("there is such an item").clone();
        let mut items: Vec<_> = self.items(&place).into_iter().map(|(item, _)| item).collect();
        change(&mut items);
        let node_size = self.node_size;
        self.block(&place, |block| encode(block, &items, node_size));
    }

    /// Changes the first item of a tree that is `wanted`.
    pub(super) fn item(
        &mut self,
        tree: u64,
        wanted: impl Fn(&Item) -> bool,
        change: impl FnOnce(&mut Item),
    ) {
        self.leaf(tree, &wanted, |items| {
            change(items.iter_mut().find(|item| wanted(item)).expect("it is there"));
        });
    }

    /// Returns the first item of a tree that is `wanted`.
    pub(super) fn find(&self, tree: u64, wanted: impl Fn(&Item) -> bool) -> Item {
        let leaves = self.blocks.iter().filter(|place| place.tree == tree && place.level == 0);
        let mut items = leaves.flat_map(|place| self.items(place)).map(|(item, _)| item);
        items.find(wanted).expect("there is such an item")
    }

    /// Returns the inode number of a path in the top level.
    pub(super) fn ino(&self, path: &str) -> u64 {
        let reader = Reader::open(&self.bytes, 0, self.bytes.len() as u64).unwrap();
        let mut node = reader.top();
        for name in path.split('/') {
            let entries = reader.entries(node).unwrap();
            node = entries.iter().find(|entry| entry.name == name.as_bytes()).unwrap().node;
        }
        assert_eq!(node.subvolume, objectid::FS_TREE);
        node.ino
    }
}

fn encode(block: &mut [u8], items: &[Item], node_size: usize) {
    record::<Header>(block).nritems = u32::try_from(items.len()).unwrap().into();
    block[HEADER..].fill(0);
    let size: usize = items.iter().map(|item| HEAD + item.data.len()).sum();
    assert!(size <= node_size - HEADER, "the changed items fit the leaf");
    let mut end = node_size - HEADER;
    for (number, Item { key, data }) in items.iter().enumerate() {
        let start = end - data.len();
        block[HEADER + start..HEADER + end].copy_from_slice(data);
        let head = ItemHead {
            key: (*key).into(),
            offset: u32::try_from(start).unwrap().into(),
            size: u32::try_from(data.len()).unwrap().into(),
        };
        block[HEADER + number * HEAD..][..HEAD].copy_from_slice(head.as_bytes());
        end = start;
    }
}

fn places(reader: &Reader<'_>, root: Root) -> Vec<Place> {
    let walk = reader.walk(root, Key::MIN..=Key::MAX).map(|visit| {
        let (visited, block) = visit.unwrap();
        assert_eq!(visited.level == 0, matches!(block, Block::Leaf(_)));
        let copies = reader.chunks.physical(visited.address, 1).unwrap();
        Place {
            tree: root.id,
            level: visited.level,
            address: visited.address.0,
            copies: copies.map(|at| usize::try_from(at.0).unwrap()).collect(),
        }
    });
    walk.collect()
}

fn write_sparse(file: &File, bytes: &[u8]) {
    file.set_len(bytes.len() as u64).unwrap();
    for (number, chunk) in (0u64..).zip(bytes.chunks(4096)) {
        if chunk.iter().any(|&byte| byte != 0) {
            file.write_all_at(chunk, number * 4096).unwrap();
        }
    }
}

/// Returns the record at the start of `bytes`.
pub(super) fn record<T>(bytes: &mut [u8]) -> &mut T
where
    T: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned,
{
    T::mut_from_prefix(bytes).expect("it is long enough").0
}
