//! erofs as a format of file systems.

use std::io;
use std::sync::Arc;

use positioned_io::ReadAt;

use super::plan::SIZE_MAX;
use super::read::Reader;
use super::spec::BLOCK;
use super::{Compression, Contents, Options, Plan, PrepassOptions, Profile, plan, prepass};
use crate::codec;
use crate::error::{Error, Result};
use crate::format::{
    CodecVersions, FileSystem, Format, FsInputs, Holds, Parameters, PartitionSettings, PlannedFs,
    PreparedFs, SizeLimits, Value, empty_size, truncate,
};
use crate::size::Headroom;
use crate::tree::{HoleScan, PathFilter, Tree};

/// The erofs format for [`image`](crate::image) and [`single`](crate::single); its fields are the
/// options of a file system.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Erofs {
    /// Kernels that can read the file system.
    pub profile: Profile,
    /// Compression, applied where it saves space. `None` for no compression.
    pub compression: Option<Compression>,
    /// Files and directories that are not compressed. A directory stands for everything below it.
    pub uncompressed: Option<PathFilter>,
    /// Whether equal files, and equal pieces of uncompressed files, are stored only once.
    pub dedup: bool,
    /// Size of the pieces in which content is compressed, in bytes: a power of two from 8192 to
    /// 1048576.
    ///
    /// To read a byte, a kernel decompresses its piece up to there. Larger pieces make the image
    /// smaller, and take more time and memory to read.
    pub cluster_size: u32,
    /// Whether files shorter than a piece, and the ends of longer ones, are compressed together, if
    /// there is a compression.
    pub fragments: bool,
}

impl Default for Erofs {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            compression: None,
            uncompressed: None,
            dedup: false,
            cluster_size: 128 << 10,
            fragments: false,
        }
    }
}

/// An erofs without its size.
struct Prepared {
    tree: Arc<Tree>,
    scan: HoleScan,
    contents: Arc<Contents>,
    /// Options for any size.
    options: Options,
    label: String,
}

impl Format for Erofs {
    fn name(&self) -> &'static str {
        "erofs"
    }

    fn layout_version(&self) -> u32 {
        1
    }

    fn limits(&self, sector_size: u32) -> Result<SizeLimits> {
        let min = empty_size(self, sector_size)?;
        Ok(SizeLimits { min, max: SIZE_MAX, multiple: BLOCK })
    }

    fn holds(&self) -> Holds {
        match self.profile.chunks() {
            true => Holds::UNIX | Holds::HOLES,
            false => Holds::UNIX,
        }
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn parameters(&self) -> Parameters {
        let patterns = self.uncompressed.iter().flat_map(PathFilter::patterns);
        Parameters::new()
            .with("erofs_profile", self.profile.name())
            .with("compress", self.compression.map(|compression| compression.to_string()))
            .with("no_compress", patterns.map(String::as_str).collect::<Value>())
            .with("dedup", self.dedup)
            .with("erofs_cluster_size", self.cluster_size)
            .with("fragments", self.fragments)
    }

    fn for_partition(&self, settings: &PartitionSettings<'_>) -> Result<Arc<dyn Format>> {
        let compression = match (settings.compression, settings.compression_level) {
            (Some(name), Some(level)) => Some(format!("{name}:{level}").parse()?),
            (Some(name), None) => Some(name.parse()?),
            (None, _) => self.compression,
        };
        Ok(Arc::new(Self { compression, ..self.clone() }))
    }

    fn label_for(&self, partition: &str) -> Option<String> {
        Some(truncate(partition, self.profile.label_max()).to_owned())
    }

    fn prepare(&self, inputs: FsInputs<'_>) -> Result<Box<dyn PreparedFs>> {
        let FsInputs { tree, scan, uuid, label, epoch, threads, spool, observer, .. } = inputs;
        let label = label.unwrap_or_default();
        let uncompressed = self.uncompressed.as_ref().map(|filter| filter.select(&tree));
        let options = Options {
            uuid,
            label: label.clone().into_bytes(),
            epoch,
            profile: self.profile,
            compression: self.compression,
            uncompressed: uncompressed.unwrap_or_default(),
            dedup: self.dedup,
            cluster_size: self.cluster_size,
            fragments: self.fragments,
            size: None,
        };
        let contents =
            prepass(&tree, &scan, &options, &PrepassOptions { threads, spool, observer })?;
        Ok(Box::new(Prepared { tree, scan, contents: Arc::new(contents), options, label }))
    }

    fn read(&self, image: Arc<dyn ReadAt + Send + Sync>, size: u64) -> Result<Tree> {
        let tree = Reader::open(image, size).and_then(|reader| reader.tree());
        tree.map_err(|violation| {
            Error::source(Vec::new(), "cannot read the erofs", io::Error::other(violation))
        })
    }
}

impl Prepared {
    fn plan_with(&self, size: Option<u64>) -> Result<PlannedFs> {
        let options = Options { size, ..self.options.clone() };
        let Plan { layout, used, warnings } =
            plan(&self.tree, &self.scan, &self.contents, &options)?;
        let file_system = FileSystem {
            used: Some(used),
            ..FileSystem::new("erofs", options.uuid, self.label.clone(), layout.size())
        };
        Ok(PlannedFs { layout, file_system, warnings })
    }
}

impl PreparedFs for Prepared {
    fn plan(&self, size: u64, _start: u64) -> Result<PlannedFs> {
        self.plan_with(Some(size))
    }

    /// A headroom is refused, because nothing can be written to the file system.
    fn plan_smallest(&self, headroom: Option<Headroom>) -> Result<PlannedFs> {
        match headroom {
            None | Some(Headroom::Bytes(0) | Headroom::Percent(0)) => self.plan_with(None),
            Some(_) => Err(Error::parameter(
                "headroom",
                "erofs is read-only, so free space has no use",
                "omit it",
            )),
        }
    }
    fn codecs(&self) -> CodecVersions {
        let codec = self.options.compression.map(Compression::codec);
        codec::versions(codec.as_slice())
    }
}
