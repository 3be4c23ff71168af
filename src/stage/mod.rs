//! Builds a root tree from packages, with the package manager of the distribution.
//!
//! Things that would differ between runs or machines are fixed in advance where possible: the
//! environment, the umask, the host name, and (once the packages have been fetched) the network.
//! [`normalize`](crate::normalize) removes the remaining differences when an image is built. A
//! [`Lock`] records what went into the tree, so that the tree can be rebuilt from the same
//! packages.

mod child;
mod compare;
mod lock;
mod options;
mod pacman;
mod sandbox;
mod scratch;

#[cfg(feature = "cli")]
pub(crate) use child::spawn;
pub use compare::{Difference, compare};
pub use lock::{Lock, Package};
pub use options::Options;
pub use pacman::{Staged, Staging};
#[cfg(feature = "cli")]
pub(crate) use sandbox::ended_by;
#[cfg(feature = "cli")]
pub(crate) use scratch::{Scratch, remove_directory};
