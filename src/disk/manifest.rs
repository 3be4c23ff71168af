//! What an image is, for programs: a record to be written as JSON.
//!
//! It holds nothing of the host that made it and is the same wherever the image is the same.

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

/// The version of the layout that this crate writes: the same tree, parameters and layout version
/// give the same bytes.
pub const LAYOUT_VERSION: u32 = 1;

/// Everything that is to be said of an image.
#[derive(Debug, Serialize)]
pub struct Manifest {
    /// The version of this crate.
    pub detfs: &'static str,
    /// [`LAYOUT_VERSION`].
    pub layout_version: u32,
    /// What was asked for, and what followed from the tree.
    pub parameters: Resolved,
    /// The size of the image in bytes.
    pub size: u64,
    /// SHA-256 of the image.
    pub sha256: String,
    /// The partition table, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_table: Option<TableRecord>,
    /// The file system, if there is no partition table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystemRecord>,
    /// The rules of normalisation that fired. Times set to the epoch are counted in the parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub normalization: Vec<FiredRecord>,
    /// What was not taken over from the tree as it is.
    pub warnings: Vec<WarningRecord>,
}

/// What an image was asked to be. `None` is the documented default.
#[derive(Debug, Clone, Serialize)]
pub struct Parameters {
    /// The format of the root file system, or of the only one.
    pub fs: &'static str,
    /// The size in bytes of the image.
    pub size: Option<u64>,
    /// The free room, in bytes or with a `%`.
    pub headroom: Option<String>,
    /// The size in bytes that the file system should be able to grow to.
    pub grow_to: Option<u64>,
    /// The number of ext4 inodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    /// Bytes in a sector of the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sector_size: Option<u32>,
    /// The directory of the tree that the content of the ESP is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esp_from: Option<String>,
    /// Whether the content of the ESP is from a tree of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub esp_tree: bool,
    /// The size in bytes of the ESP.
    pub esp_size: Option<u64>,
    /// The variant of the FAT of an ESP or XBOOTLDR partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esp_fat: Option<String>,
    /// Bytes in a sector of the FAT of an ESP or XBOOTLDR partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub esp_sector_size: Option<u32>,
    /// Whether `/boot` is the content of an XBOOTLDR partition.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub xbootldr: bool,
    /// The size in bytes of the XBOOTLDR partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xbootldr_size: Option<u64>,
    /// Whether there is a BIOS boot partition.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bios_boot: bool,
    /// The ext4 profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext4_profile: Option<&'static str>,
    /// Bytes in an ext4 block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext4_block_size: Option<u32>,
    /// What concerns btrfs alone.
    #[serde(flatten)]
    pub btrfs: Option<BtrfsParameters>,
    /// The swap file that was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swapfile: Option<SwapfileRecord>,
    /// The label.
    pub label: Option<String>,
    /// The profile of normalisation, if any.
    pub normalize: Option<&'static str>,
    /// SHA-256 of the file of additional rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    /// Patterns of paths that were left out.
    pub exclude: Vec<String>,
    /// Patterns of extended attributes that were left out.
    pub drop_xattr: Vec<String>,
    /// Patterns of extended attributes that were taken over.
    pub keep_xattr: Vec<String>,
}

/// Programs by the name of the compression that they do, with their versions.
pub(super) type Codecs = BTreeMap<&'static str, &'static str>;

/// What a btrfs was asked to be.
#[derive(Debug, Clone, Serialize)]
pub struct BtrfsParameters {
    /// Which kernels may write to it: `default` or `old`.
    pub btrfs_compat: &'static str,
    /// What it is checksummed with.
    pub btrfs_checksum: &'static str,
    /// Bytes in a tree block.
    pub btrfs_node_size: u32,
    /// How often metadata is stored: `dup` or `single`.
    pub btrfs_metadata: &'static str,
    /// The longest files, in bytes, that are stored in the tree itself.
    pub btrfs_max_inline: u32,
    /// How content is compressed, with the level.
    pub compress: Option<String>,
    /// Patterns of paths that are not compressed.
    pub no_compress: Vec<String>,
    /// Patterns of paths whose content is written in place.
    pub nodatacow: Vec<String>,
    /// What compressed, with its version: other versions make other bytes. Empty if nothing was to
    /// be compressed.
    pub codecs: BTreeMap<&'static str, &'static str>,
    /// Whether equal content is stored once.
    pub dedup: bool,
    /// The subvolumes.
    pub subvolumes: Vec<SubvolumeRecord>,
    /// The subvolume that is mounted where none is asked for.
    pub default_subvolume: Option<String>,
    /// Whether hard links across subvolumes became copies.
    pub copy_links: bool,
}

/// A subvolume.
#[derive(Debug, Clone, Serialize)]
pub struct SubvolumeRecord {
    /// Its path.
    pub path: String,
    /// Whether nothing in it can be changed.
    pub read_only: bool,
    /// Whether content in it is written in place.
    pub nodatacow: bool,
}

/// A swap file.
#[derive(Debug, Clone, Serialize)]
pub struct SwapfileRecord {
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

/// [`Parameters`] with those that may follow from the tree.
#[derive(Debug, Serialize)]
pub struct Resolved {
    /// The seed; `None` if no id was derived.
    pub seed: Option<String>,
    /// `given` or `tree`.
    pub seed_from: Option<&'static str>,
    /// The epoch in seconds.
    pub source_date_epoch: i64,
    /// `given` or `tree`.
    pub source_date_epoch_from: &'static str,
    /// How many inodes of the tree were newer and got this time.
    pub clamped_times: usize,
    /// The architecture, where it matters.
    pub architecture: Option<&'static str>,
    /// `given` or `tree`.
    pub architecture_from: Option<&'static str>,
    /// All others.
    #[serde(flatten)]
    pub asked: Parameters,
}

/// A partition table.
#[derive(Debug, Serialize)]
pub struct TableRecord {
    /// `gpt`.
    pub label: &'static str,
    /// The disk's GUID.
    pub uuid: String,
    /// Bytes in a sector.
    pub sector_size: u32,
    /// The partitions.
    pub partitions: Vec<PartitionRecord>,
}

/// A partition.
#[derive(Debug, Serialize)]
pub struct PartitionRecord {
    /// Its number, from 1.
    pub number: usize,
    /// The canonical name of its type.
    pub name: String,
    /// The GUID of its type.
    #[serde(rename = "type")]
    pub partition_type: String,
    /// Its GUID.
    pub uuid: String,
    /// Its name.
    pub label: String,
    /// Its attribute bits in hexadecimal: as a number they are more than many readers of JSON hold.
    pub attributes: String,
    /// Where it starts, in bytes.
    pub start: u64,
    /// How long it is, in bytes.
    pub size: u64,
    /// SHA-256 of it.
    pub sha256: String,
    /// The file system in it, if it is to have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystemRecord>,
}

/// A file system.
#[derive(Debug, Serialize)]
pub struct FileSystemRecord {
    /// The name that `mount` knows.
    #[serde(rename = "type")]
    pub format: &'static str,
    /// Of a FAT: `FAT12`, `FAT16` or `FAT32`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The id as `blkid` shows it.
    pub uuid: String,
    /// The label.
    pub label: String,
    /// The size in bytes.
    pub size: u64,
}

/// Something that was not taken over as it is.
#[derive(Debug, Serialize)]
pub struct WarningRecord {
    /// The path in the tree, escaped where it is not UTF-8.
    pub path: String,
    /// What was done.
    pub message: String,
}

impl Manifest {
    /// Describes an image.
    ///
    /// # Panics
    /// If there are not as many digests as [`Plan::ranges`].
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

    /// Notes what compressed content.
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
