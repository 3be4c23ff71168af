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
