//! Contents of partitions.

use std::sync::Arc;

use uuid::Uuid;

use super::blocks::Blocks;
use super::swap;
use crate::error::Result;
use crate::format::{FileSystem, PlannedFs, PreparedFs};
use crate::layout::Layout;
use crate::report::Warning;

/// Content of a partition, independent of the partition's size.
pub(crate) enum Content {
    /// No content: the bytes of the partition do not matter.
    Nothing,
    /// Zeros.
    Zeros,
    /// These bytes, followed by zeros.
    Bytes(Vec<u8>),
    /// A range of a file.
    Blocks(Blocks),
    /// Swap space.
    Swap { uuid: Uuid, label: String },
    /// A file system that gets the size of the partition.
    FileSystem(Arc<dyn PreparedFs>),
    /// A file system whose size is fixed.
    Planned(Box<PlannedFs>),
}

/// The planned content of a partition.
pub(crate) struct PlannedContent {
    pub(crate) layout: Layout,
    pub(crate) file_system: Option<FileSystem>,
    pub(crate) warnings: Vec<Warning>,
}

impl Content {
    /// Returns swap space for a partition.
    pub(crate) fn swap(uuid: Uuid, partition: &str) -> Self {
        Self::Swap { uuid, label: swap::label_for(partition).to_owned() }
    }

    /// Returns whether there is any content.
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// Plans the content for a partition of `size` bytes that starts at byte `start` of the disk.
    pub(crate) fn plan(self, size: u64, start: u64) -> Result<PlannedContent> {
        let layout = match self {
            Self::Nothing | Self::Zeros => Layout::new(size),
            Self::Bytes(bytes) => {
                let mut layout = Layout::new(size);
                layout.push_bytes(0, bytes);
                layout
            }
            Self::Blocks(blocks) => blocks.layout(size)?,
            Self::Swap { uuid, label } => swap::partition(size, uuid, &label)?,
            Self::FileSystem(prepared) => return Ok(prepared.plan(size, start)?.into()),
            Self::Planned(planned) => return Ok((*planned).into()),
        };
        Ok(PlannedContent { layout, file_system: None, warnings: Vec::new() })
    }
}

impl From<PlannedFs> for PlannedContent {
    fn from(planned: PlannedFs) -> Self {
        let PlannedFs { layout, file_system, warnings } = planned;
        Self { layout, file_system: Some(file_system), warnings }
    }
}
