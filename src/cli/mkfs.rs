//! `detfs mkfs`.

use super::arguments::{Mkfs, MkfsCommon, MkfsFormat};
use super::btrfs::BtrfsPatterns;
use super::pipeline::Pipeline;
use super::{print_error, values};
use crate::disk::{Vfat, single};
use crate::error::Result;

pub(super) fn run(typed: &Mkfs) -> Result<()> {
    let mut btrfs_patterns = None;
    let (common, headroom, file_system, architecture) = match &typed.format {
        MkfsFormat::Ext4(typed) => {
            let ext4 = single::FileSystem::Ext4(values::ext4(&typed.ext4, &typed.room)?);
            let architecture = values::architecture(&typed.architecture)?;
            (&typed.common, &typed.room.headroom, ext4, architecture)
        }
        MkfsFormat::Btrfs(typed) => {
            let patterns = btrfs_patterns.insert(typed.btrfs.patterns()?);
            let btrfs = single::FileSystem::Btrfs(typed.btrfs.to_options(&typed.room, patterns)?);
            let architecture = values::architecture(&typed.architecture)?;
            (&typed.common, &typed.room.headroom, btrfs, architecture)
        }
        MkfsFormat::Vfat(typed) => {
            let headroom = typed.headroom.as_deref().map(values::headroom).transpose()?;
            let sector_size = values::sector_size("--sector-size", &typed.sector_size)?.bytes();
            let vfat = Vfat { sector_size, label: typed.label.clone(), variant: None };
            let vfat = single::FileSystem::Vfat { vfat, headroom };
            (&typed.common, &typed.headroom, vfat, None)
        }
    };
    let MkfsCommon { tree, out, source, outcome, .. } = common;
    let uuid = common.uuid.as_deref().map(|text| values::uuid("--uuid", text)).transpose()?;
    let btrfs = matches!(file_system, single::FileSystem::Btrfs(_));
    let options = single::Options { file_system, uuid, size: values::size(&common.size)? };
    values::headroom_or_size(headroom.as_deref(), options.size)?;
    let job =
        Pipeline { tree, beside: None, out, source, outcome, btrfs, canon: None, first: None };
    job.run(architecture, |source| single::plan(source, &options))?;
    if let MkfsFormat::Btrfs(typed) = &typed.format {
        typed.btrfs.report_without_effect();
    }
    btrfs_patterns.iter().for_each(BtrfsPatterns::report_unmatched);
    let of_uuid = [("--seed", source.seed.is_some()), ("--architecture", architecture.is_some())];
    for (option, _) in of_uuid.into_iter().filter(|(_, given)| *given && uuid.is_some()) {
        print_error(&format!("{option}: it has no effect beside --uuid"));
    }
    Ok(())
}
