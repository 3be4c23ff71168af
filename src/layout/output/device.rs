//! Block devices, which may hold data that must not be lost.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, major, minor};

use super::text;
use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::probe;
use crate::size::format_bytes;

/// Opens a device for overwriting, and returns it with its size.
///
/// # Errors
/// [`Error::Output`] if the device is in use or can't be opened or read. [`Error::Parameter`] if it
/// contains data and `force` is not given.
pub(super) fn open(path: &Path, force: bool) -> Result<(File, u64)> {
    let (device, size) = exclusive(path)
        .map_err(|error| Error::output(format!("cannot write {}", text(path)), error))?;
    if !force {
        let found = probe::signatures(&device, size).map_err(|error| {
            Error::output(format!("cannot look for signatures on {}", text(path)), error)
        })?;
        let kinds: BTreeSet<_> = found.into_iter().map(|signature| signature.kind).collect();
        if !kinds.is_empty() {
            return Err(occupied(path, &device, size, kinds));
        }
    }
    Ok((device, size))
}

fn exclusive(path: &Path) -> io::Result<(File, u64)> {
    // For a block device, O_EXCL without O_CREAT fails if the device is mounted.
    let flags = i32::try_from(OFlags::EXCL.bits()).expect("a low bit");
    let mut file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    let size = file.seek(SeekFrom::End(0))?;
    Ok((file, size))
}

fn occupied(path: &Path, device: &File, size: u64, kinds: BTreeSet<&str>) -> Error {
    let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
    let model = model(device).map(|model| format!(", {model}")).unwrap_or_default();
    Error::parameter(
        "output",
        format!("{} ({}{model}) contains data: {kinds}", text(path), format_bytes(size)),
        "use another device, or `output.force` to overwrite it",
    )
}

/// Returns a name by which users recognize a device: its model, its device mapper name, or the
/// backing file of a loop device. Not every device has such a name, and not every machine has a
/// `/sys`.
fn model(device: &File) -> Option<String> {
    let number = device.metadata().ok()?.rdev();
    let node = PathBuf::from(format!("/sys/dev/block/{}:{}", major(number), minor(number)));
    // A partition's directory is inside that of its disk.
    let places = ["device/model", "../device/model", "dm/name", "loop/backing_file"];
    let mut texts = places.iter().filter_map(|place| fs::read(node.join(place)).ok());
    let text = texts.find(|text| !text.trim_ascii().is_empty())?;
    Some(Escaped(text.trim_ascii()).to_string())
}
