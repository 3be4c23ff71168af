//! Makes a root tree of packages, with the package manager of its distribution.
//!
//! What would differ from one time or machine to the next is settled before where that is possible:
//! the environment, the umask, the host's name, the network once the packages are there. What is
//! left, [`normalize`](crate::normalize) takes care of when an image is made. A [`Lock`] notes what
//! went into the tree, so that it can be made again of the same.

mod compare;
mod lock;
mod pacman;
mod sandbox;
mod scratch;

pub use compare::{Difference, compare};
pub use lock::{Lock, Package};
pub use pacman::{Options, Staged, Staging};
#[cfg(feature = "cli")]
pub(crate) use sandbox::ended_by;
#[cfg(feature = "cli")]
pub(crate) use scratch::Scratch;
