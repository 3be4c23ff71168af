//! Reads btrfs file systems of any origin, to check the images of detfs and to compare images.
//!
//! No input is trusted: anything invalid is a [`Violation`] and never a panic, and no tree can make
//! the reader follow more blocks than the image has.
//!
//! The reader supports what detfs can write: one device, the profiles single and DUP, trees that
//! share no blocks (no snapshots), and no tree log, as after a clean unmount.

mod block;
mod chunks;
mod content;
mod decompress;
mod device;
mod items;
mod node;
mod reader;
mod root;
mod superblock;
#[cfg(test)]
mod tests;
mod tree;
mod verify;

pub use crate::violation::{Result, Violation};
pub use content::Content;
pub use node::{Entry, Inode, Node};
pub use reader::Reader;
pub use verify::Rules;
