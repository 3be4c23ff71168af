//! Signatures on a disk: file systems, partition tables, encryption, volume managers and RAID
//! members.
//!
//! The offsets, magic numbers and names are those of libblkid. Checksums are not verified, because
//! a damaged file system may still hold data.

mod checked;
mod ends;
mod magics;

use std::io;

use positioned_io::ReadAt;

use magics::{FIRST_PAGE, MAGICS, PAGES};

/// A signature that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Signature {
    /// Offset of the magic number, in bytes from the start.
    pub offset: u64,
    /// libblkid's name for the format, such as `ext4` or `gpt`.
    pub kind: &'static str,
}

/// Returns the signatures on an image or a device of `size` bytes, sorted by offset.
///
/// # Errors
/// If an offset that may hold a signature can't be read.
pub fn signatures(image: &dyn ReadAt, size: u64) -> io::Result<Vec<Signature>> {
    let disk = Disk { image, size };
    let mut found = Vec::new();
    for magic in MAGICS {
        if disk.has(magic.offset, magic.bytes)? {
            found.push(Signature { offset: magic.offset, kind: magic.kind });
        }
    }
    for (page, (kind, bytes)) in
        PAGES.into_iter().flat_map(|page| FIRST_PAGE.map(|mark| (page, mark)))
    {
        let offset = page - bytes.len() as u64;
        if disk.has(offset, bytes)? {
            found.push(Signature { offset, kind });
        }
    }
    found.extend(checked::boot_sector(&disk)?);
    found.extend(checked::ext_or_minix(&disk)?);
    found.extend(ends::at_the_end(&disk)?);
    found.extend(ends::zfs(&disk)?);
    found.sort();
    found.dedup();
    Ok(found)
}

/// The image to search.
struct Disk<'a> {
    image: &'a dyn ReadAt,
    size: u64,
}

impl Disk<'_> {
    /// Reads `N` bytes; `None` if they extend beyond the end.
    fn bytes<const N: usize>(&self, offset: u64) -> io::Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        Ok(self.read(offset, &mut bytes)?.then_some(bytes))
    }

    fn has(&self, offset: u64, magic: &[u8]) -> io::Result<bool> {
        let mut bytes = vec![0; magic.len()];
        Ok(self.read(offset, &mut bytes)? && bytes == magic)
    }

    /// Fills a buffer; returns `false` if it extends beyond the end.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<bool> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size) {
            return Ok(false);
        }
        self.image.read_exact_at(offset, buffer)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_found_where_nothing_is() {
        for size in [0, 1, 511, 512, 4096, 65_536, 1 << 20] {
            assert_eq!(signatures(&vec![0u8; size], size as u64).unwrap(), [], "{size}");
        }
    }

    #[test]
    fn an_error_is_not_absence() {
        struct Bad;
        impl ReadAt for Bad {
            fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
                match offset {
                    0x10040.. => Err(io::Error::other("bad sector")),
                    _ => Ok(buffer.len()),
                }
            }
        }
        signatures(&Bad, 1 << 20).unwrap_err();
    }
}
