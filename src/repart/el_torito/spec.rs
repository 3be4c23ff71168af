//! Blocks of ISO 9660 (ECMA-119) and El Torito 1.0 (with the platform of the UEFI specification)
//! that a boot catalog needs. Fields are named as in the specifications.

use zerocopy::{BigEndian, FromZeros, Immutable, IntoBytes, KnownLayout, LittleEndian, Unaligned};

type Le16 = zerocopy::U16<LittleEndian>;
type Le32 = zerocopy::U32<LittleEndian>;

/// Size of a logical block, in bytes.
pub(super) const BLOCK: usize = 2048;

pub(super) const STANDARD_IDENTIFIER: [u8; 5] = *b"CD001";
pub(super) const TYPE_BOOT_RECORD: u8 = 0;
pub(super) const TYPE_PRIMARY: u8 = 1;
pub(super) const TYPE_TERMINATOR: u8 = 255;
/// `file_flags` of a directory.
pub(super) const DIRECTORY: u8 = 2;
/// `boot_system_identifier` of El Torito, followed by zeros.
pub(super) const EL_TORITO: &[u8; 23] = b"EL TORITO SPECIFICATION";
/// `header_id` of the validation entry.
pub(super) const HEADER_VALIDATION: u8 = 1;
/// `header_id` of the last section header.
pub(super) const HEADER_FINAL: u8 = 0x91;
/// `platform_id` of EFI.
pub(super) const PLATFORM_EFI: u8 = 0xef;
/// `boot_indicator` of a bootable entry.
pub(super) const BOOTABLE: u8 = 0x88;

/// A 16-bit number in both byte orders.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Both16 {
    little: Le16,
    big: zerocopy::U16<BigEndian>,
}

impl From<u16> for Both16 {
    fn from(value: u16) -> Self {
        Self { little: value.into(), big: value.into() }
    }
}

/// A 32-bit number in both byte orders.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Both32 {
    little: Le32,
    big: zerocopy::U32<BigEndian>,
}

impl From<u32> for Both32 {
    fn from(value: u32) -> Self {
        Self { little: value.into(), big: value.into() }
    }
}

/// "Recording Date and Time" of a directory record.
#[derive(Debug, Clone, Copy, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RecordingTime {
    /// Years since 1900.
    pub years: u8,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    /// Offset from UTC, in quarters of an hour.
    pub offset: u8,
}

/// Date and time in a volume descriptor, in digits.
#[derive(Debug, Clone, Copy, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct VolumeTime {
    /// Year (4), month, day, hour, minute, second and hundredths (2 each).
    pub digits: [u8; 16],
    /// Offset from UTC, in quarters of an hour.
    pub offset: u8,
}

/// A directory record with a name of one byte.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct DirectoryRecord {
    pub length: u8,
    pub extended_attribute_record_length: u8,
    pub location_of_extent: Both32,
    pub data_length: Both32,
    pub recording_date_and_time: RecordingTime,
    pub file_flags: u8,
    pub file_unit_size: u8,
    pub interleave_gap_size: u8,
    pub volume_sequence_number: Both16,
    pub length_of_file_identifier: u8,
    pub file_identifier: u8,
}

/// The primary volume descriptor.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct PrimaryVolumeDescriptor {
    pub volume_descriptor_type: u8,
    pub standard_identifier: [u8; 5],
    pub volume_descriptor_version: u8,
    pub unused_1: u8,
    pub system_identifier: [u8; 32],
    pub volume_identifier: [u8; 32],
    pub unused_2: [u8; 8],
    pub volume_space_size: Both32,
    pub unused_3: [u8; 32],
    pub volume_set_size: Both16,
    pub volume_sequence_number: Both16,
    pub logical_block_size: Both16,
    pub path_table_size: Both32,
    pub location_of_type_l_path_table: [u8; 4],
    pub location_of_optional_type_l_path_table: [u8; 4],
    pub location_of_type_m_path_table: [u8; 4],
    pub location_of_optional_type_m_path_table: [u8; 4],
    pub root_directory_record: DirectoryRecord,
    pub volume_set_identifier: [u8; 128],
    pub publisher_identifier: [u8; 128],
    pub data_preparer_identifier: [u8; 128],
    pub application_identifier: [u8; 128],
    pub copyright_file_identifier: [u8; 37],
    pub abstract_file_identifier: [u8; 37],
    pub bibliographic_file_identifier: [u8; 37],
    pub volume_creation_date_and_time: VolumeTime,
    pub volume_modification_date_and_time: VolumeTime,
    pub volume_expiration_date_and_time: VolumeTime,
    pub volume_effective_date_and_time: VolumeTime,
    pub file_structure_version: u8,
    pub reserved_1: u8,
    pub application_use: [u8; 512],
    pub reserved_2: [u8; 653],
}

/// The boot record volume descriptor, which points to the boot catalog.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct BootRecord {
    pub volume_descriptor_type: u8,
    pub standard_identifier: [u8; 5],
    pub volume_descriptor_version: u8,
    pub boot_system_identifier: [u8; 32],
    pub boot_identifier: [u8; 32],
    pub location_of_boot_catalog: Le32,
    pub boot_system_use: [u8; 1973],
}

/// The volume descriptor set terminator.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Terminator {
    pub volume_descriptor_type: u8,
    pub standard_identifier: [u8; 5],
    pub volume_descriptor_version: u8,
    pub reserved: [u8; 2041],
}

/// The first entry of a boot catalog.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ValidationEntry {
    pub header_id: u8,
    pub platform_id: u8,
    pub reserved: Le16,
    pub id_string: [u8; 24],
    /// Checksum that makes the 16-bit words of the entry add up to 0.
    pub checksum: Le16,
    pub key: [u8; 2],
}

/// The entry of the bootable partition.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct InitialEntry {
    pub boot_indicator: u8,
    pub boot_media_type: u8,
    pub load_segment: Le16,
    pub system_type: u8,
    pub unused_1: u8,
    pub sector_count: Le16,
    pub load_rba: Le32,
    pub unused_2: [u8; 20],
}

/// A section header, which further entries follow.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct SectionHeader {
    pub header_id: u8,
    pub platform_id: u8,
    pub number_of_entries: Le16,
    pub id_string: [u8; 28],
}

/// A boot catalog with one entry.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct BootCatalog {
    pub validation: ValidationEntry,
    pub initial: InitialEntry,
    pub last: SectionHeader,
    pub unused: [u8; BLOCK - 96],
}

/// A directory that contains only itself and its parent, which is itself.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RootDirectory {
    pub own: DirectoryRecord,
    pub parent: DirectoryRecord,
    pub unused: [u8; BLOCK - 2 * size_of::<DirectoryRecord>()],
}

/// All blocks from [`OFFSET`](super::OFFSET) on.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Blocks {
    pub primary: PrimaryVolumeDescriptor,
    pub boot_record: BootRecord,
    pub terminator: Terminator,
    pub catalog: BootCatalog,
    pub root: RootDirectory,
}

const _: () = assert!(size_of::<DirectoryRecord>() == 34);
const _: () = assert!(size_of::<PrimaryVolumeDescriptor>() == BLOCK);
const _: () = assert!(size_of::<BootRecord>() == BLOCK);
const _: () = assert!(size_of::<Terminator>() == BLOCK);
const _: () = assert!(size_of::<ValidationEntry>() == 32);
const _: () = assert!(size_of::<InitialEntry>() == 32);
const _: () = assert!(size_of::<SectionHeader>() == 32);
const _: () = assert!(size_of::<BootCatalog>() == BLOCK);
const _: () = assert!(size_of::<RootDirectory>() == BLOCK);
const _: () = assert!(size_of::<Blocks>() == 5 * BLOCK);
