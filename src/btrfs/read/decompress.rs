//! Decompression of extents.

use crate::codec::{Codec, Lzo, Zlib, Zstd};

/// Maximum size of a compressed extent, both on disk and decompressed, in bytes.
pub(super) const MOST: usize = 128 << 10;

/// Size of a sector, which LZO compresses by itself, in bytes.
const SECTOR: usize = 4096;

/// Decompresses an extent of at most `len` bytes.
///
/// The kernel reads missing bytes as zeros. The compressed bytes may be followed by anything, since
/// extents consist of whole sectors. Returns `None` if they are invalid, if they decompress to more
/// than `len` bytes, or if the kernel would not decompress them.
pub(super) fn decompress(compression: u8, data: &[u8], len: usize) -> Option<Vec<u8>> {
    if data.len() > MOST || len > MOST {
        return None;
    }
    match compression {
        1 => Zlib.decode(data, len),
        2 => lzo(data).filter(|output| output.len() <= len),
        // The kernel has no larger window than the decoder.
        3 => Zstd.decode(data, len),
        _ => None,
    }
}

/// Decompresses the LZO container.
///
/// The container is the total length, followed by the compressed length and the LZO1X data of each
/// sector. Lengths are four bytes and never cross the end of a sector.
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
        output.extend(Lzo.decode(data.get(at + 4..end)?, SECTOR)?);
        at = end;
    }
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The word `btrfs` 1800 times (9000 bytes) as compressed by Linux 6.18, without the zeros that
    /// follow.
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
            // Linux pads some of the content to whole sectors, and the compressed forms as well.
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
                // A truncated form loses at least some of the content, and never causes a panic.
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
