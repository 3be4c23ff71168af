//! squashfs 4.0: a compressed file system that is only read.
//!
//! The same tree and options give the same bytes:
//!
//! - Content is in tree order, compressed in blocks, and followed by the fragment blocks. Equal
//!   files are stored once, and blocks of zeros not at all.
//! - Fragment blocks hold the files that are shorter than a block, in tree order.
//! - The number of an inode is its position in the tree, from 1 on.

mod blocks;
mod check;
mod compression;
mod content;
mod directory;
mod format;
mod fragments;
mod inode;
mod metadata;
mod options;
mod plan;
pub mod read;
mod reference;
mod spec;
mod warnings;
mod xattrs;

pub use compression::Compression;
pub use format::Squashfs;
