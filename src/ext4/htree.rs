//! The index of a large directory: leaves of names sorted by hash under up to three levels.
//!
//! The blocks stand in the order root, inner nodes level by level, leaves.

use zerocopy::{FromZeros, IntoBytes};

use super::csum::crc;
use super::dir::{record_len, write_entry};
use super::dirhash::HashSeed;
use super::inode_numbers::{DirectoryEntries, Name};
use super::spec::{
    DIR_TAIL, DX_ENTRY, DX_TAIL, DxCountLimit, DxEntry, DxRootInfo, DxTail, HASH_HALF_MD4,
};

/// Where the entries of an inner node start: behind an empty directory entry.
const NODE_HEADER: usize = 8;
/// Where the root's do: behind `.`, `..` and the record about the index.
const ROOT_HEADER: usize = 32;

#[derive(Debug)]
struct Leaf {
    /// The first of its names in the order by hash.
    first: u32,
    /// Hash of that name; odd if the leaf before ends with the same hash.
    hash: u32,
}

/// One index.
#[derive(Debug)]
pub(super) struct Htree {
    /// The positions of the directory's names, by hash.
    order: Vec<u32>,
    leaves: Vec<Leaf>,
    /// How many nodes each inner level below the root has, from the root down.
    inner: Vec<usize>,
    block_size: usize,
}

impl Htree {
    /// Sorts and packs the names of a directory, leaving room in each leaf beyond `fill` percent.
    pub(super) fn new(
        listing: &DirectoryEntries<'_>,
        block_size: usize,
        seed: HashSeed,
        fill: usize,
    ) -> Self {
        let mut hashed: Vec<_> =
            (0u32..).zip(listing.iter()).map(|(at, name)| (seed.hash(name.name), at)).collect();
        hashed.sort_unstable(); // no two keys are equal: names that collide stay in their order

        let capacity = (block_size - DIR_TAIL) * fill / 100;
        let mut leaves: Vec<Leaf> = Vec::new();
        let (mut used, mut last) = (usize::MAX, None);
        for (first, (hash, at)) in (0u32..).zip(&hashed) {
            let len = record_len(listing.get(*at as usize).name);
            if used.saturating_add(len) > capacity {
                let continues = u32::from(last == Some(hash.hash));
                leaves.push(Leaf { first, hash: hash.hash | continues });
                used = 0;
            }
            used += len;
            last = Some(hash.hash);
        }
        let order = hashed.into_iter().map(|(_, at)| at).collect();

        let mut tree = Self { order, leaves, inner: Vec::new(), block_size };
        let mut level = tree.leaves.len();
        while level > tree.limit(ROOT_HEADER) {
            level = level.div_ceil(tree.limit(NODE_HEADER));
            tree.inner.insert(0, level);
        }
        tree
    }

    /// How many entries an index block has room for.
    fn limit(&self, header: usize) -> usize {
        (self.block_size - header - DX_TAIL) / DX_ENTRY
    }

    /// All blocks of the directory.
    pub(super) fn blocks(&self) -> u64 {
        (1 + self.inner.iter().sum::<usize>() + self.leaves.len()) as u64
    }

    /// Levels of index blocks, with the root.
    pub(super) fn levels(&self) -> usize {
        1 + self.inner.len()
    }

    /// The names of a leaf as positions in the directory; `None` for an index block.
    pub(super) fn leaf(&self, block: u64) -> Option<&[u32]> {
        let leaf =
            usize::try_from(block).ok()?.checked_sub(1 + self.inner.iter().sum::<usize>())?;
        let first = self.leaves[leaf].first as usize;
        let end = self.leaves.get(leaf + 1).map_or(self.order.len(), |next| next.first as usize);
        Some(&self.order[first..end])
    }

    /// Makes an index block. `dots` are the directory's own first entries.
    pub(super) fn make_index(&self, block: u64, dots: [Name<'_>; 2], seed: u32, out: &mut [u8]) {
        // Find the level of the block and its place there.
        let mut place = usize::try_from(block).expect("an index block is one of few");
        let (mut level, mut nodes) = (0, 1);
        let mut below = 1; // the block with which the next level starts
        while place >= nodes {
            place -= nodes;
            nodes = self.inner[level];
            level += 1;
            below += nodes;
        }
        let header = match level {
            0 => {
                let [dot, dot_dot] = dots;
                write_entry(&dot, record_len(b"."), out);
                let at = record_len(b".");
                write_entry(&dot_dot, out.len() - at, &mut out[at..]);
                let info = DxRootInfo {
                    hash_version: HASH_HALF_MD4,
                    info_length: 8,
                    indirect_levels: u8::try_from(self.inner.len()).expect("at most three levels"),
                    ..DxRootInfo::new_zeroed()
                };
                out[ROOT_HEADER - 8..ROOT_HEADER].copy_from_slice(info.as_bytes());
                ROOT_HEADER
            }
            _ => {
                write_entry(&Name { name: b"", ino: 0, file_type: 0 }, out.len(), out);
                NODE_HEADER
            }
        };

        // The children, and how many leaves each of them stands for.
        let children = self.inner.get(level).copied().unwrap_or(self.leaves.len());
        let leaves_each: usize = self.inner[level.min(self.inner.len())..]
            .iter()
            .map(|_| self.limit(NODE_HEADER))
            .product();
        let first = place * self.limit(NODE_HEADER);
        let count = (children - first).min(self.limit(header));
        for child in first..first + count {
            let at = header + (child - first) * DX_ENTRY;
            let entry = DxEntry {
                hash: self.leaves[child * leaves_each].hash.into(),
                block: u32::try_from(below + child).expect("checked when it was planned").into(),
            };
            out[at..at + DX_ENTRY].copy_from_slice(entry.as_bytes());
        }
        let short = |n: usize| u16::try_from(n).expect("a block has few entries").into();
        let counts = DxCountLimit { limit: short(self.limit(header)), count: short(count) };
        out[header..header + 4].copy_from_slice(counts.as_bytes());

        let mut tail = DxTail::new_zeroed();
        let sum = crc(crc(seed, &out[..header + count * DX_ENTRY]), tail.as_bytes());
        tail.dt_checksum = sum.into();
        let end = header + self.limit(header) * DX_ENTRY;
        out[end..end + DX_TAIL].copy_from_slice(tail.as_bytes());
    }
}
