//! dm-verity: a partition of hashes, with which the kernel verifies each block of another partition
//! when reading it.
//!
//! The hashes of the data are computed while it is written. [`LeafHashes`] observes the layout of
//! the data partition and, after all of it was written, [returns](LeafHashes::finish) the
//! [`HashTree`].

mod from_layout;
mod hasher;
mod leaf_hashes;
mod parameters;
#[cfg(feature = "verity-sign")]
pub mod signature;
mod spec;
mod tree;

pub use leaf_hashes::LeafHashes;
pub use parameters::Parameters;
pub use tree::HashTree;

/// Version of the bytes of hash trees and of signature partitions.
pub const LAYOUT_VERSION: u32 = 1;
