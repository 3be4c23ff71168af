//! Listings of directories.

use super::super::spec::{DIR_COUNT, DIR_SIZE_EXTRA, DirEntry, DirHeader};
use super::inode::Directory;
use super::metadata::Metadata;
use crate::violation::{Result, Violation};

/// Longest name, in bytes.
const NAME_LEN: usize = 255;

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    /// Type and number that the inode has to have.
    pub(super) basic_type: u16,
    pub(super) inode_number: u32,
    /// Metadata block of the inode in the inode table, and the offset in that.
    pub(super) block: u32,
    pub(super) offset: u16,
}

impl Directory {
    /// Returns the bytes of the listing.
    pub(super) fn listing_size(&self) -> Option<u32> {
        self.file_size.checked_sub(DIR_SIZE_EXTRA)
    }

    /// Reads the listing, and checks the index.
    pub(super) fn entries(&self, table: &Metadata) -> Result<Vec<Entry>> {
        let place = format!("directory at {}, {}", self.start_block, self.offset);
        let breaks = |rule: String| Violation::new(&place, rule);
        let size = self.listing_size();
        let size = size.ok_or_else(|| breaks(format!("a size of {}", self.file_size)))?;
        let mut entries: Vec<Entry> = Vec::new();
        if size == 0 {
            return match self.index.is_empty() {
                true => Ok(entries),
                false => Err(breaks("an index of nothing".to_owned())),
            };
        }
        let start = table.position(self.start_block.into(), self.offset)?;
        let mut cursor = table.cursor(start);
        let mut index = self.index.iter().peekable();
        while cursor.position < start + u64::from(size) {
            let at = cursor.position;
            let header: DirHeader = cursor.record()?;
            let count = header.count.get() as usize + 1;
            if count > DIR_COUNT {
                return Err(breaks(format!("a header with {count} entries")));
            }
            for number in 0..count {
                let entry: DirEntry = cursor.record()?;
                let len = usize::from(entry.size.get()) + 1;
                if len > NAME_LEN {
                    return Err(breaks(format!("a name of {len} bytes")));
                }
                let name = cursor.bytes(len as u64)?;
                if entries.last().is_some_and(|last| last.name >= name) {
                    return Err(breaks(format!("{} is not in order", name.escape_ascii())));
                }
                let [low, high] = entry.inode_number.get().to_le_bytes();
                let delta = i16::from_le_bytes([low, high]);
                if number == 0
                    && let Some((_, first)) =
                        index.next_if(|(entry, _)| start + u64::from(entry.index.get()) == at)
                    && *first != name
                {
                    return Err(breaks("a wrong name in the index".to_owned()));
                }
                entries.push(Entry {
                    name,
                    basic_type: entry.r#type.get(),
                    inode_number: header.inode_number.get().wrapping_add_signed(delta.into()),
                    block: header.start_block.get(),
                    offset: entry.offset.get(),
                });
            }
        }
        if cursor.position != start + u64::from(size) {
            return Err(breaks(format!("entries do not end at byte {size}")));
        }
        self.check_index(table, start).map_err(breaks)?;
        match index.next() {
            Some((entry, _)) => {
                Err(breaks(format!("no header at byte {} of the index", entry.index)))
            }
            None => Ok(entries),
        }
    }

    /// Checks that the entries of the index are in the blocks that they name.
    fn check_index(&self, table: &Metadata, start: u64) -> std::result::Result<(), String> {
        for (entry, _) in &self.index {
            let position = start + u64::from(entry.index.get());
            let block = table.block_of(position);
            if block != Some(entry.start_block.get().into()) {
                return Err(format!("byte {} is not in block {}", entry.index, entry.start_block));
            }
        }
        Ok(())
    }
}
