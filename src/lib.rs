//! Disk images that are the same, bit for bit, wherever and whenever they are built.

pub mod error;
pub mod ext4;
pub mod gpt;
pub mod layout;
pub mod name;
pub mod report;
pub mod seed;
pub mod size;
pub mod time;
pub mod tree;

pub use error::{Error, Result};
