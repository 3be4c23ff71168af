//! Hostile images of squashfs.

use std::sync::Arc;

use arbitrary::Arbitrary;
use detfs::squashfs::Compression;
use detfs::squashfs::read::Reader;
use detfs::{Squashfs, Timestamp};

use crate::arbitrary_tree::{ArbitraryTree, Validity};
use crate::read_back::{self, Change};

/// An image of an arbitrary tree with some of its bytes changed.
#[derive(Debug, Arbitrary)]
pub struct BytesToSquashfs {
    compression: u8,
    block_log: u8,
    fragments: bool,
    /// Whether metadata is stored uncompressed, so that changes reach its fields.
    unpack: bool,
    changes: Vec<Change>,
    tree: ArbitraryTree,
}

/// Bit of the header of a metadata block that is not compressed.
const UNCOMPRESSED: u16 = 1 << 15;

/// Offsets of the starts of tables in the superblock, in the order of the tables in the image.
/// Those from the third on are of an index, whose blocks come before it.
const TABLES: [usize; 6] = [64, 72, 80, 88, 48, 56];

/// Position of the table of extended attributes in [`TABLES`].
const XATTRS: usize = 5;

fn u64_at(image: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(image[at..at + 8].try_into().expect("eight bytes"))
}

/// Decodes a block of LZ4. Returns `None` if it is invalid.
fn lz4(mut data: &[u8]) -> Option<Vec<u8>> {
    fn byte(data: &mut &[u8]) -> Option<usize> {
        data.split_off_first().map(|&byte| byte.into())
    }
    fn len(data: &mut &[u8], nibble: usize) -> Option<usize> {
        let (mut len, mut next) = (nibble, if nibble == 15 { 255 } else { 0 });
        while next == 255 {
            next = byte(data)?;
            len += next;
        }
        Some(len)
    }
    let mut output = Vec::new();
    loop {
        let token = byte(&mut data)?;
        let literals = len(&mut data, token >> 4)?;
        output.extend_from_slice(data.split_off(..literals)?);
        if data.is_empty() {
            return Some(output);
        }
        let distance = byte(&mut data)? | byte(&mut data)? << 8;
        for _ in 0..len(&mut data, token & 15)? + 4 {
            output.push(*output.get(output.len().checked_sub(distance)?)?);
        }
    }
}

/// Copies the metadata block at `at` to the end of `output`, uncompressed. Returns its end.
fn unpack_block(image: &[u8], at: usize, output: &mut Vec<u8>) -> Option<usize> {
    let header = u16::from_le_bytes(*image.get(at..)?.first_chunk()?);
    let end = at + 2 + usize::from(header & !UNCOMPRESSED);
    let bytes = image.get(at + 2..end)?;
    let bytes = if header & UNCOMPRESSED == 0 { lz4(bytes)? } else { bytes.to_vec() };
    let len = u16::try_from(bytes.len()).ok()?;
    output.extend((len | UNCOMPRESSED).to_le_bytes());
    output.extend(bytes);
    Some(end)
}

/// Returns the image with uncompressed metadata, if each table is one block of LZ4, so that no
/// reference to a block changes.
fn unpack(image: &[u8]) -> Option<Vec<u8>> {
    let starts = TABLES.map(|field| u64_at(image, field));
    let place = |start: u64| usize::try_from(start).ok().filter(|&at| at < image.len());
    let mut output = image[..place(starts[0])?].to_vec();
    let mut at = output.len();
    for (number, (field, start)) in TABLES.into_iter().zip(starts).enumerate() {
        if start == u64::MAX {
            continue;
        }
        let mut first = output.len() as u64;
        if number < 2 {
            (at as u64 == start).then_some(())?;
            let next = unpack_block(image, at, &mut output)?;
            output[field..field + 8].copy_from_slice(&first.to_le_bytes());
            at = next;
            continue;
        }
        let index = place(start)?;
        if number == XATTRS {
            // The values come first, and their start is in the index.
            let values = first;
            at = unpack_block(image, at, &mut output)?;
            first = output.len() as u64;
            at = unpack_block(image, at, &mut output)?;
            (at == index).then_some(())?;
            let start = output.len() as u64;
            output.extend(values.to_le_bytes());
            output.extend(&image[index + 8..index + 16]);
            output.extend(first.to_le_bytes());
            output[field..field + 8].copy_from_slice(&start.to_le_bytes());
            at = index + 24;
            continue;
        }
        if at == index {
            // A table of nothing.
            let start = output.len() as u64;
            output[field..field + 8].copy_from_slice(&start.to_le_bytes());
            continue;
        }
        at = unpack_block(image, at, &mut output)?;
        (at == index).then_some(())?;
        let start = output.len() as u64;
        output.extend(first.to_le_bytes());
        output[field..field + 8].copy_from_slice(&start.to_le_bytes());
        at = index + 8;
    }
    let used = output.len() as u64;
    output[40..48].copy_from_slice(&used.to_le_bytes());
    (at as u64 == u64_at(image, 40)).then_some(output)
}

impl BytesToSquashfs {
    /// Builds the image, changes it and reads it. Returns whether there was a tree that could be
    /// planned again.
    ///
    /// # Panics
    ///
    /// Panics if the library does, or if a tree that was read is another one after it was planned.
    pub fn check(&self) -> bool {
        let mut format = Squashfs::default();
        format.compression = match self.compression % 4 {
            _ if self.unpack => Compression::Lz4 { level: 0 },
            0 => Compression::Gzip { level: 1 },
            1 => Compression::Zstd { level: 1 },
            2 => Compression::Lz4 { level: 1 },
            _ => Compression::Xz,
        };
        format.block_size = 4096 << (self.block_log % 9);
        format.fragments = self.fragments;
        let Ok(grown) = self.tree.grow(self.tree.taste(Validity::Unix)) else { return false };
        let epoch = Timestamp::from_seconds(1_700_000_000);
        let mut image = match read_back::plan(&format, grown.tree, epoch) {
            Ok(image) => image,
            Err(error) => return crate::refused(&error),
        };
        if self.unpack {
            image = unpack(&image).unwrap_or(image);
        }
        self.changes.iter().for_each(|change| change.apply(&mut image));
        let shared: Arc<Vec<u8>> = Arc::new(image.clone());
        let verdict = Reader::open(shared, image.len() as u64).and_then(|reader| reader.verify());
        if self.changes.is_empty() {
            verdict.as_ref().expect("it is an image of ours");
        }
        read_back::check(&format, image, epoch, verdict.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Metadata of a small image can be unpacked, and the image stays valid.
    #[test]
    fn metadata_is_unpacked() {
        let mut format = Squashfs::default();
        format.compression = Compression::Lz4 { level: 0 };
        let mut tree = detfs::TreeBuilder::new(detfs::Metadata::default()).unwrap();
        let xattr = |name: &str| detfs::tree::Xattr { name: name.into(), value: vec![1; 99] };
        let xattrs = vec![xattr("user.a"), xattr("user.b")];
        for name in ["/a", "/b", "/directory/file"] {
            let metadata = detfs::Metadata { xattrs: xattrs.clone(), ..Default::default() };
            tree.file(name, vec![b'x'; 5000], metadata).unwrap();
        }
        let tree = Arc::new(tree.finish().unwrap());
        let packed = read_back::plan(&format, tree, Timestamp::default()).unwrap();
        let unpacked = unpack(&packed).unwrap();
        assert!(unpacked.len() > 700, "{}", unpacked.len());
        let again = read_back::plan_again(&format, &Arc::new(unpacked), Timestamp::default(), true);
        assert!(again.unwrap() == packed);
    }
}
