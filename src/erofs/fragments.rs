//! Fragments: the last pieces of files, which follow each other in the packed inode.

use std::num::NonZero;
use std::ops::Range;

use super::compressed::StoredPiece;
use super::spec::BLOCK;
use crate::codec::{Encoder, VerifiedCodec, encode_in_order};
use crate::error::Result;
use crate::progress::{Meter, Observer, Phase};
use crate::spool::{Appender, Spool};

/// Packs fragments in the order in which they are added.
#[derive(Debug, Default)]
pub(super) struct FragmentPacker {
    /// Offsets in the packed inode, each with that of the bytes in the spool.
    parts: Vec<(u64, u64)>,
    /// Size of the packed inode, in bytes.
    pub(super) size: u64,
}

impl FragmentPacker {
    /// Adds a fragment of `len` bytes that are at `at` in the spool, and returns its offset.
    pub(super) fn push(&mut self, at: u64, len: u64) -> u64 {
        let offset = self.size;
        self.parts.push((offset, at));
        self.size += len;
        offset
    }

    /// Fills `buffer` with the bytes from `offset` on.
    fn read(&self, spool: &Spool, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset + buffer.len() as u64;
        let after = self.parts.partition_point(|&(start, _)| start <= offset);
        let ends = self.parts.iter().skip(1).map(|&(start, _)| start).chain([self.size]);
        let parts = self.parts.iter().zip(ends).skip(after - 1);
        for (&(start, at), part_end) in parts.take_while(|((start, _), _)| *start < end) {
            let Range { start: from, end: to } = start.max(offset)..part_end.min(end);
            let index = |at: u64| usize::try_from(at - offset).expect("within the buffer");
            spool.read_at(at + from - start, &mut buffer[index(from)..index(to)])?;
        }
        Ok(())
    }

    /// Compresses the packed inode, several pieces at a time, and returns the pieces in order.
    ///
    /// A piece that is stored as it is has a length of 0 and its bytes in the spool.
    pub(super) fn encode(
        &self,
        codec: VerifiedCodec,
        cluster_size: u32,
        spool: &Spool,
        threads: NonZero<usize>,
        observer: Option<&dyn Observer>,
    ) -> Result<Vec<StoredPiece>> {
        let meter = Meter::new(observer, Phase::Encode, self.size);
        let encoder = || (codec.encoder(), Appender::new(spool), Vec::new());
        let encode = |(encoder, appender, raw): &mut (Encoder, Appender<'_>, Vec<u8>), at: u64| {
            let len = (self.size - at).min(cluster_size.into());
            raw.resize(usize::try_from(len).expect("a piece"), 0);
            self.read(spool, at, raw)?;
            let compressed = encoder.encode(raw);
            let saves = (compressed.len() as u64).div_ceil(BLOCK) < len.div_ceil(BLOCK);
            let stored = match saves {
                true => {
                    let len = u32::try_from(compressed.len()).expect("less than a piece");
                    StoredPiece { at: appender.append(compressed)?, len }
                }
                false => StoredPiece { at: appender.append(raw)?, len: 0 },
            };
            meter.add(len)?;
            Ok(stored)
        };
        let count = self.size.div_ceil(cluster_size.into());
        let count = usize::try_from(count).expect("less than memory");
        let starts = (0..self.size).step_by(cluster_size as usize);
        let finish = |(_, mut appender, _): (_, Appender<'_>, _)| appender.flush();
        encode_in_order(starts, count, threads, encoder, encode, finish)
    }
}
