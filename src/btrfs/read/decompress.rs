//! Compressed extents.

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// No compressed extent has more bytes than this, on disk or decompressed.
pub(super) const MOST: usize = 128 << 10;

/// A sector, which LZO compresses by itself.
const SECTOR: usize = 4096;

/// What the kernel can be asked to decompress: the base-2 logarithm of 128 KiB.
const WINDOW_LOG_MAX: u32 = 17;

/// Decompresses an extent to `len` bytes; what its compressed form lacks of them is zeros.
///
/// The form may be followed by anything, as extents are of whole sectors. `None` if it is broken,
/// is of more bytes, or the kernel would not decompress it.
pub(super) fn decompress(compression: u8, data: &[u8], len: usize) -> Option<Vec<u8>> {
    if data.len() > MOST || len > MOST {
        return None;
    }
    let mut output = match compression {
        1 => miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(data, len).ok()?,
        2 => lzo(data, len)?,
        3 => zstd(data, len)?,
        _ => return None,
    };
    output.resize(len, 0);
    Some(output)
}

/// The length of all, then for each sector its compressed length and its LZO1X data. Lengths are
/// four bytes, and none crosses the end of a sector.
fn lzo(data: &[u8], len: usize) -> Option<Vec<u8>> {
    let word = |at: usize| -> Option<usize> {
        let bytes = data.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let data = data.get(..word(0)?)?;
    let mut output = Vec::new();
    let mut at = 4;
    while at < data.len() {
        if SECTOR - at % SECTOR < 4 {
            at = at.next_multiple_of(SECTOR);
            continue;
        }
        let end = at.checked_add(4)?.checked_add(word(at)?)?;
        let mut sector = [0; SECTOR];
        let size = lzokay::decompress::decompress(data.get(at + 4..end)?, &mut sector).ok()?;
        output.extend_from_slice(sector.get(..size)?);
        at = end;
    }
    (output.len() <= len).then_some(output)
}

/// One frame.
fn zstd(data: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut context = DCtx::try_create()?;
    context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).ok()?;
    let mut output = vec![0; len];
    let mut to = OutBuffer::around(&mut output[..]);
    let mut from = InBuffer::around(data);
    loop {
        let (read, written) = (from.pos(), to.pos());
        if context.decompress_stream(&mut to, &mut from).ok()? == 0 {
            break;
        }
        if (from.pos(), to.pos()) == (read, written) {
            return None;
        }
    }
    let written = to.pos();
    output.truncate(written);
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is what the kernel made of its text, repeated 100 times, but for the zeros behind it.
    #[test]
    fn broken_forms_are_none() {
        for compression in 0..=4 {
            for data in [&[][..], &[0; 3], &[0; 4096], &[0xFF; 4096], &[0x28; 100]] {
                let decompressed = decompress(compression, data, 4096);
                assert_eq!(decompressed, None, "{compression} {data:?}");
            }
        }
    }
}
