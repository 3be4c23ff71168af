//! Reads squashfs file systems of any origin, as trees with their content by reference.
//!
//! No input is trusted: anything invalid is a [`Violation`] and never a panic. Time and memory are
//! bounded by the size of the uncompressed metadata, since every inode and every byte of a listing
//! is used once.
//!
//! The reader supports version 4.0 with all compressors, and images that are laid out as mksquashfs
//! does: tables follow each other without gaps.

mod content;
mod directory;
mod image;
mod inode;
mod metadata;
mod reader;
mod superblock;
mod table;
#[cfg(test)]
mod tests;
mod walk;
mod xattr;

pub use crate::violation::{Result, Violation};
pub use reader::Reader;
