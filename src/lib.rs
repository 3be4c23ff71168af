//! Disk images that are bit-for-bit identical wherever and whenever they are built.
//!
//! > The same tree, the same parameters and the same layout version give the same bytes.
//!
//! An image is made in three steps: a [`tree`] is read or built, an image of it is planned down to
//! the last byte, and the [`layout`] of the plan is written.
//!
//! ```no_run
//! use std::num::NonZero;
//! use std::path::Path;
//!
//! use detfs::layout::{Destination, Options, emit};
//! use detfs::{BuildInput, Seed, image};
//!
//! # fn main() -> detfs::Result<()> {
//! let mut input = BuildInput::from_dir(Path::new("rootfs"))?.normalized()?;
//! input.seed = Some(Seed(detfs::Uuid::from_u128(0x0123_4567_89ab_4cde_8f01_2345_6789_abcd)));
//! let plan = image::plan(input, &image::Options::default())?;
//! let output = Destination::new(Path::new("disk.raw"), false)?.create(plan.layout.size())?;
//! emit(&plan.layout, &output, &Options::new(NonZero::<usize>::MIN))?;
//! output.finish()?;
//! # Ok(())
//! # }
//! ```
//!
//! - To build a tree that is not in a directory, add its nodes to a [`tree::TreeBuilder`], with
//!   content from memory or from anything that implements [`ReadAt`].
//! - To write an image to something other than a file, implement [`layout::Sink`]. The example
//!   `custom_sink` shows both.
//! - [`image`] plans the disk that `detfs mkimage` creates, and [`single`] a file system without a
//!   partition table. [`disk`] has the components of disks with other partitions.
//! - [`normalize`] removes secrets and everything that differs between two installations of the
//!   same packages, by the rules in a [`BuildInput`]; [`BuildInput::new`] has no rules.
//! - [`stage`] creates a tree from packages, with the package manager of their distribution.
//! - [`Manifest`] describes an image to other programs.
//!
//! The library reads no clock and no environment variables, and prints nothing except the output of
//! the programs that [`stage`] runs. The only global state is the list of things to remove on an
//! [`interrupt`]. Every [`Error`] names its subject, the rule that was broken, and a remedy.

#![cfg_attr(
    not(feature = "cli"),
    expect(dead_code, reason = "some components are only used by features that are off")
)]

#[cfg(feature = "btrfs")]
pub mod btrfs;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "btrfs")]
mod codec;
pub mod disk;
#[cfg(test)]
mod dump;
mod error;
pub mod ext4;
pub mod fat;
pub mod format;
mod formats;
#[cfg(feature = "normalize")]
mod glob;
pub mod gpt;
mod hex;
pub mod interrupt;
pub mod layout;
mod name;
#[cfg(feature = "normalize")]
pub mod normalize;
mod place;
pub mod probe;
pub mod progress;
mod record;
#[cfg(feature = "repart")]
pub mod repart;
pub mod report;
mod seed;
mod size;
#[cfg(feature = "stage")]
pub mod stage;
mod time;
pub mod tree;
pub mod verity;
mod workers;

#[cfg(feature = "btrfs")]
pub use btrfs::Btrfs;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::run;
pub use disk::{BuildInput, Manifest, image, single};
pub use error::{Error, Result};
pub use ext4::Ext4;
pub use fat::Vfat;
pub use formats::Formats;
pub use layout::{Destination, Sink, emit};
pub use positioned_io::ReadAt;
pub use report::Warning;
pub use seed::Seed;
pub use size::Headroom;
pub use time::Timestamp;
pub use tree::{Metadata, Node, Tree, TreeBuilder};
pub use uuid::Uuid;
