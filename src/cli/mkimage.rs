//! `detfs mkimage`.

use std::path::absolute;
use std::sync::Arc;

use super::arguments::Mkimage;
use super::format_arguments::Fs;
use super::patterns::Patterns;
use super::pipeline::{Pipeline, PipelineArgs};
use super::signer::signer;
use super::uki_hook::{UkiLock, UkiProgram};
use super::{print_warning, values};
use crate::disk::image::{self, EspSource, Verity};
use crate::error::Result;
use crate::ext4::Profile;
use crate::format::Format;
use crate::report::Warning;

/// A disk image whose arguments have been checked.
pub(super) struct MkimageJob<'a> {
    args: &'a Mkimage,
    options: image::Options,
    patterns: Vec<Patterns>,
    pipeline: Pipeline<'a>,
    /// Warnings about the separate tree of the ESP.
    warnings: Vec<Warning>,
}

pub(super) fn run(args: &Mkimage) -> Result<()> {
    MkimageJob::new(args, None)?.run()
}

impl<'a> MkimageJob<'a> {
    /// Checks the arguments, and reads the separate tree of the ESP, if there is one.
    ///
    /// `lock` is that of the unified kernel image, if there is one.
    pub(super) fn new(args: &'a Mkimage, lock: Option<UkiLock>) -> Result<Self> {
        values::only(args)?;
        let mut patterns = vec![args.compression.patterns()?];
        let root = format(args, args.fs, &mut patterns)?;
        let usr = args.usr_fs.map(|usr| format(args, usr.into(), &mut patterns)).transpose()?;
        let holds = root.holds();
        let mut options = options(args, (root, usr), lock)?;
        values::headroom_or_size(options.headroom, options.size)?;
        let pipeline_args = PipelineArgs {
            beside: args.esp_tree.as_deref(),
            prepass: match args.fs {
                Fs::Squashfs => Some("--fs squashfs"),
                _ => args.compression.prepass().or(args.verity.then_some("--verity")),
            },
            ..PipelineArgs::of_disk(args)
        };
        let pipeline = Pipeline::new(pipeline_args, holds)?;
        let mut warnings = Vec::new();
        if let Some((esp, left_out)) = pipeline.read_beside()? {
            options.esp = EspSource::Tree(Arc::new(esp));
            warnings = left_out;
        }
        Ok(Self { args, options, patterns, pipeline, warnings })
    }

    /// Builds the image.
    pub(super) fn run(self) -> Result<()> {
        let Self { args, options, patterns, pipeline, warnings } = self;
        let mut has_fat = false;
        pipeline.run(|mut input| {
            input.warnings.splice(0..0, warnings);
            let plan = image::plan(input, &options)?;
            has_fat = plan.has_fat();
            if args.require_bootable {
                plan.require_bootable()?;
            }
            Ok(plan)
        })?;
        patterns.iter().for_each(Patterns::report_unmatched);
        args.compression.report_without_effect();
        args.btrfs.report_without_effect();
        let of_fat = [
            ("--esp-fat", args.esp_fat.is_some()),
            ("--esp-sector-size", args.esp_sector_size.is_some()),
        ];
        for (option, _) in of_fat.into_iter().filter(|(_, given)| *given && !has_fat) {
            print_warning(&format!("{option} has no effect, because the image has no ESP"));
        }
        Ok(())
    }
}

/// Returns a format with its options, and adds the patterns of paths that only it contains to
/// `patterns`, of which the first are those of paths that are not compressed.
fn format(args: &Mkimage, fs: Fs, patterns: &mut Vec<Patterns>) -> Result<Arc<dyn Format>> {
    Ok(match fs {
        Fs::Ext4 => {
            let is_protected = args.verity && args.usr_fs.is_none();
            let default = if is_protected { Profile::Ro } else { Profile::default() };
            Arc::new(values::ext4(&args.ext4, default)?)
        }
        Fs::Btrfs => {
            let (btrfs, nodatacow) = args.btrfs.to_format(&args.compression, &patterns[0])?;
            patterns.push(nodatacow);
            Arc::new(btrfs)
        }
        Fs::Erofs => Arc::new(args.erofs.to_format(&args.compression, &patterns[0])?),
        Fs::Squashfs => Arc::new(args.squashfs.to_format(&args.compression.compress)?),
    })
}

fn options(
    args: &Mkimage,
    (root, usr): (Arc<dyn Format>, Option<Arc<dyn Format>>),
    lock: Option<UkiLock>,
) -> Result<image::Options> {
    let size = |parameter, text: &Option<String>| {
        text.as_deref().map(|text| values::bytes(parameter, text)).transpose()
    };
    let esp_sector_size = args.esp_sector_size.as_deref();
    let esp_sector_size =
        esp_sector_size.map(|text| values::sector_size("--esp-sector-size", text));
    let uki_hook = args.uki_hook.as_ref().map(|program| {
        // A name without a slash is that of a file too, and not searched for in `PATH`.
        let program = absolute(program).unwrap_or_else(|_| program.clone());
        Arc::new(UkiProgram { program, is_strict: args.strict, lock }) as _
    });
    Ok(image::Options {
        root,
        usr,
        label: args.root_fs.label.clone(),
        headroom: args.root_fs.headroom.as_deref().map(values::headroom).transpose()?,
        swapfile: args.root_fs.swapfile.as_deref().map(values::swapfile).transpose()?,
        verity: args.verity.then(|| verity(args)).transpose()?,
        size: values::size(&args.size)?,
        sector_size: values::sector_size("--sector-size", &args.sector_size)?,
        esp: match &args.esp_from {
            Some(path) => EspSource::Directory(path.clone().into_bytes()),
            None => EspSource::Detect,
        },
        esp_size: size("--esp-size", &args.esp_size)?,
        esp_fat: args.esp_fat,
        esp_sector_size: esp_sector_size.transpose()?,
        xbootldr: args.xbootldr,
        xbootldr_size: size("--xbootldr-size", &args.xbootldr_size)?,
        bios_boot: args.bios_boot,
        boot: args.boot,
        cmdline: args.cmdline.clone(),
        uki_hook,
    })
}

/// Returns how the root or `/usr` is protected.
fn verity(args: &Mkimage) -> Result<Verity> {
    let signer = signer(args.private_key.as_deref(), args.certificate.as_deref())?;
    Ok(Verity { signer: signer.map(Arc::new) })
}
