//! Requested parameters, as the manifest records them.

use serde::Serialize;

use super::boot_method::BootMethod;
use super::esp::EspSource;
use super::plan::Plan;
use super::request::ImageRequest;
use super::swap::Swapfile;
use super::{image_options, single_options};
use crate::format::{self, Format};
use crate::gpt::SectorSize;
use crate::name::Escaped;
use crate::size::Headroom;

/// Requested parameters of an image. `None` is the documented default.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Parameters {
    /// Format of the root file system, or of the only file system.
    pub fs: &'static str,
    /// Size of the image in bytes.
    pub size: Option<u64>,
    /// Free space, in bytes or as a percentage with a `%`.
    pub headroom: Option<String>,
    /// Parameters that apply only to disks.
    #[serde(flatten)]
    pub disk: Option<DiskParameters>,
    /// Options of the format.
    #[serde(flatten)]
    pub format: format::Parameters,
    /// Swap file that was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swapfile: Option<SwapfileRecord>,
    /// Label of the file system.
    pub label: Option<String>,
    /// Normalization profile, if any.
    pub normalize: Option<&'static str>,
    /// SHA-256 of the file of additional rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    /// Patterns of paths that were left out.
    pub exclude: Vec<String>,
    /// Patterns of extended attributes that were left out.
    pub drop_xattr: Vec<String>,
    /// Patterns of extended attributes that were kept.
    pub keep_xattr: Vec<String>,
    /// What became of inodes with several names.
    pub hardlinks: &'static str,
}

/// Requested parameters of a disk.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DiskParameters {
    /// Sector size of the disk, in bytes.
    pub sector_size: u32,
    /// Directory of the tree that the content of the ESP comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esp_from: Option<String>,
    /// Whether the content of the ESP comes from a separate tree.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub esp_tree: bool,
    /// Size of the ESP in bytes.
    pub esp_size: Option<u64>,
    /// FAT variant of an ESP or XBOOTLDR partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esp_fat: Option<String>,
    /// FAT sector size of an ESP or XBOOTLDR partition, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esp_sector_size: Option<u32>,
    /// Whether `/boot` is the content of an XBOOTLDR partition.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub xbootldr: bool,
    /// Size of the XBOOTLDR partition in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xbootldr_size: Option<u64>,
    /// Whether there is a BIOS boot partition.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bios_boot: bool,
    /// File system of `/usr`, if it has a partition of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usr: Option<UsrParameters>,
    /// Whether a hash tree protects the root file system, or that of `/usr`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub verity: bool,
    /// Method by which boot files were added, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<&'static str>,
    /// Options of the kernel, instead of those of the tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline: Option<String>,
}

/// Requested parameters of the file system of `/usr`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct UsrParameters {
    /// Format of the file system.
    pub fs: &'static str,
    /// Options of the format.
    #[serde(flatten)]
    pub format: format::Parameters,
}

/// A swap file.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SwapfileRecord {
    /// Path of the file.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
}

impl Parameters {
    /// Creates the parameters of a planned image.
    pub(super) fn new(plan: &Plan) -> Self {
        let request = &plan.request;
        let common = match &request.image {
            ImageRequest::Disk(options) => {
                let image_options::Options { root, size, headroom, label, swapfile, .. } = options;
                Common { format: &**root, size, headroom, label, swapfile }
            }
            ImageRequest::FileSystem(options) => {
                let single_options::Options { format, size, headroom, label, swapfile, .. } =
                    options;
                Common { format: &**format, size, headroom, label, swapfile }
            }
        };
        let disk = match &request.image {
            ImageRequest::Disk(options) => Some(DiskParameters::new(options, plan)),
            ImageRequest::FileSystem(_) => None,
        };
        Self {
            fs: common.format.name(),
            size: *common.size,
            headroom: common.headroom.map(|headroom| match headroom {
                Headroom::Bytes(bytes) => bytes.to_string(),
                Headroom::Percent(percent) => format!("{percent}%"),
            }),
            disk,
            format: common.format.parameters(),
            swapfile: common.swapfile.as_ref().map(SwapfileRecord::new),
            label: common.label.clone(),
            normalize: request.normalize,
            rules: request.rules.clone(),
            exclude: request.exclude.clone(),
            drop_xattr: request.drop_xattr.clone(),
            keep_xattr: request.keep_xattr.clone(),
            hardlinks: request.hard_links.name(),
        }
    }
}

/// Options that images of both kinds have.
struct Common<'a> {
    format: &'a dyn Format,
    size: &'a Option<u64>,
    headroom: &'a Option<Headroom>,
    label: &'a Option<String>,
    swapfile: &'a Option<Swapfile>,
}

impl DiskParameters {
    fn new(options: &image_options::Options, plan: &Plan) -> Self {
        let esp_from = plan.resolved.esp_from.as_ref();
        Self {
            sector_size: options.sector_size.bytes(),
            esp_from: esp_from.map(|path| Escaped(path).to_string()),
            esp_tree: matches!(options.esp, EspSource::Tree(_)),
            esp_size: options.esp_size,
            esp_fat: options.esp_fat.map(|variant| variant.to_string()),
            esp_sector_size: options.esp_sector_size.map(SectorSize::bytes),
            xbootldr: options.has_xbootldr(),
            xbootldr_size: options.xbootldr_size,
            bios_boot: options.bios_boot,
            usr: options
                .usr
                .as_ref()
                .map(|usr| UsrParameters { fs: usr.name(), format: usr.parameters() }),
            verity: options.verity.is_some(),
            boot: (options.boot != BootMethod::None).then(|| options.boot.name()),
            cmdline: options.cmdline.clone(),
        }
    }
}

impl SwapfileRecord {
    fn new(swapfile: &Swapfile) -> Self {
        Self { path: Escaped(&swapfile.path).to_string(), size: swapfile.size }
    }
}
