//! Content of new partitions: prepared to determine its minimum size, then planned.

use std::io::{self, Seek};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{major, minor};
use uuid::Uuid;

use super::blocks::Blocks;
use super::{Definition, Format, Minimize, Options, label, root_path};
use crate::btrfs::PrepassOptions;
use crate::disk::root::Planner;
use crate::disk::{Btrfs, Ext4, Identity, RootFs, Subvolume, Vfat, source, swap};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::name::HostPath;
use crate::report::Warning;
use crate::size::Headroom;
use crate::time::Timestamp;
use crate::tree::{HoleScan, Tree};

/// Major and minor number of `/dev/zero`.
const ZERO: (u32, u32) = (1, 5);

/// Content of a partition, independent of the partition's size.
pub(super) enum Content {
    /// No content: the bytes of the partition do not matter.
    Nothing,
    /// Zeros, from `CopyBlocks=/dev/zero`.
    Zeros,
    /// A range of a file.
    Blocks(Blocks),
    /// Swap space.
    Swap {
        uuid: Uuid,
        label: String,
    },
    Fat(Fat),
    /// An ext4 or btrfs file system.
    Planned(Planner),
}

pub(super) struct Fat {
    tree: Arc<Tree>,
    vfat: Vfat,
    uuid: Uuid,
    epoch: Timestamp,
}

/// Inputs that all file system formats share.
pub(super) struct FsInputs<'a> {
    pub(super) tree: Tree,
    pub(super) scan: HoleScan,
    pub(super) subvolumes: Vec<Subvolume>,
    pub(super) identity: &'a Identity,
    /// Sector size of the file system, in bytes.
    pub(super) sector_size: u32,
}

impl Content {
    /// Returns swap space for a partition.
    pub(super) fn swap(identity: &Identity) -> Self {
        let label = label::swap(&identity.label).to_owned();
        Self::Swap { uuid: identity.file_system, label }
    }

    /// Prepares the file system of a definition.
    ///
    /// # Errors
    /// The errors of the formats, and [`Error::Definition`] for an invalid compression.
    pub(super) fn of(
        definition: &Definition,
        inputs: FsInputs<'_>,
        options: &Options,
    ) -> Result<Self> {
        let FsInputs { mut tree, scan, subvolumes, identity, sector_size } = inputs;
        let (uuid, label) = (identity.file_system, &identity.label);
        let epoch = source::clamp(&mut tree, options.epoch)?.epoch.0;
        let tree = Arc::new(tree);
        let reading = PrepassOptions { threads: options.threads, spool: Some(&options.spool) };
        let root = match &definition.format {
            None | Some(Format::Empty | Format::Swap | Format::Other(_)) => {
                return Ok(Self::Nothing);
            }
            Some(Format::Vfat) => {
                let label = Some(label::vfat(label)).filter(|label| !label.is_empty());
                let vfat = Vfat { sector_size, label, variant: None };
                return Ok(Self::Fat(Fat { tree, vfat, uuid, epoch }));
            }
            Some(Format::Ext4) => RootFs::Ext4(Ext4 { profile: options.ext4, ..Ext4::default() }),
            Some(Format::Btrfs) => RootFs::Btrfs(Btrfs {
                subvolumes,
                default_subvolume: definition.default_subvolume.clone(),
                compression: compression(definition)?,
                copy_links: true,
                ..Btrfs::default()
            }),
        };
        let label = match &root {
            RootFs::Ext4(_) => label::ext4(label).to_owned(),
            RootFs::Btrfs(_) => label.clone(),
        };
        Ok(Self::Planned(root.prepare(tree, scan, uuid, label, epoch, &reading)?))
    }

    /// Returns whether there is any content.
    pub(super) fn is_some(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// Returns the size that the content determines, in bytes, with free space for writing for
    /// [`Minimize::Guess`].
    pub(super) fn minimal(&self, minimize: Minimize) -> Result<Option<u64>> {
        match (self, minimize) {
            (Self::Blocks(blocks), _) => Ok(Some(blocks.size())),
            (_, Minimize::Off) | (Self::Nothing | Self::Zeros | Self::Swap { .. }, _) => Ok(None),
            (Self::Fat(Fat { tree, vfat, epoch, .. }), _) => {
                let least = vfat.minimal_size(tree, *epoch)?;
                let room = match minimize {
                    Minimize::Best => 0,
                    // Space for an update, which writes new files before it removes old ones.
                    Minimize::Guess | Minimize::Off => least / 2,
                };
                Ok(Some((least + room).next_multiple_of(4096)))
            }
            (Self::Planned(planner), Minimize::Best) => {
                Ok(Some(planner.plan(None, Some(Headroom::Bytes(0)))?.file_system.size))
            }
            (Self::Planned(planner), Minimize::Guess) => {
                Ok(Some(planner.plan(None, None)?.file_system.size))
            }
        }
    }

    /// Plans the content for a partition of `size` bytes that starts at byte `start` of the disk.
    pub(super) fn plan(&self, size: u64, start: u64) -> Result<(Layout, Vec<Warning>)> {
        let planned = match self {
            Self::Nothing | Self::Zeros => return Ok((Layout::new(size), Vec::new())),
            Self::Blocks(blocks) => return Ok((blocks.layout(size)?, Vec::new())),
            Self::Swap { uuid, label } => {
                return Ok((swap::partition(size, *uuid, label)?, Vec::new()));
            }
            Self::Fat(Fat { tree, vfat, uuid, epoch }) => {
                vfat.plan(tree, *uuid, *epoch, start, Some(size))?
            }
            Self::Planned(planner) => planner.plan(Some(size), None)?,
        };
        Ok((planned.layout, planned.warnings))
    }
}

fn compression(definition: &Definition) -> Result<Option<crate::btrfs::Compression>> {
    let Some(name) = &definition.compression else { return Ok(None) };
    let text = match &definition.compression_level {
        Some(level) => format!("{name}:{level}"),
        None => name.clone(),
    };
    text.parse().map(Some).map_err(|error| match error {
        Error::Parameter { rule, remedy, .. } => definition.fault(rule, remedy),
        error => error,
    })
}

/// Returns the blocks that a definition copies as they are, if any.
pub(super) fn blocks(definition: &Definition, options: &Options) -> Result<Option<Content>> {
    let Some(path) = &definition.copy_blocks else {
        return Ok(definition.blocks.clone().map(Content::Blocks));
    };
    let root = options.root.as_deref().unwrap_or(Path::new("/"));
    let (mut file, path) = root_path::open(root, path)?;
    let fail = |error| Error::source(path.as_os_str().as_encoded_bytes(), "cannot read", error);
    let refuse = |rule: &str, remedy: &str| {
        Err(definition.fault(format!("CopyBlocks={} {rule}", HostPath(&path)), remedy))
    };
    let metadata = file.metadata().map_err(fail)?;
    let kind = metadata.file_type();
    if (kind.is_block_device() || kind.is_char_device()) && options.root.is_some() {
        return refuse(
            "is a device, and --root= is given",
            "copy it to a file, or leave --root= out",
        );
    }
    if kind.is_char_device() && (major(metadata.rdev()), minor(metadata.rdev())) == ZERO {
        return Ok(Some(Content::Zeros));
    }
    if kind.is_char_device() {
        return refuse(
            "is a device that returns different bytes each time",
            "copy from it to a file, and use that file",
        );
    }
    if !kind.is_file() && !kind.is_block_device() {
        return refuse("is not a regular file", "give the path of an image");
    }
    let size = file.seek(io::SeekFrom::End(0)).map_err(fail)?;
    if size == 0 || !size.is_multiple_of(512) {
        return Err(definition.fault(
            format!("CopyBlocks={} has {size} bytes", HostPath(&path)),
            "give a non-empty file whose size is a multiple of 512 bytes",
        ));
    }
    Ok(Some(Content::Blocks(Blocks::range(Arc::new(file), 0..size, &path))))
}
