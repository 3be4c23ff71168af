//! Sorted items of a tree: generated on demand, or held in a list.

use super::key::Key;
use crate::error::Result;

/// The items of a tree in key order, generated one at a time.
///
/// A tree of a million files has many millions of items. They are generated when their leaf is
/// written, and again wherever their size is needed, starting at a cursor.
pub(super) trait Items: Send + Sync {
    /// Position among the items; the default is the first item.
    type Cursor: Copy + Default + Send + Sync;

    /// Returns the item at a cursor; `None` after the last item.
    ///
    /// A tree whose items can be split may limit this item to the `room` bytes that its leaf has
    /// left for item data.
    fn item(&self, at: Self::Cursor, available: usize) -> Option<Item<Self::Cursor>>;

    /// Writes the data of an item to `out`, which is all zeros and as long as the item.
    ///
    /// # Errors
    /// The errors of the file whose content belongs to the item.
    fn write(&self, at: Self::Cursor, out: &mut [u8]) -> Result<()>;
}

/// An item without its data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<C> {
    pub(super) key: Key,
    /// Size of its data, in bytes.
    pub(super) size: usize,
    /// Cursor of the next item.
    pub(super) next: C,
}

/// Items that are few enough to be held in memory.
#[derive(Debug, Default)]
pub(super) struct ItemList(Vec<(Key, Box<[u8]>)>);

impl ItemList {
    /// Adds an item, in any order.
    pub(super) fn push(&mut self, key: Key, data: impl Into<Box<[u8]>>) {
        self.0.push((key, data.into()));
    }

    /// Sorts the items.
    ///
    /// # Panics
    /// If two items have the same key, which is a bug in the planner.
    pub(super) fn sorted(mut self) -> Self {
        self.0.sort_by_key(|&(key, _)| key);
        assert!(self.0.is_sorted_by(|(a, _), (b, _)| a < b), "keys are unique");
        self
    }
}

impl Items for ItemList {
    type Cursor = u32;

    fn item(&self, at: u32, _: usize) -> Option<Item<u32>> {
        let (key, data) = self.0.get(at as usize)?;
        Some(Item { key: *key, size: data.len(), next: at + 1 })
    }

    fn write(&self, at: u32, out: &mut [u8]) -> Result<()> {
        let (_, data) = &self.0[at as usize];
        out.copy_from_slice(data);
        Ok(())
    }
}
