//! FAT
mod geometry;
mod names;
mod spec;
mod time;

/// The width of the entries of the file allocation table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// 12 bits: at most 4068 clusters here.
    Fat12,
    /// 16 bits: 4101 to 65,508 clusters here.
    Fat16,
    /// 32 bits, 28 of them used: at least 65,541 clusters here.
    Fat32,
}
