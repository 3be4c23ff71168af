//! The reserved sectors: boot sector, FSInfo and their copies.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::cluster_no::ClusterNo;
use super::geometry::{FATS, Geometry};
use super::spec::{
    BOOT_SIGNATURE, BootSector16, BootSector32, Bpb, Bpb32, EXTENDED_SIGNATURE, Extension,
    FSINFO_SIGNATURES, FsInfo, MEDIA_FIXED, NO_HINT,
};
use super::variant::Variant;

/// The name that Microsoft recommends; some readers check for it.
const OEM_NAME: [u8; 8] = *b"MSWIN4.1";
/// Sectors of [`FsInfo`] and of the backup of the boot sector on FAT32.
const FSINFO_SECTOR: u16 = 1;
const BACKUP_SECTOR: u16 = 6;
/// Drive number of the first BIOS hard disk.
const DRIVE: u8 = 0x80;
/// Label in the boot sector of a volume without a label.
const NO_NAME: [u8; 11] = *b"NO NAME    ";
/// Boot code for a BIOS: tries the next boot device (`int 0x18`), or else halts (`hlt` and a jump
/// back to it).
const BOOT_CODE: [u8; 5] = [0xcd, 0x18, 0xf4, 0xeb, 0xfd];

/// The fields of the boot sector other than the geometry.
#[derive(Debug)]
pub(super) struct Identity {
    /// Start of the volume on its disk, in sectors.
    pub hidden_sectors: u32,
    pub volume_id: u32,
    pub label: Option<[u8; 11]>,
}

fn u16_of(value: u64) -> U16 {
    U16::new(u16::try_from(value).expect("the geometry is of a size that is valid"))
}

fn u32_of(value: u64) -> U32 {
    U32::new(u32::try_from(value).expect("the geometry is of a size that is valid"))
}

fn code<const N: usize>() -> [u8; N] {
    let mut code = [0; N];
    code[..BOOT_CODE.len()].copy_from_slice(&BOOT_CODE);
    code
}

fn bpb(geometry: &Geometry, identity: &Identity) -> Bpb {
    let params = &geometry.params;
    let fat32 = params.variant == Variant::Fat32;
    let sectors = |bytes: u64| bytes / params.sector_size;
    let total = sectors(geometry.size);
    let short = !fat32 && total <= u64::from(u16::MAX);
    let code = if fat32 { 0x58 } else { 0x3c }; // relative to the end of the jump
    Bpb {
        BS_jmpBoot: [0xeb, code, 0x90],
        BS_OEMName: OEM_NAME,
        BPB_BytsPerSec: u16_of(params.sector_size),
        BPB_SecPerClus: u8::try_from(sectors(params.cluster_size)).expect("at most 64"),
        BPB_RsvdSecCnt: u16_of(sectors(geometry.reserved)),
        BPB_NumFATs: u8::try_from(FATS).expect("two"),
        BPB_RootEntCnt: u16_of(if fat32 { 0 } else { params.root_entries }),
        BPB_TotSec16: u16_of(if short { total } else { 0 }),
        BPB_Media: MEDIA_FIXED,
        BPB_FATSz16: u16_of(if fat32 { 0 } else { sectors(geometry.fat) }),
        // The conventional values for disks without a physical geometry.
        BPB_SecPerTrk: U16::new(63),
        BPB_NumHeads: U16::new(255),
        BPB_HiddSec: U32::new(identity.hidden_sectors),
        BPB_TotSec32: u32_of(if short { 0 } else { total }),
    }
}

fn extension(variant: Variant, identity: &Identity) -> Extension {
    Extension {
        BS_DrvNum: DRIVE,
        BS_Reserved1: 0,
        BS_BootSig: EXTENDED_SIGNATURE,
        BS_VolID: U32::new(identity.volume_id),
        BS_VolLab: identity.label.unwrap_or(NO_NAME),
        BS_FilSysType: match variant {
            Variant::Fat12 => *b"FAT12   ",
            Variant::Fat16 => *b"FAT16   ",
            Variant::Fat32 => *b"FAT32   ",
        },
    }
}

fn fs_info(geometry: &Geometry, used: u64) -> FsInfo {
    let [lead, struc, trail] = FSINFO_SIGNATURES;
    let free = geometry.clusters - used;
    FsInfo {
        FSI_LeadSig: U32::new(lead),
        FSI_Reserved1: [0; 480],
        FSI_StrucSig: U32::new(struc),
        FSI_Free_Count: u32_of(free),
        FSI_Nxt_Free: match free {
            0 => U32::new(NO_HINT),
            _ => u32_of(u64::from(ClusterNo::FIRST.0) + used),
        },
        FSI_Reserved2: [0; 12],
        FSI_TrailSig: U32::new(trail),
    }
}

/// Returns the reserved sectors of a volume that are not zeros, each with its offset in bytes.
/// `used` clusters are in use.
pub(super) fn sectors(
    geometry: &Geometry,
    identity: &Identity,
    used: u64,
) -> Vec<(u64, Box<[u8]>)> {
    let params = &geometry.params;
    let bpb = bpb(geometry, identity);
    let extension = extension(params.variant, identity);
    if params.variant != Variant::Fat32 {
        let sector = BootSector16 { bpb, extension, BS_BootCode: code(), BS_Sig: BOOT_SIGNATURE };
        return vec![(0, sector.as_bytes().into())];
    }
    let bpb32 = Bpb32 {
        BPB_FATSz32: u32_of(geometry.fat / params.sector_size),
        BPB_ExtFlags: U16::ZERO,
        BPB_FSVer: U16::ZERO,
        BPB_RootClus: U32::new(ClusterNo::FIRST.0),
        BPB_FSInfo: U16::new(FSINFO_SECTOR),
        BPB_BkBootSec: U16::new(BACKUP_SECTOR),
        BPB_Reserved: [0; 12],
    };
    let boot =
        BootSector32 { bpb, bpb32, extension, BS_BootCode32: code(), BS_Sig: BOOT_SIGNATURE };
    // Windows stores the rest of its boot code in a third sector, and checks its signature.
    let mut third = [0; 512];
    third[510..].copy_from_slice(&BOOT_SIGNATURE);
    let three: [Box<[u8]>; 3] =
        [boot.as_bytes().into(), fs_info(geometry, used).as_bytes().into(), third.into()];
    let at = |start: u16| {
        let sectors = u64::from(start)..;
        sectors.map(|sector| sector * params.sector_size).zip(three.clone())
    };
    at(0).chain(at(BACKUP_SECTOR)).collect()
}
