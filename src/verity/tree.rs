//! The hash tree: blocks of hashes of the blocks one level below.

use std::num::NonZero;

use super::hasher::Hasher;
use super::parameters::Parameters;
use super::spec::DIGEST;
use crate::seed;
use crate::workers::for_each;
use uuid::Uuid;

/// Number of blocks that a thread hashes at a time.
pub(super) const PORTION: usize = 256;

/// The content of the hash partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTree {
    /// The hash that authenticates all of the data.
    pub root_hash: [u8; 32],
    /// The superblock and the tree: [`Parameters::hash_size`] bytes.
    pub bytes: Vec<u8>,
}

impl HashTree {
    /// Builds the tree over the concatenated hashes of the data.
    pub(super) fn new(
        parameters: &Parameters,
        hashes: impl Iterator<Item = u8>,
        threads: NonZero<usize>,
    ) -> Self {
        let levels = parameters.levels().expect("the leaves were hashed with these parameters");
        let block_size = usize::try_from(parameters.hash_block_size).expect("at most 4096");
        let hasher = Hasher::new(&parameters.salt, block_size);
        let len = |blocks: u64| usize::try_from(blocks).expect("it is in memory") * block_size;
        let mut bytes =
            vec![0; block_size + levels.iter().map(|&blocks| len(blocks)).sum::<usize>()];
        parameters.superblock().write(&mut bytes);

        // The top level comes first, so each level is stored after the level of its hashes.
        let (_, mut rest) = bytes.split_at_mut(block_size);
        let mut root_hash = [0; DIGEST];
        let mut levels = levels.into_iter().map(len);
        let Some(lowest) = levels.next() else {
            root_hash.iter_mut().zip(hashes).for_each(|(out, byte)| *out = byte);
            return Self { root_hash, bytes };
        };
        let mut below;
        (rest, below) = rest.split_at_mut(rest.len() - lowest);
        below.iter_mut().zip(hashes).for_each(|(out, byte)| *out = byte);
        for len in levels {
            let level;
            (rest, level) = rest.split_at_mut(rest.len() - len);
            hash_blocks(&hasher, below, level, threads);
            below = level;
        }
        hash_blocks(&hasher, below, &mut root_hash, threads);
        Self { root_hash, bytes }
    }

    /// Returns the GUIDs of the data and the hash partition, by which a system finds the partitions
    /// for a root hash.
    #[must_use]
    pub fn partitions(&self) -> (Uuid, Uuid) {
        seed::verity_partitions(self.root_hash)
    }
}

/// Hashes blocks into `out`, one hash after the other. `out` may be longer than the hashes.
fn hash_blocks(hasher: &Hasher, blocks: &[u8], out: &mut [u8], threads: NonZero<usize>) {
    let block_size = hasher.block_size();
    let portions = blocks.chunks(PORTION * block_size).zip(out.chunks_mut(PORTION * DIGEST));
    for_each(threads, portions, |(blocks, out)| {
        for (block, out) in blocks.chunks(block_size).zip(out.chunks_mut(DIGEST)) {
            out.copy_from_slice(&hasher.block(block));
        }
    });
}
