//! The GUID partition table: protective MBR, primary and backup table (UEFI 2.10, chapter 5).
//!
//! [`plan`] creates the layout of a whole disk that contains only the tables. The caller adds the
//! partitions to the layout. [`read()`] reads the table of an image.

#[cfg(test)]
pub(crate) mod dump;
mod geometry;
pub mod read;
pub mod spec;
mod table;
mod types;

pub use geometry::{Geometry, Lba, SectorSize};
pub use read::{ReadGpt, TableState, read};
pub use table::{Attributes, Partition, Table, plan};
pub use types::{Architecture, PartitionType, Role};

/// Version of the bytes of partition tables, and of the placement of partitions.
pub const LAYOUT_VERSION: u32 = 1;
