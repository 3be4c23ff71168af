//! Reads erofs file systems of any origin, as trees with their content by reference.
//!
//! No input is trusted: anything invalid is a [`Violation`] and never a panic. Time and memory are
//! bounded by the size of the image, since every inode and every directory is read once.
//!
//! The reader supports plain, inline, chunk-based and compressed files with all algorithms, both
//! kinds of indexes, inline clusters, clusters that several extents share, fragments, and long
//! prefixes of extended attributes. It does not support several devices, logical clusters that are
//! larger than a block, and what came after Linux 6.15: 48-bit addresses and tables of extents.

mod compressed;
mod content;
mod decompress;
mod directory;
mod image;
mod index;
mod inode;
mod reader;
mod superblock;
#[cfg(test)]
mod tests;
mod walk;
mod xattr;

pub use crate::violation::{Result, Violation};
pub use reader::Reader;
