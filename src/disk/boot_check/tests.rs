//! Disks that boot, and disks that do not, each with its warnings.

use super::*;
use crate::Seed;
use crate::disk::uefi::samples::tree;
use crate::disk::{Definition, Partition, identify};
use crate::format::FileSystem;
use crate::gpt::SectorSize;

type Files<'a> = &'a [(&'a str, &'a str)];

/// A disk, by the files of its partitions.
#[derive(Default)]
struct Sample<'a> {
    root: Files<'a>,
    esp: Option<Files<'a>>,
    xbootldr: Option<Files<'a>>,
    bios_boot: bool,
}

impl Sample<'_> {
    /// Checks the disk, whose root partition is `PARTUUID=6c08bd44-fed4-4c4e-915a-d1b245eb89de`.
    fn check(&self) -> (String, Vec<String>) {
        let types = [
            self.bios_boot.then_some(PartitionType::BiosBoot),
            self.esp.map(|_| PartitionType::Esp),
            Some(PartitionType::root(Architecture::X86_64)),
        ];
        let definitions: Vec<_> = types.into_iter().flatten().map(Definition::new).collect();
        let seed = Seed("11111111-2222-3333-4444-555555555555".parse().unwrap());
        let partitions = identify(seed, &definitions).into_iter().map(|identity| {
            let label = identity.label.clone();
            let file_system = FileSystem::new("ext4", identity.file_system, label, 0);
            Partition::new(identity, 0, 0, Some(file_system))
        });
        let disk = Disk::new(seed.0, SectorSize::default(), 0, partitions.collect());
        let of = |files: Option<Files<'_>>| files.map(|files| Arc::new(tree(files)));
        let trees = Trees {
            root: Arc::new(tree(self.root)),
            esp: of(self.esp),
            xbootldr: of(self.xbootldr),
        };
        let BootCheck { verdict, warnings } = trees.check(&disk, Architecture::X86_64).unwrap();
        (verdict.to_string(), warnings.iter().map(Warning::to_string).collect())
    }
}

fn esp(files: Files<'_>) -> (String, Vec<String>) {
    Sample { esp: Some(files), ..Sample::default() }.check()
}

const SYSTEMD_BOOT: (&str, &str) = ("EFI/BOOT/BOOTX64.EFI", "sd-boot 252");

const BOOTS: &str = "UEFI x86-64";

#[test]
fn firmware_needs_a_loader_of_its_architecture() {
    for (files, expected, finding) in [
        (&[("EFI/BOOT/BOOTX64.EFI", "efi grub")][..], BOOTS, None),
        (&[("efi/boot/bootx64.efi", "efi shim")], BOOTS, None),
        (&[("EFI/BOOT/BOOTX64.EFI", "uki 6.1 quiet")], BOOTS, None),
        (&[], "no: the EFI system partition has no EFI/BOOT/BOOTX64.EFI", None),
        (
            &[("EFI/debian/grubx64.efi", "efi grub"), ("EFI/BOOT/BOOTIA32.EFI", "efi grub")],
            "no: the EFI system partition has no EFI/BOOT/BOOTX64.EFI",
            Some("/: no EFI/BOOT/BOOTX64.EFI, the only program"),
        ),
        (
            &[("EFI/BOOT/BOOTX64.EFI", "arm grub")],
            "no: EFI/BOOT/BOOTX64.EFI: it is an EFI program for another architecture",
            Some("EFI/BOOT/BOOTX64.EFI: it is an EFI program for another architecture"),
        ),
        (
            &[("EFI/BOOT/BOOTX64.EFI", "text")],
            "no: EFI/BOOT/BOOTX64.EFI: it is not an EFI program",
            Some("EFI/BOOT/BOOTX64.EFI: it is not an EFI program"),
        ),
        (
            &[("EFI/BOOT/BOOTX64.EFI", "uki 6.1 root=LABEL=other")],
            "no: EFI/BOOT/BOOTX64.EFI: its root=LABEL=other is nothing that this image has",
            Some("EFI/BOOT/BOOTX64.EFI: its root=LABEL=other is nothing"),
        ),
    ] {
        let (verdict, warnings) = esp(files);
        assert_eq!(verdict, expected);
        assert_eq!(warnings.len(), usize::from(finding.is_some()), "{warnings:?}");
        assert!(warnings.iter().all(|found| found.starts_with(finding.unwrap())), "{warnings:?}");
    }
}

#[test]
fn systemd_boot_needs_something_to_boot() {
    let own = "linux /L\r\noptions root=PARTUUID=6c08bd44-fed4-4c4e-915a-d1b245eb89de\r\n";
    let linux = ("l", "efi kernel");
    for (files, expected, finding) in [
        (&[("loader/entries/a+3-1.conf", own), linux][..], BOOTS, None),
        (&[("Loader/Entries/a.CONF", "title x\nefi \\l"), linux], BOOTS, None),
        (&[("EFI/Linux/a+3.efi", "uki 6.1 ")], BOOTS, None),
        (&[("loader/entries/a.conf", "linux /l\ninitrd /$initrd"), linux], BOOTS, None),
        (
            &[],
            "no: there is neither an entry nor a unified kernel image for systemd-boot",
            Some("EFI/BOOT/BOOTX64.EFI: there is neither"),
        ),
        (
            &[("loader/entries/a.conf", own)],
            "no: nothing that systemd-boot finds boots: loader/entries/a.conf: its `linux` /L does \
             not exist on the partition of the entry",
            Some("loader/entries/a.conf: its `linux` /L does not exist"),
        ),
        (
            &[
                ("loader/entries/a.conf", "linux /l\ndevicetree /d"),
                linux,
                ("EFI/Linux/u.efi", "uki 6.1 "),
            ],
            BOOTS,
            Some("loader/entries/a.conf: its `devicetree` /d does not exist"),
        ),
        (
            &[("loader/entries/a.conf", "linux /l\ninitrd /i"), linux, ("i", "")],
            "no: nothing that systemd-boot finds boots: loader/entries/a.conf: its `initrd` /i is \
             empty",
            Some("loader/entries/a.conf: its `initrd` /i is empty"),
        ),
        (
            &[("loader/entries/a.conf", "title x\nefi /EFI"), ("EFI/Linux/u.efi", "uki 6.1 ")],
            BOOTS,
            Some("loader/entries/a.conf: its `efi` /EFI is not a file"),
        ),
        (
            &[("loader/entries/a.conf", "linux /l"), ("l", "kernel")],
            "no: nothing that systemd-boot finds boots: loader/entries/a.conf: its `linux` /l: it \
             is not an EFI program",
            Some("loader/entries/a.conf: its `linux` /l: it is not an EFI program"),
        ),
        (
            &[
                ("loader/entries/a.conf", "title x\nuki /l"),
                ("l", "arm x"),
                ("EFI/Linux/u.efi", "uki 6.1 "),
            ],
            BOOTS,
            Some("loader/entries/a.conf: its `uki` /l: it is an EFI program for another"),
        ),
        (
            &[("loader/entries/a.conf", "title x"), ("EFI/Linux/u.efi", "uki 6.1 ")],
            BOOTS,
            Some("loader/entries/a.conf: it has neither `linux` nor"),
        ),
        (
            &[("loader/entries/a.conf", "linux /l\noptions a\noptions root=UUID=1"), linux],
            "no: nothing that systemd-boot finds boots: loader/entries/a.conf: its root=UUID=1 is \
             nothing that this image has",
            Some("loader/entries/a.conf: its root=UUID=1 is nothing"),
        ),
        (
            &[("EFI/Linux/u.efi", "uki 6.1 "), ("EFI/Linux/arm.efi", "arm x")],
            BOOTS,
            Some("EFI/Linux/arm.efi: it is an EFI program for another architecture"),
        ),
        (
            &[("EFI/Linux/u.efi", "uki 6.1 "), ("loader/loader.conf", "default arch-*\n")],
            BOOTS,
            Some("loader/loader.conf: no entry has the name of the default, arch-*"),
        ),
        (
            &[("EFI/Linux/U+1.efi", "uki 6.1 "), ("loader/loader.conf", "default u.efi")],
            BOOTS,
            None,
        ),
        (&[("EFI/Linux/u.efi", "uki 6.1 "), ("loader/loader.conf", "default @saved")], BOOTS, None),
    ] {
        let (verdict, warnings) = esp(&[&[SYSTEMD_BOOT], files].concat());
        assert_eq!(verdict, expected);
        assert_eq!(warnings.len(), usize::from(finding.is_some()), "{warnings:?}");
        assert!(warnings.iter().all(|found| found.starts_with(finding.unwrap())), "{warnings:?}");
    }
}

/// An entry names files of its own partition.
#[test]
fn entries_on_xbootldr_are_found() {
    let entry = ("loader/entries/a.conf", "linux /l");
    for (xbootldr, is_found) in [(&[entry, ("l", "efi kernel")][..], true), (&[entry], false)] {
        let sample = Sample {
            esp: Some(&[SYSTEMD_BOOT, ("l", "efi kernel")]),
            xbootldr: Some(xbootldr),
            ..Sample::default()
        };
        let (verdict, warnings) = sample.check();
        assert_eq!((verdict == BOOTS, warnings.is_empty()), (is_found, is_found), "{verdict}");
    }
}

#[test]
fn a_disk_without_an_esp_does_not_boot() {
    let no_esp = "no: there is no EFI system partition";
    for (root, expected) in [
        (&[("srv/data", "x")][..], None),
        (&[("boot/vmlinuz-6.1", "x")], Some("boot/vmlinuz-6.1: a kernel, but the image has no")),
        (&[("usr/lib/modules/6/vmlinuz", "x")], Some("usr/lib/modules/6/vmlinuz: a kernel, but")),
    ] {
        let (verdict, warnings) = Sample { root, ..Sample::default() }.check();
        assert_eq!(verdict, no_esp);
        assert_eq!(warnings.len(), usize::from(expected.is_some()), "{warnings:?}");
        assert!(warnings.iter().all(|found| found.starts_with(expected.unwrap())), "{warnings:?}");
    }
    let root = &[("boot/vmlinuz-6.1", "x")];
    let (verdict, warnings) = Sample { root, bios_boot: true, ..Sample::default() }.check();
    assert!(verdict.starts_with("no: a boot loader is still to be installed"), "{verdict}");
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn an_empty_mount_point_without_an_esp_is_reported() {
    let mut builder = crate::TreeBuilder::new(crate::Metadata::default()).unwrap();
    builder.directory("boot/efi", crate::Metadata::default()).unwrap();
    let found = without_esp(&builder.finish().unwrap(), false).unwrap().to_string();
    assert!(found.starts_with("boot/efi: an empty mount point of an EFI system"), "{found}");
}

#[test]
fn references_to_other_disks_are_reported() {
    let sample = Sample {
        root: &[
            (
                "etc/fstab",
                "PARTUUID=6c08bd44-fed4-4c4e-915a-d1b245eb89de / ext4 ro 0 1\nUUID=2 /x ext4\n",
            ),
            ("boot/grub/grub.cfg", "search --fs-uuid --set=root 3\n"),
        ],
        esp: Some(&[
            ("EFI/BOOT/BOOTX64.EFI", "efi grub"),
            ("EFI/debian/grub.cfg", "search.fs_uuid 4 root\n"),
        ]),
        ..Sample::default()
    };
    let (verdict, warnings) = sample.check();
    assert_eq!(verdict, BOOTS);
    let rest = "is nothing that this image has";
    let expected = [
        format!("etc/fstab: UUID=2, for /x, {rest}"),
        format!("boot/grub/grub.cfg: UUID=3 {rest}"),
        format!("EFI/debian/grub.cfg: UUID=4 {rest}"),
    ];
    assert_eq!(warnings, expected);
}
