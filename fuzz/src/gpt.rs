//! Hostile partition tables.

use arbitrary::Arbitrary;
use detfs::gpt::{
    self, Attributes, Geometry, Lba, Partition, PartitionType, SectorSize, Table, TableState,
};
use uuid::Uuid;

use crate::image_of;

/// A table with some of its bytes changed, and with right or wrong checksums.
#[derive(Debug, Arbitrary)]
pub struct BytesToGpt {
    sector_size: u8,
    entries: u8,
    partitions: Vec<(u8, u8)>,
    changes: Vec<Change>,
    resign: bool,
    grow: u8,
}

#[derive(Debug, Arbitrary)]
struct Change {
    in_backup: bool,
    in_entries: bool,
    at: u16,
    byte: u8,
}

const SECTORS: u64 = 512;

fn u64_at(image: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(image[at..at + 8].try_into().expect("eight bytes"))
}

/// Computes the CRC-32 of the specification bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), shift))
}

/// Corrects the checksums of a header, provided that the entries to which it refers are in the
/// image.
fn sign(image: &mut [u8], header: usize, sector: usize) {
    let from = usize::try_from(u64_at(image, header + 72)).unwrap_or(usize::MAX);
    let sizes = u64_at(image, header + 80);
    let len = (sizes as u32 as usize).saturating_mul((sizes >> 32) as usize);
    let from = from.saturating_mul(sector);
    if let Some(entries) = from.checked_add(len).and_then(|end| image.get(from..end)) {
        let crc32 = crc32(entries).to_le_bytes();
        image[header + 88..header + 92].copy_from_slice(&crc32);
    }
    image[header + 16..header + 20].fill(0);
    let crc32 = crc32(&image[header..header + 92]).to_le_bytes();
    image[header + 16..header + 20].copy_from_slice(&crc32);
}

impl BytesToGpt {
    fn table(&self) -> Option<Table> {
        let bytes = [512, 1024, 2048, 4096][usize::from(self.sector_size % 4)];
        let sector_size = SectorSize::new(bytes).expect("one of the four");
        let size = SECTORS * u64::from(bytes);
        let entries = u32::from(self.entries % 8) + 1;
        let geometry = Geometry::with_entries(size, sector_size, entries).ok()?;
        let partition = |(nth, &(start, len)): (usize, &(u8, u8))| Partition {
            partition_type: PartitionType::LinuxGeneric.guid(),
            uuid: Uuid::from_u128(nth as u128),
            start: Lba(u64::from(start)).offset(sector_size),
            size: Lba(u64::from(len)).offset(sector_size),
            attributes: Attributes::empty(),
            name: format!("{nth}"),
        };
        let partitions = self.partitions.iter().enumerate().map(partition).map(Some);
        let partitions = partitions.take(entries as usize).collect();
        Some(Table { geometry, uuid: Uuid::from_u128(9), mbr: None, partitions })
    }

    /// Reads the table from the image, writes it again and reads the result. Returns whether there
    /// was a table.
    ///
    /// # Panics
    ///
    /// Panics if the library does, if the table that was read can't be written although its UUIDs
    /// are unique, or if it differs when it is read again.
    pub fn check(&self) -> bool {
        let Some(table) = self.table() else { return false };
        let Ok(layout) = gpt::plan(&table) else { return false };
        let mut image = image_of(&layout.seal());
        let sector = table.geometry.sector_size().bytes() as usize;
        let headers = [sector, image.len() - sector];
        for change in &self.changes {
            let header = headers[usize::from(change.in_backup)];
            let entries = table.geometry.entries() as usize * 128;
            let length = entries.next_multiple_of(sector);
            let first = if change.in_backup { header - length } else { 2 * sector };
            let (from, len) = if change.in_entries { (first, entries) } else { (header, 92) };
            let at = from + usize::from(change.at) % len;
            image[at] = change.byte;
        }
        if self.resign {
            headers.into_iter().for_each(|header| sign(&mut image, header, sector));
        }
        image.resize(image.len() + usize::from(self.grow) * 100, 0);

        let read =
            |image: &[u8]| gpt::read(&image, image.len() as u64, None).expect("memory can be read");
        match read(&image) {
            TableState::None | TableState::Other(_) => false,
            TableState::Damaged(error) | TableState::Contradictory(error) => crate::refused(&error),
            TableState::Gpt(found) => {
                let Ok(layout) = gpt::plan(&found.table) else {
                    // Tables in which two partitions have the same UUID can be read, but not
                    // written.
                    let ids = found.table.partitions.iter().flatten().map(|it| it.uuid);
                    let mut ids: Vec<_> = ids.filter(|id| !id.is_nil()).collect();
                    ids.sort();
                    assert!(ids.windows(2).any(|pair| pair[0] == pair[1]), "it can be written");
                    return true;
                };
                let TableState::Gpt(again) = read(&image_of(&layout.seal())) else {
                    panic!("what was written is a table")
                };
                assert!(again.warnings.is_empty());
                assert_eq!(again.table.geometry, found.table.geometry);
                assert_eq!(again.table.partitions, found.table.partitions);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard check value of CRC-32 in catalogues of checksums.
    #[test]
    fn the_checksum_is_crc32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn changes_are_seen() {
        let input = |changes, resign| BytesToGpt {
            sector_size: 0,
            entries: 7,
            partitions: vec![(40, 8), (100, 20)],
            changes,
            resign,
            grow: 0,
        };
        assert!(input(vec![], false).check());
        let change = |in_backup| Change { in_backup, in_entries: false, at: 40, byte: 0xFF };
        assert!(input(vec![change(false)], false).check());
        assert!(!input(vec![change(false), change(true)], false).check());
        assert!(!input(vec![change(false), change(true)], true).check());
    }
}
