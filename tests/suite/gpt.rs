//! Partition tables, checked with sgdisk, sfdisk, fdisk and partx.
//!
//! Tables with 4096-byte sectors are checked on a loop device with such sectors, since sgdisk and
//! sfdisk ask the device for its sector size.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::{GIB, MIB};
use detfs::Seed;
use detfs::gpt::{
    self, Architecture, Attributes, Geometry, Partition, PartitionType, SectorSize, Table,
};
use detfs::layout::Fill;
use tempfile::TempDir;

use crate::detfs::SEED;
use crate::oracle::{LoopDevice, flip, sfdisk, sgdisk, shell};

/// An image in its own directory.
struct Image {
    path: PathBuf,
    sector_size: SectorSize,
    _directory: TempDir,
}

impl Image {
    fn write(table: &Table) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.raw");
        let file = File::create(&path).unwrap();
        let layout = gpt::plan(table).unwrap().seal();
        file.set_len(layout.size()).unwrap();
        for region in layout.regions() {
            let Fill::Bytes(number) = region.fill else { panic!("a table is finished bytes") };
            file.write_all_at(layout.bytes_of(number), region.offset).unwrap();
        }
        Self { path, sector_size: table.geometry.sector_size(), _directory: directory }
    }

    fn file(&self) -> File {
        File::options().read(true).write(true).open(&self.path).unwrap()
    }

    fn device(&self) -> LoopDevice {
        let sector_size = self.sector_size.bytes().to_string();
        LoopDevice::attach(&self.path, &["--sector-size", &sector_size])
    }
}

/// Returns the table as sfdisk reads it.
fn dump(device: &LoopDevice) -> serde_json::Value {
    let json = shell("sfdisk --json $1", &[device.path()]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    json["partitiontable"].clone()
}

fn seed() -> Seed {
    Seed(SEED.parse().unwrap())
}

fn table(sector_size: SectorSize) -> Table {
    let root = PartitionType::root(Architecture::X86_64);
    let partition = |kind: PartitionType, start, size, attributes, name: &str| Partition {
        partition_type: kind.guid(),
        uuid: seed().partition(kind.guid(), 0),
        start: start * MIB,
        size: size * MIB,
        attributes,
        name: name.to_owned(),
    };
    let esp = partition(PartitionType::Esp, 1, 33, Attributes::empty(), "esp");
    let growing = partition(root, 34, 64, Attributes::GROWFS, "root-x86-64");
    let all = Attributes::GROWFS | Attributes::READ_ONLY | Attributes::NO_AUTO;
    let name = "ü".repeat(34) + "\u{1F980}";
    let home = partition(PartitionType::Home, 98, 1, all, &name);
    Table {
        geometry: Geometry::new(100 * MIB, sector_size).unwrap(),
        uuid: seed().disk(),
        mbr: None,
        partitions: [esp, growing, home].map(Some).into(),
    }
}

const BOTH: [SectorSize; 2] = [SectorSize::B512, SectorSize::B4096];

#[test]
fn judges_find_nothing_wrong() {
    for sector_size in BOTH {
        let many = (1..=128).map(|nth| Partition {
            partition_type: PartitionType::LinuxGeneric.guid(),
            uuid: seed().partition(PartitionType::LinuxGeneric.guid(), nth),
            start: nth * MIB,
            size: MIB,
            attributes: Attributes::empty(),
            name: String::new(),
        });
        let disk = |size| Geometry::new(size, sector_size).unwrap();
        let empty = Table { partitions: vec![], ..table(sector_size) };
        let partitions = many.map(Some).collect();
        let full = Table { geometry: disk(130 * MIB), partitions, ..empty.clone() };
        let odd = Table { geometry: disk(100 * MIB + 4096), ..table(sector_size) };
        for table in [table(sector_size), empty, full, odd] {
            let image = Image::write(&table);
            let device = image.device();
            sgdisk(device.path()).unwrap();
            sfdisk(device.path()).unwrap();
            let listing = shell("fdisk -l $1 2>&1", &[device.path()]);
            assert!(listing.contains("Disklabel type: gpt"), "{listing}");
            assert!(!listing.contains("corrupt"), "{listing}");
        }
    }
}

#[test]
fn judges_complain_of_a_flipped_bit() {
    for sector_size in BOTH {
        let sector = u64::from(sector_size.bytes());
        let last = 100 * MIB - sector;
        // The primary header, the primary entries, the backup entries and the backup header.
        for offset in [sector + 16, 2 * sector + 60, last - 16384 + 60, last + 16] {
            let image = Image::write(&table(sector_size));
            flip(&image.path, offset);
            let device = image.device();
            assert!(sgdisk(device.path()).is_err(), "sgdisk, byte {offset}");
            assert!(sfdisk(device.path()).is_err(), "sfdisk, byte {offset}");
        }
    }
}

#[test]
fn judges_read_what_was_written() {
    for sector_size in BOTH {
        let table = table(sector_size);
        let sector = u64::from(sector_size.bytes());
        let image = Image::write(&table);
        let device = image.device();
        let read = dump(&device);
        assert_eq!(read["label"], "gpt");
        assert_eq!(read["id"], "029F4951-90D3-4059-B93B-D358015A0A3B");
        assert_eq!(read["firstlba"], 2 + 16384 / sector);
        assert_eq!(read["lastlba"], (100 * MIB - 16384) / sector - 2);
        assert_eq!(read["sectorsize"], sector);
        let attributes = [None, Some("GUID:59"), Some("GUID:59,60,63")];
        let partitions = read["partitions"].as_array().unwrap();
        assert_eq!(partitions.len(), 3);
        for ((read, written), attributes) in
            partitions.iter().zip(table.partitions.iter().flatten()).zip(attributes)
        {
            let upper = |uuid: uuid::Uuid| uuid.to_string().to_uppercase();
            assert_eq!(read["type"], upper(written.partition_type));
            assert_eq!(read["uuid"], upper(written.uuid));
            assert_eq!(read["start"], written.start / sector);
            assert_eq!(read["size"], written.size / sector);
            assert_eq!(read["name"], written.name.as_str());
            assert_eq!(read.get("attrs").and_then(|a| a.as_str()), attributes);
        }

        // libblkid, which udev uses, has its own parser. It counts in units of 512 bytes.
        let columns = shell("partx --raw -g -o UUID,START,SECTORS $1 2>&1", &[device.path()]);
        let expected: String = table
            .partitions
            .iter()
            .flatten()
            .map(|p| format!("{} {} {}\n", p.uuid, p.start / 512, p.size / 512))
            .collect();
        assert_eq!(columns, expected);
    }
}

#[test]
fn the_backup_replaces_a_lost_primary() {
    for sector_size in BOTH {
        let sector = usize::try_from(sector_size.bytes()).unwrap();
        let image = Image::write(&table(sector_size));
        let primary = |image: &Image| {
            let mut bytes = vec![0; sector + 16384];
            image.file().read_exact_at(&mut bytes, sector as u64).unwrap();
            bytes
        };
        let before = primary(&image);
        image.file().write_all_at(&vec![0; sector], sector as u64).unwrap();
        let device = image.device();
        assert!(sgdisk(device.path()).is_err());
        // sgdisk writes both tables again even if the new disk GUID is the present one.
        let script = format!("sgdisk -U {} $1; sync", seed().disk());
        shell(&script, &[device.path()]);
        sgdisk(device.path()).unwrap();
        drop(device);
        assert!(primary(&image) == before, "sgdisk makes the primary that we made");
    }
}

#[test]
fn disks_beyond_2_tib() {
    let size = 3 * 1024 * GIB;
    let mut table = table(SectorSize::B512);
    let home = table.partitions[2].as_mut().unwrap();
    home.size = size - MIB - home.start;
    let geometry = Geometry::new(size, SectorSize::B512).unwrap();
    let image = Image::write(&Table { geometry, ..table });
    let device = image.device();
    sgdisk(device.path()).unwrap();
    sfdisk(device.path()).unwrap();
    assert_eq!(dump(&device)["partitions"][2]["size"], (size - 99 * MIB) / 512);
}

/// Every architecture-specific Linux type that sfdisk knows exists in detfs under the same name.
#[test]
fn types_are_those_of_sfdisk() {
    let listing = shell("sfdisk --label gpt -T", &[]);
    let mut known = 0;
    for line in listing.lines() {
        let Some((guid, name)) = line.split_once("  Linux ") else { continue };
        let Some((role, architecture)) = name.trim_end_matches(')').split_once(" (") else {
            continue;
        };
        let (stem, suffix) = match role {
            "root" => ("root", ""),
            "root verity" => ("root", "-verity"),
            "root verity sign." => ("root", "-verity-sig"),
            "/usr" => ("usr", ""),
            "/usr verity" => ("usr", "-verity"),
            "/usr verity sign." => ("usr", "-verity-sig"),
            other => panic!("sfdisk has a new role: {other}"),
        };
        let architecture = match architecture {
            "ARM-64" => "arm64".to_owned(),
            "IA-64" => "ia64".to_owned(),
            "LoongArch-64" => "loongarch64".to_owned(),
            "MIPS-32 LE" => "mips-le".to_owned(),
            "MIPS-64 LE" => "mips64-le".to_owned(),
            "PPC64LE" => "ppc64-le".to_owned(),
            "RISC-V-32" => "riscv32".to_owned(),
            "RISC-V-64" => "riscv64".to_owned(),
            "TILE-Gx" => "tilegx".to_owned(),
            other => other.to_lowercase(),
        };
        let name = format!("{stem}-{architecture}{suffix}");
        let ours = PartitionType::all().find(|kind| kind.name() == name);
        let ours = ours.unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(ours.guid(), guid.parse::<uuid::Uuid>().unwrap(), "{name}");
        known += 1;
    }
    assert!(known >= 108, "{known} types compared");
}
