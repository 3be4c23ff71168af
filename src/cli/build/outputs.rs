//! Outputs of an earlier run of the same build, which may be replaced without `--force`.

use std::fs::{self, File};
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;

use crate::cli::{sha256_file, text};
use crate::gpt::{self, TableState};
use crate::seed::Seed;

/// The parts of a manifest that it is recognized by.
#[derive(Deserialize)]
struct ManifestRecord {
    #[serde(rename = "schema")]
    _schema: u32,
    #[serde(rename = "detfs")]
    _detfs: String,
    #[serde(rename = "layout_version")]
    _layout_version: String,
    partition_table: Option<TableRecord>,
}

#[derive(Deserialize)]
struct TableRecord {
    uuid: String,
}

/// Returns whether all outputs that exist, and at least one does, were written by the same build:
///
/// - an image whose disk has the GUID that follows from the seed, or that the manifest records,
/// - a manifest of a disk with the GUID that follows from the seed, or that the image has, and
/// - a file with the SHA-256 of an image of that name.
pub(super) fn are_own(
    image: &Path,
    sha256: Option<&Path>,
    manifest: Option<&Path>,
    seed: Option<Seed>,
) -> bool {
    let of_seed = seed.map(|seed| seed.disk());
    let of_image = disk(image);
    let of_manifest = manifest.and_then(read);
    let is_own = |disk: Option<Uuid>, other: Option<Uuid>| {
        disk.is_some() && (disk == of_seed || disk == other)
    };
    let outputs = [
        (Some(image), is_own(of_image, of_manifest)),
        (sha256, sha256.is_some_and(|path| is_hash(path, image))),
        (manifest, is_own(of_manifest, of_image)),
    ];
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    let mut there = outputs.into_iter().filter(|(path, _)| path.is_some_and(exists)).peekable();
    there.peek().is_some() && there.all(|(_, is_own)| is_own)
}

/// Returns whether a file has the SHA-256 of an image and nothing else.
fn is_hash(path: &Path, image: &Path) -> bool {
    let text = regular_text(path).unwrap_or_default();
    let digest = text.trim_start_matches('\\').get(..64).filter(|digest| {
        digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    });
    digest.is_some_and(|digest| sha256_file::line(image, &digest) == text.as_bytes())
}

/// Returns the text of a regular file. Opening a pipe would wait for its writer.
fn regular_text(path: &Path) -> Option<String> {
    is_regular(path).then(|| text(path).ok())?
}

fn is_regular(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// Returns the GUID of the disk that a manifest describes.
fn read(manifest: &Path) -> Option<Uuid> {
    let record: ManifestRecord = serde_json::from_str(&regular_text(manifest)?).ok()?;
    record.partition_table?.uuid.parse().ok()
}

/// Returns the GUID of the disk whose image is in a regular file.
fn disk(image: &Path) -> Option<Uuid> {
    let file = is_regular(image).then(|| File::open(image).ok())??;
    let size = file.metadata().ok()?.len();
    match gpt::read(&file, size, None).ok()? {
        TableState::Gpt(gpt) => Some(gpt.table.uuid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn pipes_are_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let [image, hash, manifest] =
            ["image", "image.sha256", "manifest"].map(|name| directory.path().join(name));
        assert!(
            Command::new("mkfifo").args([&image, &hash, &manifest]).status().unwrap().success()
        );
        assert!(!are_own(&image, Some(&hash), Some(&manifest), None));
    }
}
