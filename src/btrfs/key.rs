//! Keys, by which every tree sorts its items.

use zerocopy::little_endian::U64;

use super::spec::DiskKey;

/// Key of an item. The fields are in sort order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) objectid: u64,
    pub(super) item_type: u8,
    pub(super) offset: u64,
}

impl Key {
    pub(super) const MIN: Self = Self { objectid: 0, item_type: 0, offset: 0 };
    pub(super) const MAX: Self = Self { objectid: u64::MAX, item_type: u8::MAX, offset: u64::MAX };

    pub(super) fn new(objectid: u64, item_type: u8, offset: u64) -> Self {
        Self { objectid, item_type, offset }
    }
}

impl From<Key> for DiskKey {
    fn from(key: Key) -> Self {
        let Key { objectid, item_type, offset } = key;
        Self { objectid: U64::new(objectid), item_type, offset: U64::new(offset) }
    }
}

impl From<DiskKey> for Key {
    fn from(key: DiskKey) -> Self {
        Self::new(key.objectid.get(), key.item_type, key.offset.get())
    }
}
