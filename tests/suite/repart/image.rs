//! Comparison of two images: the on-disk partition tables, and every other byte.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use uuid::Uuid;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use detfs::gpt::spec::{ENTRIES, ENTRY_SIZE, Header, MasterBootRecord, PartitionEntry};

/// Returns the differences between two images, field by field. The ranges in `except` are not
/// compared.
pub fn differences(left: &Path, right: &Path, sector: u64, except: &[Range<u64>]) -> Vec<String> {
    let [left, right] = [left, right].map(|path| File::open(path).unwrap());
    let [left_len, right_len] = [&left, &right].map(|file| file.metadata().unwrap().len());
    if left_len != right_len {
        return vec![format!("the image has {left_len} and {right_len} bytes")];
    }
    let [ours, theirs] = [&left, &right].map(|file| fields(file, left_len, sector));
    let mut found: Vec<String> = ours
        .iter()
        .zip(&theirs)
        .filter(|(left, right)| left != right)
        .map(|(left, right)| format!("{left} and {right}"))
        .collect();
    if found.is_empty() {
        found.extend(content_differs(&left, &right, left_len, except));
    }
    found
}

/// Returns the first difference between two files, or only a difference of their lengths if
/// `lengths_only`.
pub fn bytes_differ(left: &Path, right: &Path, lengths_only: bool) -> Option<String> {
    let [left, right] = [left, right].map(|path| File::open(path).unwrap());
    let [left_len, right_len] = [&left, &right].map(|file| file.metadata().unwrap().len());
    if left_len != right_len {
        return Some(format!("{left_len} and {right_len} bytes"));
    }
    if lengths_only { None } else { content_differs(&left, &right, left_len, &[]) }
}

fn content_differs(left: &File, right: &File, len: u64, except: &[Range<u64>]) -> Option<String> {
    let mut ranges = data(left, len);
    ranges.extend(data(right, len));
    ranges.into_iter().find_map(|range| differs(left, right, range, except))
}

/// Returns the ranges of a file that hold data.
fn data(file: &File, len: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < len {
        at = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(error) => panic!("{error}"),
        };
        let end = seek(file, SeekFrom::Hole(at)).unwrap();
        ranges.push(at..end);
        at = end;
    }
    ranges
}

fn differs(left: &File, right: &File, range: Range<u64>, except: &[Range<u64>]) -> Option<String> {
    const STEP: u64 = 1 << 16;
    let mut at = range.start;
    while at < range.end {
        if let Some(skip) = except.iter().find(|skip| skip.contains(&at)) {
            at = skip.end;
            continue;
        }
        let next = except.iter().map(|skip| skip.start).filter(|&start| start > at).min();
        let end = range.end.min(at + STEP).min(next.unwrap_or(u64::MAX));
        let [ours, theirs] = [left, right].map(|file| read(file, at, end - at));
        if let Some(byte) = (0..ours.len()).find(|&byte| ours[byte] != theirs[byte]) {
            let at = at + u64::try_from(byte).unwrap();
            let [ours, theirs] = [ours, theirs].map(|bytes| bytes[byte..].to_vec());
            let shown = |bytes: &[u8]| bytes[..bytes.len().min(16)].escape_ascii().to_string();
            return Some(format!("byte {at}: {} and {}", shown(&ours), shown(&theirs)));
        }
        at = end;
    }
    None
}

fn read(file: &File, at: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(len).unwrap()];
    file.read_exact_at(&mut bytes, at).unwrap();
    bytes
}

/// Deletes the used entry with index `nth`, modulo the number of used entries, from both copies of
/// the table.
pub fn delete_entry(image: &Path, sector: u64, nth: u64) {
    let Ok(file) = File::options().read(true).write(true).open(image) else { return };
    let primary: Header = record(&read(&file, sector, 512));
    if primary.signature != *b"EFI PART" {
        return;
    }
    let entries_len = u64::from(ENTRIES * ENTRY_SIZE);
    let mut entries = read(&file, primary.partition_entry_lba.get() * sector, entries_len);
    let count = entries.chunks(128).filter(|entry| entry[..16] != [0; 16]).count() as u64;
    if count == 0 {
        return;
    }
    let mut used = entries.chunks_mut(128).filter(|entry| entry[..16] != [0; 16]);
    used.nth(usize::try_from(nth % count).unwrap()).unwrap().fill(0);
    let entries_crc = crc32fast::hash(&entries).to_le_bytes();
    for lba in [1, primary.alternate_lba.get()] {
        let mut bytes = read(&file, lba * sector, 92);
        let header: Header = record(&bytes);
        file.write_all_at(&entries, header.partition_entry_lba.get() * sector).unwrap();
        bytes[88..92].copy_from_slice(&entries_crc);
        bytes[16..20].fill(0);
        let crc = crc32fast::hash(&bytes).to_le_bytes();
        bytes[16..20].copy_from_slice(&crc);
        file.write_all_at(&bytes, lba * sector).unwrap();
    }
}

fn record<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> T {
    T::read_from_prefix(bytes).unwrap().0
}

/// Returns every field of the protective MBR and of both tables as text.
fn fields(file: &File, len: u64, sector: u64) -> Vec<String> {
    let mut text = Vec::new();
    if len < 4 * sector {
        return text;
    }
    text.push(format!("MBR: {:?}", record::<MasterBootRecord>(&read(file, 0, 512))));
    let entries_len = u64::from(ENTRIES * ENTRY_SIZE);
    for (copy, header) in [("primary", sector), ("backup", len - sector)] {
        let header: Header = record(&read(file, header, sector));
        text.push(format!("{copy} signature: {}", header.signature.escape_ascii()));
        for (field, value) in [
            ("Revision", u64::from(header.revision.get())),
            ("HeaderSize", header.header_size.get().into()),
            ("MyLBA", header.my_lba.get()),
            ("AlternateLBA", header.alternate_lba.get()),
            ("FirstUsableLBA", header.first_usable_lba.get()),
            ("LastUsableLBA", header.last_usable_lba.get()),
            ("PartitionEntryLBA", header.partition_entry_lba.get()),
            ("NumberOfPartitionEntries", header.number_of_partition_entries.get().into()),
            ("SizeOfPartitionEntry", header.size_of_partition_entry.get().into()),
        ] {
            text.push(format!("{copy} {field}: {value}"));
        }
        text.push(format!("{copy} DiskGUID: {}", Uuid::from_bytes_le(header.disk_guid)));
        let at = header.partition_entry_lba.get().saturating_mul(sector);
        if at.saturating_add(entries_len) <= len {
            for (number, entry) in read(file, at, entries_len).chunks(128).enumerate() {
                text.push(format!("{copy} entry {number}: {}", entry_text(&record(entry))));
            }
        }
        // The checksums come last, since they follow from the other fields.
        text.push(format!("{copy} HeaderCRC32: {:x}", header.header_crc32));
        text.push(format!("{copy} entries' CRC32: {:x}", header.partition_entry_array_crc32));
    }
    text
}

fn entry_text(entry: &PartitionEntry) -> String {
    if entry.partition_type_guid == [0; 16] {
        return "unused".to_owned();
    }
    let units: Vec<u16> = entry.partition_name.iter().map(|unit| unit.get()).collect();
    format!(
        "{} {} {}..={} {:x} {:?}",
        Uuid::from_bytes_le(entry.partition_type_guid),
        Uuid::from_bytes_le(entry.unique_partition_guid),
        entry.starting_lba,
        entry.ending_lba,
        entry.attributes,
        String::from_utf16_lossy(&units).trim_end_matches('\0')
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::oracle::shell;

    /// Returns the result of `differences` for an image and a copy in which `bytes` were written at
    /// offset `at`.
    fn found(at: u64, bytes: &[u8], except: &[Range<u64>]) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let [image, copy] = ["image", "copy"].map(|name| scratch.path().join(name));
        let script = "truncate -s 8M $1
            sgdisk -n 1:1M:+2M -t 1:8304 -c 1:first -n 2:4M:+2M $1 >/dev/null
            cp $1 $2";
        shell(script, &[&image, &copy]);
        assert_eq!(differences(&image, &copy, 512, &[]), [""; 0]);
        File::options().write(true).open(&copy).unwrap().write_all_at(bytes, at).unwrap();
        differences(&image, &copy, 512, except).join("; ")
    }

    #[test]
    #[ignore = "takes seconds"]
    fn every_part_is_compared() {
        let end = 8 << 20;
        for (what, at) in [
            ("MBR", 100),
            ("MBR", 446 + 4),
            ("primary MyLBA", 512 + 24),
            ("primary DiskGUID", 512 + 56),
            ("primary HeaderCRC32", 512 + 16),
            ("primary entry 0", 1024 + 56),
            ("primary entry 1", 1024 + 128 + 48),
            ("backup FirstUsableLBA", end - 512 + 40),
            ("backup entry 0", end - 33 * 512),
            ("byte 4000000", 4_000_000),
            ("byte 612", 612),
        ] {
            let text = found(at, b"\xf7", &[]);
            assert!(text.contains(what), "{what}: {text}");
        }
    }

    #[test]
    fn exceptions_are_not_compared() {
        assert_eq!(found(4_000_000, b"x", &[0..3_999_999, 4_000_000..4_000_001]), "");
        assert_ne!(found(4_000_000, b"xy", &[0..3_999_999, 4_000_000..4_000_001]), "");
    }

    #[test]
    fn an_image_of_another_length_differs() {
        let scratch = tempfile::tempdir().unwrap();
        let [image, copy] = ["image", "copy"].map(|name| scratch.path().join(name));
        shell("truncate -s 8M $1; truncate -s 9M $2", &[&image, &copy]);
        assert_eq!(differences(&image, &copy, 512, &[]).len(), 1);
    }
}
