//! btrfs: from a tree to a whole file system, every address decided before a byte is written.

mod hash;
mod key;
mod spec;
