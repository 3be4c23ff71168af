//! Decoder of blocks.

use super::sequence::{CONTINUED, MIN_MATCH};

/// Decodes a block of at most `len` bytes. Returns `None` if it is invalid or longer.
pub(super) fn decode(data: &[u8], len: usize) -> Option<Vec<u8>> {
    decode_start(data, len + 1).filter(|decoded| decoded.len() <= len)
}

/// Decodes the first `len` bytes of a block, or all if it has fewer. What follows is ignored.
/// Returns `None` if that part of the block is invalid.
pub(super) fn decode_start(mut data: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut output = Vec::with_capacity(len);
    loop {
        let token = take_byte(&mut data)?;
        let literals = take_len(&mut data, token >> 4)?.min(len - output.len());
        output.extend_from_slice(data.split_off(..literals)?);
        if data.is_empty() || output.len() == len {
            return Some(output);
        }
        let distance = usize::from(u16::from_le_bytes(*data.split_off(..2)?.first_chunk()?));
        let match_len = take_len(&mut data, token & 0xf)?.saturating_add(MIN_MATCH as usize);
        let start = output.len().checked_sub(distance)?;
        if distance == 0 {
            return None;
        }
        let end = len.min(output.len().saturating_add(match_len));
        while output.len() < end {
            // A match that overlaps itself repeats its first bytes.
            let count = (output.len() - start).min(end - output.len());
            output.extend_from_within(start..start + count);
        }
        if output.len() == len {
            return Some(output);
        }
    }
}

/// Reads a length that starts with four bits of a token.
fn take_len(data: &mut &[u8], nibble: u8) -> Option<usize> {
    let mut len = usize::from(nibble);
    if len == CONTINUED as usize {
        loop {
            let byte = take_byte(data)?;
            len = len.saturating_add(byte.into());
            if byte < 255 {
                break;
            }
        }
    }
    Some(len)
}

fn take_byte(data: &mut &[u8]) -> Option<u8> {
    data.split_off_first().copied()
}
