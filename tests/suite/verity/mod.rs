//! dm-verity: hash trees and the signatures of their root hashes.

pub mod disk;
mod signature;
mod tree;
mod uki_hook;
mod usr;
