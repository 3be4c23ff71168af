//! `detfs mkfs`.

use super::arguments::{Mkfs, MkfsCommon, MkfsFormat};
use super::btrfs::BtrfsPatterns;
use super::build::Job;
use super::{complain, meaning};
use crate::disk::{Vfat, single};
use crate::error::Result;

pub(super) fn run(typed: &Mkfs) -> Result<()> {
    let mut btrfs_patterns = None;
    let (common, headroom, file_system, architecture) = match &typed.format {
        MkfsFormat::Ext4(typed) => {
            let ext4 = single::FileSystem::Ext4(meaning::ext4(&typed.ext4, &typed.room)?);
            let architecture = meaning::architecture(&typed.architecture)?;
            (&typed.common, &typed.room.headroom, ext4, architecture)
        }
        MkfsFormat::Btrfs(typed) => {
            let patterns = btrfs_patterns.insert(typed.btrfs.patterns()?);
            let btrfs = single::FileSystem::Btrfs(typed.btrfs.meaning(&typed.room, patterns)?);
            let architecture = meaning::architecture(&typed.architecture)?;
            (&typed.common, &typed.room.headroom, btrfs, architecture)
        }
        MkfsFormat::Vfat(typed) => {
            let headroom = typed.headroom.as_deref().map(meaning::headroom).transpose()?;
            let sector_size = meaning::sector_size("--sector-size", &typed.sector_size)?.bytes();
            let vfat = Vfat { sector_size, label: typed.label.clone(), variant: None };
            let vfat = single::FileSystem::Vfat { vfat, headroom };
            (&typed.common, &typed.headroom, vfat, None)
        }
    };
    let MkfsCommon { tree, out, source, outcome, .. } = common;
    let uuid = common.uuid.as_deref().map(|text| meaning::uuid("--uuid", text)).transpose()?;
    let btrfs = matches!(file_system, single::FileSystem::Btrfs(_));
    let options = single::Options { file_system, uuid, size: meaning::size(&common.size)? };
    meaning::headroom_or_size(headroom.as_deref(), options.size)?;
    let job = Job { tree, beside: None, out, source, outcome, btrfs, canon: None, first: None };
    job.run(architecture, |source| single::plan(source, &options))?;
    if let MkfsFormat::Btrfs(typed) = &typed.format {
        typed.btrfs.report_without_effect();
    }
    btrfs_patterns.iter().for_each(BtrfsPatterns::report_unmatched);
    let of_uuid = [("--seed", source.seed.is_some()), ("--architecture", architecture.is_some())];
    for (option, _) in of_uuid.into_iter().filter(|(_, given)| *given && uuid.is_some()) {
        complain(&format!("{option}: it has no effect beside --uuid"));
    }
    Ok(())
}
