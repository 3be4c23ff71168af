//! Decoder of blocks.

use super::sequence::{CONTINUED, MIN_MATCH};

/// Decodes a block of at most `len` bytes. Returns `None` if it is invalid or longer.
pub(super) fn decode(mut data: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut output = Vec::with_capacity(len);
    loop {
        let token = take_byte(&mut data)?;
        let literals = take_len(&mut data, token >> 4, len)?;
        let literals = data.split_off(..literals)?;
        if literals.len() > len - output.len() {
            return None;
        }
        output.extend_from_slice(literals);
        if data.is_empty() {
            return Some(output);
        }
        let distance = usize::from(u16::from_le_bytes(*data.split_off(..2)?.first_chunk()?));
        let match_len = take_len(&mut data, token & 0xf, len)? + MIN_MATCH as usize;
        let start = output.len().checked_sub(distance)?;
        if distance == 0 || match_len > len - output.len() {
            return None;
        }
        let end = output.len() + match_len;
        while output.len() < end {
            // A match that overlaps itself repeats its first bytes.
            let count = (output.len() - start).min(end - output.len());
            output.extend_from_within(start..start + count);
        }
    }
}

/// Reads a length that starts with four bits of a token. Returns `None` if it is above `max`.
fn take_len(data: &mut &[u8], nibble: u8, max: usize) -> Option<usize> {
    let mut len = usize::from(nibble);
    if len == CONTINUED as usize {
        loop {
            let byte = take_byte(data)?;
            len += usize::from(byte);
            if len > max {
                return None;
            }
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
