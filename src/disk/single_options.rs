//! Options for one file system of a tree.

use std::sync::Arc;

use uuid::Uuid;

use super::swap::Swapfile;
use crate::format::Format;
use crate::size::Headroom;

/// Options for a file system image of a tree.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Format of the file system.
    pub format: Arc<dyn Format>,
    /// Label. `None` for no label.
    pub label: Option<String>,
    /// UUID of the file system. `None` for that of the first root partition of a disk with the same
    /// seed, or of the first ESP if the format can't store a root file system. If the architecture
    /// of the tree can't be detected, the UUID is that of a generic Linux partition.
    pub uuid: Option<Uuid>,
    /// Size in bytes. `None` for the smallest size that leaves the headroom.
    pub size: Option<u64>,
    /// Free space to leave if the size is not fixed. `None` for the default of the format.
    pub headroom: Option<Headroom>,
    /// Swap file to add to the tree.
    pub swapfile: Option<Swapfile>,
}

impl Options {
    /// Creates the options for a file system of a format, with the defaults of everything else.
    #[must_use]
    pub fn new(format: Arc<dyn Format>) -> Self {
        Self { format, label: None, uuid: None, size: None, headroom: None, swapfile: None }
    }
}
