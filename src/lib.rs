//! Disk images that are bit-for-bit identical wherever and whenever they are built.
//!
//! > The same tree, the same parameters and the same layout version give the same bytes.
//!
//! An image is made in three steps: a [`tree`] is read or built, an image of it is planned down to
//! the last byte, and the [`layout`] of the plan is written.
//!
//! ```
//! use std::num::NonZero;
//!
//! use detfs::gpt::Architecture;
//! use detfs::layout::{Options, WriteAtSink};
//! use detfs::{BuildInput, Metadata, TreeBuilder, emit, image};
//!
//! # fn main() -> detfs::Result<()> {
//! let directory = Metadata { mode: 0o755, ..Metadata::default() };
//! let file = Metadata { mode: 0o644, ..Metadata::default() };
//! let mut tree = TreeBuilder::new(directory)?;
//! tree.file("/etc/hostname", "example\n", file)?;
//!
//! let mut input = BuildInput::new(tree.finish()?);
//! input.architecture = Some(Architecture::X86_64);
//! let mut options = image::Options::default();
//! options.size = Some(16 << 20);
//! let plan = image::plan(input, &options)?;
//!
//! let disk = WriteAtSink::new(Vec::new());
//! emit(&plan.layout, &disk, &Options::new(NonZero::<usize>::MIN))?;
//! let disk = disk.into_inner();
//! assert_eq!(disk.len(), 16 << 20);
//! assert_eq!(disk[512..520], *b"EFI PART");
//! assert_eq!(disk[(1 << 20) + 1080..][..2], [0x53, 0xef], "s_magic of the root's ext4");
//! # Ok(())
//! # }
//! ```
//!
//! From a directory to a file, with a given seed instead of one that is derived from the content:
//!
//! ```no_run
//! use std::num::NonZero;
//! use std::path::Path;
//!
//! use detfs::layout::Options;
//! use detfs::{BuildInput, Destination, Seed, Uuid, emit, image};
//!
//! # fn main() -> detfs::Result<()> {
//! let mut input = BuildInput::from_dir(Path::new("rootfs"))?;
//! input.seed = Some(Seed(Uuid::from_u128(0x0123_4567_89ab_4cde_8f01_2345_6789_abcd)));
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
//!   same packages, by the rules that [`BuildInput::normalized`] adds.
//! - [`stage`] creates a tree from packages, with the package manager of their distribution.
//! - [`Manifest`] describes an image to other programs.
//!
//! The library reads no clock and no environment variables, and prints nothing except the output of
//! the programs that [`stage`] runs. The only global state is the list of things to remove on an
//! [`interrupt`]. Every [`Error`] names its subject, the rule that was broken, and a remedy.
//!
//! # Features
//!
//! All features are on by default. Without any of them, the crate writes ext4, FAT and GPT, depends
//! on few other crates, and needs no C compiler.
//!
//! | Feature | Enables |
//! |---|---|
//! | `btrfs` | [`btrfs`], and the compression that it uses; it needs a C compiler for zstd |
//! | `erofs` | [`erofs`] |
//! | `normalize` | [`normalize`], [`BuildInput::normalized`], warnings about secrets in a tree |
//! | `repart` | [`repart`]; needs `normalize` to warn about secrets |
//! | `squashfs` | [`squashfs`], and its compression; it needs a C compiler for zstd |
//! | `stage` | [`stage`]; needs `normalize` to compare trees |
//! | `tar` | [`tar`]: tar archives as sources; it needs a C compiler for zstd |
//! | `verity-sign` | [`verity::signature`], and signature partitions in [`repart`] |
//! | `cli` | the program, which needs all other features |

#![cfg_attr(
    not(feature = "cli"),
    expect(dead_code, reason = "some components are only used by features that are off")
)]

#[cfg(feature = "btrfs")]
pub mod btrfs;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "codec")]
mod codec;
pub mod disk;
#[cfg(test)]
mod dump;
#[cfg(feature = "erofs")]
pub mod erofs;
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
#[cfg(all(test, feature = "cli"))]
mod man_page;
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
#[cfg(any(feature = "codec", feature = "tar"))]
mod spool;
#[cfg(feature = "squashfs")]
pub mod squashfs;
#[cfg(feature = "stage")]
pub mod stage;
#[cfg(feature = "tar")]
pub mod tar;
mod time;
pub mod tree;
pub mod verity;
#[cfg(any(feature = "btrfs", feature = "erofs", feature = "squashfs"))]
mod violation;
mod workers;

/// Compiles the examples of the library's document.
#[cfg(all(doctest, feature = "normalize"))]
#[doc = include_str!("../docs/library.md")]
struct LibraryDocument;

#[cfg(feature = "btrfs")]
pub use btrfs::Btrfs;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::{command, run};
pub use disk::{BuildInput, Manifest, image, single};
#[cfg(feature = "erofs")]
pub use erofs::Erofs;
pub use error::{Error, Result};
pub use ext4::Ext4;
pub use fat::Vfat;
pub use formats::Formats;
pub use layout::{Destination, Sink, emit};
pub use positioned_io::ReadAt;
pub use report::Warning;
pub use seed::Seed;
pub use size::Headroom;
#[cfg(feature = "squashfs")]
pub use squashfs::Squashfs;
#[cfg(feature = "tar")]
pub use tar::Tar;
pub use time::Timestamp;
pub use tree::{Metadata, Node, Tree, TreeBuilder};
pub use uuid::Uuid;
