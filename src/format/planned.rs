//! Planned file systems.

use uuid::Uuid;

use crate::layout::Layout;
use crate::report::Warning;

/// Description of a planned file system: format, ids, label and size.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FileSystem {
    /// Name by which `mount` knows the format.
    pub format: &'static str,
    /// Variant of the format, such as `FAT32`. `None` if it has only one.
    pub variant: Option<String>,
    /// UUID that all ids of the file system are derived from.
    pub uuid: Uuid,
    /// Id in the form that `blkid` shows. `None` if the format has none.
    pub id: Option<String>,
    /// Label; may be empty.
    pub label: String,
    /// Size in bytes.
    pub size: u64,
    /// Bytes that are in use, as `df` counts them; `None` if they are not known.
    pub used: Option<u64>,
}

impl FileSystem {
    /// Creates the description of a file system whose id is its UUID.
    #[must_use]
    pub fn new(format: &'static str, uuid: Uuid, label: String, size: u64) -> Self {
        Self { format, variant: None, uuid, id: Some(uuid.to_string()), label, size, used: None }
    }
}

/// A planned file system of any format.
#[derive(Debug)]
pub struct PlannedFs {
    /// Layout of its bytes, no larger than the requested size. It need not be sealed.
    pub layout: Layout,
    /// Description of the file system.
    pub file_system: FileSystem,
    /// Warnings about parts of the tree that were changed or left out.
    pub warnings: Vec<Warning>,
}
