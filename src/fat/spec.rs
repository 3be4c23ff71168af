//! On-disk records and constants of FAT, from Microsoft's "FAT: General Overview of On-Disk Format"
//! (1.03) and the UEFI specification, whose field names are used.
#![expect(non_snake_case, reason = "fields are named as the specification names them")]

use zerocopy::little_endian::{U16, U32};

use crate::record::records;

/// Media byte of a fixed disk; also the low byte of the first FAT entry.
pub(super) const MEDIA_FIXED: u8 = 0xf8;
/// The last two bytes of the first 512 of a boot sector.
pub(super) const BOOT_SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// Marks the volume id, label and type fields of the boot sector as present.
pub(super) const EXTENDED_SIGNATURE: u8 = 0x29;
/// `FSI_LeadSig`, `FSI_StrucSig` and `FSI_TrailSig`.
pub(super) const FSINFO_SIGNATURES: [u32; 3] = [0x4161_5252, 0x6141_7272, 0xaa55_0000];
/// `FSI_Nxt_Free` without a hint.
pub(super) const NO_HINT: u32 = 0xffff_ffff;

/// Length of a directory slot, in bytes.
pub(super) const SLOT: usize = 32;
/// Maximum number of slots of a directory (2 MiB), because DOS counts them in 16 bits.
pub(super) const SLOTS_MAX: usize = 65_536;
/// Maximum size of a file, which is stored in 32 bits.
pub(super) const FILE_MAX: u64 = 0xffff_ffff;

pub(super) const ATTR_VOLUME_ID: u8 = 0x08;
pub(super) const ATTR_DIRECTORY: u8 = 0x10;
pub(super) const ATTR_ARCHIVE: u8 = 0x20;
pub(super) const ATTR_LONG_NAME: u8 = 0x0f;
/// `DIR_NTRes`: the name before the dot is shown in lower case.
pub(super) const NT_LOWER_BASE: u8 = 0x08;
/// `DIR_NTRes`: the extension is shown in lower case.
pub(super) const NT_LOWER_EXT: u8 = 0x10;
/// `LDIR_Ord`: the slot holds the end of a long name.
pub(super) const LAST_LONG_ENTRY: u8 = 0x40;
/// Number of UTF-16 code units in one slot of a long name.
pub(super) const LONG_UNITS: usize = 13;

records! {
    /// The part of the boot sector that is common to all variants.
    pub(super) struct Bpb("boot_sector", 36) {
        BS_jmpBoot: [u8; 3],
        BS_OEMName: [u8; 8],
        BPB_BytsPerSec: U16,
        BPB_SecPerClus: u8,
        BPB_RsvdSecCnt: U16,
        BPB_NumFATs: u8,
        BPB_RootEntCnt: U16,
        BPB_TotSec16: U16,
        BPB_Media: u8,
        BPB_FATSz16: U16,
        BPB_SecPerTrk: U16,
        BPB_NumHeads: U16,
        BPB_HiddSec: U32,
        BPB_TotSec32: U32,
    }

    /// The fields of FAT32 after the common part.
    pub(super) struct Bpb32("boot_sector", 28) {
        BPB_FATSz32: U32,
        BPB_ExtFlags: U16,
        BPB_FSVer: U16,
        BPB_RootClus: U32,
        BPB_FSInfo: U16,
        BPB_BkBootSec: U16,
        BPB_Reserved: [u8; 12],
    }

    /// The last parameters; `BS_Reserved1` holds the dirty bits.
    pub(super) struct Extension("boot_sector", 26) {
        BS_DrvNum: u8,
        BS_Reserved1: u8,
        BS_BootSig: u8,
        BS_VolID: U32,
        BS_VolLab: [u8; 11],
        BS_FilSysType: [u8; 8],
    }

    /// The boot sector of FAT12 and FAT16; larger sectors are padded with zeros.
    pub(super) struct BootSector16("boot_sector", 512) {
        bpb: Bpb,
        extension: Extension,
        BS_BootCode: [u8; 448],
        BS_Sig: [u8; 2],
    }

    /// The boot sector of FAT32; larger sectors are padded with zeros.
    pub(super) struct BootSector32("boot_sector", 512) {
        bpb: Bpb,
        bpb32: Bpb32,
        extension: Extension,
        BS_BootCode32: [u8; 420],
        BS_Sig: [u8; 2],
    }

    /// The FSInfo sector of FAT32; larger sectors are padded with zeros.
    pub(super) struct FsInfo("fs_info", 512) {
        FSI_LeadSig: U32,
        FSI_Reserved1: [u8; 480],
        FSI_StrucSig: U32,
        FSI_Free_Count: U32,
        FSI_Nxt_Free: U32,
        FSI_Reserved2: [u8; 12],
        FSI_TrailSig: U32,
    }

    /// A directory slot with a short name.
    pub(super) struct ShortSlot("directory_entry", SLOT) {
        DIR_Name: [u8; 11],
        DIR_Attr: u8,
        DIR_NTRes: u8,
        DIR_CrtTimeTenth: u8,
        DIR_CrtTime: U16,
        DIR_CrtDate: U16,
        DIR_LstAccDate: U16,
        DIR_FstClusHI: U16,
        DIR_WrtTime: U16,
        DIR_WrtDate: U16,
        DIR_FstClusLO: U16,
        DIR_FileSize: U32,
    }

    /// A directory slot with a part of a long name.
    pub(super) struct LongSlot("long_directory_entry", SLOT) {
        LDIR_Ord: u8,
        LDIR_Name1: [U16; 5],
        LDIR_Attr: u8,
        LDIR_Type: u8,
        LDIR_Chksum: u8,
        LDIR_Name2: [U16; 6],
        LDIR_FstClusLO: U16,
        LDIR_Name3: [U16; 2],
    }
}
