//! Boot partitions with the files that are added to them.

use uuid::{Uuid, uuid};

use super::*;
use crate::disk::boot::divide;
use crate::disk::image_options::Options;
use crate::disk::uefi::samples::tree;
use crate::tree::Kind;

const ROOT: Uuid = uuid!("6c08bd44-fed4-4c4e-915a-d1b245eb89de");

const EPOCH: i64 = 1_700_000_000;

/// Files of a Debian tree.
const DEBIAN: [(&str, &str); 5] = [
    ("boot/vmlinuz-6.1-amd64", "efi kernel"),
    ("boot/initrd.img-6.1-amd64", "initrd"),
    ("usr/lib/systemd/boot/efi/systemd-bootx64.efi", "sd-boot 252"),
    ("usr/lib/os-release", "PRETTY_NAME=\"Debian 12\"\nID=debian\n"),
    ("etc/os-release", "-> ../usr/lib/os-release"),
];

/// The entry of the Debian tree.
const ENTRY: &str = "title      Debian 12\n\
                     version    6.1-amd64\n\
                     sort-key   debian\n\
                     options    root=PARTUUID=6c08bd44-fed4-4c4e-915a-d1b245eb89de rw\n\
                     linux      /debian/6.1-amd64/linux\n\
                     initrd     /debian/6.1-amd64/initrd.img-6.1-amd64\n";

/// The boot partitions of a tree.
#[derive(Debug)]
struct Made {
    partitions: Vec<BootPartition>,
    warnings: Vec<Warning>,
}

fn add(files: &[(&str, &str)], options: &Options) -> Result<Made> {
    let epoch = Timestamp::from_seconds(EPOCH);
    let whole = tree(files);
    let mut partitions = divide(whole.clone(), None, epoch, options)?.boot;
    let files = BootFiles {
        tree: &whole,
        method: options.boot,
        command_line: options.cmdline.as_deref(),
        architecture: Architecture::X86_64,
        epoch,
        root: RootDevice::Partition(ROOT),
        built: None,
    };
    let warnings = files.add_to(&mut partitions)?;
    Ok(Made { partitions, warnings })
}

fn systemd_boot(files: &[(&str, &str)]) -> Result<Made> {
    add(files, &Options { boot: BootMethod::SystemdBoot, ..Options::default() })
}

fn uki(files: &[(&str, &str)]) -> Result<Made> {
    add(files, &Options { boot: BootMethod::Uki, ..Options::default() })
}

impl Made {
    /// Returns the paths of the files of a partition.
    fn paths(&self, partition: usize) -> Vec<String> {
        let tree = self.partitions[partition].tree.clone().as_ref().clone().with_prefix(b"");
        let files = tree.iter().filter(|(_, inode)| inode.kind != Kind::Directory);
        files.map(|(id, _)| String::from_utf8(tree.path(id)).unwrap()).collect()
    }

    /// Returns the text of a file of the last partition.
    fn text(&self, path: &str) -> String {
        let tree = &self.partitions.last().unwrap().tree;
        text(tree, tree.find(path.as_bytes()).unwrap()).unwrap().unwrap()
    }
}

#[test]
fn systemd_boot_is_added_with_an_entry() {
    let made = systemd_boot(&DEBIAN).unwrap();
    assert_eq!(
        made.paths(0),
        [
            "EFI/BOOT/BOOTX64.EFI",
            "EFI/systemd/systemd-bootx64.efi",
            "debian/6.1-amd64/initrd.img-6.1-amd64",
            "debian/6.1-amd64/linux",
            "loader/entries/debian-6.1-amd64.conf",
            "loader/entries.srel",
            "loader/loader.conf"
        ]
    );
    assert_eq!(made.text("loader/entries/debian-6.1-amd64.conf"), ENTRY);
    assert_eq!(made.text("loader/entries.srel"), "type1\n");
    assert_eq!(made.text("loader/loader.conf"), "#timeout 3\n#console-mode keep\n");
    assert_eq!(made.warnings, []);
    let tree = &made.partitions[0].tree;
    let times = |path: &[u8]| tree.inode(tree.find(path).unwrap()).mtime.seconds;
    assert_eq!((times(b"loader"), times(b"loader/loader.conf")), (EPOCH, EPOCH));
    assert_eq!(times(b"debian/6.1-amd64/linux"), 0, "the time of the tree");
}

/// The loader stays on the ESP; kernels that are in `/boot` are already on XBOOTLDR.
#[test]
fn entries_are_on_xbootldr() {
    let options = Options { boot: BootMethod::SystemdBoot, xbootldr: true, ..Options::default() };
    let packaged = ("usr/lib/modules/6.12/vmlinuz", "efi other");
    let made = add(&[&DEBIAN[..], &[packaged]].concat(), &options).unwrap();
    assert_eq!(
        made.paths(0),
        ["EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi", "loader/loader.conf"]
    );
    assert_eq!(
        made.paths(1),
        [
            "debian/6.12/linux",
            "initrd.img-6.1-amd64",
            "loader/entries/debian-6.1-amd64.conf",
            "loader/entries/debian-6.12.conf",
            "loader/entries.srel",
            "vmlinuz-6.1-amd64"
        ]
    );
    let entry = made.text("loader/entries/debian-6.1-amd64.conf");
    assert!(entry.contains("linux      /vmlinuz-6.1-amd64\ninitrd     /initrd.img-6.1"), "{entry}");
    let [warning] = &*made.warnings else { panic!("{:?}", made.warnings) };
    assert!(warning.message.contains("no initrd for kernel 6.12"), "{warning}");
}

/// In a `/boot` that is the ESP, kernels are where they are used. Microcode precedes the initrd.
#[test]
fn files_on_the_esp_are_not_copied() {
    let arch = [
        ("boot/EFI/Linux/.keep", ""),
        ("boot/vmlinuz-linux", "efi kernel"),
        ("boot/initramfs-linux.img", "initrd"),
        ("boot/intel-ucode.img", "microcode"),
        ("usr/lib/modules/6.12-arch/vmlinuz", "efi kernel"),
        ("usr/lib/modules/6.12-arch/pkgbase", "linux\n"),
        ("usr/lib/systemd/boot/efi/systemd-bootx64.efi", "sd-boot 257"),
        ("usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed", "sd-boot signed"),
        ("etc/kernel/cmdline", "quiet"),
        ("etc/kernel/entry-token", "0123456789abcdef0123456789abcdef"),
        ("etc/os-release", "ID=arch"),
    ];
    let made = systemd_boot(&arch).unwrap();
    assert!(!made.paths(0).iter().any(|path| path.starts_with("arch/")), "{:?}", made.paths(0));
    let entry = made.text("loader/entries/arch-6.12-arch.conf");
    let expected = "linux      /vmlinuz-linux\n\
                    initrd     /intel-ucode.img\n\
                    initrd     /initramfs-linux.img\n";
    assert!(entry.ends_with(expected) && entry.contains(" rw quiet\n"), "{entry}");
    assert!(made.text("EFI/BOOT/BOOTX64.EFI").contains("signed"));
}

#[test]
fn entries_and_configurations_of_the_tree_are_kept() {
    let own = [
        ("efi/loader/loader.conf", "timeout 9\n"),
        ("efi/loader/entries/own.conf", "version 6.1-amd64\nlinux /x\n"),
        ("efi/efi/boot/bootx64.efi", "sd-boot 252"),
    ];
    let made = systemd_boot(&[&DEBIAN[..], &own].concat()).unwrap();
    assert_eq!(
        made.paths(0),
        [
            "efi/boot/bootx64.efi",
            "efi/systemd/systemd-bootx64.efi",
            "loader/entries/own.conf",
            "loader/entries.srel",
            "loader/loader.conf"
        ]
    );
    assert_eq!(made.text("loader/loader.conf"), "timeout 9\n");
    let other = [("efi/EFI/Boot/BootX64.efi", "efi grub")];
    let error = systemd_boot(&[&DEBIAN[..], &other].concat()).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("efi/EFI/Boot/BootX64.efi: it is in the place of"), "{error}");
}

/// Unified kernel images are copied unless they are there; their kernels get no entries.
#[test]
fn unified_kernel_images_are_added() {
    let images = [
        ("efi/EFI/Linux/there.efi", "uki 6.10"),
        ("boot/EFI/Linux/copied+3.efi", "uki 6.11"),
        ("boot/EFI/Linux/again.efi", "uki 6.11"),
        ("boot/EFI/Linux/shell.efi", "efi x"),
        ("usr/lib/modules/6.12/vmlinuz", "efi x"),
        ("usr/lib/modules/6.12/vmlinuz-virt.efi", "uki 6.12"),
    ];
    let made = systemd_boot(&[&images[..], &DEBIAN[2..]].concat()).unwrap();
    let paths = made.paths(0);
    let of_images: Vec<_> = paths.iter().filter(|path| path.starts_with("EFI/Linux/")).collect();
    assert_eq!(
        of_images,
        ["EFI/Linux/again.efi", "EFI/Linux/debian-6.12.efi", "EFI/Linux/there.efi"]
    );
    assert!(!paths.iter().any(|path| path.ends_with(".conf") && path.contains("entries/")));
}

#[test]
fn firmware_starts_the_only_unified_kernel_image() {
    let one = ("boot/EFI/Linux/arch.efi", "uki 6.12 quiet");
    let made = uki(&[one, ("efi/readme", "x")]).unwrap();
    assert_eq!(made.paths(0), ["EFI/BOOT/BOOTX64.EFI", "readme"]);
    for (files, part) in [
        (
            &[one, ("boot/EFI/Linux/other.efi", "uki 6.11")][..],
            "arch.efi, boot/EFI/Linux/other.efi",
        ),
        (&[("boot/EFI/Linux/other.efi", "efi 6.11")], "no unified kernel image"),
        (&[one, ("efi/EFI/BOOT/BOOTX64.EFI", "efi grub")], "it is in the place of"),
    ] {
        let error = uki(files).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_tree_without_loader_or_kernel_is_refused() {
    let error = systemd_boot(&DEBIAN[..2]).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let error = error.to_string();
    assert!(error.contains("x64.efi that firmware can start; install systemd-boot"), "{error}");
    let error = systemd_boot(&DEBIAN[1..]).unwrap_err().to_string();
    assert!(error.contains("no kernel in usr/lib/modules") && error.contains("linux-image-amd64"));
    let other = [("boot/vmlinuz-6.1", "arm kernel")];
    let error = systemd_boot(&[&DEBIAN[1..], &other].concat()).unwrap_err().to_string();
    assert!(error.contains("boot/vmlinuz-6.1 is an EFI program for another"), "{error}");
}
