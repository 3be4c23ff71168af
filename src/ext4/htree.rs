//! The index of a large directory: leaves of names sorted by hash, under up to three levels of
//! nodes.
//!
//! The blocks are in the order root, inner nodes level by level, leaves.

use zerocopy::{FromZeros, IntoBytes};

use super::csum::crc;
use super::dir_entry::{record_len, write_entry};
use super::dirhash::HashSeed;
use super::inode_numbers::{DirectoryEntries, Name};
use super::spec::{
    DIR_TAIL, DX_ENTRY, DX_TAIL, DxCountLimit, DxEntry, DxRootInfo, DxTail, HASH_HALF_MD4,
};

/// Offset of the entries of an inner node, after an empty directory entry.
const NODE_HEADER: usize = 8;
/// Offset of the entries of the root, after `.`, `..` and `dx_root_info`.
const ROOT_HEADER: usize = 32;

#[derive(Debug)]
struct Leaf {
    /// The leaf's first name, as an index into [`Htree::order`].
    first: u32,
    /// Hash of that name; odd if the preceding leaf ends with the same hash.
    hash: u32,
}

/// The index of one directory.
#[derive(Debug)]
pub(super) struct Htree {
    /// Positions of the names in the directory, sorted by hash.
    order: Vec<u32>,
    leaves: Vec<Leaf>,
    /// Number of nodes of each inner level, from the one below the root down.
    inner: Vec<usize>,
    block_size: usize,
}

impl Htree {
    /// Sorts the names of a directory and packs them into leaves, each filled to at most `fill`
    /// percent.
    pub(super) fn new(
        listing: &DirectoryEntries<'_>,
        block_size: usize,
        seed: HashSeed,
        fill: usize,
    ) -> Self {
        let mut hashed: Vec<_> =
            (0u32..).zip(listing.iter()).map(|(at, name)| (seed.hash(name.name), at)).collect();
        hashed.sort_unstable(); // keys are unique: colliding names keep their order

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

    /// Returns the maximum number of entries of an index block.
    fn limit(&self, header: usize) -> usize {
        (self.block_size - header - DX_TAIL) / DX_ENTRY
    }

    /// Returns the number of blocks of the directory.
    pub(super) fn blocks(&self) -> u64 {
        (1 + self.inner.iter().sum::<usize>() + self.leaves.len()) as u64
    }

    /// Returns the number of levels of index blocks, including the root.
    pub(super) fn levels(&self) -> usize {
        1 + self.inner.len()
    }

    /// Returns the names of a leaf as positions in the directory; `None` for an index block.
    pub(super) fn leaf(&self, block: u64) -> Option<&[u32]> {
        let leaf =
            usize::try_from(block).ok()?.checked_sub(1 + self.inner.iter().sum::<usize>())?;
        let first = self.leaves[leaf].first as usize;
        let end = self.leaves.get(leaf + 1).map_or(self.order.len(), |next| next.first as usize);
        Some(&self.order[first..end])
    }

    /// Encodes an index block. `dots` are the entries `.` and `..`.
    pub(super) fn make_index(&self, block: u64, dots: [Name<'_>; 2], seed: u32, out: &mut [u8]) {
        // Find the block's level and its position there.
        let mut place = usize::try_from(block).expect("an index block is one of few");
        let (mut level, mut nodes) = (0, 1);
        let mut below = 1; // first block of the next level
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

        // The children, and the number of leaves below each of them.
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
