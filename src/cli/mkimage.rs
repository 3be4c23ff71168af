//! `detfs mkimage`.

use std::sync::Arc;

use super::arguments::{EspFat, Fs, Mkimage};
use super::pipeline::{First, Pipeline};
use super::{print_error, values};
use crate::disk::RootFs;
use crate::disk::image::{self, EspSource};
use crate::error::Result;
use crate::fat::Variant;

/// Builds the image; `first` creates the tree if it does not exist yet.
pub(super) fn run(args: &Mkimage, first: Option<First<'_>>) -> Result<()> {
    let Mkimage { tree, out, source, output_args, normalize_args, .. } = args;
    values::only(args.fs, &args.ext4, &args.btrfs)?;
    let size = |parameter, text: &Option<String>| {
        text.as_deref().map(|text| values::bytes(parameter, text)).transpose()
    };
    let esp_sector_size = args.esp_sector_size.as_deref();
    let esp_sector_size =
        esp_sector_size.map(|text| values::sector_size("--esp-sector-size", text));
    let patterns = args.btrfs.patterns()?;
    let mut options = image::Options {
        root: match args.fs {
            Fs::Ext4 => RootFs::Ext4(values::ext4(&args.ext4, &args.room)?),
            Fs::Btrfs => RootFs::Btrfs(args.btrfs.to_options(&args.room, &patterns)?),
        },
        size: values::size(&args.size)?,
        sector_size: values::sector_size("--sector-size", &args.sector_size)?,
        esp: match &args.esp_from {
            Some(path) => EspSource::Directory(path.clone().into_bytes()),
            None => EspSource::Detect,
        },
        esp_size: size("--esp-size", &args.esp_size)?,
        esp_fat: args.esp_fat.map(|variant| match variant {
            EspFat::Fat12 => Variant::Fat12,
            EspFat::Fat16 => Variant::Fat16,
            EspFat::Fat32 => Variant::Fat32,
        }),
        esp_sector_size: esp_sector_size.transpose()?,
        xbootldr: args.xbootldr,
        xbootldr_size: size("--xbootldr-size", &args.xbootldr_size)?,
        bios_boot: args.bios_boot,
    };
    values::headroom_or_size(args.room.headroom.as_deref(), options.size)?;
    let architecture = values::architecture(&args.architecture)?;
    let pipeline = Pipeline {
        tree,
        beside: args.esp_tree.as_deref(),
        out,
        source,
        output_args,
        btrfs: matches!(args.fs, Fs::Btrfs),
        normalize_args: Some(normalize_args),
        first,
    };
    let beside = pipeline.read_beside("--esp-tree")?;
    let mut has_fat = false;
    pipeline.run(architecture, |source| {
        let mut warnings = Vec::new();
        if let Some((esp, left_out)) = beside {
            options.esp = EspSource::Tree(Arc::new(esp));
            warnings = left_out;
        }
        let mut plan = image::plan(source, &options)?;
        plan.warnings.splice(0..0, warnings);
        has_fat = plan.has_fat();
        Ok(plan)
    })?;
    patterns.report_unmatched();
    if matches!(args.fs, Fs::Btrfs) {
        args.btrfs.report_without_effect();
    }
    let of_fat = [
        ("--esp-fat", args.esp_fat.is_some()),
        ("--esp-sector-size", args.esp_sector_size.is_some()),
    ];
    for (option, _) in of_fat.into_iter().filter(|(_, given)| *given && !has_fat) {
        print_error(&format!("{option} has no effect, because the image has no ESP"));
    }
    Ok(())
}
