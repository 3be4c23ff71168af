//! One file system without a partition table.

use std::sync::Arc;

use super::file_system::PlannedFs;
use super::parameters::Parameters;
use super::partition::ALIGNMENT;
use super::plan::{ImageKind, Plan};
pub use super::single_options::{FileSystem, Options};
use super::source::BuildInput;
use super::{source, swap};
use crate::btrfs::PrepassOptions;
use crate::error::{Error, Result};
use crate::fat::LeaveOut;
use crate::gpt::PartitionType;
use crate::seed;
use crate::size::round_up;
use crate::tree::{HoleScan, HoleScanOptions, InodeId, scan_holes};

/// Plans a file system of the whole tree.
///
/// # Errors
/// Those of the file system, and [`Error::Parameter`] if the epoch is out of range.
pub fn plan(source: BuildInput, options: &Options) -> Result<Plan> {
    let BuildInput { mut tree, seed, epoch, architecture, threads, spool, rules } = source;
    let (mut resolved, normalization, mut warnings) =
        source::resolve_inputs(&mut tree, epoch, &rules)?;
    let epoch = resolved.epoch.0;
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
                    resolved.architecture = Some(architecture);
                    PartitionType::root(architecture.0)
                }
                Err(Error::Parameter { .. }) => PartitionType::LinuxGeneric,
                Err(error) => return Err(error),
            }
        }
    };
    // Content is read only where that is necessary: to derive a seed, and to find holes for ext4
    // and btrfs.
    let digest = seed.is_none() && options.uuid.is_none();
    let scan = match options.file_system {
        FileSystem::Vfat { .. } if !digest => HoleScan::default(),
        _ => scan_holes(&tree, &HoleScanOptions { threads, digest })?,
    };
    let scans = [scan];
    let uuid = match options.uuid {
        Some(uuid) => uuid,
        None => {
            let seed = source::seed(seed, &scans);
            resolved.seed = Some(seed);
            seed::file_system(seed.0.partition(partition_type.guid(), 0))
        }
    };
    let mut parameters = Parameters::of_file_system(options);
    let content = match &options.file_system {
        FileSystem::Ext4(ext4) => {
            let [scan] = scans;
            let swapfile = ext4.swapfile.as_ref();
            let (tree, scan) = swap::added(swapfile, tree, scan, uuid, epoch)?;
            ext4.plan(&tree, &scan, uuid, epoch, options.size)?
        }
        FileSystem::Btrfs(btrfs) => {
            let [scan] = scans;
            let reading = PrepassOptions { threads, spool: spool.as_deref() };
            let prepared = btrfs.prepare(&tree, scan, uuid, epoch, &reading)?;
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
    let PlannedFs { layout, file_system, warnings: of_content } = content;
    warnings.extend(left_out.into_iter().chain(of_content));
    Ok(Plan {
        layout: layout.seal(),
        product: ImageKind::FileSystem(file_system),
        resolved,
        normalization,
        parameters,
        warnings,
    })
}
