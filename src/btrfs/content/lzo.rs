//! The LZO container: every sector is compressed by itself.

use super::limits::SECTOR;
use crate::codec::Encoder;

/// Size of a length, in bytes.
const LENGTH: usize = 4;

/// Replaces `output` with the compressed form of `raw`.
///
/// The total length comes first, then the compressed length and the LZO1X data of each sector.
/// Lengths never cross the end of a sector.
pub(super) fn compress(lzo1x: &mut Encoder, raw: &[u8], output: &mut Vec<u8>) {
    output.clear();
    output.extend([0; LENGTH]);
    for sector in raw.chunks(SECTOR) {
        let end = output.len().next_multiple_of(SECTOR);
        if end - output.len() < LENGTH {
            output.resize(end, 0);
        }
        let data = lzo1x.encode(sector);
        output.extend(length(data.len()));
        output.extend_from_slice(data);
    }
    let total = length(output.len());
    output[..LENGTH].copy_from_slice(&total);
}

fn length(len: usize) -> [u8; LENGTH] {
    u32::try_from(len).expect("an extent is at most 128 KiB").to_le_bytes()
}
