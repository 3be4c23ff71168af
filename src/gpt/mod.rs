//! The GUID partition table: protective MBR, primary and backup table (UEFI 2.10, chapter 5).
//!
//! [`plan`] makes a layout of the whole disk with nothing but the tables in it; partitions are
//! placed into that layout by their owner. [`read()`] tells what table an image has.

mod geometry;
pub mod read;
pub mod spec;
mod table;
mod types;

pub use geometry::{Geometry, Lba, SectorSize};
pub use read::{ReadGpt, TableState, read};
pub use table::{Attributes, Partition, Table, plan};
pub use types::{Architecture, PartitionType, Role};
