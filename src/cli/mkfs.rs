//! `detfs mkfs`.

use std::sync::Arc;

use super::arguments::{Mkfs, MkfsCommon, MkfsFormat, MkfsOutput};
use super::format_arguments::RootFsArgs;
use super::patterns::Patterns;
use super::pipeline::{Pipeline, PipelineArgs};
use super::{print_warning, values};
use crate::disk::single::{self, Options};
use crate::error::Result;
use crate::ext4::Profile;
use crate::fat::Vfat;
use crate::format::Format;

pub(super) fn run(args: &Mkfs) -> Result<()> {
    let mut patterns = Vec::new();
    let (common, uuid, architecture, options, output) = match &args.format {
        MkfsFormat::Ext4(args) => {
            let format = values::ext4(&args.ext4, Profile::default())?;
            let options = root_fs(Arc::new(format), &args.root_fs)?;
            (&args.common, Some(&args.uuid), Some(&args.architecture), options, &args.output)
        }
        MkfsFormat::Btrfs(args) => {
            let no_compress = args.compression.patterns()?;
            let (format, nodatacow) = args.btrfs.to_format(&args.compression, &no_compress)?;
            patterns = vec![no_compress, nodatacow];
            let options = root_fs(Arc::new(format), &args.root_fs)?;
            (&args.common, Some(&args.uuid), Some(&args.architecture), options, &args.output)
        }
        MkfsFormat::Erofs(args) => {
            let no_compress = args.compression.patterns()?;
            let format = args.erofs.to_format(&args.compression, &no_compress)?;
            patterns = vec![no_compress];
            let options = Options { label: args.label.clone(), ..Options::new(Arc::new(format)) };
            (&args.common, Some(&args.uuid), Some(&args.architecture), options, &args.output)
        }
        MkfsFormat::Squashfs(args) => {
            let options = Options::new(Arc::new(args.squashfs.to_format(&args.compress)?));
            (&args.common, None, None, options, &args.output)
        }
        MkfsFormat::Vfat(args) => {
            let sector_size = values::sector_size("--sector-size", &args.sector_size)?.bytes();
            let vfat = Vfat { sector_size: Some(sector_size), variant: None };
            let headroom = args.headroom.as_deref().map(values::headroom).transpose()?;
            let label = args.label.clone();
            let options = Options { label, headroom, ..Options::new(Arc::new(vfat)) };
            (&args.common, Some(&args.uuid), None, options, &args.output)
        }
    };
    let MkfsCommon { tree, source, size } = common;
    let MkfsOutput { out, output_args } = output;
    let has_id = uuid.is_some();
    let uuid = uuid.and_then(|args| args.uuid.as_deref());
    let uuid = uuid.map(|text| values::uuid("--uuid", text)).transpose()?;
    let options = Options { uuid, size: values::size(size)?, ..options };
    values::headroom_or_size(options.headroom, options.size)?;
    let pipeline_args = PipelineArgs {
        tree,
        beside: None,
        out: out.path(),
        source,
        output_args,
        architecture,
        normalize_args: None,
        is_strict: false,
        derives_ids: has_id && uuid.is_none(),
        prepass: match &args.format {
            MkfsFormat::Btrfs(args) => args.compression.prepass(),
            MkfsFormat::Erofs(args) => args.compression.prepass(),
            MkfsFormat::Squashfs(_) => Some("squashfs"),
            MkfsFormat::Ext4(_) | MkfsFormat::Vfat(_) => None,
        },
    };
    let pipeline = Pipeline::new(pipeline_args, options.format.holds())?;
    pipeline.run(|input| single::plan(input, &options))?;
    if let MkfsFormat::Btrfs(args) = &args.format {
        args.compression.report_without_effect();
        args.btrfs.report_without_effect();
    }
    if let MkfsFormat::Erofs(args) = &args.format {
        args.compression.report_without_effect();
    }
    patterns.iter().for_each(Patterns::report_unmatched);
    let is_architecture_given = architecture.is_some_and(|args| args.architecture.is_some());
    let of_uuid = [
        ("--seed", source.seed_args.seed.is_some()),
        ("--seed-string", source.seed_args.seed_string.is_some()),
        ("--architecture", is_architecture_given),
    ];
    let other = if has_id { "--uuid" } else { "a format that has no UUID" };
    for (option, _) in of_uuid.into_iter().filter(|(_, given)| *given && !pipeline_args.derives_ids)
    {
        print_warning(&format!("{option} has no effect with {other}"));
    }
    Ok(())
}

/// Returns the options that all root file systems have in common.
fn root_fs(format: Arc<dyn Format>, args: &RootFsArgs) -> Result<Options> {
    Ok(Options {
        label: args.label.clone(),
        headroom: args.headroom.as_deref().map(values::headroom).transpose()?,
        swapfile: args.swapfile.as_deref().map(values::swapfile).transpose()?,
        ..Options::new(format)
    })
}
