//! The hashes of the data, computed while the data is written.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::hasher::{HashState, Hasher};
use super::parameters::Parameters;
use super::spec::DIGEST;
use super::tree::{HashTree, PORTION};
use crate::error::Result;
use crate::layout::ByteObserver;
use crate::workers::for_each;

/// A block that is passed in several parts.
#[derive(Default)]
struct Partial {
    /// The first bytes, which are often the end of a file. Only their hash is stored, because there
    /// may be as many as there are files.
    head: Option<HashState>,
    /// Later bytes that are not all zeros, with their offsets in the block.
    pieces: Vec<(usize, Box<[u8]>)>,
}

impl Partial {
    fn finish(mut self, hasher: &Hasher) -> [u8; DIGEST] {
        self.pieces.sort_by_key(|&(at, _)| at);
        let mut hash = self.head.unwrap_or_else(|| hasher.head(&[]));
        for (at, bytes) in self.pieces {
            hash.zeros_to(at);
            hash.update(&bytes);
        }
        hash.zeros_to(hasher.block_size());
        hash.finish()
    }
}

/// The hashes of all blocks of data, computed by observing the data.
///
/// The data starts at offset 0 of the observed partition. Bytes that are not observed are zeros,
/// and bytes after the data are ignored. The split of the data does not matter: a part may start
/// and end at any byte.
pub struct LeafHashes {
    parameters: Parameters,
    hasher: Hasher,
    /// Hashes by block number, in words, so that threads can write them concurrently.
    hashes: Box<[[AtomicU64; 4]]>,
    partials: Mutex<BTreeMap<usize, Partial>>,
}

impl fmt::Debug for LeafHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafHashes").field("parameters", &self.parameters).finish_non_exhaustive()
    }
}

/// Converts a position within bytes in memory.
fn small(value: u64) -> usize {
    usize::try_from(value).expect("memory has no more bytes than a usize counts")
}

impl LeafHashes {
    /// Creates the hashes of data that is all zeros until other bytes are observed.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) for sizes that a hash tree can't have.
    pub fn new(parameters: Parameters) -> Result<Self> {
        parameters.hash_size()?;
        let hasher = Hasher::new(&parameters.salt, small(parameters.data_block_size.into()));
        let zeros = words(hasher.block(&[]));
        let blocks = 0..parameters.data_blocks();
        let hashes = blocks.map(|_| zeros.map(AtomicU64::new)).collect();
        Ok(Self { parameters, hasher, hashes, partials: Mutex::default() })
    }

    fn set(&self, block: usize, hash: [u8; DIGEST]) {
        for (slot, word) in self.hashes[block].iter().zip(words(hash)) {
            slot.store(word, Ordering::Relaxed);
        }
    }

    fn add_partial(&self, block: usize, at: usize, bytes: &[u8]) {
        let mut partials = self.partials.lock().unwrap_or_else(PoisonError::into_inner);
        let partial = partials.entry(block).or_default();
        match at {
            0 => partial.head = Some(self.hasher.head(bytes)),
            _ => partial.pieces.push((at, bytes.into())),
        }
    }

    /// Returns the tree over the observed data. It is computed by up to `threads` threads; its
    /// bytes don't depend on their number.
    #[must_use]
    pub fn finish(&self, threads: NonZero<usize>) -> HashTree {
        let mut partials = self.partials.lock().unwrap_or_else(PoisonError::into_inner);
        let mut partials: Vec<_> = mem::take(&mut *partials).into_iter().collect();
        for_each(threads, partials.chunks_mut(PORTION), |portion| {
            for (block, partial) in portion {
                self.set(*block, mem::take(partial).finish(&self.hasher));
            }
        });
        let hashes = self.hashes.iter().flat_map(|hash| {
            hash.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
        });
        HashTree::new(&self.parameters, hashes, threads)
    }
}

fn words(hash: [u8; DIGEST]) -> [u64; 4] {
    let (words, _) = hash.as_chunks();
    std::array::from_fn(|n| u64::from_le_bytes(words[n]))
}

impl ByteObserver for LeafHashes {
    fn observe(&self, offset: u64, bytes: &[u8]) {
        let left = self.parameters.data_size.saturating_sub(offset);
        let mut rest = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        let block_size = self.hasher.block_size();
        let mut block = small(offset / block_size as u64);
        let mut at = small(offset % block_size as u64);
        while !rest.is_empty() {
            let (part, more) = rest.split_at(rest.len().min(block_size - at));
            // Unobserved bytes are zeros already.
            if !Hasher::is_zeros(part) {
                match part.len() == block_size {
                    true => self.set(block, self.hasher.block(part)),
                    false => self.add_partial(block, at, part),
                }
            }
            (rest, block, at) = (more, block + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 40 * 4096;

    /// Returns blocks of other bytes and of zeros, and a block that ends with zeros.
    fn data() -> Vec<u8> {
        let byte = |at: usize| match at / 4096 {
            sector if sector % 3 == 1 || at >= SIZE - 10_000 => 0,
            sector => u8::try_from((at / 256 + at * sector) % 251).unwrap(),
        };
        (0..SIZE).map(byte).collect()
    }

    fn leaf_hashes(data_block_size: u32, hash_block_size: u32) -> LeafHashes {
        let uuid = "0b5f8a9c-3c1d-4e2f-8a6b-7c8d9e0fa1b2".parse().unwrap();
        let (data_size, salt) = (SIZE as u64, [0x5a; 32]);
        let parameters = Parameters { data_size, data_block_size, hash_block_size, salt, uuid };
        LeafHashes::new(parameters).unwrap()
    }

    /// Output of `veritysetup format` 2.6.1 for the same bytes.
    const ROOT_HASHES: [(u32, u32, &str); 4] = [
        (512, 512, "43abbdd48dcb89470509f8e90a6fbddf5f1b95aa23c653f64117a639e2b14b72"),
        (1024, 4096, "b0a74033c7e43260da284ee3e1aff9d6ee10c8de56c378df870fc8e2f5c21ca0"),
        (4096, 512, "76ff5db5b72bf6fa12580e66d7f021d0ee1fe4c050451f532696ba5c6ecc0448"),
        (4096, 4096, "c196aafd47c1cd0ec0b071ce27902c000492c3da78898768311a3ea1129fff0a"),
    ];

    fn check(observe: impl Fn(&LeafHashes, &[u8])) {
        let data = data();
        for (data_block_size, hash_block_size, expected) in ROOT_HASHES {
            let leaf_hashes = leaf_hashes(data_block_size, hash_block_size);
            observe(&leaf_hashes, &data);
            for threads in [1, 3] {
                let tree = leaf_hashes.finish(NonZero::new(threads).unwrap());
                let root_hash = crate::hex::hex(&tree.root_hash);
                assert_eq!(root_hash, expected, "{data_block_size} {hash_block_size}");
            }
        }
    }

    #[test]
    fn the_root_hash_is_that_of_veritysetup() {
        check(|leaf_hashes, data| leaf_hashes.observe(0, data));
    }

    #[test]
    fn how_the_data_is_cut_does_not_matter() {
        for len in [1, 100, 511, 512, 1000, 4095, 4096, 5000, 65_536] {
            check(|leaf_hashes, data| {
                for (n, part) in data.chunks(len).enumerate().collect::<Vec<_>>().iter().rev() {
                    leaf_hashes.observe((n * len) as u64, part);
                }
            });
        }
    }

    #[test]
    fn zeros_may_be_left_out() {
        check(|leaf_hashes, data| {
            for (n, sector) in data.chunks(4096).enumerate() {
                let len = sector.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                leaf_hashes.observe((n * 4096) as u64, &sector[..len]);
            }
        });
    }

    #[test]
    fn what_is_behind_the_data_passes() {
        check(|leaf_hashes, data| {
            leaf_hashes.observe(0, &[data, &[7; 5000]].concat());
            leaf_hashes.observe(SIZE as u64 + 5000, &[7; 5000]);
        });
    }
}
