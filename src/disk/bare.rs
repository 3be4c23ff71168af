//! One file system without a partition table.

use std::sync::Arc;

use uuid::Uuid;

use super::file_system::Content;
use super::manifest::Parameters;
use super::{ALIGNMENT, Btrfs, Ext4, Plan, Product, Source, Vfat, source, swap};
use crate::btrfs::Reading;
use crate::error::{Error, Result};
use crate::fat::LeaveOut;
use crate::gpt::PartitionType;
use crate::seed;
use crate::size::{Headroom, round_up};
use crate::tree::{InodeId, Survey, SurveyOptions, survey};

/// How to make a file system of a tree.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file system.
    pub file_system: FileSystem,
    /// Its UUID; `None` for that of the first root partition (ext4, btrfs) or ESP (FAT) of a disk with
    /// the same seed. A tree whose architecture can't be told has that of a generic partition.
    pub uuid: Option<Uuid>,
    /// The size in bytes; `None` for the smallest that leaves the headroom.
    pub size: Option<u64>,
}

/// A file system as it is asked for.
#[derive(Debug, Clone)]
pub enum FileSystem {
    /// ext4.
    Ext4(Ext4),
    /// btrfs.
    Btrfs(Btrfs),
    /// FAT.
    Vfat {
        /// The file system.
        vfat: Vfat,
        /// Without a fixed size, the free room to leave; `None` for none.
        headroom: Option<Headroom>,
    },
}

/// Plans a file system of the whole tree.
///
/// # Errors
/// Those of the file system, and [`Error::Parameter`] if the epoch is out
/// of range.
pub fn plan(source: Source, options: &Options) -> Result<Plan> {
    let Source { mut tree, seed, epoch, architecture, threads, spool, rules } = source;
    let (mut basis, normalization, mut warnings) = source::settle(&mut tree, epoch, &rules)?;
    let epoch = basis.epoch.0;
    let mut left_out = Vec::new();
    if let FileSystem::Vfat { .. } = &options.file_system {
        let leave_out = LeaveOut { locate: &|_| None, all: false };
        (tree, left_out) = leave_out.apply(tree, InodeId::ROOT)?;
    }
    let tree = Arc::new(tree);

    let partition_type = match &options.file_system {
        FileSystem::Vfat { .. } => PartitionType::Esp,
        FileSystem::Ext4(_) | FileSystem::Btrfs(_) => {
            match source::architecture(&tree, architecture) {
                Ok(architecture) => {
                    basis.architecture = Some(architecture);
                    PartitionType::root(architecture.0)
                }
                Err(Error::Parameter { .. }) => PartitionType::LinuxGeneric,
                Err(error) => return Err(error),
            }
        }
    };
    // Content is looked into only for what needs it: a seed, and the holes of ext4 and
    // btrfs.
    let digest = seed.is_none() && options.uuid.is_none();
    let survey = match options.file_system {
        FileSystem::Vfat { .. } if !digest => Survey::default(),
        _ => survey(&tree, &SurveyOptions { threads, digest })?,
    };
    let surveys = [survey];
    let uuid = match options.uuid {
        Some(uuid) => uuid,
        None => {
            let seed = source::seed(seed, &surveys);
            basis.seed = Some(seed);
            seed::file_system(seed.0.partition(partition_type.guid(), 0))
        }
    };
    let mut parameters = Parameters::of_file_system(options);
    let content = match &options.file_system {
        FileSystem::Ext4(ext4) => {
            let [survey] = surveys;
            let swapfile = ext4.swapfile.as_ref();
            let (tree, survey) = swap::added(swapfile, tree, survey, uuid, epoch)?;
            ext4.plan(&tree, &survey, uuid, epoch, options.size)?
        }
        FileSystem::Btrfs(btrfs) => {
            let [survey] = surveys;
            let reading = Reading { threads, spool: spool.as_deref() };
            let prepared = btrfs.prepare(&tree, survey, uuid, epoch, &reading)?;
            parameters.compressed_by(prepared.codecs());
            prepared.plan(options.size, btrfs.headroom)?
        }
        FileSystem::Vfat { vfat, headroom } => {
            let size = match (options.size, headroom) {
                (None, Some(headroom)) => {
                    let content = vfat.minimal_size(&tree, epoch)?;
                    let size = content.saturating_add(headroom.bytes(content));
                    Some(round_up(size, ALIGNMENT))
                }
                (size, _) => size,
            };
            vfat.plan(&tree, uuid, epoch, 0, size)?
        }
    };
    let Content { layout, file_system, warnings: of_content } = content;
    warnings.extend(left_out.into_iter().chain(of_content));
    Ok(Plan {
        layout: layout.seal(),
        product: Product::FileSystem(file_system),
        basis,
        normalization,
        parameters,
        warnings,
    })
}
