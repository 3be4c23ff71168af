//! Boot loader, kernels and entries that are copied to the boot partitions.
//!
//! They are files of the tree, or follow from it: nothing depends on a random seed, a machine id or
//! variables of the firmware. The root file system keeps its content.

mod additions;
mod command_line;
mod content;
mod kernels;
mod os_release;
#[cfg(test)]
mod tests;
mod ukis;

use std::sync::Arc;

use self::additions::Additions;
pub(super) use self::command_line::RootDevice;
use self::command_line::options;
use self::kernels::{Kernel, Kernels, microcode};
use self::os_release::{OsRelease, is_name};
use self::ukis::{Uki, built_uki, find_ukis};
use super::boot::BootPartition;
use super::boot_method::BootMethod;
use super::uefi::{Entry, Firmware, Pe, find, text};
use super::uki_hook::HookUki;
use crate::error::{Error, Result};
use crate::gpt::Architecture;
use crate::name::Escaped;
use crate::report::Warning;
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

/// Directory of systemd-boot's programs in a tree.
const SYSTEMD_BOOT: &str = "usr/lib/systemd/boot/efi";

/// Configuration of the boot loader, as `bootctl install` writes it.
const LOADER_CONF: &str = "#timeout 3\n#console-mode keep\n";

/// Files that are requested for the boot partitions.
#[derive(Clone, Copy)]
pub(super) struct BootFiles<'a> {
    /// Whole tree, before it was divided among the partitions.
    pub(super) tree: &'a Tree,
    pub(super) method: BootMethod,
    /// Options of the kernel, instead of those of the tree.
    pub(super) command_line: Option<&'a str>,
    pub(super) architecture: Architecture,
    pub(super) epoch: Timestamp,
    pub(super) root: RootDevice,
    /// Unified kernel image that a hook has built, instead of those of the tree.
    pub(super) built: Option<&'a HookUki>,
}

impl<'a> BootFiles<'a> {
    /// Adds the files to the boot partitions: an ESP, and XBOOTLDR if there is one.
    ///
    /// # Errors
    /// [`Error::Unbootable`] if the tree does not have what is needed, and
    /// [`Error::Unrepresentable`] if another file is in the way.
    pub(super) fn add_to(&self, partitions: &mut [BootPartition]) -> Result<Vec<Warning>> {
        let trees: Vec<_> =
            partitions.iter().map(|partition| Arc::clone(&partition.tree)).collect();
        let mut additions: Vec<_> =
            trees.iter().map(|tree| Additions::new(tree, self.tree)).collect();
        let firmware = Firmware::of(self.architecture).ok_or_else(|| {
            let rule = format!("there is no UEFI firmware for {}", self.architecture);
            Error::parameter("boot.method", rule, "leave it out")
        })?;
        let warnings = match self.method {
            BootMethod::None => Vec::new(),
            BootMethod::SystemdBoot => self.systemd_boot(firmware, partitions, &mut additions)?,
            BootMethod::Uki => self.uki(firmware, &mut additions)?,
        };
        for (partition, additions) in partitions.iter_mut().zip(additions) {
            partition.tree = Arc::new(additions.apply(self.epoch)?);
        }
        Ok(warnings)
    }

    /// Returns the path on its boot partition of the image that a hook has built.
    pub(super) fn built_path(&self) -> Result<Option<String>> {
        let Some(HookUki { tree, file, .. }) = self.built else { return Ok(None) };
        Ok(Some(built_uki(tree, *file, &self.token()?)?.path()))
    }

    /// Returns the unified kernel images to add.
    fn ukis(&self, firmware: &Firmware, token: &str) -> Result<Vec<Uki<'a>>> {
        match self.built {
            Some(HookUki { tree, file, .. }) => Ok(vec![built_uki(tree, *file, token)?]),
            None => find_ukis(self.tree, firmware, token),
        }
    }

    /// Adds systemd-boot with everything that it can boot.
    fn systemd_boot<'b>(
        &'b self,
        firmware: &Firmware,
        partitions: &[BootPartition],
        additions: &mut [Additions<'b>],
    ) -> Result<Vec<Warning>> {
        let loader = self.loader(firmware)?;
        let token = self.token()?;
        let ukis = self.ukis(firmware, &token)?;
        let Kernels { kernels, unsuitable } = Kernels::find(self.tree, firmware)?;
        let entries = entry_versions(partitions)?;
        if ukis.is_empty() && kernels.is_empty() && entries.is_empty() {
            return Err(no_kernel(&unsuitable));
        }
        let esp = additions.first_mut().expect("there is an ESP");
        esp.copy(&format!("EFI/systemd/{}", firmware.systemd_boot()), loader)?;
        esp.copy(&firmware.removable_path(), loader)?;
        esp.text("loader/loader.conf", LOADER_CONF.to_owned());

        // The specification calls this partition $BOOT.
        let (boot, target) = partitions.iter().zip(additions).last().expect("there is an ESP");
        target.text("loader/entries.srel", "type1\n".to_owned());
        let is_there = |uki: &&Uki<'_>| {
            let is_of_tree = self.built.is_none();
            is_of_tree && partitions.iter().any(|part| self.path_on(part, uki.file).is_some())
        };
        for uki in ukis.iter().filter(|uki| !is_there(uki)) {
            target.copy_from(uki.tree, &uki.path(), uki.file)?;
        }
        let is_bootable = |kernel: &&Kernel| {
            let is_version = |version: &String| *version == kernel.version;
            let mut of_ukis = ukis.iter().filter_map(|uki| uki.version.as_ref());
            !of_ukis.any(is_version) && !entries.iter().any(is_version)
        };
        let kernels: Vec<_> = kernels.iter().filter(is_bootable).collect();
        let mut warnings = Vec::new();
        if kernels.is_empty() && self.command_line.is_some() {
            let message = "`boot.cmdline` has no effect, because every kernel has an entry or a \
                           unified kernel image already";
            warnings.push(Warning { path: Vec::new(), message: message.into() });
        }
        if !kernels.is_empty() {
            let (options, warning) = options(self.tree, self.command_line, self.root)?;
            warnings.extend(warning);
            let system = OsRelease::read(self.tree)?;
            for kernel in kernels {
                warnings.extend(self.without_initrd(kernel));
                let files = self.copy_kernel(kernel, &token, boot, target)?;
                let text = entry(&system, kernel, &options, &files);
                target.text(&format!("loader/entries/{token}-{}.conf", kernel.version), text);
            }
        }
        Ok(warnings)
    }

    /// Adds the only unified kernel image as the program that firmware starts.
    fn uki<'b>(
        &'b self,
        firmware: &Firmware,
        additions: &mut [Additions<'b>],
    ) -> Result<Vec<Warning>> {
        let ukis = self.ukis(firmware, &self.token()?)?;
        match &*ukis {
            [] => Err(Error::Unbootable {
                reason: format!(
                    "the tree has no unified kernel image for {} in EFI/Linux of efi, boot or \
                     boot/efi, or in usr/lib/modules",
                    self.architecture
                ),
                remedy: "build one, for example with ukify (Debian: systemd-ukify) or mkinitcpio \
                         (Arch Linux), or give `boot.method=systemd-boot`"
                    .to_owned(),
            }),
            [uki] => {
                let esp = additions.first_mut().expect("there is an ESP");
                esp.copy_from(uki.tree, &firmware.removable_path(), uki.file)?;
                if self.built.is_some() {
                    esp.copy_from(uki.tree, &uki.path(), uki.file)?;
                }
                Ok(Vec::new())
            }
            several => {
                let path = |uki: &Uki<'_>| Escaped(&self.tree.path(uki.file)).to_string();
                let paths: Vec<_> = several.iter().map(path).collect();
                Err(Error::parameter(
                    "boot.method",
                    format!(
                        "firmware starts one unified kernel image, and the tree has {}",
                        paths.join(", ")
                    ),
                    "give `boot.method=systemd-boot`, or leave all but one out with `tree.exclude`",
                ))
            }
        }
    }

    /// Finds systemd-boot's program; a signed one is preferred.
    fn loader(&self, firmware: &Firmware) -> Result<InodeId> {
        let path = format!("{SYSTEMD_BOOT}/{}", firmware.systemd_boot());
        let found = [format!("{path}.signed"), path.clone()];
        for found in found.iter().filter_map(|path| self.tree.resolve(path.as_bytes())) {
            let is_file = matches!(self.tree.inode(found).kind, Kind::File { .. });
            let program = if is_file { Pe::read(self.tree, found)? } else { None };
            if program.is_some_and(|program| firmware.runs(&program)) {
                return Ok(found);
            }
        }
        Err(Error::Unbootable {
            reason: format!("the tree has no {path} that firmware can start"),
            remedy: "install systemd-boot (Debian: systemd-boot or systemd-boot-efi, Fedora: \
                     systemd-boot-unsigned, openSUSE: systemd-boot, Arch Linux: systemd) in the \
                     tree"
                .to_owned(),
        })
    }

    /// Returns the name that the files of this system have on a boot partition, as `bootctl` and
    /// `kernel-install` choose it for a system without a machine id.
    fn token(&self) -> Result<String> {
        let file = self.tree.resolve(b"etc/kernel/entry-token");
        let token = file.map(|file| text(self.tree, file)).transpose()?.flatten();
        let token = token.map(|token| token.trim().to_owned());
        match token.filter(|token| is_name(token) && !is_machine_id(token)) {
            Some(token) => Ok(token),
            None => Ok(OsRelease::read(self.tree)?.id),
        }
    }

    /// Returns the path of a file of the tree on a partition, if it is there already.
    fn path_on(&self, partition: &BootPartition, file: InodeId) -> Option<String> {
        let path = self.tree.path(file);
        let path = path.strip_prefix(&**partition.place.as_ref()?)?.strip_prefix(b"/")?;
        partition.tree.find(path)?;
        String::from_utf8(path.to_vec()).ok()
    }

    /// Copies a kernel with its initrd and microcode, as far as they are not on the partition, and
    /// returns the lines of an entry that name them.
    fn copy_kernel(
        &self,
        kernel: &Kernel,
        token: &str,
        boot: &BootPartition,
        target: &mut Additions<'_>,
    ) -> Result<Vec<(&'static str, String)>> {
        let version = &kernel.version;
        let there = kernel.images.iter().find_map(|&image| self.path_on(boot, image));
        let linux = match there {
            Some(path) => path,
            None => {
                let path = format!("{token}/{version}/linux");
                target.copy(&path, kernel.images[0])?;
                path
            }
        };
        let mut lines = vec![("linux", linux)];
        let microcode = microcode(self.tree, self.architecture);
        let microcode = microcode.into_iter().map(|file| (file, token.to_owned()));
        // Microcode must come first.
        let initrd = kernel.initrd.map(|file| (file, format!("{token}/{version}")));
        for (file, directory) in microcode.chain(initrd) {
            let path = match self.path_on(boot, file) {
                Some(path) => path,
                None => {
                    let path = self.tree.path(file);
                    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                    let path = format!("{directory}/{}", String::from_utf8_lossy(name));
                    target.copy(&path, file)?;
                    path
                }
            };
            lines.push(("initrd", path));
        }
        Ok(lines)
    }

    fn without_initrd(&self, kernel: &Kernel) -> Option<Warning> {
        kernel.initrd.is_none().then(|| Warning {
            path: self.tree.path(kernel.images[0]),
            message: format!(
                "the tree has no initrd for kernel {}, which boots without one only if the drivers \
                 for the disk and the root file system are built in",
                kernel.version
            ),
        })
    }
}

/// Returns whether a text has the form of a machine id.
fn is_machine_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the kernel versions of the entries that the partitions have.
fn entry_versions(partitions: &[BootPartition]) -> Result<Vec<String>> {
    let mut versions = Vec::new();
    for BootPartition { tree, .. } in partitions {
        let directory = find(tree, b"loader/entries");
        for entry in directory.into_iter().flat_map(|directory| tree.entries(directory)) {
            if tree.name(entry).ends_with(b".conf")
                && let Some(text) = text(tree, entry.inode())?
            {
                versions.push(Entry::parse(&text).value("version").unwrap_or_default().to_owned());
            }
        }
    }
    Ok(versions)
}

/// Returns the text of an entry, as `kernel-install` writes it. `files` are the lines that name
/// files of the partition.
fn entry(
    system: &OsRelease,
    kernel: &Kernel,
    options: &str,
    files: &[(&'static str, String)],
) -> String {
    let OsRelease { id, title } = system;
    let fields = [
        ("title", title.clone()),
        ("version", kernel.version.clone()),
        ("sort-key", id.clone()),
        ("options", options.to_owned()),
    ];
    let files = files.iter().map(|(key, path)| (*key, format!("/{path}")));
    let lines = fields.into_iter().chain(files).map(|(key, value)| format!("{key:<10} {value}\n"));
    lines.collect()
}

fn no_kernel(unsuitable: &[String]) -> Error {
    let reason = match unsuitable {
        [] => "the tree has no kernel in usr/lib/modules/*/vmlinuz or boot/vmlinuz-*".to_owned(),
        some => format!("the tree has no kernel that UEFI can start: {}", some.join(", ")),
    };
    let remedy = "install one in the tree, with an initrd (Debian: linux-image-amd64 or that of \
                  another architecture; Arch Linux: linux and mkinitcpio)";
    Error::Unbootable { reason, remedy: remedy.to_owned() }
}
