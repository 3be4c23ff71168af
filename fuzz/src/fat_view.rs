//! `fatfs`, an independent implementation of FAT, as an oracle.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use detfs::Timestamp;
use fatfs::{Dir, DirEntry, FileSystem, FsOptions};

use crate::Verdict;
use crate::arbitrary_tree::{Expected, What};

type Image = Cursor<Vec<u8>>;

/// Reads back the whole tree and compares it with the expected nodes.
pub fn check(image: Vec<u8>, model: &[Expected], label: Option<&str>) -> Verdict {
    let fs = FileSystem::new(Cursor::new(image), FsOptions::new()).map_err(error_text)?;
    let found = fs.read_volume_label_from_root_dir().map_err(error_text)?;
    let expected = label.map(str::to_ascii_uppercase);
    if found != expected {
        return Err(format!("the label is {found:?}, not {expected:?}"));
    }
    directory(&fs.root_dir(), 0, model, b"")
}

fn error_text(error: std::io::Error) -> String {
    error.to_string()
}

fn directory(dir: &Dir<'_, Image>, position: usize, model: &[Expected], path: &[u8]) -> Verdict {
    let What::Directory(names) = &model[position].what else { unreachable!("it is a directory") };
    let at = |error_text: String| format!("{}: {error_text}", path.escape_ascii());
    let mut found = BTreeMap::new();
    for entry in dir.iter() {
        let entry = entry.map_err(|error| at(error_text(error)))?;
        let name = entry.file_name();
        if name == "." || name == ".." {
            continue;
        }
        found.insert(name.into_bytes(), entry);
    }
    if !found.keys().eq(names.keys()) {
        return Err(at(format!("it lists {:?}, not {:?}", found.keys(), names.keys())));
    }
    for (name, entry) in found {
        let child = names[&name];
        let path = [path, b"/", &name].concat();
        let at = |error_text: String| format!("{}: {error_text}", path.escape_ascii());
        node(&entry, &model[child]).map_err(at)?;
        if entry.is_dir() {
            directory(&entry.to_dir(), child, model, &path)?;
        }
    }
    Ok(())
}

fn node(entry: &DirEntry<'_, Image>, node: &Expected) -> Verdict {
    match &node.what {
        What::Directory(_) if entry.is_dir() => {}
        What::File(bytes) if entry.is_file() => {
            let mut found = Vec::new();
            entry.to_file().read_to_end(&mut found).map_err(error_text)?;
            if entry.len() != bytes.len() as u64 || found != **bytes {
                return Err(format!("another content of {} bytes", found.len()));
            }
        }
        _ => return Err("another type".into()),
    }
    // Modification times have a resolution of two seconds, creation times of ten milliseconds.
    let time = node.mtime.clamp(EARLIEST, LATEST);
    let (modified, created) = (entry.modified(), entry.created());
    let found = (seconds(modified), seconds(created), u32::from(created.time.millis));
    let expected = (time.seconds / 2 * 2, time.seconds, time.nanoseconds / 10_000_000 * 10);
    let accessed = entry.accessed();
    if found != expected || accessed != modified.date {
        return Err(format!("modified, created: {found:?}, not {expected:?}; {accessed:?}"));
    }
    Ok(())
}

/// First second of 1980, and the last second of 2107 that can be stored.
const EARLIEST: Timestamp = Timestamp::from_seconds(315_532_800);
const LATEST: Timestamp = Timestamp::from_seconds(4_354_819_198);

/// Returns the seconds since 1970, by counting days.
fn seconds(time: fatfs::DateTime) -> i64 {
    let leap = |year: u16| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let years: i64 = (1970..time.date.year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let february = if leap(time.date.year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months: i64 = months[..usize::from(time.date.month) - 1].iter().sum();
    let days = years + months + i64::from(time.date.day) - 1;
    let minutes = days * 24 * 60 + i64::from(time.time.hour) * 60 + i64::from(time.time.min);
    minutes * 60 + i64::from(time.time.sec)
}
