//! The file allocation table, rendered when it is written, because that of a full volume may have
//! hundreds of megabytes.
//!
//! All chains are contiguous and follow each other, so their ends determine the table: each entry
//! either points to the next cluster or ends a chain.

use super::cluster_no::ClusterNo;
use super::spec::MEDIA_FIXED;
use super::variant::Variant;
use crate::error::Result;
use crate::layout::Render;

/// The used entries of a file allocation table; the others are zeros.
#[derive(Debug)]
pub(super) struct Table {
    variant: Variant,
    /// Last cluster of each chain, in ascending order. The last of them is the last cluster in use.
    ends: Box<[ClusterNo]>,
}

impl Table {
    pub(super) fn new(variant: Variant, ends: Vec<ClusterNo>) -> Self {
        Self { variant, ends: ends.into() }
    }

    /// Returns the length of the table up to its last entry in use, in bytes.
    pub(super) fn len(&self) -> u64 {
        let next = self.ends.last().map_or(ClusterNo::FIRST, |&last| last + 1);
        self.variant.fat_bytes(u64::from(next.0))
    }

    /// Returns the end-of-chain mark: all ones.
    fn end_mark(&self) -> u32 {
        match self.variant {
            Variant::Fat12 => 0xfff,
            Variant::Fat16 => 0xffff,
            Variant::Fat32 => 0x0fff_ffff,
        }
    }

    /// Returns an infinite iterator over the entries from `from` on.
    fn entries(&self, from: u32) -> impl Iterator<Item = u32> {
        let mut ends = &self.ends[self.ends.partition_point(|end| end.0 < from)..];
        (from..).map(move |cluster| match ends.first() {
            // The second entry contains the marks of a clean volume: all ones too.
            _ if cluster == 0 => (self.end_mark() & !0xff) | u32::from(MEDIA_FIXED),
            _ if cluster == 1 => self.end_mark(),
            Some(end) if end.0 == cluster => {
                ends = &ends[1..];
                self.end_mark()
            }
            Some(_) => cluster + 1,
            None => 0,
        })
    }

    /// Encodes the entries from `from` on, which must be even, in at least `len` bytes.
    fn encode(&self, from: u32, len: usize) -> Vec<u8> {
        let entries = self.entries(from);
        match self.variant {
            Variant::Fat12 => {
                let mut entries = entries.take(len.div_ceil(3) * 2);
                let mut bytes = Vec::with_capacity(len + 3);
                while let (Some(first), Some(second)) = (entries.next(), entries.next()) {
                    let [low, middle, high, _] = (first | (second << 12)).to_le_bytes();
                    bytes.extend([low, middle, high]);
                }
                bytes
            }
            Variant::Fat16 => {
                let narrow = |entry| u16::try_from(entry).expect("at most 65,508 clusters");
                let entries = entries.take(len.div_ceil(2)).map(|entry| narrow(entry).to_le());
                bytemuck::cast_slice(&entries.collect::<Vec<_>>()).to_vec()
            }
            Variant::Fat32 => {
                let entries = entries.take(len.div_ceil(4)).map(u32::to_le);
                bytemuck::cast_slice(&entries.collect::<Vec<_>>()).to_vec()
            }
        }
    }
}

impl Render for Table {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        // Two entries of FAT12 take three bytes; those of the other variants take whole bytes.
        let (pair, pair_bytes) = (2, self.variant.fat_bytes(2));
        let first = u32::try_from(offset / pair_bytes * pair).expect("entries are 28 bits");
        let skipped = usize::try_from(offset % pair_bytes).expect("a few bytes");
        let bytes = self.encode(first, skipped + out.len());
        out.copy_from_slice(&bytes[skipped..skipped + out.len()]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(variant: Variant, ends: &[u32]) -> Vec<u8> {
        let ends = ends.iter().copied().map(ClusterNo).collect();
        let table = Table::new(variant, ends);
        let mut out = vec![0; usize::try_from(table.len()).unwrap()];
        table.render(0, &mut out).unwrap();
        out
    }

    #[test]
    fn chains_are_written() {
        // Chains 2, 3-5 and 6.
        let ends = [2, 5, 6];
        assert_eq!(
            render(Variant::Fat12, &ends),
            // ff8 fff fff 004 005 fff fff
            [0xf8, 0xff, 0xff, 0xff, 0x4f, 0x00, 0x05, 0xf0, 0xff, 0xff, 0x0f],
        );
        assert_eq!(
            render(Variant::Fat16, &ends),
            [0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 0, 5, 0, 0xff, 0xff, 0xff, 0xff],
        );
        let le = |entries: [u32; 7]| entries.map(u32::to_le_bytes).concat();
        let end = 0x0fff_ffff;
        assert_eq!(render(Variant::Fat32, &ends), le([0x0fff_fff8, end, end, 4, 5, end, end]));
        assert_eq!(render(Variant::Fat12, &[]), [0xf8, 0xff, 0xff]);
    }

    #[test]
    fn any_part_is_the_same() {
        for variant in [Variant::Fat12, Variant::Fat16, Variant::Fat32] {
            let ends = [2, 5, 6, 40, 41, 300];
            let whole = render(variant, &ends);
            let table = Table::new(variant, ends.map(ClusterNo).to_vec());
            for from in 0..40 {
                for len in 0..40 {
                    let mut out = vec![0; len];
                    table.render(from as u64, &mut out).unwrap();
                    assert_eq!(out, whole[from..from + len], "{variant:?} {from} {len}");
                }
            }
        }
    }
}
