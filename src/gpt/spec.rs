//! Records of the GUID partition table, UEFI specification 2.10, chapter 5.
//!
//! Fields are named as the specification names them.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// OS type of a protective partition.
pub const OS_TYPE_GPT_PROTECTIVE: u8 = 0xEE;
/// The last two bytes of a master boot record, as an integer.
pub const MBR_SIGNATURE: u16 = 0xAA55;
/// Signature at the start of a header.
pub const HEADER_SIGNATURE: [u8; 8] = *b"EFI PART";
/// Revision 1.0.
pub const REVISION: u32 = 0x0001_0000;
/// Number of entries in a table: the minimum of the specification, and the usual number.
pub const ENTRIES: u32 = 128;
/// Maximum number of entries that are read or written. The specification has no limit.
pub const ENTRIES_MAX: u32 = 4096;
/// Size of an entry, in bytes.
pub const ENTRY_SIZE: u32 = 128;
/// Size of a header, in bytes.
pub const HEADER_SIZE: u32 = 92;
/// Length of a partition name, in UTF-16 code units.
pub const NAME_UNITS: usize = 36;

/// A partition record of a master boot record.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MbrPartitionRecord {
    /// 0x80 for a legacy bootable partition.
    pub boot_indicator: u8,
    /// Cylinder, head and sector of the first block.
    pub starting_chs: [u8; 3],
    /// Partition type.
    pub os_type: u8,
    /// Cylinder, head and sector of the last block.
    pub ending_chs: [u8; 3],
    /// First block.
    pub starting_lba: U32,
    /// Number of blocks.
    pub size_in_lba: U32,
}

/// The master boot record: the first 512 bytes, whatever the block size.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MasterBootRecord {
    /// Code that a BIOS executes.
    pub boot_code: [u8; 440],
    /// Unused under a GUID partition table.
    pub unique_mbr_disk_signature: U32,
    /// Unused.
    pub unknown: U16,
    /// Partition records.
    pub partition_record: [MbrPartitionRecord; 4],
    /// [`MBR_SIGNATURE`].
    pub signature: U16,
}

/// The header of a table.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// [`HEADER_SIGNATURE`].
    pub signature: [u8; 8],
    /// [`REVISION`].
    pub revision: U32,
    /// Number of bytes covered by the checksum: 92.
    pub header_size: U32,
    /// CRC-32 of the header with this field set to zero.
    pub header_crc32: U32,
    /// Zero.
    pub reserved: U32,
    /// Block of this header.
    pub my_lba: U64,
    /// Block of the other header.
    pub alternate_lba: U64,
    /// First block that a partition may use.
    pub first_usable_lba: U64,
    /// Last block that a partition may use.
    pub last_usable_lba: U64,
    /// GUID of the disk, in mixed-endian byte order.
    pub disk_guid: [u8; 16],
    /// First block of the entries.
    pub partition_entry_lba: U64,
    /// [`ENTRIES`].
    pub number_of_partition_entries: U32,
    /// Size of an entry: 128 bytes.
    pub size_of_partition_entry: U32,
    /// CRC-32 of all entries.
    pub partition_entry_array_crc32: U32,
}

/// A partition entry.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PartitionEntry {
    /// Type GUID, in mixed-endian byte order; all zeros for an unused entry.
    pub partition_type_guid: [u8; 16],
    /// GUID of the partition, in mixed-endian byte order.
    pub unique_partition_guid: [u8; 16],
    /// First block.
    pub starting_lba: U64,
    /// Last block.
    pub ending_lba: U64,
    /// Attribute bits.
    pub attributes: U64,
    /// Name in UTF-16, padded with zeros.
    pub partition_name: [U16; NAME_UNITS],
}

const _: () = assert!(size_of::<MbrPartitionRecord>() == 16);
const _: () = assert!(size_of::<MasterBootRecord>() == 512);
const _: () = assert!(size_of::<Header>() == HEADER_SIZE as usize);
const _: () = assert!(size_of::<PartitionEntry>() == ENTRY_SIZE as usize);
