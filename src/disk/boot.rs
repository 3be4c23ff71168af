//! Boot partitions: directories of the tree that become FAT file systems of their own.
//!
//! An ESP holds the files that firmware reads. An XBOOTLDR partition holds `/boot` if the ESP is
//! mounted elsewhere. The root file system keeps the directories as empty mount points.

use std::sync::Arc;

use uuid::Uuid;

use super::boot_method::BootMethod;
use super::esp::{self, EspDirectory, mount_points};
use super::image_options::Options;
use super::partition::{ALIGNMENT, Identity};
use super::subtree::{USR, empty_tree, is_at_or_below};
use super::usr;
use crate::error::{Error, Result};
use crate::fat::{Variant, Vfat};
use crate::format::{Format, FsInputs, LeaveOut, PlannedFs, PreparedFs};
use crate::gpt::PartitionType;
use crate::name::Escaped;
use crate::report::Warning;
use crate::size::{Headroom, round_up};
use crate::time::Timestamp;
use crate::tree::{HoleScan, InodeId, Tree};

/// Directory that holds the content of XBOOTLDR.
const BOOT: &[u8] = b"boot";

/// A tree divided among the partitions of a disk.
pub(super) struct Divided {
    /// Tree that the running system sees, without the content of the boot partitions.
    pub(super) system: Arc<Tree>,
    pub(super) root: Arc<Tree>,
    /// Tree of `/usr`, if it has a partition of its own.
    pub(super) usr: Option<Arc<Tree>>,
    /// Boot partitions, in disk order.
    pub(super) boot: Vec<BootPartition>,
    /// Directory of the tree that the content of the ESP comes from.
    pub(super) esp_from: Option<Vec<u8>>,
    /// Directories of the root file system that other partitions are mounted at.
    pub(super) mount_points: Vec<Vec<u8>>,
    pub(super) warnings: Vec<Warning>,
}

/// Divides a normalized tree among the partitions.
///
/// `esp` is the directory that the caller chose for the ESP.
pub(super) fn divide(
    mut tree: Tree,
    esp: Option<EspDirectory>,
    epoch: Timestamp,
    options: &Options,
) -> Result<Divided> {
    let (mut warnings, mut boot, mut mount_points) = (Vec::new(), Vec::new(), Vec::new());
    let is_named = esp.is_some();
    let esp = esp.or_else(|| esp::detect(&tree, options.has_xbootldr()));
    let has_boot_files = options.boot != BootMethod::None;
    if let Some(esp) = &esp {
        let left_out;
        (tree, left_out) = without_links(tree, &esp.path)?;
        warnings.extend(left_out);
        let content = esp.content(&tree, epoch)?;
        warnings.extend(left_in_root(&tree, esp, options.has_xbootldr()));
        warnings.extend(empty(&content, is_named && !has_boot_files, esp.shown(), "EFI system"));
        boot.push(BootPartition::esp(content, Some(&esp.path), options));
        tree = esp.unmount(&tree)?;
        mount_points.push(esp.path.clone());
    } else if options.esp_size.is_some() || has_boot_files {
        boot.push(BootPartition::esp(empty_tree(epoch)?, None, options));
    }
    if options.has_xbootldr() {
        let left_out;
        (tree, left_out) = without_links(tree, BOOT)?;
        warnings.extend(left_out);
        let content = match tree.directory(BOOT) {
            Some(directory) => {
                let content = tree.subtree(directory)?;
                tree = tree.with_empty_dirs(&[directory])?;
                content
            }
            None => empty_tree(epoch)?,
        };
        warnings.extend(empty(&content, !has_boot_files, BOOT, "XBOOTLDR"));
        boot.push(BootPartition::xbootldr(content, options));
        mount_points.push(BOOT.to_vec());
    }
    let esp_from = esp.and_then(|esp| esp.from);
    let system = Arc::new(tree);
    let (mut root, mut usr) = (Arc::clone(&system), None);
    if options.usr.is_some() {
        let divided = usr::divide(&system)?;
        warnings.extend(divided.warnings);
        (root, usr) = (Arc::new(divided.root), Some(divided.usr));
        mount_points.push(USR.to_vec());
    }
    Ok(Divided { system, root, usr, boot, esp_from, mount_points, warnings })
}

/// Returns the tree without those symlinks of a future FAT whose targets are in the same directory
/// tree, and a warning for each of them.
fn without_links(tree: Tree, path: &[u8]) -> Result<(Tree, Vec<Warning>)> {
    let Some(directory) = tree.directory(path) else { return Ok((tree, Vec::new())) };
    let leave_out = LeaveOut { locate: &|target| Some(target.to_vec()), all: false };
    Vfat::default().leave_out(tree, directory, &leave_out)
}

/// Returns a warning if a requested partition has no content.
fn empty(content: &Tree, is_requested: bool, path: &[u8], name: &str) -> Option<Warning> {
    let is_empty = content.entries(InodeId::ROOT).is_empty();
    let message = format!("the tree has nothing there, so the {name} partition is empty");
    (is_requested && is_empty).then(|| Warning { path: path.to_vec(), message })
}

/// Returns warnings about other directories that look like the content of an ESP.
fn left_in_root(tree: &Tree, esp: &EspDirectory, has_xbootldr: bool) -> Vec<Warning> {
    let others = mount_points(has_xbootldr).filter(|&place| !is_at_or_below(place, &esp.path));
    let others = others.filter(|&place| esp::holds_files(tree, place));
    let warning = |place: &[u8]| {
        let name = Escaped(place);
        let way = match place == BOOT {
            true => format!("`image.xbootldr` for a partition of its own, or `esp.from` {name}"),
            false => format!("`esp.from` {name} for it"),
        };
        let held = match &esp.from {
            Some(from) => Escaped(from).to_string(),
            None => "another tree".to_owned(),
        };
        let message =
            format!("it stays in the root file system, because the ESP holds {held}; give {way}");
        Warning { path: place.to_vec(), message }
    };
    others.map(warning).collect()
}

/// An ESP or an XBOOTLDR partition.
#[derive(Debug)]
pub(super) struct BootPartition {
    pub(super) partition_type: PartitionType,
    pub(super) tree: Arc<Tree>,
    /// Directory of the whole tree that the content comes from.
    pub(super) place: Option<Vec<u8>>,
    /// Label of the file system.
    label: &'static str,
    /// Requested size in bytes.
    requested: Option<u64>,
    field: &'static str,
}

impl BootPartition {
    fn esp(tree: Tree, place: Option<&[u8]>, options: &Options) -> Self {
        Self {
            partition_type: PartitionType::Esp,
            tree: Arc::new(tree),
            place: place.map(<[u8]>::to_vec),
            label: "ESP",
            requested: options.esp_size,
            field: "esp.size",
        }
    }

    fn xbootldr(tree: Tree, options: &Options) -> Self {
        Self {
            partition_type: PartitionType::Xbootldr,
            tree: Arc::new(tree),
            place: Some(BOOT.to_vec()),
            label: "XBOOTLDR",
            requested: options.xbootldr_size,
            field: "image.xbootldr_size",
        }
    }

    /// Returns the size of the partition in bytes.
    pub(super) fn size(&self, epoch: Timestamp, options: &Options) -> Result<u64> {
        if let Some(size) = self.requested {
            return Ok(round_up(size, ALIGNMENT));
        }
        let file_system = self.file_system(options.esp_fat, Uuid::nil(), epoch, options)?;
        let (variant, sector_size) = (options.esp_fat, sector_size(options));
        Ok(esp::size(file_system.minimal_size()?, variant.is_some(), sector_size))
    }

    /// Returns the file system for the partition's final size.
    pub(super) fn prepare(
        &self,
        identity: &Identity,
        epoch: Timestamp,
        options: &Options,
    ) -> Result<Arc<dyn PreparedFs>> {
        let variant = Some(options.esp_fat.unwrap_or(Variant::Fat32));
        let inner = self.file_system(variant, identity.file_system, epoch, options)?;
        Ok(Arc::new(BootFs { inner, field: self.field }))
    }

    fn file_system(
        &self,
        variant: Option<Variant>,
        uuid: Uuid,
        epoch: Timestamp,
        options: &Options,
    ) -> Result<Box<dyn PreparedFs>> {
        let inputs = FsInputs::new(Arc::clone(&self.tree), HoleScan::default(), uuid);
        let label = Some(self.label.to_owned());
        let sector_size = sector_size(options);
        let vfat = Vfat { variant, ..Vfat::default() };
        vfat.prepare(FsInputs { label, epoch, sector_size, ..inputs })
    }
}

/// Returns the sector size of the boot partitions' file systems, in bytes.
fn sector_size(options: &Options) -> u32 {
    options.esp_sector_size.unwrap_or(options.sector_size).bytes()
}

/// File system of a boot partition, whose errors name the field that sets its size.
struct BootFs {
    inner: Box<dyn PreparedFs>,
    field: &'static str,
}

impl PreparedFs for BootFs {
    fn plan(&self, size: u64, start: u64) -> Result<PlannedFs> {
        self.inner.plan(size, start).map_err(|error| match error {
            Error::TooSmall { detail, needed, available, .. } => {
                let what = format!("`{}`", self.field);
                let needed = round_up(needed, ALIGNMENT);
                Error::TooSmall { what, detail, needed, available }
            }
            Error::Parameter { field: "size", rule, remedy } => Error::Parameter {
                field: self.field,
                rule,
                remedy: format!("{remedy} with `esp.fat`"),
            },
            error => error,
        })
    }

    fn plan_smallest(&self, headroom: Option<Headroom>) -> Result<PlannedFs> {
        self.inner.plan_smallest(headroom)
    }
}
