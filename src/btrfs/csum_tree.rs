//! The checksum tree: runs of checksums of consecutive sectors.

use std::sync::Arc;

use super::content::Contents;
use super::data::Extent;
use super::items::{Item, Items};
use super::key::Key;
use super::spec::{ItemHead, SECTOR, item_type, objectid};
use crate::error::Result;

/// Consecutive sectors whose checksums are consecutive too.
#[derive(Debug, Clone, Copy)]
struct Run {
    address: u64,
    sectors: u64,
    /// The number of the first checksum.
    first: u64,
}

/// The checksums of all data.
pub(super) struct Csums {
    runs: Vec<Run>,
    contents: Arc<Contents>,
    /// Bytes in a checksum.
    size: usize,
    /// The most checksums in an item.
    most: usize,
}

impl Csums {
    pub(super) fn new(
        extents: &[Extent],
        contents: &Arc<Contents>,
        size: usize,
        leaf_data_size: usize,
    ) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for extent in extents {
            let Some(first) = extent.sum else { continue };
            let (address, sectors) = (extent.address, u64::from(extent.len) / SECTOR);
            match runs.last_mut() {
                Some(run)
                    if run.address + run.sectors * SECTOR == address
                        && run.first + run.sectors == first =>
                {
                    run.sectors += sectors;
                }
                _ => runs.push(Run { address, sectors, first }),
            }
        }
        // The kernel leaves room for the head of a second item in a leaf, and so goes no further.
        let most = (leaf_data_size - 2 * size_of::<ItemHead>()) / size - 1;
        Self { runs, contents: Arc::clone(contents), size, most }
    }
}

/// A run, and how many of its sectors have their checksums in items before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    run: u32,
    sectors: u64,
}

impl Items for Csums {
    type Cursor = Cursor;

    fn item(&self, at: Cursor, room: usize) -> Option<Item<Cursor>> {
        let run = self.runs.get(at.run as usize)?;
        let left = run.sectors - at.sectors;
        let most = match room / self.size {
            0 => self.most,
            fits => fits.min(self.most),
        } as u64;
        let count = left.min(most);
        let next = match left - count {
            0 => Cursor { run: at.run + 1, ..Cursor::default() },
            _ => Cursor { run: at.run, sectors: at.sectors + count },
        };
        let address = run.address + at.sectors * SECTOR;
        let key = Key::new(objectid::EXTENT_CSUM, item_type::EXTENT_CSUM, address);
        let size = usize::try_from(count).expect("an item fits a leaf") * self.size;
        Some(Item { key, size, next })
    }

    fn write(&self, at: Cursor, out: &mut [u8]) -> Result<()> {
        let run = &self.runs[at.run as usize];
        let first = usize::try_from(run.first + at.sectors).expect("checksums are in memory");
        out.copy_from_slice(&self.contents.sums()[first * self.size..][..out.len()]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(address: u64, len: u32, sum: Option<u64>) -> Extent {
        let (ram_len, compression) = (len, None);
        Extent { address, len, ram_len, compression, prealloc: false, sum, refs: 0 }
    }

    fn csums(extents: &[Extent]) -> Csums {
        Csums::new(extents, &Arc::new(Contents::default()), 4, 16283)
    }

    fn items(csums: &Csums, mut room: impl FnMut() -> usize) -> Vec<(u64, usize)> {
        let mut at = Cursor::default();
        std::iter::from_fn(|| {
            let item = csums.item(at, room())?;
            at = item.next;
            Some((item.key.offset, item.size))
        })
        .collect()
    }

    #[test]
    fn runs_end_where_addresses_or_checksums_do() {
        let csums = csums(&[
            extent(1 << 20, 8192, Some(0)),
            extent((1 << 20) + 8192, 4096, Some(2)),
            extent((1 << 20) + 12288, 4096, None),
            extent((1 << 20) + 16384, 4096, Some(3)),
            extent(2 << 20, 4096, Some(4)),
            extent((2 << 20) + 4096, 4096, Some(6)),
        ]);
        let expected = [(1 << 20, 12), ((1 << 20) + 16384, 4), (2 << 20, 4), ((2 << 20) + 4096, 4)];
        assert_eq!(items(&csums, || 16258), expected);
    }

    #[test]
    fn items_are_cut_to_the_room_and_to_what_the_kernel_takes() {
        let csums = csums(&[extent(0, 5000 * 4096, Some(0))]);
        assert_eq!(items(&csums, || 16258), [(0, 4057 * 4), (4057 * 4096, 943 * 4)]);
        let mut rooms = [400, 3, 16258].into_iter();
        let cut = [(0, 400), (100 * 4096, 4057 * 4), (4157 * 4096, 843 * 4)];
        assert_eq!(items(&csums, || rooms.next().unwrap_or(0)), cut);
    }
}
