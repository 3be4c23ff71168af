//! Fragment blocks: files shorter than a block, packed in tree order.

use std::num::NonZero;

use super::blocks::{BlockEncoder, StoredBlock};
use crate::codec::{VerifiedCodec, encode_in_order};
use crate::error::Result;
use crate::progress::{Meter, Observer, Phase};
use crate::spool::Spool;

/// Packs files into fragment blocks.
#[derive(Debug, Default)]
pub(super) struct FragmentPacker {
    /// Files as they are in the spool.
    parts: Vec<StoredBlock>,
    /// Index of the first file of each fragment block.
    starts: Vec<usize>,
    /// Bytes in the last fragment block.
    filled: u32,
}

/// Position of a file in fragment blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FragmentPlace {
    /// Number of the fragment block.
    pub(super) fragment: u32,
    /// Offset in its content.
    pub(super) offset: u32,
}

impl FragmentPacker {
    /// Adds a file to the last fragment block, or to a new one if the last has too little space.
    pub(super) fn push(&mut self, part: StoredBlock, block_size: u32) -> FragmentPlace {
        if self.starts.is_empty() || part.size > block_size - self.filled {
            self.starts.push(self.parts.len());
            self.filled = 0;
        }
        let offset = self.filled;
        self.filled += part.size;
        self.parts.push(part);
        let fragment = u32::try_from(self.starts.len() - 1).expect("one per inode at most");
        FragmentPlace { fragment, offset }
    }

    /// Returns the files of each fragment block.
    fn contents(&self) -> impl Iterator<Item = &[StoredBlock]> {
        let ends = self.starts.iter().skip(1).copied().chain([self.parts.len()]);
        self.starts.iter().zip(ends).map(|(&start, end)| &self.parts[start..end])
    }

    /// Encodes all fragment blocks, several at a time, and returns them in order.
    pub(super) fn encode(
        &self,
        codec: VerifiedCodec,
        spool: &Spool,
        threads: NonZero<usize>,
        observer: Option<&dyn Observer>,
    ) -> Result<Vec<StoredBlock>> {
        let total = self.parts.iter().map(|part| u64::from(part.size)).sum();
        let meter = Meter::new(observer, Phase::Encode, total);
        let encoder = || (BlockEncoder::new(codec, spool), Vec::new());
        let encode = |(blocks, buffer): &mut (BlockEncoder<'_>, Vec<u8>), parts: &[StoredBlock]| {
            buffer.clear();
            for part in parts {
                let start = buffer.len();
                buffer.resize(start + part.size as usize, 0);
                spool.read_at(part.at, &mut buffer[start..])?;
            }
            let stored = blocks.store(buffer)?;
            meter.add(buffer.len() as u64)?;
            Ok(stored)
        };
        let finish = |(mut blocks, _): (BlockEncoder<'_>, _)| blocks.finish();
        encode_in_order(self.contents(), self.starts.len(), threads, encoder, encode, finish)
    }
}
