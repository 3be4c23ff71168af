//! `detfs mkfs`.

use super::arguments::{Mkfs, MkfsCommon, MkfsFormat};
use super::build::Job;
use super::meaning;
use crate::disk::{Vfat, bare};
use crate::error::Result;

pub(super) fn run(typed: &Mkfs) -> Result<()> {
    let (common, file_system, architecture) = match &typed.format {
        MkfsFormat::Ext4(typed) => {
            let ext4 = bare::FileSystem::Ext4(meaning::ext4(&typed.ext4, &typed.room)?);
            (&typed.common, ext4, meaning::architecture(&typed.architecture)?)
        }
        MkfsFormat::Btrfs(typed) => {
            let btrfs = bare::FileSystem::Btrfs(typed.btrfs.meaning(&typed.room)?);
            (&typed.common, btrfs, meaning::architecture(&typed.architecture)?)
        }
        MkfsFormat::Vfat(typed) => {
            let headroom = typed.headroom.as_deref().map(meaning::headroom).transpose()?;
            let sector_size = meaning::sector_size("--sector-size", &typed.sector_size)?.bytes();
            let vfat = Vfat { sector_size, label: typed.label.clone(), variant: None };
            (&typed.common, bare::FileSystem::Vfat { vfat, headroom }, None)
        }
    };
    let MkfsCommon { tree, out, source, outcome, .. } = common;
    let uuid = common.uuid.as_deref().map(|text| meaning::uuid("--uuid", text)).transpose()?;
    let btrfs = matches!(file_system, bare::FileSystem::Btrfs(_));
    let options = bare::Options { file_system, uuid, size: meaning::size(&common.size)? };
    let job = Job { tree, beside: None, out, source, outcome, btrfs, canon: None, first: None };
    job.run(architecture, |source| bare::plan(source, &options))
}
