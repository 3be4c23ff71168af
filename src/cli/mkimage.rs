//! `detfs mkimage`.

use super::arguments::{Fs, Mkimage};
use super::build::{First, Job};
use super::meaning;
use crate::disk::{Root, image};
use crate::error::Result;

/// Makes the image; `first` makes the tree that it is of, if that is not there yet.
pub(super) fn run(typed: &Mkimage, first: Option<First<'_>>) -> Result<()> {
    let Mkimage { tree, out, source, outcome, canon, .. } = typed;
    meaning::only(typed.fs, &typed.ext4, &typed.btrfs)?;
    let esp_size = typed.esp_size.as_deref().map(|text| meaning::bytes("--esp-size", text));
    let esp_sector_size = typed.esp_sector_size.as_deref();
    let esp_sector_size =
        esp_sector_size.map(|text| meaning::sector_size("--esp-sector-size", text));
    let options = image::Options {
        root: match typed.fs {
            Fs::Ext4 => Root::Ext4(meaning::ext4(&typed.ext4, &typed.room)?),
            Fs::Btrfs => Root::Btrfs(typed.btrfs.meaning(&typed.room)?),
        },
        size: meaning::size(&typed.size)?,
        sector_size: meaning::sector_size("--sector-size", &typed.sector_size)?,
        esp_size: esp_size.transpose()?,
        esp_sector_size: esp_sector_size.transpose()?,
        bios_boot: typed.bios_boot,
    };
    let architecture = meaning::architecture(&typed.architecture)?;
    let job = Job {
        tree,
        out,
        source,
        outcome,
        btrfs: matches!(typed.fs, Fs::Btrfs),
        canon: Some(canon),
        first,
    };
    job.run(architecture, |source| image::plan(source, &options))
}
