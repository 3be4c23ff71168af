//! Disk images that are the same, bit for bit, wherever and whenever they are built.
//!
//! > The same tree, the same parameters and the same layout version give the same bytes.
//!
//! An image is made in one straight way: a [`tree`] is read or built, an image of it is planned
//! down to the last byte, and the plan's [`layout`] is written.
//!
//! ```no_run
//! use std::num::NonZero;
//! use std::path::Path;
//!
//! use detfs::layout::{Destination, Options, emit};
//! use detfs::tree::dir::{self, DirOptions};
//! use detfs::{Seed, Source, image};
//!
//! # fn main() -> detfs::Result<()> {
//! let (tree, warnings) = dir::read(Path::new("rootfs"), &DirOptions::default())?;
//! let seed = Seed(detfs::Uuid::from_u128(0x0123_4567_89ab_4cde_8f01_2345_6789_abcd));
//! let source = Source { seed: Some(seed), ..Source::new(tree) };
//! let plan = image::plan(source, &image::Options::default())?;
//! let output = Destination::new(Path::new("disk.raw"), false)?.create(plan.layout.size())?;
//! emit(&plan.layout, &output, &Options::new(NonZero::<usize>::MIN))?;
//! output.finish()?;
//! # drop(warnings);
//! # Ok(())
//! # }
//! ```
//!
//! - A tree that is in no directory is built node by node with [`tree::TreeBuilder`], with content
//!   from memory or from anything that implements [`ReadAt`].
//! - An image that goes to no file is taken by an own [`layout::Sink`]. The example `custom_sink`
//!   shows both.
//! - [`image`] makes the disk that `detfs mkimage` makes, [`single`] a file system without a
//!   partition table; [`disk`] has the parts to make disks of other partitions.
//! - What differs between two installations of the same packages, and secrets, [`normalize`] takes
//!   care of, by the rules in a [`BuildInput`]; [`BuildInput::new`] has none.
//! - [`stage`] makes a tree of packages, with the package manager of its distribution.
//! - [`Manifest`] describes an image to other programs.
//!
//! Nothing here reads a clock or the environment, or prints, but for what the programs say that
//! [`stage`] runs. The only global state is the list of what an [`interrupt`] has to remove. Every [`Error`] names what it is about, the rule that was
//! broken, and a remedy.

pub mod btrfs;
#[cfg(feature = "cli")]
pub mod cli;
pub mod disk;
pub mod error;
pub mod ext4;
pub mod fat;
mod glob;
pub mod gpt;
pub mod interrupt;
pub mod layout;
pub mod name;
pub mod normalize;
mod place;
pub mod probe;
pub mod repart;
pub mod report;
pub mod seed;
pub mod size;
pub mod stage;
pub mod time;
pub mod tree;
pub mod verity;
mod workers;

pub use disk::{BuildInput, Manifest, image, single};
pub use error::{Error, Result};
pub use positioned_io::ReadAt;
pub use seed::Seed;
pub use time::Timestamp;
pub use uuid::Uuid;
