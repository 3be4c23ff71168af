//! squashfs as a format of file systems.

use std::io;
use std::sync::Arc;

use positioned_io::ReadAt;
use uuid::Uuid;

use super::compression::Compression;
use super::options::Options;
use super::plan::{ImageBytes, Reading, prepare};
use super::read::Reader;
use super::warnings;
use crate::error::{Error, Result};
use crate::format::{
    CodecVersions, FileSystem, Format, FsInputs, Holds, Parameters, PartitionSettings, PlannedFs,
    PreparedFs, SizeLimits, empty_size,
};
use crate::layout::Layout;
use crate::report::Warning;
use crate::size::{Headroom, round_down, round_up};
use crate::tree::Tree;

/// The squashfs format for [`image`](crate::image) and [`single`](crate::single); its fields are
/// the options of a file system.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Squashfs {
    /// Compression of content and metadata, applied where it saves space.
    pub compression: Compression,
    /// Size of a block in bytes: a power of two from 4096 to 1048576. Kernels with larger pages
    /// can't read smaller blocks.
    pub block_size: u32,
    /// Whether files that are shorter than a block are packed into blocks with others.
    pub fragments: bool,
}

impl Default for Squashfs {
    /// Returns the defaults of mksquashfs.
    fn default() -> Self {
        Self { compression: Compression::default(), block_size: 128 << 10, fragments: true }
    }
}

/// Unit of the size of an image, in bytes, as in mksquashfs.
const UNIT: u64 = 4096;

/// A squashfs of which everything but the space after it is known.
struct Prepared {
    bytes: Arc<ImageBytes>,
    compression: Compression,
    uuid: Uuid,
    warnings: Vec<Warning>,
}

impl Format for Squashfs {
    fn name(&self) -> &'static str {
        "squashfs"
    }

    fn layout_version(&self) -> u32 {
        1
    }

    fn limits(&self, sector_size: u32) -> Result<SizeLimits> {
        let min = empty_size(self, sector_size)?;
        Ok(SizeLimits { min, max: round_down(u64::MAX, UNIT), multiple: UNIT })
    }

    fn holds(&self) -> Holds {
        Holds::UNIX | Holds::HOLES
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn parameters(&self) -> Parameters {
        Parameters::new()
            .with("compress", self.compression.to_string())
            .with("squashfs_block_size", self.block_size)
            .with("no_fragments", !self.fragments)
    }

    fn for_partition(&self, settings: &PartitionSettings<'_>) -> Result<Arc<dyn Format>> {
        let compression = match (settings.compression, settings.compression_level) {
            (Some(name), Some(level)) => format!("{name}:{level}").parse()?,
            (Some(name), None) => name.parse()?,
            (None, _) => self.compression,
        };
        Ok(Arc::new(Self { compression, ..self.clone() }))
    }

    fn id(&self, _uuid: Uuid) -> Option<String> {
        None
    }

    fn label_for(&self, _partition: &str) -> Option<String> {
        None
    }

    fn prepare(&self, inputs: FsInputs<'_>) -> Result<Box<dyn PreparedFs>> {
        let FsInputs { tree, scan, uuid, epoch, threads, spool, observer, .. } = inputs;
        let Self { compression, block_size, fragments } = *self;
        let options = Options { compression, block_size, fragments, epoch };
        let bytes = prepare(&tree, &scan, &options, Reading { threads, spool, observer })?;
        let warnings = warnings::collect(&tree);
        Ok(Box::new(Prepared { bytes: Arc::new(bytes), compression, uuid, warnings }))
    }

    fn read(&self, image: Arc<dyn ReadAt + Send + Sync>, size: u64) -> Result<Tree> {
        let tree = Reader::open(image, size).and_then(|reader| reader.tree());
        tree.map_err(|violation| {
            Error::source(Vec::new(), "cannot read the squashfs", io::Error::other(violation))
        })
    }
}

impl PreparedFs for Prepared {
    fn plan(&self, size: u64, _start: u64) -> Result<PlannedFs> {
        let used = self.bytes.len();
        let needed = round_up(used, UNIT);
        if size < needed {
            let (what, detail) = ("squashfs".to_owned(), String::new());
            return Err(Error::TooSmall { what, detail, needed, available: size });
        }
        if !size.is_multiple_of(UNIT) {
            return Err(Error::parameter(
                "size",
                format!("{size} bytes is not a multiple of {UNIT}"),
                format!("use {}", round_up(size, UNIT)),
            ));
        }
        let mut layout = Layout::new(size);
        layout.push_render(0, used, Arc::clone(&self.bytes) as _);
        let file_system = FileSystem {
            id: None,
            used: Some(used),
            ..FileSystem::new("squashfs", self.uuid, String::new(), size)
        };
        Ok(PlannedFs { layout, file_system, warnings: self.warnings.clone() })
    }

    fn plan_smallest(&self, headroom: Option<Headroom>) -> Result<PlannedFs> {
        let used = self.bytes.len();
        if headroom.is_some_and(|headroom| headroom.bytes(used) > 0) {
            return Err(Error::parameter(
                "headroom",
                "a squashfs is only read and has no free space",
                "omit it",
            ));
        }
        self.plan(round_up(used, UNIT), 0)
    }

    fn codecs(&self) -> CodecVersions {
        let codec = self.compression.codec();
        CodecVersions::from([(codec.name(), codec.version())])
    }
}
