//! Compressed extents.

use zlib_rs::{InflateConfig, ReturnCode, decompress_slice};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// No compressed extent has more bytes than this, on disk or decompressed.
pub(super) const MOST: usize = 128 << 10;

/// A sector, which LZO compresses by itself.
const SECTOR: usize = 4096;

/// What the kernel can be asked to decompress: the base-2 logarithm of 128 KiB.
const WINDOW_LOG_MAX: u32 = 17;

/// Decompresses an extent of at most `len` bytes. What it lacks of them is zeros to the kernel.
///
/// The form may be followed by anything, as extents are of whole sectors. `None` if it is broken,
/// is of more bytes, or the kernel would not decompress it.
pub(super) fn decompress(compression: u8, data: &[u8], len: usize) -> Option<Vec<u8>> {
    if data.len() > MOST || len > MOST {
        return None;
    }
    let output = match compression {
        1 => zlib(data, len)?,
        2 => lzo(data)?,
        3 => zstd(data, len)?,
        _ => return None,
    };
    (output.len() <= len).then_some(output)
}

fn zlib(data: &[u8], len: usize) -> Option<Vec<u8>> {
    // With space for one byte more, a stream of more bytes is seen to have them.
    let mut output = vec![0; len + 1];
    let (decompressed, code) = decompress_slice(&mut output, data, InflateConfig::default());
    let len = decompressed.len();
    output.truncate(len);
    (code == ReturnCode::Ok).then_some(output)
}

/// The length of all, then for each sector its compressed length and its LZO1X data. Lengths are
/// four bytes, and none crosses the end of a sector.
fn lzo(data: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| -> Option<usize> {
        let bytes = data.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let data = data.get(..word(0)?).filter(|data| data.len() > 4)?;
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
    Some(output)
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

    /// What Linux 6.18 made of the word `btrfs` 1800 times, which are 9000 bytes, without the zeros
    /// behind it.
    const FORMS: [(u8, &str); 3] = [
        (
            1,
            "785eecd4410d00000802c0ae3c0ca0f69f3ddc7d08c0e0b25d13a1033b70031490908424242109494842\
             129290849f253c000000ffffecd4310d00000080a0feadede188c0039be52d6f79cb9bd0842634a1094d\
             6842139ad084ff09030000ffff1acde7a3f97c349f13cee700000000ffff03006b56f8db",
        ),
        (
            2,
            "870000002c00000002627472667320000000000000000000000000000000da10000c7472667362747266\
             736274726673621100002c00000002747266736220000000000000000000000000000000da10000c7266\
             736274726673627472667362741100001f000000027266736274200000f510000c627472667362747266\
             736274726673110000",
        ),
        (3, "28b52ffd6028226d0000286274726673010020037cd102"),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn what_linux_compressed_is_decompressed() {
        let content = b"btrfs".repeat(1800);
        for (compression, hex) in FORMS {
            let mut form = bytes(hex);
            // Linux pads some of the content to whole sectors, and the forms.
            let right = |form: &[u8]| {
                let mut decompressed = decompress(compression, form, 3 * SECTOR).unwrap();
                let padding = decompressed.split_off(content.len());
                decompressed == content && padding.iter().all(|&byte| byte == 0)
            };
            assert!(right(&form), "{compression}");
            form.resize(SECTOR, 0);
            assert!(right(&form), "{compression}");
            for len in [0, SECTOR, 8999] {
                let decompressed = decompress(compression, &form, len);
                assert!(decompressed.is_none(), "{compression}: {len} bytes are too few");
            }
        }
    }

    #[test]
    fn broken_forms_are_none() {
        let plain = [&[][..], &[0; 3], &[0; 4096], &[0xFF; 4096], &[0x28; 100]];
        for compression in 0..=4 {
            for form in plain {
                let decompressed = decompress(compression, form, 4096);
                assert!(decompressed.is_none(), "{compression} {:?}", form.first());
            }
        }
        for (compression, hex) in FORMS {
            let form = bytes(hex);
            for len in 0..form.len() {
                // A form that is cut has lost some of the content at least, and never panics.
                if let Some(decompressed) = decompress(compression, &form[..len], 3 * SECTOR) {
                    let what = format!("{compression}, {len} bytes");
                    assert!(!decompressed.starts_with(&b"btrfs".repeat(1800)), "{what}");
                }
                for bit in 0..8 {
                    let mut form = form.clone();
                    form[len] ^= 1 << bit;
                    let _ = decompress(compression, &form, 3 * SECTOR);
                }
            }
        }
    }
}
