//! dm-verity: hash trees and the signatures of their root hashes.

mod signature;
mod tree;
