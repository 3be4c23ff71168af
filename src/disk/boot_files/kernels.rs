//! Kernels of a tree, where distributions install them.

use super::content::is_same;
use super::os_release::is_name;
use crate::disk::uefi::{Firmware, Pe, text};
use crate::error::Result;
use crate::gpt::Architecture;
use crate::name::Escaped;
use crate::tree::{InodeId, Kind, Tree};

/// Starts of the names of kernels in `/boot`; a version or the name of a package follows.
const PREFIXES: [&str; 3] = ["vmlinuz-", "vmlinux-", "Image-"];

/// Names of kernels in the directory of their modules.
const PACKAGED: [&str; 2] = ["vmlinuz", "Image"];

/// Images with microcode, by the names that GRUB looks for too.
const MICROCODE: [&str; 6] = [
    "intel-uc.img",
    "intel-ucode.img",
    "amd-uc.img",
    "amd-ucode.img",
    "early_ucode.cpio",
    "microcode.cpio",
];

/// A kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// Version, or what stands for it in the name of the file.
    pub(super) version: String,
    /// Version and other names that the files of the kernel have.
    names: Vec<String>,
    /// Copies of the kernel.
    pub(super) images: Vec<InodeId>,
    /// Initial RAM disk.
    pub(super) initrd: Option<InodeId>,
}

/// The kernels of a tree.
#[derive(Debug, Default)]
pub(super) struct Kernels {
    pub(super) kernels: Vec<Kernel>,
    /// Reasons why other files are no kernels that firmware can start.
    pub(super) unsuitable: Vec<String>,
}

impl Kernels {
    /// Finds the kernels of a tree that the firmware can start.
    pub(super) fn find(tree: &Tree, firmware: &Firmware) -> Result<Self> {
        let mut found = Self::default();
        let mut seen = Vec::new();
        for path in ["usr/lib/modules", "lib/modules"] {
            let Some(directory) = tree.resolve(path.as_bytes()) else { continue };
            if seen.contains(&directory) {
                continue;
            }
            seen.push(directory);
            for entry in tree.entries(directory) {
                let Ok(version) = std::str::from_utf8(tree.name(entry)) else { continue };
                for name in PACKAGED {
                    let path = format!("{path}/{version}/{name}");
                    let Some(image) = found.image(tree, &path, firmware)? else { continue };
                    let pkgbase = tree.child(entry.inode(), b"pkgbase");
                    let pkgbase = pkgbase.map(|file| text(tree, file)).transpose()?.flatten();
                    found.add(tree, version, pkgbase.map(|name| name.trim().to_owned()), image)?;
                }
            }
        }
        let boot = tree.resolve(b"boot");
        for entry in boot.into_iter().flat_map(|boot| tree.entries(boot)) {
            let Ok(name) = std::str::from_utf8(tree.name(entry)) else { continue };
            let suffix = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
            // Rescue kernels of Fedora are copies whose names have the machine id.
            let Some(version) = suffix.filter(|suffix| !suffix.starts_with("0-rescue-")) else {
                continue;
            };
            let image = found.image(tree, &format!("boot/{name}"), firmware)?;
            if let Some(image) = image.filter(|_| is_name(version)) {
                found.add(tree, version, None, image)?;
            }
        }
        for kernel in &mut found.kernels {
            kernel.initrd = kernel.find_initrd(tree);
        }
        Ok(found)
    }

    /// Returns the file at a path, if the firmware can start it.
    fn image(&mut self, tree: &Tree, path: &str, firmware: &Firmware) -> Result<Option<InodeId>> {
        let Some(id) = file(tree, path) else { return Ok(None) };
        let reason = match Pe::read(tree, id)? {
            Some(program) if firmware.runs(&program) => return Ok(Some(id)),
            Some(_) => "is an EFI program for another architecture",
            None => "is not an EFI program",
        };
        self.unsuitable.push(format!("{} {reason}", Escaped(path.as_bytes())));
        Ok(None)
    }

    /// Adds a copy of a kernel.
    fn add(
        &mut self,
        tree: &Tree,
        version: &str,
        other_name: Option<String>,
        image: InodeId,
    ) -> Result<()> {
        let mut same = None;
        for (at, kernel) in self.kernels.iter().enumerate() {
            let is_named = kernel.names.iter().any(|name| name == version);
            if is_named || is_same(tree, kernel.images[0], tree, image)? {
                same = Some(at);
                break;
            }
        }
        let names = [version.to_owned()].into_iter().chain(other_name);
        match same {
            Some(at) => {
                let kernel = &mut self.kernels[at];
                kernel.names.extend(names);
                kernel.images.push(image);
            }
            None => self.kernels.push(Kernel {
                version: version.to_owned(),
                names: names.collect(),
                images: vec![image],
                initrd: None,
            }),
        }
        Ok(())
    }
}

impl Kernel {
    /// Finds the initrd by the names that initramfs-tools (Debian), dracut (Fedora, openSUSE),
    /// mkinitcpio (Arch Linux) and mkinitfs (Alpine) give it.
    fn find_initrd(&self, tree: &Tree) -> Option<InodeId> {
        let in_boot = self.names.iter().flat_map(|name| {
            [
                format!("boot/initrd.img-{name}"),
                format!("boot/initramfs-{name}.img"),
                format!("boot/initrd-{name}"),
                format!("boot/initramfs-{name}"),
            ]
        });
        let with_modules = ["usr/lib/modules", "lib/modules"].into_iter().flat_map(|modules| {
            ["initrd", "initrd.img", "initramfs.img"]
                .map(|name| format!("{modules}/{}/{name}", self.version))
        });
        in_boot.chain(with_modules).find_map(|path| file(tree, &path))
    }
}

/// Returns the images with microcode for processors of an architecture.
pub(super) fn microcode(tree: &Tree, architecture: Architecture) -> Vec<InodeId> {
    if !matches!(architecture, Architecture::X86 | Architecture::X86_64) {
        return Vec::new();
    }
    MICROCODE.iter().filter_map(|name| file(tree, &format!("boot/{name}"))).collect()
}

/// Returns the regular file at a path, following symlinks, if it is not empty.
fn file(tree: &Tree, path: &str) -> Option<InodeId> {
    let id = tree.resolve(path.as_bytes())?;
    matches!(tree.inode(id).kind, Kind::File { size: 1.., .. }).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::uefi::samples;

    /// Finds the kernels of a tree: `version: paths of images; path of initrd`.
    fn kernels(paths: &[(&str, &str)]) -> Vec<String> {
        let tree = samples::tree(paths);
        let firmware = Firmware::of(Architecture::X86_64).unwrap();
        let path = |id: InodeId| String::from_utf8(tree.path(id)).unwrap();
        let found = Kernels::find(&tree, firmware).unwrap();
        let shown = found.kernels.iter().map(|kernel| {
            let images: Vec<_> = kernel.images.iter().map(|&id| path(id)).collect();
            let initrd = kernel.initrd.map(path).unwrap_or_default();
            format!("{}: {}; {initrd}", kernel.version, images.join(" "))
        });
        shown.chain(found.unsuitable.clone()).collect()
    }

    #[test]
    fn kernels_are_found_where_distributions_install_them() {
        let debian = [
            ("boot/vmlinuz-6.1-amd64", "efi a"),
            ("boot/initrd.img-6.1-amd64", "i"),
            ("boot/vmlinuz-6.12-amd64", "efi b"),
            ("boot/config-6.1-amd64", "c"),
            ("vmlinuz", "-> boot/vmlinuz-6.12-amd64"),
        ];
        assert_eq!(
            kernels(&debian),
            [
                "6.1-amd64: boot/vmlinuz-6.1-amd64; boot/initrd.img-6.1-amd64",
                "6.12-amd64: boot/vmlinuz-6.12-amd64; "
            ]
        );
        let arch = [
            ("usr/lib/modules/6.12.1-arch1/vmlinuz", "efi a"),
            ("usr/lib/modules/6.12.1-arch1/pkgbase", "linux\n"),
            ("lib", "-> usr/lib"),
            ("boot/vmlinuz-linux", "efi a"),
            ("boot/initramfs-linux.img", "i"),
            ("boot/initramfs-linux-fallback.img", "f"),
        ];
        let expected = "6.12.1-arch1: usr/lib/modules/6.12.1-arch1/vmlinuz boot/vmlinuz-linux; \
                        boot/initramfs-linux.img";
        assert_eq!(kernels(&arch), [expected]);
        let fedora = [
            ("usr/lib/modules/6.12-fc42/vmlinuz", "efi a"),
            ("boot/vmlinuz-6.12-fc42", "efi a"),
            ("boot/initramfs-6.12-fc42.img", "i"),
            ("boot/vmlinuz-0-rescue-0123456789abcdef0123456789abcdef", "efi a"),
        ];
        let expected = "6.12-fc42: usr/lib/modules/6.12-fc42/vmlinuz boot/vmlinuz-6.12-fc42; \
                        boot/initramfs-6.12-fc42.img";
        assert_eq!(kernels(&fedora), [expected]);
        let opensuse = [
            ("usr/lib/modules/6.12-default/vmlinuz", "efi a"),
            ("boot/vmlinuz-6.12-default", "-> ../usr/lib/modules/6.12-default/vmlinuz"),
            ("boot/initrd-6.12-default", "i"),
        ];
        let image = "usr/lib/modules/6.12-default/vmlinuz";
        let expected = format!("6.12-default: {image} {image}; boot/initrd-6.12-default");
        assert_eq!(kernels(&opensuse), [expected]);
        let alpine = [("boot/vmlinuz-lts", "efi a"), ("boot/initramfs-lts", "i")];
        assert_eq!(kernels(&alpine), ["lts: boot/vmlinuz-lts; boot/initramfs-lts"]);
    }

    /// Copies of a kernel under unrelated names are one kernel, as is a kernel in the directory of
    /// its modules.
    #[test]
    fn copies_are_one_kernel() {
        let copies = [
            ("lib/modules/6.1/vmlinuz", "efi a"),
            ("lib/modules/6.1/initrd.img", "i"),
            ("boot/vmlinuz-custom", "efi a"),
            ("boot/vmlinuz-other", "efi b"),
        ];
        assert_eq!(
            kernels(&copies),
            [
                "6.1: lib/modules/6.1/vmlinuz boot/vmlinuz-custom; lib/modules/6.1/initrd.img",
                "other: boot/vmlinuz-other; "
            ]
        );
    }

    #[test]
    fn files_that_firmware_can_not_start_are_no_kernels() {
        let others = [
            ("boot/vmlinux-6.1.gz", "\x1f\u{8b}"),
            ("boot/vmlinuz-6.1", "arm a"),
            ("boot/vmlinuz-6.2", ""),
            ("boot/vmlinuz-6.3", "-> nowhere"),
        ];
        assert_eq!(
            kernels(&others),
            [
                "boot/vmlinux-6.1.gz is not an EFI program",
                "boot/vmlinuz-6.1 is an EFI program for another architecture"
            ]
        );
    }
}
