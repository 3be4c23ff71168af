//! Archives for tests, built block by block.

use super::spec::BLOCK;

/// Returns a PAX record.
pub(super) fn record(key: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    let text = [b" ", key.as_bytes(), b"=", value.as_ref(), b"\n"].concat();
    let mut length = text.len();
    while length.to_string().len() + text.len() != length {
        length = length.to_string().len() + text.len();
    }
    [length.to_string().as_bytes(), &text].concat()
}

/// Returns a POSIX header with mode 0644 and owner 0.
pub(super) fn header(name: &[u8], typeflag: u8, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    let mut put = |at: usize, text: &str| {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(257, "ustar\x0000");
    block[156] = typeflag;
    signed(block)
}

/// Sets the checksum of a header.
pub(super) fn signed(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Returns a header changed at an offset.
pub(super) fn changed(mut block: [u8; BLOCK], at: usize, bytes: &[u8]) -> [u8; BLOCK] {
    block[at..at + bytes.len()].copy_from_slice(bytes);
    signed(block)
}

/// Returns data, padded to blocks.
pub(super) fn data(bytes: &[u8]) -> Vec<u8> {
    let mut data = bytes.to_vec();
    data.resize(bytes.len().next_multiple_of(BLOCK), 0);
    data
}

/// Returns a member with data.
pub(super) fn member(name: &str, typeflag: u8, bytes: &[u8]) -> Vec<u8> {
    [&header(name.as_bytes(), typeflag, bytes.len() as u64)[..], &data(bytes)].concat()
}

/// Returns a link.
pub(super) fn link(name: &str, typeflag: u8, target: &str) -> Vec<u8> {
    changed(header(name.as_bytes(), typeflag, 0), 157, target.as_bytes()).to_vec()
}

/// Returns an extended header.
pub(super) fn pax(typeflag: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    member("pax", typeflag, &body)
}

/// Returns members with the end of an archive.
pub(super) fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [&*members.concat(), &[0; 2 * BLOCK]].concat()
}
