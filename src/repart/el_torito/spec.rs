//! Blocks of ISO 9660 (ECMA-119) and El Torito 1.0 (with the platform of the UEFI specification)
//! that a boot catalog needs. Fields are named as in the specifications.

use zerocopy::{BigEndian, LittleEndian};

use crate::record::records;

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

records! {
    /// A 16-bit number in both byte orders.
    pub(super) struct Both16("both_byte_orders", 4) {
        little: Le16,
        big: zerocopy::U16<BigEndian>,
    }
}

impl From<u16> for Both16 {
    fn from(value: u16) -> Self {
        Self { little: value.into(), big: value.into() }
    }
}

records! {
    /// A 32-bit number in both byte orders.
    pub(super) struct Both32("both_byte_orders", 8) {
        little: Le32,
        big: zerocopy::U32<BigEndian>,
    }
}

impl From<u32> for Both32 {
    fn from(value: u32) -> Self {
        Self { little: value.into(), big: value.into() }
    }
}

records! {
    /// "Recording Date and Time" of a directory record.
    pub(super) struct RecordingTime("recording_date_and_time", 7) {
        /// Years since 1900.
        years: u8,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
        /// Offset from UTC, in quarters of an hour.
        offset: u8,
    }

    /// Date and time in a volume descriptor, in digits.
    pub(super) struct VolumeTime("volume_date_and_time", 17) {
        /// Year (4), month, day, hour, minute, second and hundredths (2 each).
        digits: [u8; 16],
        /// Offset from UTC, in quarters of an hour.
        offset: u8,
    }

    /// A directory record with a name of one byte.
    pub(super) struct DirectoryRecord("directory_record", 34) {
        length: u8,
        extended_attribute_record_length: u8,
        location_of_extent: Both32,
        data_length: Both32,
        recording_date_and_time: RecordingTime,
        file_flags: u8,
        file_unit_size: u8,
        interleave_gap_size: u8,
        volume_sequence_number: Both16,
        length_of_file_identifier: u8,
        file_identifier: u8,
    }

    /// The primary volume descriptor.
    pub(super) struct PrimaryVolumeDescriptor("primary_volume_descriptor", BLOCK) {
        volume_descriptor_type: u8,
        standard_identifier: [u8; 5],
        volume_descriptor_version: u8,
        unused_1: u8,
        system_identifier: [u8; 32],
        volume_identifier: [u8; 32],
        unused_2: [u8; 8],
        volume_space_size: Both32,
        unused_3: [u8; 32],
        volume_set_size: Both16,
        volume_sequence_number: Both16,
        logical_block_size: Both16,
        path_table_size: Both32,
        location_of_type_l_path_table: [u8; 4],
        location_of_optional_type_l_path_table: [u8; 4],
        location_of_type_m_path_table: [u8; 4],
        location_of_optional_type_m_path_table: [u8; 4],
        root_directory_record: DirectoryRecord,
        volume_set_identifier: [u8; 128],
        publisher_identifier: [u8; 128],
        data_preparer_identifier: [u8; 128],
        application_identifier: [u8; 128],
        copyright_file_identifier: [u8; 37],
        abstract_file_identifier: [u8; 37],
        bibliographic_file_identifier: [u8; 37],
        volume_creation_date_and_time: VolumeTime,
        volume_modification_date_and_time: VolumeTime,
        volume_expiration_date_and_time: VolumeTime,
        volume_effective_date_and_time: VolumeTime,
        file_structure_version: u8,
        reserved_1: u8,
        application_use: [u8; 512],
        reserved_2: [u8; 653],
    }

    /// The boot record volume descriptor, which points to the boot catalog.
    pub(super) struct BootRecord("boot_record_volume_descriptor", BLOCK) {
        volume_descriptor_type: u8,
        standard_identifier: [u8; 5],
        volume_descriptor_version: u8,
        boot_system_identifier: [u8; 32],
        boot_identifier: [u8; 32],
        location_of_boot_catalog: Le32,
        boot_system_use: [u8; 1973],
    }

    /// The volume descriptor set terminator.
    pub(super) struct Terminator("volume_descriptor_set_terminator", BLOCK) {
        volume_descriptor_type: u8,
        standard_identifier: [u8; 5],
        volume_descriptor_version: u8,
        reserved: [u8; 2041],
    }

    /// The first entry of a boot catalog.
    pub(super) struct ValidationEntry("validation_entry", 32) {
        header_id: u8,
        platform_id: u8,
        reserved: Le16,
        id_string: [u8; 24],
        /// Checksum that makes the 16-bit words of the entry add up to 0.
        checksum: Le16,
        key: [u8; 2],
    }

    /// The entry of the bootable partition.
    pub(super) struct InitialEntry("initial_entry", 32) {
        boot_indicator: u8,
        boot_media_type: u8,
        load_segment: Le16,
        system_type: u8,
        unused_1: u8,
        sector_count: Le16,
        load_rba: Le32,
        unused_2: [u8; 20],
    }

    /// A section header, which further entries follow.
    pub(super) struct SectionHeader("section_header_entry", 32) {
        header_id: u8,
        platform_id: u8,
        number_of_entries: Le16,
        id_string: [u8; 28],
    }

    /// A boot catalog with one entry.
    pub(super) struct BootCatalog("boot_catalog", BLOCK) {
        validation: ValidationEntry,
        initial: InitialEntry,
        last: SectionHeader,
        unused: [u8; BLOCK - 96],
    }

    /// A directory that contains only itself and its parent, which is itself.
    pub(super) struct RootDirectory("root_directory", BLOCK) {
        own: DirectoryRecord,
        parent: DirectoryRecord,
        unused: [u8; BLOCK - 2 * size_of::<DirectoryRecord>()],
    }

    /// All blocks from [`OFFSET`](super::OFFSET) on.
    pub(super) struct Blocks("blocks", 5 * BLOCK) {
        primary: PrimaryVolumeDescriptor,
        boot_record: BootRecord,
        terminator: Terminator,
        catalog: BootCatalog,
        root: RootDirectory,
    }
}
