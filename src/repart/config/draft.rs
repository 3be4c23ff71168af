//! Definitions while their files are read.

use std::path::PathBuf;

use crate::disk;
use crate::gpt::PartitionType;
use crate::repart::Definition;

/// A definition while its files are read.
pub(super) struct Draft {
    pub(super) definition: Definition,
    pub(super) file: PathBuf,
    /// Whether a `Type=` was read.
    pub(super) typed: bool,
    pub(super) format: Option<String>,
    pub(super) flags: u64,
    pub(super) no_auto: Option<bool>,
    pub(super) read_only: Option<bool>,
    pub(super) grow: Option<bool>,
    pub(super) add_validate_fs: Option<bool>,
}

impl Draft {
    pub(super) fn new(file: PathBuf) -> Self {
        let partition = disk::Definition::new(PartitionType::LinuxGeneric);
        let definition = Definition { file: Some(file.clone()), ..Definition::new(partition) };
        Self {
            definition,
            file,
            typed: false,
            format: None,
            flags: 0,
            no_auto: None,
            read_only: None,
            grow: None,
            add_validate_fs: None,
        }
    }
}
