//! Machine-readable description of an image, to be written as JSON.
//!
//! The manifest holds nothing about the host that built the image, so equal images have equal
//! manifests.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Btrfs, Ext4, FileSystem, ImageKind, Partition, PathFilter, Plan, ResolvedInputs, RootFs,
    Swapfile, ValueOrigin, image, single,
};
use crate::btrfs::{Checksum, Compat, Metadata};
use crate::ext4::Profile;
use crate::gpt::SectorSize;
use crate::layout::Digest;
use crate::name::Escaped;
use crate::normalize::FiredRecord;
use crate::size::Headroom;

/// Version of the layout that this crate writes: the same tree, parameters and layout version
/// result in the same bytes.
pub const LAYOUT_VERSION: u32 = 1;

/// Manifest of an image.
#[derive(Debug, Serialize)]
pub struct Manifest {
    /// Version of this crate.
    pub detfs: &'static str,
    /// [`LAYOUT_VERSION`].
    pub layout_version: u32,
    /// Requested parameters, and the values derived from the tree.
    pub parameters: Resolved,
    /// Size of the image in bytes.
    pub size: u64,
    /// SHA-256 of the image.
    pub sha256: String,
    /// Partition table, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_table: Option<TableRecord>,
    /// File system, if there is no partition table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystemRecord>,
    /// Normalization rules that fired. The parameters count the times that were clamped to the
    /// epoch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub normalization: Vec<FiredRecord>,
    /// Warnings about parts of the tree that were changed or left out.
    pub warnings: Vec<WarningRecord>,
}

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

/// Versions of the programs that compress, keyed by the name of the compression.
pub(super) type Codecs = BTreeMap<&'static str, &'static str>;

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

/// [`Parameters`] together with the values that may be derived from the tree.
#[derive(Debug, Serialize)]
pub struct Resolved {
    /// Seed. `None` if no id was derived.
    pub seed: Option<String>,
    /// Origin of the seed: `given` or `tree`.
    pub seed_from: Option<&'static str>,
    /// Epoch in seconds.
    pub source_date_epoch: i64,
    /// Origin of the epoch: `given` or `tree`.
    pub source_date_epoch_from: &'static str,
    /// Number of inodes of the tree whose times were later and were clamped to the epoch.
    pub clamped_times: usize,
    /// Architecture, if the image depends on it.
    pub architecture: Option<&'static str>,
    /// Origin of the architecture: `given` or `tree`.
    pub architecture_from: Option<&'static str>,
    /// All other parameters.
    #[serde(flatten)]
    pub asked: Parameters,
}

/// A partition table.
#[derive(Debug, Serialize)]
pub struct TableRecord {
    /// Type of the table: `gpt`.
    pub label: &'static str,
    /// GUID of the disk.
    pub uuid: String,
    /// Sector size in bytes.
    pub sector_size: u32,
    /// Partitions, ordered by number.
    pub partitions: Vec<PartitionRecord>,
}

/// A partition.
#[derive(Debug, Serialize)]
pub struct PartitionRecord {
    /// Partition number, from 1.
    pub number: usize,
    /// Canonical name of the partition type.
    pub name: String,
    /// GUID of the partition type.
    #[serde(rename = "type")]
    pub partition_type: String,
    /// GUID of the partition.
    pub uuid: String,
    /// Name of the partition.
    pub label: String,
    /// Attribute bits in hexadecimal, because as a number they exceed what many JSON parsers can
    /// hold.
    pub attributes: String,
    /// Start in bytes.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the partition.
    pub sha256: String,
    /// File system in the partition, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystemRecord>,
}

/// A file system.
#[derive(Debug, Serialize)]
pub struct FileSystemRecord {
    /// Name by which `mount` knows the format.
    #[serde(rename = "type")]
    pub format: &'static str,
    /// FAT variant: `FAT12`, `FAT16` or `FAT32`. `None` for other formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Id in the form that `blkid` shows.
    pub uuid: String,
    /// Label.
    pub label: String,
    /// Size in bytes.
    pub size: u64,
}

/// A warning about something that was changed or left out.
#[derive(Debug, Serialize)]
pub struct WarningRecord {
    /// Path in the tree, escaped where it is not UTF-8.
    pub path: String,
    /// Description of the change.
    pub message: String,
}

impl Manifest {
    /// Creates the manifest of a planned image.
    ///
    /// # Panics
    /// If the number of digests differs from that of [`Plan::ranges`].
    #[must_use]
    pub fn new(plan: &Plan, digests: &[Digest]) -> Self {
        let (whole, parts) = digests.split_first().expect("the image has a digest");
        let (partition_table, file_system) = match &plan.product {
            ImageKind::FileSystem(file_system) => (None, Some(file_system.into())),
            ImageKind::Disk(disk) => {
                assert_eq!(disk.partitions.len(), parts.len(), "every partition has a digest");
                let partitions = disk.partitions.iter().zip(parts).enumerate();
                let table = TableRecord {
                    label: "gpt",
                    uuid: disk.uuid.to_string(),
                    sector_size: disk.sector_size.bytes(),
                    partitions: partitions
                        .map(|(at, (part, digest))| PartitionRecord::new(at + 1, part, *digest))
                        .collect(),
                };
                (Some(table), None)
            }
        };
        let warnings = plan.warnings.iter().map(|warning| WarningRecord {
            path: Escaped(&warning.path).to_string(),
            message: warning.message.clone(),
        });
        Self {
            detfs: env!("CARGO_PKG_VERSION"),
            layout_version: LAYOUT_VERSION,
            parameters: Resolved::new(plan.parameters.clone(), &plan.resolved),
            size: plan.layout.size(),
            sha256: whole.to_string(),
            partition_table,
            file_system,
            normalization: plan.normalization.fired.iter().map(Into::into).collect(),
            warnings: warnings.collect(),
        }
    }
}

impl PartitionRecord {
    fn new(number: usize, partition: &Partition, digest: Digest) -> Self {
        let Partition { identity, start, size, file_system } = partition;
        Self {
            number,
            name: identity.partition_type.name(),
            partition_type: identity.partition_type.guid().to_string(),
            uuid: identity.uuid.to_string(),
            label: identity.label.clone(),
            attributes: format!("{:#018x}", identity.attributes.bits()),
            start: *start,
            size: *size,
            sha256: digest.to_string(),
            file_system: file_system.as_ref().map(Into::into),
        }
    }
}

impl From<&FileSystem> for FileSystemRecord {
    fn from(file_system: &FileSystem) -> Self {
        Self {
            format: file_system.format.name(),
            variant: file_system.variant.map(|variant| variant.to_string()),
            uuid: file_system.id(),
            label: file_system.label.clone(),
            size: file_system.size,
        }
    }
}

impl Resolved {
    fn new(asked: Parameters, resolved: &ResolvedInputs) -> Self {
        let from = |origin| match origin {
            ValueOrigin::Given => "given",
            ValueOrigin::Tree => "tree",
        };
        Self {
            seed: resolved.seed.map(|(seed, _)| seed.0.to_string()),
            seed_from: resolved.seed.map(|(_, origin)| from(origin)),
            source_date_epoch: resolved.epoch.0.seconds,
            source_date_epoch_from: from(resolved.epoch.1),
            clamped_times: resolved.clamped,
            architecture: resolved.architecture.map(|(architecture, _)| architecture.name()),
            architecture_from: resolved.architecture.map(|(_, origin)| from(origin)),
            asked,
        }
    }
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

    pub(super) fn of_image(options: &image::Options) -> Self {
        let root = match &options.root {
            RootFs::Ext4(ext4) => Self::of_ext4(ext4),
            RootFs::Btrfs(btrfs) => Self::of_btrfs(btrfs),
        };
        Self {
            size: options.size,
            sector_size: Some(options.sector_size.bytes()),
            esp_tree: matches!(options.esp, image::EspSource::Tree(_)),
            esp_size: options.esp_size,
            esp_fat: options.esp_fat.map(|variant| variant.to_string()),
            esp_sector_size: options.esp_sector_size.map(SectorSize::bytes),
            xbootldr: options.has_xbootldr(),
            xbootldr_size: options.xbootldr_size,
            bios_boot: options.bios_boot,
            ..root
        }
    }

    pub(super) fn of_file_system(options: &single::Options) -> Self {
        let asked = match &options.file_system {
            single::FileSystem::Ext4(ext4) => Self::of_ext4(ext4),
            single::FileSystem::Btrfs(btrfs) => Self::of_btrfs(btrfs),
            single::FileSystem::Vfat { vfat, headroom: room } => Self {
                fs: "vfat",
                headroom: headroom(*room),
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
