//! Images made by the program, or by the library of trees that no directory holds, judged by the
//! tools of others and by the kernel.
//!
//! The tests make devices, mount and build as another user, so they run as root; what they need
//! installed, `tests/run` installs. A tool that is missing is a failure and never a skip.
//! Tests that take long are ignored unless asked for: `cargo test -- --include-ignored`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests look at the host")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod bad_input;
mod boot;
mod btrfs;
mod depth;
mod determinism;
mod detfs;
mod documents;
mod esp;
mod ext4;
mod fakeroot;
mod golden;
mod images;
mod mounts;
mod normalize;
mod oracle;
mod outputs;
mod owners;
mod random_trees;
mod repart;
mod secrets;
mod stage;
mod terminal;
mod threads;
mod tree;
mod verity;
