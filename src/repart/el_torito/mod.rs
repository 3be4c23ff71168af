//! El Torito boot catalog, which lets firmware boot the ESP when the image is on an optical medium.
//!
//! The catalog needs an empty ISO 9660 file system around it: five blocks between the partition
//! table and the first partition.

mod spec;

use std::ops::Range;

use zerocopy::{FromZeros, IntoBytes};

use crate::error::{Error, Result};
use crate::time::{Timestamp, civil};
use spec::{
    BLOCK, BOOTABLE, Blocks, DIRECTORY, DirectoryRecord, EL_TORITO, HEADER_FINAL,
    HEADER_VALIDATION, PLATFORM_EFI, RecordingTime, STANDARD_IDENTIFIER, TYPE_BOOT_RECORD,
    TYPE_PRIMARY, TYPE_TERMINATOR, VolumeTime,
};

/// Offset of the ISO 9660 blocks that hold the boot catalog, in bytes from the start of the image.
pub const OFFSET: u64 = 16 * BLOCK as u64;
/// Size of the ISO 9660 blocks that hold the boot catalog, in bytes.
pub const SIZE: u64 = size_of::<Blocks>() as u64;

/// Number of the block with the boot catalog.
const CATALOG: u32 = 19;
/// Number of the block with the root directory.
const ROOT: u32 = 20;

/// 1900-01-01 00:00:00, the earliest time in ISO 9660.
const EARLIEST: Timestamp = Timestamp::from_seconds(-2_208_988_800);
/// 2156-01-01 00:00:00, the end of the times in ISO 9660.
const END: Timestamp = Timestamp::from_seconds(5_869_584_000);

/// Identifiers of the volume; each may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ElTorito {
    system: String,
    volume: String,
    publisher: String,
}

/// Checks that `value` has at most `len_max` characters, all of them letters of either case,
/// digits, spaces or ``!"%&'()*+,-./:;<=>?_``.
fn check(parameter: &'static str, value: &str, len_max: usize) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || " !\"%&'()*+,-./:;<=>?_".contains(c);
    match value.chars().find(|&c| !legal(c)) {
        Some(c) => Err(Error::parameter(
            parameter,
            format!("{value:?} contains {c:?}"),
            "give ASCII letters, digits, spaces and !\"%&'()*+,-./:;<=>?_",
        )),
        None if value.len() > len_max => Err(Error::parameter(
            parameter,
            format!("{value:?} has {} characters", value.len()),
            format!("give at most {len_max}"),
        )),
        None => Ok(()),
    }
}

fn padded<const LEN: usize>(text: &str) -> [u8; LEN] {
    let mut bytes = [b' '; LEN];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

fn refuse(rule: impl Into<String>, remedy: &str) -> Error {
    Error::parameter("el_torito", rule, remedy)
}

impl ElTorito {
    /// Creates a catalog on a volume with these identifiers.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a system or volume identifier of more than 32 characters, a
    /// publisher identifier of more than 128, and characters that ISO 9660 does not allow.
    pub fn new(system: &str, volume: &str, publisher: &str) -> Result<Self> {
        check("el_torito.system", system, 32)?;
        check("el_torito.volume", volume, 32)?;
        check("el_torito.publisher", publisher, 128)?;
        let [system, volume, publisher] = [system, volume, publisher].map(str::to_owned);
        Ok(Self { system, volume, publisher })
    }

    /// Encodes the blocks at [`OFFSET`]. `esp` is the start of the ESP, and `free` the range
    /// between the partition table and the first byte that a partition can use.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there is no ESP, if it does not start at a block boundary, if the
    /// blocks are not free, or if the epoch is not in 1900 to 2155.
    pub fn blocks(&self, epoch: Timestamp, esp: Option<u64>, free: &Range<u64>) -> Result<Vec<u8>> {
        if free.start > OFFSET || free.end < OFFSET + SIZE {
            return Err(refuse(
                format!(
                    "the catalog takes bytes {OFFSET} to {}, and bytes {} to {} are free",
                    OFFSET + SIZE,
                    free.start,
                    free.end
                ),
                "make an image of more than 4 MiB",
            ));
        }
        let esp = esp.ok_or_else(|| {
            refuse("the image has no ESP that can be booted", "define a partition of Type=esp")
        })?;
        let load_rba = match u32::try_from(esp / BLOCK as u64) {
            Ok(block) if esp.is_multiple_of(BLOCK as u64) => block,
            _ => {
                return Err(refuse(
                    format!("the ESP starts at {esp}, not at a block of {BLOCK} bytes"),
                    "start partitions at multiples of 2048 bytes, the ESP below 8 TiB",
                ));
            }
        };
        if !(EARLIEST..END).contains(&epoch) {
            return Err(refuse(
                format!("ISO 9660 can't store the time {} seconds after 1970", epoch.seconds),
                "use a time before the year 2156",
            ));
        }
        let mut blocks = Blocks::new_zeroed();
        self.describe(&mut blocks, epoch);
        catalog(&mut blocks.catalog, load_rba);
        Ok(blocks.as_bytes().to_vec())
    }

    fn describe(&self, blocks: &mut Blocks, epoch: Timestamp) {
        let (recorded, written) = times(epoch);
        let directory = |file_identifier: u8| DirectoryRecord {
            length: 34,
            location_of_extent: ROOT.into(),
            data_length: 68.into(),
            recording_date_and_time: recorded,
            file_flags: DIRECTORY,
            volume_sequence_number: 1.into(),
            length_of_file_identifier: 1,
            file_identifier,
            ..DirectoryRecord::new_zeroed()
        };
        let primary = &mut blocks.primary;
        primary.volume_descriptor_type = TYPE_PRIMARY;
        primary.standard_identifier = STANDARD_IDENTIFIER;
        primary.volume_descriptor_version = 1;
        primary.system_identifier = padded(&self.system);
        primary.volume_identifier = padded(&self.volume);
        primary.volume_space_size = (ROOT + 1).into();
        primary.volume_set_size = 1.into();
        primary.volume_sequence_number = 1.into();
        primary.logical_block_size = 2048.into();
        primary.root_directory_record = directory(0);
        primary.volume_set_identifier = padded("");
        primary.publisher_identifier = padded(&self.publisher);
        primary.data_preparer_identifier = padded("");
        // The same identifier as systemd-repart writes, so that the blocks are identical.
        primary.application_identifier = padded("SYSTEMD-REPART");
        primary.copyright_file_identifier = padded("");
        primary.abstract_file_identifier = padded("");
        primary.bibliographic_file_identifier = padded("");
        primary.volume_creation_date_and_time = written;
        primary.volume_modification_date_and_time = written;
        let never = VolumeTime { digits: [b'0'; 16], offset: 0 };
        primary.volume_expiration_date_and_time = never;
        primary.volume_effective_date_and_time = never;
        primary.file_structure_version = 1;

        let boot_record = &mut blocks.boot_record;
        boot_record.volume_descriptor_type = TYPE_BOOT_RECORD;
        boot_record.standard_identifier = STANDARD_IDENTIFIER;
        boot_record.volume_descriptor_version = 1;
        boot_record.boot_system_identifier[..EL_TORITO.len()].copy_from_slice(EL_TORITO);
        boot_record.location_of_boot_catalog = CATALOG.into();

        blocks.terminator.volume_descriptor_type = TYPE_TERMINATOR;
        blocks.terminator.standard_identifier = STANDARD_IDENTIFIER;
        blocks.terminator.volume_descriptor_version = 1;

        blocks.root.own = directory(0);
        blocks.root.parent = directory(1);
    }
}

fn catalog(catalog: &mut spec::BootCatalog, load_rba: u32) {
    let validation = &mut catalog.validation;
    validation.header_id = HEADER_VALIDATION;
    validation.platform_id = PLATFORM_EFI;
    validation.key = [0x55, 0xaa];
    let (words, _) = validation.as_bytes().as_chunks();
    let sum = words.iter().fold(0u16, |sum, &word| sum.wrapping_add(u16::from_le_bytes(word)));
    validation.checksum = sum.wrapping_neg().into();
    catalog.initial.boot_indicator = BOOTABLE;
    catalog.initial.load_rba = load_rba.into();
    catalog.last.header_id = HEADER_FINAL;
}

/// Encodes a time in UTC for a directory record and for a volume descriptor.
fn times(time: Timestamp) -> (RecordingTime, VolumeTime) {
    let (year, month, day) = civil(time.seconds.div_euclid(86_400));
    let second = u64::try_from(time.seconds.rem_euclid(86_400)).expect("a part of a day");
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let hundredth = time.nanoseconds / 10_000_000;
    let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{hundredth:02}");
    let byte = |value: u64| u8::try_from(value).expect("the year is in 1900 to 2155");
    let recorded = RecordingTime {
        years: byte(year - 1900),
        month: byte(month),
        day: byte(day),
        hour: byte(hour),
        minute: byte(minute),
        second: byte(second),
        offset: 0,
    };
    (recorded, VolumeTime { digits: padded(&text), offset: 0 })
}
