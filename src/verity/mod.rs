//! dm-verity: a partition of hashes, by which the kernel verifies each block of another one when
//! it is read.
//!
//! The hashes of the data are made while it is written: [`LeafHashes`] observe the layout of the data
//! partition, and when all of it was written, they [finish](LeafHashes::finish) the [`HashTree`].

mod hasher;
mod leaf_hashes;
mod parameters;
pub mod signature;
mod spec;
mod tree;

pub use leaf_hashes::LeafHashes;
pub use parameters::Parameters;
pub use tree::HashTree;
