//! Records of the GUID partition table, UEFI specification 2.10, chapter 5.
//!
//! Fields are named as the specification names them.

use zerocopy::little_endian::{U16, U32, U64};

use crate::record::records;

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

records! {
    /// A partition record of a master boot record.
    #[derive(Default)]
    pub struct MbrPartitionRecord("mbr_partition_record", 16) {
        /// 0x80 for a legacy bootable partition.
        boot_indicator: u8,
        /// Cylinder, head and sector of the first block.
        starting_chs: [u8; 3],
        /// Partition type.
        os_type: u8,
        /// Cylinder, head and sector of the last block.
        ending_chs: [u8; 3],
        /// First block.
        starting_lba: U32,
        /// Number of blocks.
        size_in_lba: U32,
    }

    /// The master boot record: the first 512 bytes, whatever the block size.
    pub struct MasterBootRecord("master_boot_record", 512) {
        /// Code that a BIOS executes.
        boot_code: [u8; 440],
        /// Unused under a GUID partition table.
        unique_mbr_disk_signature: U32,
        /// Unused.
        unknown: U16,
        /// Partition records.
        partition_record: [MbrPartitionRecord; 4],
        /// [`MBR_SIGNATURE`].
        signature: U16,
    }

    /// The header of a table.
    pub struct Header("gpt_header", HEADER_SIZE as usize) {
        /// [`HEADER_SIGNATURE`].
        signature: [u8; 8],
        /// [`REVISION`].
        revision: U32,
        /// Number of bytes covered by the checksum: 92.
        header_size: U32,
        /// CRC-32 of the header with this field set to zero.
        header_crc32: U32,
        /// Zero.
        reserved: U32,
        /// Block of this header.
        my_lba: U64,
        /// Block of the other header.
        alternate_lba: U64,
        /// First block that a partition may use.
        first_usable_lba: U64,
        /// Last block that a partition may use.
        last_usable_lba: U64,
        /// GUID of the disk, in mixed-endian byte order.
        disk_guid: [u8; 16],
        /// First block of the entries.
        partition_entry_lba: U64,
        /// [`ENTRIES`].
        number_of_partition_entries: U32,
        /// Size of an entry: 128 bytes.
        size_of_partition_entry: U32,
        /// CRC-32 of all entries.
        partition_entry_array_crc32: U32,
    }

    /// A partition entry.
    pub struct PartitionEntry("gpt_partition_entry", ENTRY_SIZE as usize) {
        /// Type GUID, in mixed-endian byte order; all zeros for an unused entry.
        partition_type_guid: [u8; 16],
        /// GUID of the partition, in mixed-endian byte order.
        unique_partition_guid: [u8; 16],
        /// First block.
        starting_lba: U64,
        /// Last block.
        ending_lba: U64,
        /// Attribute bits.
        attributes: U64,
        /// Name in UTF-16, padded with zeros.
        partition_name: [U16; NAME_UNITS],
    }
}
