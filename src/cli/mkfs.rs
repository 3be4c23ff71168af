//! `detfs mkfs`.

use super::arguments::{Mkfs, MkfsCommon, MkfsFormat};
use super::btrfs::BtrfsPatterns;
use super::pipeline::Pipeline;
use super::{print_error, values};
use crate::disk::{Vfat, single};
use crate::error::Result;

pub(super) fn run(args: &Mkfs) -> Result<()> {
    let mut btrfs_patterns = None;
    let (common, headroom, file_system, architecture) = match &args.format {
        MkfsFormat::Ext4(args) => {
            let ext4 = single::FileSystem::Ext4(values::ext4(&args.ext4, &args.room)?);
            let architecture = values::architecture(&args.architecture)?;
            (&args.common, &args.room.headroom, ext4, architecture)
        }
        MkfsFormat::Btrfs(args) => {
            let patterns = btrfs_patterns.insert(args.btrfs.patterns()?);
            let btrfs = single::FileSystem::Btrfs(args.btrfs.to_options(&args.room, patterns)?);
            let architecture = values::architecture(&args.architecture)?;
            (&args.common, &args.room.headroom, btrfs, architecture)
        }
        MkfsFormat::Vfat(args) => {
            let headroom = args.headroom.as_deref().map(values::headroom).transpose()?;
            let sector_size = values::sector_size("--sector-size", &args.sector_size)?.bytes();
            let vfat = Vfat { sector_size, label: args.label.clone(), variant: None };
            let vfat = single::FileSystem::Vfat { vfat, headroom };
            (&args.common, &args.headroom, vfat, None)
        }
    };
    let MkfsCommon { tree, out, source, output_args, .. } = common;
    let uuid = common.uuid.as_deref().map(|text| values::uuid("--uuid", text)).transpose()?;
    let btrfs = matches!(file_system, single::FileSystem::Btrfs(_));
    let options = single::Options { file_system, uuid, size: values::size(&common.size)? };
    values::headroom_or_size(headroom.as_deref(), options.size)?;
    let pipeline = Pipeline {
        tree,
        beside: None,
        out,
        source,
        output_args,
        btrfs,
        normalize_args: None,
        first: None,
    };
    pipeline.run(architecture, |source| single::plan(source, &options))?;
    if let MkfsFormat::Btrfs(args) = &args.format {
        args.btrfs.report_without_effect();
    }
    btrfs_patterns.iter().for_each(BtrfsPatterns::report_unmatched);
    let of_uuid = [("--seed", source.seed.is_some()), ("--architecture", architecture.is_some())];
    for (option, _) in of_uuid.into_iter().filter(|(_, given)| *given && uuid.is_some()) {
        print_error(&format!("{option} has no effect with --uuid"));
    }
    Ok(())
}
