//! Sorted items of one tree, as they are asked for and as a list.

use super::key::Key;
use crate::error::Result;

/// The items of a tree in the order of their keys, made one after the other.
///
/// A tree of a million files has many millions of items: they are made when their leaf is written,
/// and again wherever somebody needs to know how large they are. A cursor says where that starts.
pub(super) trait Items: Send + Sync {
    /// A place among the items; the default is the first one.
    type Cursor: Copy + Default + Send + Sync;

    /// The item at a cursor; `None` behind the last one. A tree whose items can be cut may fit
    /// this one to the `room` in bytes that its leaf has left for its data.
    fn item(&self, at: Self::Cursor, room: usize) -> Option<Item<Self::Cursor>>;

    /// Fills `out`, which is all zeros and as long as the item, with the item's data.
    ///
    /// # Errors
    /// Those of a file whose content belongs to the item.
    fn write(&self, at: Self::Cursor, out: &mut [u8]) -> Result<()>;
}

/// An item without its data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<C> {
    pub(super) key: Key,
    /// How long its data is, in bytes.
    pub(super) size: usize,
    /// The cursor behind it.
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
    /// If two have the same key: a planner's mistake.
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
