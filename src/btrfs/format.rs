//! btrfs as a format of file systems: paths in the options are resolved to inodes of the tree.

use std::sync::Arc;

use super::spec::SECTOR;
use super::{
    Checksum, Compat, Compression, Contents, Metadata, Options, Plan, PrepassOptions,
    SubvolumeOptions, plan, prepass,
};
use crate::codec::{self, Lzo, Zlib, Zstd};
use crate::error::{Error, Result};
use crate::format::{
    CodecVersions, FileSystem, Format, FsInputs, Holds, Parameters, PartitionSettings, PlannedFs,
    PreparedFs, SizeLimits, Subvolume, Value, empty_size,
};
use crate::name::Escaped;
use crate::size::{Headroom, MIB, round_down};
use crate::tree::{InodeId, PathFilter, Tree};

/// The btrfs format for [`image`](crate::image) and [`single`](crate::single); its fields are the
/// options of a file system.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Btrfs {
    /// Kernels that may write to the file system.
    pub compat: Compat,
    /// Checksum algorithm for tree blocks and data.
    pub checksum: Checksum,
    /// Size of a tree block in bytes: a power of two from 4096 to 65536.
    pub node_size: u32,
    /// Number of copies of the metadata.
    pub metadata: Metadata,
    /// Largest size in bytes of a file that is stored inline in the tree; at most 4095.
    pub max_inline: u32,
    /// Compression, applied where it saves space. `None` for no compression.
    pub compression: Option<Compression>,
    /// Files and directories that are not compressed. A directory stands for everything below it.
    pub uncompressed: Option<PathFilter>,
    /// Files and directories whose content is written in place, without checksums or compression. A
    /// directory stands for everything below it.
    pub nodatacow: Option<PathFilter>,
    /// Whether equal content is stored only once.
    pub dedup: bool,
    /// Directories that become subvolumes, in any order.
    pub subvolumes: Vec<Subvolume>,
    /// Path of the subvolume that is mounted by default. `None` for the top level.
    pub default_subvolume: Option<Vec<u8>>,
    /// Whether a file with names in several subvolumes is copied into each of them, with shared
    /// extents. Otherwise such a file is rejected.
    pub copy_links: bool,
}

impl Default for Btrfs {
    fn default() -> Self {
        Self {
            compat: Compat::default(),
            checksum: Checksum::default(),
            node_size: 16384,
            metadata: Metadata::default(),
            max_inline: 2048,
            compression: None,
            uncompressed: None,
            nodatacow: None,
            dedup: false,
            subvolumes: Vec::new(),
            default_subvolume: None,
            copy_links: false,
        }
    }
}

/// A btrfs whose content has been encoded, but whose size is not known yet.
struct Prepared {
    tree: Arc<Tree>,
    contents: Arc<Contents>,
    /// Options for any size.
    options: Options,
    label: String,
}

impl Format for Btrfs {
    fn name(&self) -> &'static str {
        "btrfs"
    }

    fn layout_version(&self) -> u32 {
        1
    }

    fn limits(&self, sector_size: u32) -> Result<SizeLimits> {
        let min = empty_size(self, sector_size)?;
        let max = round_down(u64::MAX, SECTOR);
        Ok(SizeLimits { min, max, multiple: SECTOR })
    }

    fn partition_min(&self, _is_boot: bool, _sector_size: u32) -> Option<u64> {
        Some(256 * MIB)
    }

    fn holds(&self) -> Holds {
        Holds::all()
    }

    fn parameters(&self) -> Parameters {
        let path = |path: &[u8]| Escaped(path).to_string();
        let patterns = |filter: &Option<PathFilter>| -> Value {
            filter.iter().flat_map(PathFilter::patterns).map(String::as_str).collect()
        };
        let subvolumes = self.subvolumes.iter().map(|subvolume| {
            Parameters::new()
                .with("path", path(&subvolume.path))
                .with("read_only", subvolume.read_only)
                .with("nodatacow", subvolume.nodatacow)
        });
        let checksum = match self.checksum {
            Checksum::Xxhash => "xxhash",
            other => other.name(),
        };
        Parameters::new()
            .with("btrfs_compat", self.compat.name())
            .with("btrfs_checksum", checksum)
            .with("btrfs_node_size", self.node_size)
            .with("btrfs_metadata", self.metadata.name())
            .with("btrfs_max_inline", self.max_inline)
            .with("compress", self.compression.map(|compression| compression.to_string()))
            .with("no_compress", patterns(&self.uncompressed))
            .with("nodatacow", patterns(&self.nodatacow))
            .with("dedup", self.dedup)
            .with("subvolumes", subvolumes.collect::<Value>())
            .with("default_subvolume", self.default_subvolume.as_deref().map(path))
            .with("copy_links", self.copy_links)
    }

    fn for_partition(&self, settings: &PartitionSettings<'_>) -> Result<Arc<dyn Format>> {
        let compression = match (settings.compression, settings.compression_level) {
            (Some(name), Some(level)) => Some(format!("{name}:{level}").parse()?),
            (Some(name), None) => Some(name.parse()?),
            (None, _) => self.compression,
        };
        Ok(Arc::new(Self {
            subvolumes: settings.subvolumes.clone(),
            default_subvolume: settings.default_subvolume.map(<[u8]>::to_vec),
            compression,
            copy_links: true,
            ..self.clone()
        }))
    }

    fn prepare(&self, inputs: FsInputs<'_>) -> Result<Box<dyn PreparedFs>> {
        let FsInputs { tree, scan, uuid, label, epoch, swapfile, .. } = inputs;
        let FsInputs { threads, spool, observer, .. } = inputs;
        let label = label.unwrap_or_default();
        let subvolumes = self.subvolumes.iter().map(|requested| {
            Ok(SubvolumeOptions {
                directory: find(&tree, "btrfs.subvolumes", &requested.path)?,
                read_only: requested.read_only,
                nodatacow: requested.nodatacow,
            })
        });
        let default_subvolume = self.default_subvolume.as_deref();
        let select = |filter: Option<&PathFilter>| {
            filter.map(|filter| filter.select(&tree)).unwrap_or_default()
        };
        let options = Options {
            uuid,
            label: label.clone().into_bytes(),
            epoch,
            node_size: self.node_size,
            checksum: self.checksum,
            metadata: self.metadata,
            compat: self.compat,
            max_inline: self.max_inline,
            compression: self.compression,
            uncompressed: select(self.uncompressed.as_ref()),
            nodatacow: select(self.nodatacow.as_ref()),
            dedup: self.dedup,
            subvolumes: subvolumes.collect::<Result<_>>()?,
            default_subvolume: default_subvolume
                .map(|path| find(&tree, "btrfs.default_subvolume", path))
                .transpose()?,
            copy_links: self.copy_links,
            preallocated: scan.swap_files().clone(),
            size: None,
            headroom: None,
            multiple: MIB,
        };
        if let Some(swapfile) = swapfile {
            check_writable(&tree, swapfile, &options)?;
        }
        let contents =
            prepass(&tree, &scan, &options, &PrepassOptions { threads, spool, observer })?;
        Ok(Box::new(Prepared { tree, contents: Arc::new(contents), options, label }))
    }
}

fn find(tree: &Tree, field: &'static str, path: &[u8]) -> Result<InodeId> {
    tree.find(path).ok_or_else(|| {
        Error::parameter(
            field,
            format!("the tree has no directory {}", Escaped(path)),
            "make the directory in the tree, or correct the path",
        )
    })
}

/// Rejects an added swap file in a subvolume where it could not be used.
fn check_writable(tree: &Tree, swapfile: InodeId, options: &Options) -> Result<()> {
    let mut directory = tree.parent(swapfile);
    loop {
        let at = options.subvolumes.iter().find(|subvolume| subvolume.directory == directory);
        match at {
            Some(subvolume) if subvolume.read_only => {
                return Err(Error::parameter(
                    "swapfile",
                    format!("the subvolume {} is read-only", Escaped(&tree.path(directory))),
                    "give a path in another subvolume, or make this one writable",
                ));
            }
            Some(_) => return Ok(()),
            None if directory == InodeId::ROOT => return Ok(()),
            None => directory = tree.parent(directory),
        }
    }
}

impl Prepared {
    fn plan_with(&self, size: Option<u64>, headroom: Option<Headroom>) -> Result<PlannedFs> {
        let options = Options { size, headroom, ..self.options.clone() };
        let Plan { layout, used, warnings } = plan(&self.tree, &self.contents, &options)?;
        let label = self.label.clone();
        let file_system = FileSystem {
            used: Some(used),
            ..FileSystem::new("btrfs", options.uuid, label, layout.size())
        };
        Ok(PlannedFs { layout, file_system, warnings })
    }
}

impl PreparedFs for Prepared {
    fn plan(&self, size: u64, _start: u64) -> Result<PlannedFs> {
        self.plan_with(Some(size), None)
    }

    fn plan_smallest(&self, headroom: Option<Headroom>) -> Result<PlannedFs> {
        self.plan_with(None, headroom)
    }

    fn codecs(&self) -> CodecVersions {
        match self.contents.spool() {
            Some(_) => codec::versions(&[&Lzo, &Zlib, &Zstd]),
            None => CodecVersions::new(),
        }
    }
}
