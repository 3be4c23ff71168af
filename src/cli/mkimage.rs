//! `detfs mkimage`.

use std::sync::Arc;

use super::arguments::{EspFat, Fs, Mkimage};
use super::pipeline::{First, Pipeline};
use super::{print_error, values};
use crate::disk::RootFs;
use crate::disk::image::{self, EspSource};
use crate::error::Result;
use crate::fat::Variant;

/// Makes the image; `first` makes the tree that it is of, if that is not there yet.
pub(super) fn run(typed: &Mkimage, first: Option<First<'_>>) -> Result<()> {
    let Mkimage { tree, out, source, outcome, canon, .. } = typed;
    values::only(typed.fs, &typed.ext4, &typed.btrfs)?;
    let size = |parameter, text: &Option<String>| {
        text.as_deref().map(|text| values::bytes(parameter, text)).transpose()
    };
    let esp_sector_size = typed.esp_sector_size.as_deref();
    let esp_sector_size =
        esp_sector_size.map(|text| values::sector_size("--esp-sector-size", text));
    let patterns = typed.btrfs.patterns()?;
    let mut options = image::Options {
        root: match typed.fs {
            Fs::Ext4 => RootFs::Ext4(values::ext4(&typed.ext4, &typed.room)?),
            Fs::Btrfs => RootFs::Btrfs(typed.btrfs.to_options(&typed.room, &patterns)?),
        },
        size: values::size(&typed.size)?,
        sector_size: values::sector_size("--sector-size", &typed.sector_size)?,
        esp: match &typed.esp_from {
            Some(path) => EspSource::Directory(path.clone().into_bytes()),
            None => EspSource::Detect,
        },
        esp_size: size("--esp-size", &typed.esp_size)?,
        esp_fat: typed.esp_fat.map(|variant| match variant {
            EspFat::Fat12 => Variant::Fat12,
            EspFat::Fat16 => Variant::Fat16,
            EspFat::Fat32 => Variant::Fat32,
        }),
        esp_sector_size: esp_sector_size.transpose()?,
        xbootldr: typed.xbootldr,
        xbootldr_size: size("--xbootldr-size", &typed.xbootldr_size)?,
        bios_boot: typed.bios_boot,
    };
    values::headroom_or_size(typed.room.headroom.as_deref(), options.size)?;
    let architecture = values::architecture(&typed.architecture)?;
    let job = Pipeline {
        tree,
        beside: typed.esp_tree.as_deref(),
        out,
        source,
        outcome,
        btrfs: matches!(typed.fs, Fs::Btrfs),
        canon: Some(canon),
        first,
    };
    let beside = job.read_beside("--esp-tree")?;
    let mut has_fat = false;
    job.run(architecture, |source| {
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
    if matches!(typed.fs, Fs::Btrfs) {
        typed.btrfs.report_without_effect();
    }
    let of_fat = [
        ("--esp-fat", typed.esp_fat.is_some()),
        ("--esp-sector-size", typed.esp_sector_size.is_some()),
    ];
    for (option, _) in of_fat.into_iter().filter(|(_, given)| *given && !has_fat) {
        print_error(&format!("{option}: it has no effect, because the image has no ESP"));
    }
    Ok(())
}
