//! The LZO container: every sector is compressed by itself.

use lzokay::compress::{Dict, compress_no_alloc};

use super::limits::SECTOR;

/// LZO compressor.
pub(super) struct Lzo(Box<Dict>);

impl Default for Lzo {
    fn default() -> Self {
        Self(Dict::new())
    }
}

impl Lzo {
    /// Writes the compressed form of `raw` to the start of `output` and returns its length.
    ///
    /// The total length comes first, then the compressed length and the LZO1X data of each sector.
    /// Lengths are four bytes and never cross the end of a sector.
    pub(super) fn compress(&mut self, raw: &[u8], output: &mut [u8]) -> usize {
        let mut at = 4usize;
        for sector in raw.chunks(SECTOR) {
            let end = at.next_multiple_of(SECTOR);
            if end - at < 4 {
                output[at..end].fill(0);
                at = end;
            }
            let data = at + 4;
            let len = compress_no_alloc(sector, &mut output[data..], &mut self.0)
                .expect("the output is large enough");
            output[at..data].copy_from_slice(&word(len));
            at = data + len;
        }
        output[..4].copy_from_slice(&word(at));
        at
    }
}

fn word(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("an extent is at most 128 KiB").to_le_bytes()
}
