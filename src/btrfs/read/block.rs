//! Tree blocks.

use std::ops::Range;

use super::super::address::LogicalAddr;
use super::super::checksum::Checksum;
use super::super::key::Key;
use super::super::spec::{HEADER_FLAGS, Header, ItemHead, KeyPtr, SECTOR};
use super::items::{DisplayKey, Id, prefix};
use crate::violation::{Result, Violation};

/// Properties expected of a block, according to the pointer to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) address: LogicalAddr,
    pub(super) level: u8,
    /// Id of the tree that it belongs to.
    pub(super) owner: u64,
    pub(super) generation: u64,
    /// First key, as in the parent block; `None` for a root.
    pub(super) first: Option<Key>,
    /// Exclusive upper bound of the keys.
    pub(super) end: Option<Key>,
}

/// Properties that all blocks share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common {
    pub(super) checksum: Checksum,
    pub(super) fsid: [u8; 16],
    pub(super) chunk_tree_uuid: [u8; 16],
}

/// A leaf and its items.
#[derive(Debug)]
pub(super) struct Leaf {
    bytes: Vec<u8>,
    items: Vec<(Key, Range<usize>)>,
}

impl Leaf {
    /// Returns the items with their data, in ascending key order.
    pub(super) fn items(&self) -> impl Iterator<Item = (Key, &[u8])> {
        let data = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        self.items.iter().map(move |(key, range)| (*key, data(range)))
    }
}

/// Pointer to a child block.
#[derive(Debug)]
pub(super) struct Pointer {
    pub(super) key: Key,
    pub(super) address: LogicalAddr,
    pub(super) generation: u64,
}

/// A block that is valid by itself.
#[derive(Debug)]
pub(super) enum Block {
    Leaf(Leaf),
    Node(Vec<Pointer>),
}

impl Block {
    /// Parses a block, which must match `expected`.
    pub(super) fn parse(bytes: Vec<u8>, expected: &Expected, common: &Common) -> Result<Self> {
        let parsed = Parsing { bytes: &bytes, expected, common }.parse();
        let parsed = parsed.map_err(|rule| {
            let Expected { address, owner, .. } = expected;
            Violation::new(format_args!("tree {}, block {address}", Id(*owner)), rule)
        })?;
        Ok(match parsed {
            Parsed::Leaf(items) => Self::Leaf(Leaf { bytes, items }),
            Parsed::Node(pointers) => Self::Node(pointers),
        })
    }
}

enum Parsed {
    Leaf(Vec<(Key, Range<usize>)>),
    Node(Vec<Pointer>),
}

struct Parsing<'a> {
    bytes: &'a [u8],
    expected: &'a Expected,
    common: &'a Common,
}

type Rule<T> = std::result::Result<T, String>;

fn require(holds: bool, rule: impl FnOnce() -> String) -> Rule<()> {
    if holds { Ok(()) } else { Err(rule()) }
}

impl Parsing<'_> {
    fn parse(&self) -> Rule<Parsed> {
        let (header, body) = prefix::<Header>(self.bytes).ok_or("too short for a header")?;
        let (_, summed) = self.bytes.split_at(header.csum.len());
        let size = self.common.checksum.size();
        require(
            self.common.checksum.digest(summed).get(..size) == header.csum.get(..size),
            || "wrong checksum".into(),
        )?;
        let Expected { address, level, owner, generation, .. } = *self.expected;
        require(address.is_multiple_of(self.bytes.len() as u64), || {
            "address is not a multiple of nodesize".into()
        })?;
        require(header.bytenr == address.0, || format!("bytenr is {}", header.bytenr))?;
        require(header.fsid == self.common.fsid, || "different fsid".into())?;
        require(header.chunk_tree_uuid == self.common.chunk_tree_uuid, || {
            "chunk_tree_uuid is not that of the chunk tree".into()
        })?;
        require(header.flags == HEADER_FLAGS, || format!("flags are {:#x}", header.flags))?;
        require(header.level == level, || format!("level is {}, not {level}", header.level))?;
        require(header.owner == owner, || format!("owner is {}", Id(header.owner.get())))?;
        require(header.generation == generation, || {
            format!("generation is {}, not {generation}", header.generation)
        })?;
        let count = header.nritems.get();
        let (parsed, keys): (_, Vec<Key>) = if level == 0 {
            let items = leaf(body, count, size_of::<Header>())?;
            let keys = items.iter().map(|(key, _)| *key).collect();
            (Parsed::Leaf(items), keys)
        } else {
            let pointers = node(body, count, generation)?;
            let keys = pointers.iter().map(|pointer| pointer.key).collect();
            (Parsed::Node(pointers), keys)
        };
        self.check_order(&keys)?;
        Ok(parsed)
    }

    fn check_order(&self, keys: &[Key]) -> Rule<()> {
        for pair in keys.windows(2) {
            if let [one, next] = pair {
                require(one < next, || {
                    format!("key {} comes before {}", DisplayKey(*one), DisplayKey(*next))
                })?;
            }
        }
        if let Some(first) = self.expected.first {
            require(keys.first() == Some(&first), || {
                format!("first key is not {}, the key in the parent node", DisplayKey(first))
            })?;
        }
        if let (Some(last), Some(end)) = (keys.last(), self.expected.end) {
            require(*last < end, || {
                format!("key {} belongs after {}", DisplayKey(*last), DisplayKey(end))
            })?;
        }
        Ok(())
    }
}

/// Returns the keys of the items of a leaf, and the ranges of their data in the block.
///
/// The data must be packed, starting at the end of the block.
fn leaf(body: &[u8], count: u32, before: usize) -> Rule<Vec<(Key, Range<usize>)>> {
    let mut items = Vec::new();
    let (mut heads, mut end) = (body, body.len());
    let mut used = 0;
    for number in 0..count {
        let item;
        (item, heads) = prefix::<ItemHead>(heads)
            .ok_or_else(|| format!("nritems is {count}, more than fit in the block"))?;
        used += size_of::<ItemHead>();
        let place = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        let (start, size) = (place(item.offset.get()), place(item.size.get()));
        require(start.checked_add(size) == Some(end), || {
            format!(
                "data of item {number} does not end where the data of the previous item \
                     starts"
            )
        })?;
        require(used <= start, || format!("data of item {number} overlaps the item headers"))?;
        items.push((item.key.into(), before + start..before + end));
        end = start;
    }
    Ok(items)
}

fn node(body: &[u8], count: u32, generation: u64) -> Rule<Vec<Pointer>> {
    require(count > 0, || "node without pointers".into())?;
    let mut pointers = Vec::new();
    let mut rest = body;
    for number in 0..count {
        let item;
        (item, rest) = prefix::<KeyPtr>(rest)
            .ok_or_else(|| format!("nritems is {count}, more than fit in the block"))?;
        let address = LogicalAddr(item.blockptr.get());
        require(address.0 != 0 && address.is_multiple_of(SECTOR), || {
            format!("pointer {number} is to {address}")
        })?;
        require(item.generation.get() <= generation, || {
            format!("pointer {number} is to generation {}, newer than its own", item.generation)
        })?;
        let key = item.key.into();
        pointers.push(Pointer { key, address, generation: item.generation.get() });
    }
    Ok(pointers)
}
