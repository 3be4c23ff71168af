//! On-disk records and constants of FAT, from Microsoft's "FAT: General Overview of On-Disk Format"
//! (1.03) and the UEFI specification, whose field names are used.
#![expect(non_snake_case, reason = "fields are named as the specification names them")]

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

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

/// The first cluster of the data area.
pub(super) const FIRST_CLUSTER: u32 = 2;
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

/// The part of the boot sector that is common to all variants.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Bpb {
    pub BS_jmpBoot: [u8; 3],
    pub BS_OEMName: [u8; 8],
    pub BPB_BytsPerSec: U16,
    pub BPB_SecPerClus: u8,
    pub BPB_RsvdSecCnt: U16,
    pub BPB_NumFATs: u8,
    pub BPB_RootEntCnt: U16,
    pub BPB_TotSec16: U16,
    pub BPB_Media: u8,
    pub BPB_FATSz16: U16,
    pub BPB_SecPerTrk: U16,
    pub BPB_NumHeads: U16,
    pub BPB_HiddSec: U32,
    pub BPB_TotSec32: U32,
}

/// The fields of FAT32 after the common part.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Bpb32 {
    pub BPB_FATSz32: U32,
    pub BPB_ExtFlags: U16,
    pub BPB_FSVer: U16,
    pub BPB_RootClus: U32,
    pub BPB_FSInfo: U16,
    pub BPB_BkBootSec: U16,
    pub BPB_Reserved: [u8; 12],
}

/// The last parameters; `BS_Reserved1` holds the dirty bits.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Extension {
    pub BS_DrvNum: u8,
    pub BS_Reserved1: u8,
    pub BS_BootSig: u8,
    pub BS_VolID: U32,
    pub BS_VolLab: [u8; 11],
    pub BS_FilSysType: [u8; 8],
}

/// The boot sector of FAT12 and FAT16; larger sectors are padded with zeros.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct BootSector16 {
    pub bpb: Bpb,
    pub extension: Extension,
    pub BS_BootCode: [u8; 448],
    pub BS_Sig: [u8; 2],
}

/// The boot sector of FAT32; larger sectors are padded with zeros.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct BootSector32 {
    pub bpb: Bpb,
    pub bpb32: Bpb32,
    pub extension: Extension,
    pub BS_BootCode32: [u8; 420],
    pub BS_Sig: [u8; 2],
}

/// The FSInfo sector of FAT32; larger sectors are padded with zeros.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct FsInfo {
    pub FSI_LeadSig: U32,
    pub FSI_Reserved1: [u8; 480],
    pub FSI_StrucSig: U32,
    pub FSI_Free_Count: U32,
    pub FSI_Nxt_Free: U32,
    pub FSI_Reserved2: [u8; 12],
    pub FSI_TrailSig: U32,
}

/// A directory slot with a short name.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ShortSlot {
    pub DIR_Name: [u8; 11],
    pub DIR_Attr: u8,
    pub DIR_NTRes: u8,
    pub DIR_CrtTimeTenth: u8,
    pub DIR_CrtTime: U16,
    pub DIR_CrtDate: U16,
    pub DIR_LstAccDate: U16,
    pub DIR_FstClusHI: U16,
    pub DIR_WrtTime: U16,
    pub DIR_WrtDate: U16,
    pub DIR_FstClusLO: U16,
    pub DIR_FileSize: U32,
}

/// A directory slot with a part of a long name.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct LongSlot {
    pub LDIR_Ord: u8,
    pub LDIR_Name1: [U16; 5],
    pub LDIR_Attr: u8,
    pub LDIR_Type: u8,
    pub LDIR_Chksum: u8,
    pub LDIR_Name2: [U16; 6],
    pub LDIR_FstClusLO: U16,
    pub LDIR_Name3: [U16; 2],
}

const _: () = assert!(size_of::<Bpb>() == 36);
const _: () = assert!(size_of::<Bpb32>() == 28);
const _: () = assert!(size_of::<Extension>() == 26);
const _: () = assert!(size_of::<BootSector16>() == 512);
const _: () = assert!(size_of::<BootSector32>() == 512);
const _: () = assert!(size_of::<FsInfo>() == 512);
const _: () = assert!(size_of::<ShortSlot>() == SLOT);
const _: () = assert!(size_of::<LongSlot>() == SLOT);
