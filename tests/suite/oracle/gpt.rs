//! Checks partition tables with `sgdisk` and `sfdisk`, and extracts partitions.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::mount::LoopDevice;
use super::tool::run;
use super::{Verdict, oracle_error};

/// A partition of a disk image, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub start: u64,
    pub len: u64,
    /// Partition type GUID, in lower case.
    pub kind: String,
    pub uuid: String,
    pub name: String,
    /// Attributes as printed by sfdisk, for example `GUID:59`.
    pub attributes: String,
}

impl Partition {
    pub fn is_esp(&self) -> bool {
        self.kind == "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
    }

    pub fn is_bios_boot(&self) -> bool {
        self.kind == "21686148-6449-6e6f-744e-656564454649"
    }
}

/// Runs a partition tool on an image, through a loop device unless sectors are 512 bytes.
///
/// The tools assume 512-byte sectors for files.
fn on_disk<T>(image: &Path, sector_size: u64, check_image: impl FnOnce(&Path) -> T) -> T {
    if sector_size == 512 {
        check_image(image)
    } else {
        let device = LoopDevice::attach(image, &["--sector-size", &sector_size.to_string()]);
        check_image(device.path())
    }
}

/// What sgdisk says about tables of systemd-repart: the first usable block is at 1 MiB, and the
/// last partition may end at any block.
const OF_REPART: [&str; 2] =
    ["Warning: There is a gap between the main partition table", "Caution: Partition "];

/// Verifies the partition table of an image with sgdisk and sfdisk, and accepts a gap after the
/// primary table and partitions that end at any block.
pub fn gpt(image: &Path, sector_size: u64) -> Verdict {
    on_disk(image, sector_size, |disk| {
        sgdisk_except(disk, &OF_REPART)?;
        sfdisk(disk)
    })
}

/// Verifies the partition table of an image or a device with sgdisk.
pub fn sgdisk(disk: &Path) -> Verdict {
    sgdisk_except(disk, &[])
}

/// Verifies a partition table with sgdisk, and ignores paragraphs that start with one of `known`.
///
/// If the backup header is broken, sgdisk still exits with status 0 and prints "No problems found",
/// so the output before that line is checked too.
fn sgdisk_except(disk: &Path, known: &[&str]) -> Verdict {
    let said = run("sgdisk", [OsStr::new("--verify"), disk.as_os_str()]);
    let mut text = said.stdout.trim_start();
    while let Some((first, rest)) = text.split_once("\n\n")
        && known.iter().any(|known| first.starts_with(known))
    {
        text = rest;
    }
    if said.ok && said.stderr.is_empty() && text.starts_with("No problems found. ") {
        Ok(())
    } else {
        oracle_error(format!("sgdisk: {}", said.all()))
    }
}

/// Verifies the partition table of an image or a device with sfdisk, whose exit status is 0 even if
/// the backup header is broken.
pub fn sfdisk(disk: &Path) -> Verdict {
    let said = run("sfdisk", [OsStr::new("--verify"), disk.as_os_str()]);
    if said.ok && said.stderr.is_empty() && said.stdout.contains("\nNo errors detected.\n") {
        Ok(())
    } else {
        oracle_error(format!("sfdisk: {}", said.all()))
    }
}

/// Returns the partitions in the order of the table.
pub fn partitions(image: &Path, sector_size: u64) -> Verdict<Vec<Partition>> {
    let said =
        on_disk(image, sector_size, |disk| run("sfdisk", [OsStr::new("--json"), disk.as_os_str()]));
    if !said.ok {
        return oracle_error(format!("sfdisk: {}", said.all()));
    }
    let json: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let table = &json["partitiontable"];
    assert_eq!(table["sectorsize"], sector_size, "{table}");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let list = table["partitions"].as_array().cloned().unwrap_or_default();
    Ok(list
        .iter()
        .map(|entry| Partition {
            start: entry["start"].as_u64().unwrap() * sector_size,
            len: entry["size"].as_u64().unwrap() * sector_size,
            kind: text(&entry["type"]).to_lowercase(),
            uuid: text(&entry["uuid"]).to_lowercase(),
            name: text(&entry["name"]),
            attributes: text(&entry["attrs"]),
        })
        .collect())
}

/// Copies a partition into a separate file, leaving holes for zeros.
pub fn extract(image: &Path, partition: &Partition, to: &Path) {
    let image = File::open(image).unwrap();
    let copy = File::create(to).unwrap();
    copy.set_len(partition.len).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    while at < partition.len {
        let step = usize::try_from(partition.len - at).unwrap().min(buffer.len());
        let chunk = &mut buffer[..step];
        image.read_exact_at(chunk, partition.start + at).unwrap();
        if chunk.iter().any(|&byte| byte != 0) {
            copy.write_all_at(chunk, at).unwrap();
        }
        at += u64::try_from(step).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::tool::flip;
    use super::super::tool::{require_root, sha256, shell};
    use super::*;

    const LEN: u64 = 64 << 20;

    /// Creates an image with two MiB-aligned partitions.
    ///
    /// The second starts with a line of text.
    fn sample() -> (TempDir, std::path::PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let image = scratch.path().join("image");
        let script = "truncate -s 64M $1
            sgdisk -n 1:1M:+32M -t 1:ef00 -c 1:esp -u 1:11111111-1111-1111-1111-111111111111 \
                -n 2:33M:+30M -t 2:8304 -c 2:root -A 2:set:59 $1 >/dev/null
            echo contents | dd of=$1 bs=1M seek=33 conv=notrunc status=none";
        shell(script, &[&image]);
        (scratch, image)
    }

    #[test]
    fn a_clean_table_passes() {
        let (scratch, image) = sample();
        gpt(&image, 512).unwrap();
        let found = partitions(&image, 512).unwrap();
        let esp = &found[0];
        assert!(esp.is_esp());
        assert_eq!((esp.start, esp.len, esp.name.as_str()), (1 << 20, 32 << 20, "esp"));
        assert_eq!(esp.uuid, "11111111-1111-1111-1111-111111111111");
        let root = &found[1];
        assert!(!root.is_esp());
        assert_eq!((root.start, root.len), (33 << 20, 30 << 20));
        assert_eq!(root.attributes, "GUID:59");
        let copy = scratch.path().join("copy");
        extract(&image, root, &copy);
        let script = "dd if=$1 of=$2 bs=1M skip=33 count=30 status=none";
        let expected = scratch.path().join("expected");
        shell(script, &[&image, &expected]);
        assert_eq!(sha256(&copy), sha256(&expected));
    }

    #[test]
    fn a_clean_table_of_4096_byte_sectors_passes() {
        require_root();
        let scratch = tempfile::tempdir().unwrap();
        let image = scratch.path().join("image");
        shell("truncate -s 64M $1", &[&image]);
        {
            let device = LoopDevice::attach(&image, &["--sector-size", "4096"]);
            shell("sgdisk -n 1:1M:+32M -t 1:ef00 $1 >/dev/null", &[device.path()]);
        }
        gpt(&image, 4096).unwrap();
        let found = partitions(&image, 4096).unwrap();
        assert_eq!((found[0].start, found[0].len), (1 << 20, 32 << 20));
        flip(&image, 4096 + 16);
        gpt(&image, 4096).unwrap_err();
    }

    #[test]
    #[ignore = "takes seconds"]
    fn a_flipped_bit_is_found() {
        let (header, array) = (512, 1024);
        let (backup_header, backup_array) = (LEN - 512, LEN - 33 * 512);
        for (what, offset) in [
            ("primary header's CRC", header + 16),
            ("primary header's disk GUID", header + 56),
            ("primary header's array CRC", header + 88),
            ("primary array", array + 56),
            ("backup header's signature", backup_header),
            ("backup header's CRC", backup_header + 16),
            ("backup array", backup_array + 56),
            ("protective MBR's signature", 510),
            ("protective MBR's type", 446 + 4),
        ] {
            let (_scratch, image) = sample();
            flip(&image, offset);
            gpt(&image, 512).expect_err(what);
        }
    }

    #[test]
    fn a_disk_that_lost_its_end_is_found() {
        let (_scratch, image) = sample();
        File::options().write(true).open(&image).unwrap().set_len(LEN - 512).unwrap();
        gpt(&image, 512).unwrap_err();
    }
}
