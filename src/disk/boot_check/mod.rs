//! Whether a disk boots, as far as its trees and ids show.

mod ids;
mod references;
mod systemd_boot;
#[cfg(test)]
mod tests;
mod without_esp;

use std::fmt;
use std::sync::Arc;

use self::ids::{DiskIds, NOWHERE};
use self::references::{in_fstab, in_grub_cfg};
use self::systemd_boot::{Menu, program_problem};
use self::without_esp::without_esp;
use super::boot::BootPartition;
use super::partition::Disk;
use super::uefi::{Firmware, Pe, find, text};
use crate::error::Result;
use crate::gpt::{Architecture, PartitionType};
use crate::name::Printable;
use crate::report::Warning;
use crate::tree::{InodeId, Kind, Tree};

/// Whether a disk boots, as far as can be seen without booting it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BootCheck {
    /// Whether the disk boots.
    pub verdict: BootVerdict,
    /// Warnings about what may keep the disk from booting, which
    /// [`Plan::warnings`](super::Plan::warnings) contains too.
    pub warnings: Vec<Warning>,
}

/// Whether a disk boots.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootVerdict {
    /// UEFI firmware of this architecture finds a boot loader, and the boot loader a kernel where
    /// that can be checked.
    Uefi(Architecture),
    /// The disk does not boot, for this reason.
    No(String),
}

impl fmt::Display for BootVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uefi(architecture) => write!(f, "UEFI {architecture}"),
            Self::No(reason) => write!(f, "no: {reason}"),
        }
    }
}

/// Trees of the partitions of a disk.
pub(super) struct Trees {
    root: Arc<Tree>,
    esp: Option<Arc<Tree>>,
    xbootldr: Option<Arc<Tree>>,
}

impl Trees {
    /// `root` is the root as the running system sees it.
    pub(super) fn new(root: &Arc<Tree>, partitions: &[BootPartition]) -> Self {
        let of_type = |partition_type| {
            let mut found = partitions.iter().filter(|part| part.partition_type == partition_type);
            found.next().map(|partition| Arc::clone(&partition.tree))
        };
        Self {
            root: Arc::clone(root),
            esp: of_type(PartitionType::Esp),
            xbootldr: of_type(PartitionType::Xbootldr),
        }
    }

    /// Checks whether a disk with these trees boots.
    pub(super) fn check(&self, disk: &Disk, architecture: Architecture) -> Result<BootCheck> {
        let ids = DiskIds::new(disk);
        let mut warnings = Vec::new();
        let verdict = match (Firmware::of(architecture), &self.esp) {
            (None, _) => BootVerdict::No(format!("there is no UEFI firmware for {architecture}")),
            (Some(firmware), Some(esp)) => {
                match self.uefi_problem(esp, firmware, &ids, &mut warnings)? {
                    Some(reason) => BootVerdict::No(reason),
                    None => BootVerdict::Uefi(architecture),
                }
            }
            (Some(_), None) => {
                let mut types = disk.partitions.iter().map(|part| part.identity.partition_type);
                BootVerdict::No(
                    match types.any(|kind| kind == PartitionType::BiosBoot) {
                        true => "a boot loader is still to be installed in the BIOS boot partition",
                        false => {
                            warnings.extend(without_esp(&self.root, self.xbootldr.is_some()));
                            "there is no EFI system partition"
                        }
                    }
                    .to_owned(),
                )
            }
        };
        self.find_references(&ids, &mut warnings)?;
        Ok(BootCheck { verdict, warnings })
    }

    /// Returns why firmware would boot nothing from the ESP, if so.
    fn uefi_problem(
        &self,
        esp: &Tree,
        firmware: &Firmware,
        ids: &DiskIds,
        warnings: &mut Vec<Warning>,
    ) -> Result<Option<String>> {
        let partitions: Vec<_> = self.esp.iter().chain(&self.xbootldr).cloned().collect();
        let menu = Menu::read(&partitions, firmware, ids)?;
        warnings.extend(menu.problems.iter().cloned());
        let path = firmware.removable_path();
        let Some(file) = find(esp, path.as_bytes()) else {
            let reason = format!("the EFI system partition has no {path}");
            if esp.holds_files(InodeId::ROOT) {
                let message = format!("no {path}, the only program that firmware starts by itself");
                warnings.push(Warning { path: esp.path(InodeId::ROOT), message });
            }
            return Ok(Some(reason));
        };
        if let Some(problem) = program_problem(esp, file, firmware, ids)? {
            warnings.push(Warning { path: esp.path(file), message: problem.clone() });
            return Ok(Some(format!("{path}: {problem}")));
        }
        let program = Pe::read(esp, file)?;
        let magic = program.map(|program| program.text(esp, file, ".sdmagic")).transpose()?;
        if !magic.flatten().is_some_and(|text| text.contains("systemd-boot")) {
            return Ok(None);
        }
        warnings.extend(menu.missing_default(esp)?);
        Ok(match (menu.is_bootable, menu.problems.first()) {
            (true, _) => None,
            (false, Some(problem)) => {
                Some(format!("nothing that systemd-boot finds boots: {problem}"))
            }
            (false, None) => {
                let rule = "there is neither an entry nor a unified kernel image for systemd-boot";
                warnings.push(Warning { path: esp.path(file), message: rule.to_owned() });
                Some(rule.to_owned())
            }
        })
    }

    /// Adds warnings about references to devices that are not on the disk.
    fn find_references(&self, ids: &DiskIds, warnings: &mut Vec<Warning>) -> Result<()> {
        if let Some(file) = self.root.resolve(b"etc/fstab")
            && let Some(text) = text(&self.root, file)?
        {
            for (device, place) in in_fstab(&text, ids) {
                let (device, place) = (Printable(device), Printable(place));
                let message = format!("{device}, for {place}, {NOWHERE}");
                warnings.push(Warning { path: self.root.path(file), message });
            }
        }
        for tree in [&self.root].into_iter().chain(&self.esp).chain(&self.xbootldr) {
            for file in grub_cfgs(tree) {
                let Some(text) = text(tree, file)? else { continue };
                for (reference, rule) in in_grub_cfg(&text, ids) {
                    let message = format!("{} {rule}", Printable(&reference));
                    warnings.push(Warning { path: tree.path(file), message });
                }
            }
        }
        Ok(())
    }
}

/// Returns the configurations of GRUB in a tree: below `EFI` and where GRUB itself is installed.
fn grub_cfgs(tree: &Tree) -> Vec<InodeId> {
    let vendors = find(tree, b"EFI");
    let vendors = vendors.into_iter().flat_map(|directory| tree.entries(directory));
    let of_vendors = vendors.filter_map(|vendor| tree.child(vendor.inode(), b"grub.cfg"));
    let places = ["boot/grub", "boot/grub2", "grub", "grub2"];
    let places =
        places.iter().filter_map(|place| find(tree, format!("{place}/grub.cfg").as_bytes()));
    let is_file = |&id: &InodeId| matches!(tree.inode(id).kind, Kind::File { .. });
    of_vendors.chain(places).filter(is_file).collect()
}
