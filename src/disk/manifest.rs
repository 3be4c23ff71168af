//! Machine-readable description of an image, to be written as JSON.
//!
//! The manifest holds nothing about the host that built the image, so equal images have equal
//! manifests.

use std::iter;

use serde::Serialize;

use super::boot_check::BootVerdict;
use super::layout_version::LayoutVersion;
pub use super::parameters::{DiskParameters, Parameters, SwapfileRecord, UsrParameters};
use super::partition::Partition;
use super::plan::{ImageKind, Plan};
use super::source::{ResolvedInputs, ValueOrigin};
use super::verity::VerityTarget;
use crate::format::FileSystem;
use crate::hex::hex;
use crate::layout::Digest;
use crate::name::Escaped;
use crate::report::FiredRecord;

/// Number of the schema: raised when a field is removed or changes its meaning.
const SCHEMA: u32 = 1;

/// Manifest of an image.
#[derive(Debug, Serialize)]
pub struct Manifest {
    /// Number of the schema.
    pub schema: u32,
    /// Version of this crate.
    pub detfs: &'static str,
    /// Name of the versions of the components.
    pub layout_version: String,
    /// Versions of the components that the image depends on.
    pub components: LayoutVersion,
    /// Requested parameters, and the values derived from the tree.
    pub parameters: Resolved,
    /// Size of the image in bytes.
    pub size: u64,
    /// SHA-256 of the image. `None` if it was only planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Partition table, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_table: Option<TableRecord>,
    /// File system, if there is no partition table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<FileSystemRecord>,
    /// Root hash of the root file system or of `/usr`, if it is protected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verity: Option<VerityRecord>,
    /// Unified kernel image that a hook has built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uki: Option<UkiRecord>,
    /// Whether the disk boots, if there is a partition table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootRecord>,
    /// Normalization rules that fired. The parameters count the times that were clamped to the
    /// epoch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub normalization: Vec<FiredRecord>,
    /// Warnings about parts of the tree that were changed or left out.
    pub warnings: Vec<WarningRecord>,
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
    pub requested: Parameters,
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
    /// SHA-256 of the partition. `None` if it was only planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
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
    /// Variant of the format, such as `FAT32`. `None` if it has only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Id in the form that `blkid` shows.
    pub uuid: Option<String>,
    /// Label.
    pub label: String,
    /// Size in bytes.
    pub size: u64,
    /// Bytes that are in use, as `df` counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
}

/// A hash tree.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct VerityRecord {
    /// File system that is protected, if it is not the root: `usr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<&'static str>,
    /// Root hash in hexadecimal digits.
    pub root_hash: String,
    /// Whether there is a signature partition.
    pub signed: bool,
}

/// A unified kernel image that another program has built.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct UkiRecord {
    /// Path on the boot partition.
    pub path: String,
    /// SHA-256 of the image.
    pub sha256: String,
}

/// Whether a disk boots.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct BootRecord {
    /// Whether the disk boots.
    pub boots: bool,
    /// Architecture of the UEFI firmware that boots the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uefi: Option<&'static str>,
    /// Reason why the disk does not boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
    /// Creates the manifest of a planned image from the digests of [`Plan::ranges`], or without
    /// digests if the image is not written.
    ///
    /// # Panics
    /// If there are digests, but not of each range.
    #[must_use]
    pub fn new(plan: &Plan, digests: &[Digest]) -> Self {
        let has_all = digests.is_empty() || digests.len() == plan.ranges().len();
        assert!(has_all, "every range has a digest");
        let mut digests = digests.iter().map(|digest| Some(*digest)).chain(iter::repeat(None));
        let whole = digests.next().flatten();
        let (partition_table, file_system) = match &plan.product {
            ImageKind::FileSystem(file_system) => (None, Some(file_system.into())),
            ImageKind::Disk(disk) => {
                let partitions = disk.partitions.iter().zip(digests).enumerate();
                let table = TableRecord {
                    label: "gpt",
                    uuid: disk.uuid.to_string(),
                    sector_size: disk.sector_size.bytes(),
                    partitions: partitions
                        .map(|(at, (part, digest))| PartitionRecord::new(at + 1, part, digest))
                        .collect(),
                };
                (Some(table), None)
            }
        };
        let warnings = plan.warnings.iter().map(|warning| WarningRecord {
            path: Escaped(&warning.path).to_string(),
            message: warning.message.clone(),
        });
        let components = LayoutVersion::of(plan);
        Self {
            schema: SCHEMA,
            detfs: env!("CARGO_PKG_VERSION"),
            layout_version: components.to_string(),
            components,
            parameters: Resolved::new(Parameters::new(plan), &plan.resolved),
            size: plan.layout.size(),
            sha256: whole.map(|digest| digest.to_string()),
            partition_table,
            file_system,
            verity: plan.root_hash.map(|root_hash| VerityRecord {
                file_system: (root_hash.target != VerityTarget::Root)
                    .then(|| root_hash.target.name()),
                root_hash: root_hash.to_string(),
                signed: root_hash.is_signed,
            }),
            uki: plan
                .uki
                .as_ref()
                .map(|uki| UkiRecord { path: uki.path.clone(), sha256: hex(&uki.sha256) }),
            boot: plan.boot.as_ref().map(|check| BootRecord::new(&check.verdict)),
            normalization: plan.normalization.fired.iter().map(Into::into).collect(),
            warnings: warnings.collect(),
        }
    }
}

impl PartitionRecord {
    fn new(number: usize, partition: &Partition, digest: Option<Digest>) -> Self {
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
            sha256: digest.map(|digest| digest.to_string()),
            file_system: file_system.as_ref().map(Into::into),
        }
    }
}

impl BootRecord {
    fn new(verdict: &BootVerdict) -> Self {
        match verdict {
            BootVerdict::Uefi(architecture) => {
                Self { boots: true, uefi: Some(architecture.name()), reason: None }
            }
            BootVerdict::No(reason) => {
                Self { boots: false, uefi: None, reason: Some(reason.clone()) }
            }
        }
    }
}

impl From<&FileSystem> for FileSystemRecord {
    fn from(file_system: &FileSystem) -> Self {
        Self {
            format: file_system.format,
            variant: file_system.variant.clone(),
            uuid: file_system.id.clone(),
            label: file_system.label.clone(),
            size: file_system.size,
            used: file_system.used,
        }
    }
}

impl Resolved {
    fn new(requested: Parameters, resolved: &ResolvedInputs) -> Self {
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
            requested,
        }
    }
}
