//! Integration tests: the command line, and images that the program builds, or the library from
//! trees that exist in no directory, checked with independent tools and with the kernel.
//!
//! The tests create devices, mount file systems and build as another user, so they run as root.
//! `tests/run` installs the tools that they need. A missing tool is a failure and never a skip.
//! Tests that take long are ignored by default; `cargo test -- --include-ignored` runs them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests look at the host")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod assets;
mod bad_input;
mod boot;
mod bootable;
mod btrfs;
mod cli;
mod depth;
mod determinism;
mod detfs;
mod documents;
mod erofs;
mod esp;
mod every_level;
mod ext4;
mod fakeroot;
mod fat;
mod golden;
mod gpt;
mod hardlinks;
mod ids;
mod images;
mod library;
mod mistakes;
mod mkimage;
mod mounts;
mod newest_readers;
mod normalize;
mod oracle;
mod outputs;
mod owner_options;
mod owners;
mod random_trees;
mod read_back;
mod repart;
mod secrets;
mod squashfs;
mod stage;
mod summary;
mod tar;
mod terminal;
mod threads;
mod tree;
mod verity;

/// 1024 bytes.
const KIB: u64 = 1 << 10;
/// 1024 KiB.
const MIB: u64 = 1 << 20;
/// 1024 MiB.
const GIB: u64 = 1 << 30;
