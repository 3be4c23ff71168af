//! Listings of directories, with their indexes.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::metadata::{MetadataWriter, Position};
use super::reference::{InodePlace, basic_type, number};
use super::spec::{DIR_COUNT, DirEntry, DirHeader, DirIndex, METADATA_SIZE};
use crate::tree::{Entry, InodeId, Tree};

/// A directory whose listing is written.
#[derive(Debug)]
pub(super) struct Listing {
    /// Position of the listing in the directory table.
    pub(super) position: Position,
    /// Size of the listing in bytes.
    pub(super) size: u64,
    /// Number of entries of the index.
    pub(super) index_count: usize,
    /// The index, as it is stored after the inode.
    pub(super) index: Vec<u8>,
}

/// Entries that share a header: their inodes start in the same metadata block, and their numbers
/// are near that of the first.
struct Run<'a> {
    entries: &'a [Entry],
    /// Whether an entry of the index refers to the run.
    is_indexed: bool,
}

/// Writes the listing of a directory whose entries' inodes are written.
///
/// Readers make `.` and `..` up.
pub(super) fn write(
    writer: &mut MetadataWriter,
    tree: &Tree,
    directory: InodeId,
    places: &[InodePlace],
) -> Listing {
    let position = writer.position();
    let mut listing = Listing { position, size: 0, index_count: 0, index: Vec::new() };
    for Run { entries, is_indexed } in runs(tree, tree.entries(directory), places) {
        let first = entries[0].inode();
        let base = places[first.index()];
        if is_indexed {
            listing.index_count += 1;
            let name = tree.name(&entries[0]);
            let index = DirIndex {
                index: U32::new(u32::try_from(listing.size).expect("checked before")),
                start_block: U32::new(table_offset(writer.position().block)),
                size: U32::new(u32::from(len(name)) - 1),
            };
            listing.index.extend_from_slice(index.as_bytes());
            listing.index.extend_from_slice(name);
        }
        let header = DirHeader {
            count: U32::new(u32::try_from(entries.len() - 1).expect("at most 256 entries")),
            start_block: U32::new(base.block),
            inode_number: U32::new(number(first)),
        };
        writer.push(header.as_bytes());
        listing.size += size_of::<DirHeader>() as u64;
        for entry in entries {
            let (id, name) = (entry.inode(), tree.name(entry));
            let delta = delta(first, id).expect("checked for the run");
            let record = DirEntry {
                offset: U16::new(places[id.index()].offset),
                inode_number: U16::from_bytes(delta.to_le_bytes()),
                r#type: U16::new(basic_type(tree.inode(id).kind)),
                size: U16::new(len(name) - 1),
            };
            writer.push(record.as_bytes());
            writer.push(name);
            listing.size += entry_size(name);
        }
    }
    listing
}

fn len(name: &[u8]) -> u16 {
    u16::try_from(name.len()).expect("names are at most 255 bytes")
}

/// Returns the size of an entry in a listing.
fn entry_size(name: &[u8]) -> u64 {
    (size_of::<DirEntry>() + name.len()) as u64
}

/// Returns the offset of a metadata block in the directory table.
fn table_offset(block: u64) -> u32 {
    u32::try_from(block).expect("checked after each directory")
}

/// Returns the difference of two inode numbers, if an entry can hold it.
fn delta(first: InodeId, other: InodeId) -> Option<i16> {
    i16::try_from(i64::from(number(other)) - i64::from(number(first))).ok()
}

/// Divides the entries of a directory into runs.
///
/// A run that would end more than a metadata block after the last indexed position is indexed, so
/// that a search reads little more than one block.
fn runs<'a>(
    tree: &'a Tree,
    mut entries: &'a [Entry],
    places: &'a [InodePlace],
) -> impl Iterator<Item = Run<'a>> {
    // Bytes of the listing since its start, or since the last entry of the index.
    let mut distance = 0;
    let mut is_indexed = false;
    std::iter::from_fn(move || {
        let first = entries.first()?.inode();
        let block = places[first.index()].block;
        let this = is_indexed;
        (distance, is_indexed) = (distance + size_of::<DirHeader>() as u64, false);
        let mut count = 0;
        for entry in entries {
            let id = entry.inode();
            let size = entry_size(tree.name(entry));
            if count > 0 && distance + size > METADATA_SIZE as u64 {
                (distance, is_indexed) = (0, true);
                break;
            }
            if count == DIR_COUNT || places[id.index()].block != block || delta(first, id).is_none()
            {
                break;
            }
            distance += size;
            count += 1;
        }
        let (run, rest) = entries.split_at(count);
        entries = rest;
        Some(Run { entries: run, is_indexed: this })
    })
}
