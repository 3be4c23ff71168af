//! Requested parameters, as the manifest records them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::btrfs::{Btrfs, PathFilter};
use super::codecs::Codecs;
use super::esp::EspSource;
use super::file_system::Ext4;
use super::root::RootFs;
use super::swap::Swapfile;
use super::{image_options, single_options};
use crate::btrfs::{Checksum, Compat, Metadata};
use crate::ext4::Profile;
use crate::gpt::SectorSize;
use crate::name::Escaped;
use crate::size::Headroom;

/// Requested parameters of an image. `None` is the documented default.
#[derive(Debug, Clone, Serialize)]
pub struct Parameters {
    /// Format of the root file system, or of the only file system.
    pub fs: &'static str,
    /// Size of the image in bytes.
    pub size: Option<u64>,
    /// Free space, in bytes or as a percentage with a `%`.
    pub headroom: Option<String>,
    /// Size in bytes that the file system should be able to grow to.
    pub grow_to: Option<u64>,
    /// Number of ext4 inodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    /// Sector size of the disk, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_size: Option<u32>,
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
    /// The ext4 profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext4_profile: Option<&'static str>,
    /// The ext4 block size, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext4_block_size: Option<u32>,
    /// Parameters that apply only to btrfs.
    #[serde(flatten)]
    pub btrfs: Option<BtrfsParameters>,
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
}

/// Requested parameters of a btrfs.
#[derive(Debug, Clone, Serialize)]
pub struct BtrfsParameters {
    /// Kernels that may write to the file system: `default` or `old`.
    pub btrfs_compat: &'static str,
    /// Checksum algorithm.
    pub btrfs_checksum: &'static str,
    /// Size of a tree block in bytes.
    pub btrfs_node_size: u32,
    /// Number of copies of the metadata: `dup` or `single`.
    pub btrfs_metadata: &'static str,
    /// Largest size in bytes of a file that is stored inline in the tree.
    pub btrfs_max_inline: u32,
    /// Compression, with its level.
    pub compress: Option<String>,
    /// Patterns of paths that are not compressed.
    pub no_compress: Vec<String>,
    /// Patterns of paths whose content is written in place.
    pub nodatacow: Vec<String>,
    /// Programs that compressed content, with their versions: other versions produce other bytes.
    /// Empty if nothing was to be compressed.
    pub codecs: BTreeMap<&'static str, &'static str>,
    /// Whether equal content is stored only once.
    pub dedup: bool,
    /// Subvolumes.
    pub subvolumes: Vec<SubvolumeRecord>,
    /// Subvolume that is mounted by default.
    pub default_subvolume: Option<String>,
    /// Whether hard links across subvolumes became copies.
    pub copy_links: bool,
}

/// A subvolume.
#[derive(Debug, Clone, Serialize)]
pub struct SubvolumeRecord {
    /// Path of the subvolume.
    pub path: String,
    /// Whether the subvolume is read-only.
    pub read_only: bool,
    /// Whether its content is written in place.
    pub nodatacow: bool,
}

/// A swap file.
#[derive(Debug, Clone, Serialize)]
pub struct SwapfileRecord {
    /// Path of the file.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
}

impl Parameters {
    fn of_ext4(ext4: &Ext4) -> Self {
        let profile = match ext4.profile {
            Profile::Default => "default",
            Profile::Modern => "modern",
            Profile::Boot => "boot",
            Profile::Ro => "ro",
        };
        Self {
            fs: "ext4",
            size: None,
            headroom: headroom(ext4.headroom),
            grow_to: ext4.grow_to,
            inodes: ext4.inodes,
            sector_size: None,
            esp_from: None,
            esp_tree: false,
            esp_size: None,
            esp_fat: None,
            esp_sector_size: None,
            xbootldr: false,
            xbootldr_size: None,
            bios_boot: false,
            ext4_profile: Some(profile),
            ext4_block_size: Some(ext4.block_size),
            btrfs: None,
            swapfile: ext4.swapfile.as_ref().map(SwapfileRecord::new),
            label: ext4.label.clone(),
            normalize: None,
            rules: None,
            exclude: Vec::new(),
            drop_xattr: Vec::new(),
            keep_xattr: Vec::new(),
        }
    }

    fn of_btrfs(btrfs: &Btrfs) -> Self {
        Self {
            fs: "btrfs",
            headroom: headroom(btrfs.headroom),
            ext4_profile: None,
            ext4_block_size: None,
            btrfs: Some(BtrfsParameters::new(btrfs)),
            swapfile: btrfs.swapfile.as_ref().map(SwapfileRecord::new),
            label: btrfs.label.clone(),
            ..Self::of_ext4(&Ext4::default())
        }
    }

    /// Records the programs that compressed content.
    pub(super) fn compressed_by(&mut self, codecs: Codecs) {
        if let Some(btrfs) = &mut self.btrfs {
            btrfs.codecs = codecs;
        }
    }

    pub(super) fn of_image(options: &image_options::Options) -> Self {
        let root = match &options.root {
            RootFs::Ext4(ext4) => Self::of_ext4(ext4),
            RootFs::Btrfs(btrfs) => Self::of_btrfs(btrfs),
        };
        Self {
            size: options.size,
            sector_size: Some(options.sector_size.bytes()),
            esp_tree: matches!(options.esp, EspSource::Tree(_)),
            esp_size: options.esp_size,
            esp_fat: options.esp_fat.map(|variant| variant.to_string()),
            esp_sector_size: options.esp_sector_size.map(SectorSize::bytes),
            xbootldr: options.has_xbootldr(),
            xbootldr_size: options.xbootldr_size,
            bios_boot: options.bios_boot,
            ..root
        }
    }

    pub(super) fn of_file_system(options: &single_options::Options) -> Self {
        let asked = match &options.file_system {
            single_options::FileSystem::Ext4(ext4) => Self::of_ext4(ext4),
            single_options::FileSystem::Btrfs(btrfs) => Self::of_btrfs(btrfs),
            single_options::FileSystem::Vfat { vfat, headroom: available } => Self {
                fs: "vfat",
                headroom: headroom(*available),
                sector_size: Some(vfat.sector_size),
                ext4_profile: None,
                ext4_block_size: None,
                label: vfat.label.clone(),
                ..Self::of_ext4(&Ext4::default())
            },
        };
        Self { size: options.size, ..asked }
    }
}

fn headroom(headroom: Option<Headroom>) -> Option<String> {
    headroom.map(|headroom| match headroom {
        Headroom::Bytes(bytes) => bytes.to_string(),
        Headroom::Percent(percent) => format!("{percent}%"),
    })
}

impl BtrfsParameters {
    fn new(btrfs: &Btrfs) -> Self {
        let shown = |path: &Vec<u8>| Escaped(path).to_string();
        let subvolumes = btrfs.subvolumes.iter().map(|subvolume| SubvolumeRecord {
            path: shown(&subvolume.path),
            read_only: subvolume.read_only,
            nodatacow: subvolume.nodatacow,
        });
        let patterns =
            |filter: Option<&PathFilter>| filter.map_or_else(Vec::new, |f| f.patterns().to_vec());
        Self {
            btrfs_compat: match btrfs.compat {
                Compat::Default => "default",
                Compat::Old => "old",
            },
            btrfs_checksum: match btrfs.checksum {
                Checksum::Crc32c => "crc32c",
                Checksum::Xxhash => "xxhash",
                Checksum::Sha256 => "sha256",
                Checksum::Blake2b => "blake2b",
            },
            btrfs_node_size: btrfs.node_size,
            btrfs_metadata: match btrfs.metadata {
                Metadata::Dup => "dup",
                Metadata::Single => "single",
            },
            btrfs_max_inline: btrfs.max_inline,
            compress: btrfs.compression.map(|compression| compression.to_string()),
            no_compress: patterns(btrfs.uncompressed.as_ref()),
            nodatacow: patterns(btrfs.nodatacow.as_ref()),
            codecs: Codecs::new(),
            dedup: btrfs.dedup,
            subvolumes: subvolumes.collect(),
            default_subvolume: btrfs.default_subvolume.as_ref().map(shown),
            copy_links: btrfs.copy_links,
        }
    }
}

impl SwapfileRecord {
    fn new(swapfile: &Swapfile) -> Self {
        Self { path: Escaped(&swapfile.path).to_string(), size: swapfile.size }
    }
}
