//! Directory entries.

use zerocopy::IntoBytes;

use super::inode_numbers::Name;
use super::spec::{DIR_ENTRY, DirEntry};

/// Returns the length of a directory entry: its fixed part and its name, rounded up to a multiple
/// of four bytes.
pub(super) fn record_len(name: &[u8]) -> usize {
    (DIR_ENTRY + name.len()).next_multiple_of(4)
}

/// Writes the fixed part and the name of an entry.
pub(super) fn write_entry(name: &Name<'_>, rec_len: usize, out: &mut [u8]) {
    let entry = DirEntry {
        inode: name.ino.into(),
        rec_len: u16::try_from(rec_len).expect("blocks are at most 4096 bytes").into(),
        name_len: u8::try_from(name.name.len()).expect("names are at most 255 bytes"),
        file_type: name.file_type,
    };
    out[..DIR_ENTRY].copy_from_slice(entry.as_bytes());
    out[DIR_ENTRY..DIR_ENTRY + name.name.len()].copy_from_slice(name.name);
}
