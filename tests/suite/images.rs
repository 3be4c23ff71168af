//! Images of stress trees and of an installed system, checked with every oracle.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::detfs::{mkfs, mkimage, succeed};
use crate::oracle::{self, Comparison, disk, ext4, grub_cmp, grub_ls};
use crate::tree::{LATEST, debian, stressed};

/// UUID of an x86-64 root partition with the test seed: HMAC-SHA256 as in systemd-repart.
const ROOT_UUID: &str = "6c08bd44-fed4-4c4e-915a-d1b245eb89de";

fn exact() -> Comparison {
    Comparison::exact().without("lost+found")
}

fn ext4_profiles(tree: &Path, profiles: &[&str]) {
    let scratch = tempfile::tempdir().unwrap();
    for profile in profiles {
        let image = scratch.path().join(profile);
        succeed(&mut mkfs("ext4", tree, &image, LATEST, &["--ext4-profile", profile]));
        ext4(&image, tree, &exact())
            .unwrap_or_else(|error_text| panic!("{profile}: {error_text:?}"));
    }
}

fn disks(tree: &Path, epoch: i64, comparison: &Comparison) {
    let scratch = tempfile::tempdir().unwrap();
    for sector_size in [512, 4096] {
        let image = scratch.path().join(sector_size.to_string());
        let sectors = format!("--sector-size={sector_size}");
        succeed(&mut mkimage(tree, &image, epoch, &[&sectors, "--architecture=x86-64"]));
        let partitions = disk(&image, sector_size, tree, comparison).unwrap();
        assert_eq!(partitions.len(), 2, "{partitions:?}");
        assert!(partitions[0].is_esp());
        assert_eq!(partitions[1].uuid, ROOT_UUID);
        assert!(partitions.iter().all(|p| p.start % (1 << 20) == 0 && p.len % (1 << 20) == 0));
    }
}

#[test]
fn ext4_of_a_stress_tree() {
    ext4_profiles(stressed(2000), &["default", "modern", "boot", "ro"]);
}

#[test]
fn disk_of_a_stress_tree() {
    disks(stressed(2000), LATEST, &exact());
}

/// A BIOS boot partition, which GRUB needs on a BIOS, and an ESP with a sector size that suits
/// every disk.
#[test]
fn disk_with_a_bios_boot_partition() {
    let tree = stressed(2000);
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    for (of_disk, of_esp) in [(512, None), (512, Some(512)), (512, Some(4096)), (4096, Some(4096))]
    {
        let case = format!("{of_disk} {of_esp:?}");
        let mut options = vec![format!("--sector-size={of_disk}"), "--bios-boot".into()];
        options.extend(of_esp.map(|bytes| format!("--esp-sector-size={bytes}")));
        options.extend(["--architecture=x86-64".into(), "--force".into()]);
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        succeed(&mut mkimage(tree, &image, LATEST, &options));
        let partitions = disk(&image, of_disk, tree, &exact()).unwrap();
        let [boot, esp, root] = &*partitions else { panic!("{case}: {partitions:?}") };
        assert!(boot.is_bios_boot() && esp.is_esp(), "{case}: {partitions:?}");
        assert_eq!((boot.start, boot.len), (1 << 20, 1 << 20), "{case}");
        assert_eq!((&*boot.name, &*boot.attributes), ("BIOS boot", ""), "{case}");
        assert_eq!((esp.start, esp.len % (1 << 20)), (2 << 20, 0), "{case}");
        assert_eq!(root.uuid, ROOT_UUID, "{case}");

        // `BPB_BytsPerSec` and `BPB_HiddSec`. FAT32 needs 65,525 clusters of one sector.
        let of_esp = of_esp.unwrap_or(of_disk);
        let mut boot_sector = [0; 512];
        File::open(&image).unwrap().read_exact_at(&mut boot_sector, esp.start).unwrap();
        let bytes_per_sector = u16::from_le_bytes([boot_sector[11], boot_sector[12]]);
        assert_eq!(u64::from(bytes_per_sector), of_esp, "{case}");
        let hidden = u32::from_le_bytes(boot_sector[28..32].try_into().unwrap());
        assert_eq!(u64::from(hidden), esp.start / of_esp, "{case}");
        assert_eq!(esp.len, if of_esp == 512 { 33 << 20 } else { 260 << 20 }, "{case}");
    }
}

#[test]
fn times_are_clamped_and_not_reset() {
    let epoch = 1_550_000_000;
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    succeed(&mut mkfs("ext4", stressed(2000), &image, epoch, &[]));
    ext4(&image, stressed(2000), &exact().clamped_to(epoch)).unwrap();
}

/// GRUB reads files, and names in directories of one block and of many. Files that begin with a
/// hole are only tested with the `boot` profile, since GRUB can't read them with the others.
#[test]
fn grub_reads_what_it_can() {
    let tree = stressed(2000);
    let scratch = tempfile::tempdir().unwrap();
    for profile in ["default", "boot", "ro"] {
        let image = scratch.path().join(profile);
        succeed(&mut mkfs("ext4", tree, &image, LATEST, &["--ext4-profile", profile]));
        let large = std::fs::read_dir(tree.join("large")).unwrap().count();
        assert_eq!(grub_ls(&image, "large/").unwrap().split_whitespace().count(), large);
        for file in ["large", "comb", "five", "inner", "trailing"] {
            let path = format!("sparse/{file}");
            grub_cmp(&image, &path, &tree.join(&path)).unwrap_or_else(|error_text| {
                panic!("{profile}: {path}: {error_text:?}");
            });
        }
    }
    let boot = scratch.path().join("boot");
    for path in ["sparse/leading", "sparse/all-of-one"] {
        grub_cmp(&boot, path, &tree.join(path)).unwrap();
    }
}

/// e2fsck accepts a file system that the kernel has written to and unmounted.
#[test]
fn the_kernel_writes_to_it() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = stressed(2000);
    for profile in ["default", "modern", "boot"] {
        let image = scratch.path().join(profile);
        let options = ["--ext4-profile", profile, "--headroom=16M"];
        succeed(&mut mkfs("ext4", tree, &image, LATEST, &options));
        {
            let mounted = oracle::Mounted::new("ext4", "rw", Some(&image)).unwrap();
            let script = "cd $1; mkdir new; seq 200000 >new/file; rm -r large; mv nested new/
                for n in $(seq 500); do : >names/new-$n; done; setfattr -n user.new -v x deep";
            oracle::shell(script, &[mounted.path()]);
        }
        oracle::e2fsck(&image).unwrap_or_else(|error_text| panic!("{profile}: {error_text:?}"));
    }
}

#[test]
#[ignore = "takes minutes"]
fn everything_of_a_large_stress_tree() {
    let tree = stressed(30_000);
    ext4_profiles(tree, &["default", "modern", "boot", "ro"]);
    disks(tree, LATEST, &exact());
}

#[test]
#[ignore = "takes minutes"]
fn everything_of_a_real_tree() {
    let epoch = 4_000_000_000;
    ext4_profiles(debian(), &["default", "modern", "boot", "ro"]);
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("image");
    succeed(&mut mkimage(debian(), &image, epoch, &["--normalize=none"]));
    let partitions = disk(&image, 512, debian(), &exact()).unwrap();
    assert_eq!(partitions.len(), 1, "without an EFI directory there is no ESP: {partitions:?}");
}
