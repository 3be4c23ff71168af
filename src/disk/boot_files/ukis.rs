//! Unified kernel images of a tree.

use super::content::is_same;
use super::os_release::is_name;
use crate::disk::uefi::{Firmware, Pe, find};
use crate::error::Result;
use crate::tree::{InodeId, Kind, Tree};

/// Directories in which unified kernel images are built for the boot partitions.
const PLACES: [&str; 3] = ["efi/EFI/Linux", "boot/EFI/Linux", "boot/efi/EFI/Linux"];

/// A unified kernel image.
#[derive(Debug)]
pub(super) struct Uki<'a> {
    pub(super) tree: &'a Tree,
    pub(super) file: InodeId,
    /// Name in `EFI/Linux`.
    name: String,
    /// Version of the kernel, if the image has it.
    pub(super) version: Option<String>,
}

impl Uki<'_> {
    /// Returns the path on a boot partition.
    pub(super) fn path(&self) -> String {
        format!("EFI/Linux/{}", self.name)
    }
}

/// Finds the unified kernel images of a tree, each once.
///
/// One that is packaged with the modules of its kernel gets the name that `kernel-install` would
/// give it, which begins with `token`.
pub(super) fn find_ukis<'a>(
    tree: &'a Tree,
    firmware: &Firmware,
    token: &str,
) -> Result<Vec<Uki<'a>>> {
    let mut candidates = Vec::new();
    for place in PLACES {
        let directory = find(tree, place.as_bytes());
        for entry in directory.into_iter().flat_map(|directory| tree.entries(directory)) {
            if let Some(name) = efi_name(tree.name(entry)) {
                candidates.push((entry.inode(), name.to_owned()));
            }
        }
    }
    let modules = tree.resolve(b"usr/lib/modules");
    for version in modules.into_iter().flat_map(|modules| tree.entries(modules)) {
        let Ok(name) = std::str::from_utf8(tree.name(version)) else { continue };
        for entry in tree.entries(version.inode()) {
            if efi_name(tree.name(entry)).is_some() {
                candidates.push((entry.inode(), format!("{token}-{name}.efi")));
            }
        }
    }
    let mut ukis: Vec<Uki<'_>> = Vec::new();
    'candidates: for (file, name) in candidates {
        let Kind::File { .. } = tree.inode(file).kind else { continue };
        let Some(program) = Pe::read(tree, file)? else { continue };
        if !program.is_uki() || !firmware.runs(&program) {
            continue;
        }
        for other in &ukis {
            if is_same(tree, other.file, tree, file)? {
                continue 'candidates;
            }
        }
        let version = program.text(tree, file, ".uname")?;
        ukis.push(Uki { tree, file, name, version });
    }
    Ok(ukis)
}

/// Returns a unified kernel image that a hook has built, with the name that `kernel-install` would
/// give it.
pub(super) fn built_uki<'a>(tree: &'a Tree, file: InodeId, token: &str) -> Result<Uki<'a>> {
    let program = Pe::read(tree, file)?;
    let version = program.map(|program| program.text(tree, file, ".uname")).transpose()?.flatten();
    let version = version.filter(|version| is_name(version));
    let name = match &version {
        Some(version) => format!("{token}-{version}.efi"),
        None => format!("{token}.efi"),
    };
    Ok(Uki { tree, file, name, version })
}

/// Returns a name that ends with `.efi`, in any case.
fn efi_name(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    let (_, extension) = name.rsplit_once('.')?;
    extension.eq_ignore_ascii_case("efi").then_some(name)
}
