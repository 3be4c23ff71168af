//! Little-endian integers in an image.

use crate::Verdict;

/// Returns `len` bytes from `at`, or an error that names the end of the range if it is beyond the
/// image.
pub fn slice(bytes: &[u8], at: usize, len: usize) -> Verdict<&[u8]> {
    at.checked_add(len)
        .and_then(|end| bytes.get(at..end))
        .ok_or_else(|| format!("{len} bytes at {at} are beyond the end at {}", bytes.len()))
}

pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}
