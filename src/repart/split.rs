//! Separate files for partitions (`Options::split`).

use std::ffi::OsString;
use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::image::exists;
use super::outcome::PartitionResult;
use super::{Definition, Options, type_name};
use crate::disk::Blocks;
use crate::error::{Error, Result};
use crate::layout::{self, Destination, Output, emit};
use crate::name::HostPath;

/// Returns the path of the separate file of a partition: that of the image with the split name
/// inserted before `.raw`.
///
/// Returns `None` if the definition has `SplitName=-`.
pub(super) fn path(
    image: &Path,
    definition: &Definition,
    result: &PartitionResult,
) -> Option<PathBuf> {
    let template = definition.split_name.as_deref()?;
    let name = expand(template, result);
    let image = image.as_os_str().as_bytes();
    let (stem, suffix) = match image.strip_suffix(b".raw") {
        Some(stem) => (stem, ".raw"),
        None => (image, ""),
    };
    let path = [stem, b".", name.as_bytes(), suffix.as_bytes()].concat();
    Some(OsString::from_vec(path).into())
}

/// Expands `%t` to the name of the type, `%T` to its UUID, `%U` to the partition's UUID, and `%n`
/// to its number.
fn expand(template: &str, result: &PartitionResult) -> String {
    let identity = &result.identity;
    let mut text = String::new();
    let mut rest = template.chars();
    while let Some(next) = rest.next() {
        if next != '%' {
            text.push(next);
            continue;
        }
        match rest.next() {
            Some('t') => text += &type_name(identity.partition_type),
            Some('T') => text += &identity.partition_type.guid().simple().to_string(),
            Some('U') => text += &identity.uuid.simple().to_string(),
            Some('n') => text += &result.number.to_string(),
            Some('%') => text.push('%'),
            // All other specifiers were expanded when the definition was read.
            Some(other) => text.extend(['%', other]),
            None => text.push('%'),
        }
    }
    text
}

/// Rejects two partitions with the same file, and files that exist.
pub(super) fn check<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<()> {
    let mut seen: Vec<&Path> = Vec::new();
    for path in paths {
        if seen.contains(&path) {
            return Err(Error::parameter(
                "repart.split",
                format!("two partitions would be written to {}", HostPath(path)),
                "use different names in SplitName=, or `-` for no file",
            ));
        }
        if exists(path)? {
            return Err(Error::parameter(
                "repart.split",
                format!("{} exists", HostPath(path)),
                "remove it, or build under another name",
            ));
        }
        seen.push(path);
    }
    Ok(())
}

/// Returns the length of the text in a partition: up to its last byte that is not NUL, within the
/// first MiB.
///
/// # Errors
/// [`Error::Parameter`] if all of these bytes are NUL.
pub(super) fn text_size(image: &File, start: u64, size: u64) -> Result<u64> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(1 << 20)];
    let unreadable = |error| Error::output("cannot read the image back", error);
    image.read_exact_at(&mut bytes, start).map_err(unreadable)?;
    let last = bytes.iter().rposition(|&byte| byte != 0);
    last.map(|last| last as u64 + 1).ok_or_else(|| {
        Error::parameter(
            "repart.split",
            "a signature partition is empty",
            "sign the root hash first, or give it SplitName=-",
        )
    })
}

/// Copies `range` of the image to a separate file, which has no name yet; holes stay holes.
pub(super) fn copy(
    image: &File,
    range: Range<u64>,
    path: &Path,
    options: &Options,
) -> Result<Output> {
    let unreadable = |error| Error::output("cannot read the image back", error);
    let image = Arc::new(image.try_clone().map_err(unreadable)?);
    let size = range.end - range.start;
    let layout = Blocks::range(image, range, path).layout(size)?.seal();
    let output = Destination::new(path, false)?.synced(options.sync).create(size)?;
    emit(&layout, &output, &layout::Options::new(options.threads))?;
    Ok(output)
}
