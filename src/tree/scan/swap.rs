//! Swap files. The kernel swaps to the blocks of a file without going through its file system, so
//! all blocks must be allocated.

use crate::error::Result;
use crate::tree::ContentReader;

/// Page sizes of the machines that Linux runs on. The signature is at the end of a swap file's
/// first page.
const PAGES: [u64; 5] = [4096, 8192, 16_384, 32_768, 65_536];

/// Signatures of swap space: the one that kernels accept, and that of old kernels.
const SIGNATURES: [&[u8]; 2] = [b"SWAPSPACE2", b"SWAP-SPACE"];

/// Offset of the version in the header. In a file without a signature in the first 4 KiB, it shows
/// with one read that larger pages need not be tried.
const VERSION: usize = 1024;

/// Returns whether a file of at least 64 KiB is swap space.
pub(super) fn is_swap(reader: &dyn ContentReader) -> Result<bool> {
    let mut page = [0; 4096];
    reader.read(0, &mut page)?;
    if is_signature(&page) {
        return Ok(true);
    }
    let version = &page[VERSION..VERSION + 4];
    if version != 1u32.to_le_bytes() && version != 1u32.to_be_bytes() {
        return Ok(false);
    }
    for size in PAGES {
        let mut end = [0; 10];
        reader.read(size - end.len() as u64, &mut end)?;
        if is_signature(&end) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_signature(page: &[u8]) -> bool {
    SIGNATURES.iter().any(|signature| page.ends_with(signature))
}
