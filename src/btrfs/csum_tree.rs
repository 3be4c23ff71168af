//! The checksum tree: runs of checksums of consecutive sectors.
//!
//! Data is checksummed while it is written, and the tree is written after it. Content is read only
//! once, and the checksums always match the data in the image.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::address::{DeviceOffset, LogicalAddr};
use super::checksum::Checksum;
use super::chunks::logical;
use super::data::Extent;
use super::items::{Item, Items};
use super::key::Key;
use super::spec::{ItemHead, SECTOR, item_type, objectid};
use crate::error::Result;
use crate::layout::ByteObserver;

/// Consecutive sectors with checksums.
#[derive(Debug, Clone, Copy)]
struct Run {
    address: LogicalAddr,
    sectors: u64,
    /// Number of checksums before this run.
    first: u64,
}

/// Checksums of all data, by address.
pub(super) struct Sums {
    runs: Vec<Run>,
    checksum: Checksum,
    /// Consecutive checksums; each thread writes its own.
    bytes: Box<[AtomicU8]>,
}

impl Sums {
    /// Allocates space for the checksums of `extents`, which must be sorted.
    pub(super) fn new(extents: &[Extent], checksum: Checksum) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut first = 0;
        for extent in extents.iter().filter(|extent| extent.summed) {
            let (address, sectors) = (extent.address, u64::from(extent.len) / SECTOR);
            match runs.last_mut() {
                Some(run) if run.address + run.sectors * SECTOR == address => {
                    run.sectors += sectors;
                }
                _ => runs.push(Run { address, sectors, first }),
            }
            first += sectors;
        }
        let len = usize::try_from(first).expect("they are in memory") * checksum.size();
        let bytes = (0..len).map(|_| AtomicU8::new(0)).collect();
        Self { runs, checksum, bytes }
    }

    fn slots(&self, first: u64, len: usize) -> &[AtomicU8] {
        let first = usize::try_from(first).expect("they are in memory");
        &self.bytes[first * self.checksum.size()..][..len]
    }
}

impl ByteObserver for Sums {
    /// Stores the checksums of all sectors that start in `bytes`.
    ///
    /// Bytes before the first sector boundary are zeros after the end of a file. A partial sector
    /// at the end continues with such zeros.
    fn observe(&self, offset: u64, bytes: &[u8]) {
        let skipped = offset.next_multiple_of(SECTOR) - offset;
        let skipped = usize::try_from(skipped).expect("less than a sector");
        let Some(sectors) = bytes.get(skipped..) else { return };
        // A chunk of data has one stripe.
        let mut address = logical(DeviceOffset(offset + skipped as u64));
        let mut run =
            self.runs.partition_point(|run| run.address + run.sectors * SECTOR <= address);
        for sector in sectors.chunks(4096) {
            while self
                .runs
                .get(run)
                .is_some_and(|run| run.address + run.sectors * SECTOR <= address)
            {
                run += 1;
            }
            let Some(run) = self.runs.get(run) else { return };
            if run.address <= address {
                let digest = match <&[u8; 4096]>::try_from(sector) {
                    Ok(whole) => self.checksum.digest(whole),
                    Err(_) => {
                        let mut whole = [0; 4096];
                        whole[..sector.len()].copy_from_slice(sector);
                        self.checksum.digest(&whole)
                    }
                };
                let number = run.first + (address - run.address) / SECTOR;
                let slots = self.slots(number, self.checksum.size());
                for (slot, byte) in slots.iter().zip(digest) {
                    slot.store(byte, Ordering::Relaxed);
                }
            }
            address += SECTOR;
        }
    }
}

/// The items of the checksum tree.
pub(super) struct Csums {
    sums: Arc<Sums>,
    /// Maximum number of checksums in an item.
    most: usize,
}

impl Csums {
    pub(super) fn new(sums: &Arc<Sums>, leaf_data_size: usize) -> Self {
        // The kernel leaves space for the head of a second item in a leaf, which limits the size of
        // an item.
        let most = (leaf_data_size - 2 * size_of::<ItemHead>()) / sums.checksum.size() - 1;
        Self { sums: Arc::clone(sums), most }
    }
}

/// A run, and the number of its sectors whose checksums are in preceding items.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    run: u32,
    sectors: u64,
}

impl Items for Csums {
    type Cursor = Cursor;

    fn item(&self, at: Cursor, available: usize) -> Option<Item<Cursor>> {
        let run = self.sums.runs.get(at.run as usize)?;
        let left = run.sectors - at.sectors;
        let size = self.sums.checksum.size();
        let most = match available / size {
            0 => self.most,
            fits => fits.min(self.most),
        } as u64;
        let count = left.min(most);
        let next = match left - count {
            0 => Cursor { run: at.run + 1, ..Cursor::default() },
            _ => Cursor { run: at.run, sectors: at.sectors + count },
        };
        let address = run.address + at.sectors * SECTOR;
        let key = Key::new(objectid::EXTENT_CSUM, item_type::EXTENT_CSUM, address.0);
        let size = usize::try_from(count).expect("an item fits in a leaf") * size;
        Some(Item { key, size, next })
    }

    fn write(&self, at: Cursor, out: &mut [u8]) -> Result<()> {
        let run = &self.sums.runs[at.run as usize];
        let slots = self.sums.slots(run.first + at.sectors, out.len());
        for (byte, slot) in out.iter_mut().zip(slots) {
            *byte = slot.load(Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(address: u64, len: u32, summed: bool) -> Extent {
        let (address, ram_len, compression) = (LogicalAddr(address), len, None);
        Extent { address, len, ram_len, compression, prealloc: false, summed, refs: 0 }
    }

    fn csums(extents: &[Extent]) -> Csums {
        Csums::new(&Arc::new(Sums::new(extents, Checksum::Crc32c)), 16283)
    }

    fn items(csums: &Csums, mut available: impl FnMut() -> usize) -> Vec<(u64, usize)> {
        let mut at = Cursor::default();
        std::iter::from_fn(|| {
            let item = csums.item(at, available())?;
            at = item.next;
            Some((item.key.offset, item.size))
        })
        .collect()
    }

    #[test]
    fn runs_end_where_addresses_do() {
        let csums = csums(&[
            extent(1 << 20, 8192, true),
            extent((1 << 20) + 8192, 4096, true),
            extent((1 << 20) + 12288, 4096, false),
            extent((1 << 20) + 16384, 4096, true),
            extent(2 << 20, 4096, true),
        ]);
        let expected = [(1 << 20, 12), ((1 << 20) + 16384, 4), (2 << 20, 4)];
        assert_eq!(items(&csums, || 16258), expected);
    }

    #[test]
    fn items_are_cut_to_the_room_and_to_what_the_kernel_takes() {
        let csums = csums(&[extent(0, 5000 * 4096, true)]);
        assert_eq!(items(&csums, || 16258), [(0, 4057 * 4), (4057 * 4096, 943 * 4)]);
        let mut rooms = [400, 3, 16258].into_iter();
        let cut = [(0, 400), (100 * 4096, 4057 * 4), (4157 * 4096, 843 * 4)];
        assert_eq!(items(&csums, || rooms.next().unwrap_or(0)), cut);
    }

    #[test]
    fn what_is_observed_in_parts_has_the_checksums_of_the_whole() {
        let extents =
            [extent(8192, 8192, true), extent(16384, 4096, false), extent(20480, 8192, true)];
        let image: Vec<u8> =
            (0..28672u32).map(|at| if at < 27000 { at.to_le_bytes()[1] / 16 } else { 0 }).collect();
        let whole = Sums::new(&extents, Checksum::Crc32c);
        whole.observe(0, &image);
        let bytes = |sums: &Sums| -> Vec<u8> {
            sums.bytes.iter().map(|byte| byte.load(Ordering::Relaxed)).collect()
        };
        let sector = |n: usize| crc32c::crc32c(&image[n * 4096..][..4096]).to_le_bytes();
        assert_eq!(bytes(&whole), [2, 3, 5, 6].map(sector).concat());
        let parts = Sums::new(&extents, Checksum::Crc32c);
        // The last file ends at 27000; the zeros after it may start anywhere.
        for (from, to) in [(12288, 27000), (27000, 28672), (0, 8192), (8192, 12288)] {
            parts.observe(from as u64, &image[from..to]);
        }
        assert_eq!(bytes(&parts), bytes(&whole));
    }
}
