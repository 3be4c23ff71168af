//! Outputs of an earlier run of the same build, which may be replaced without `--force`.

use std::fs::{self, File};
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;

use crate::cli::text;
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
/// - an image whose disk has the GUID that follows from the seed, or that the manifest records, and
/// - a manifest of an image.
pub(super) fn are_own(image: &Path, manifest: Option<&Path>, seed: Option<Seed>) -> bool {
    let recorded = manifest.and_then(read);
    let is_absent = |path: &Path| path.symlink_metadata().is_err();
    let is_own = disk(image).is_some_and(|disk| {
        let table = recorded.as_ref().and_then(|record| record.partition_table.as_ref());
        seed.is_some_and(|seed| seed.disk() == disk)
            || table.is_some_and(|it| it.uuid == disk.to_string())
    });
    match (is_absent(image), manifest.is_none_or(is_absent)) {
        (true, true) => false,
        (image_is_absent, manifest_is_absent) => {
            (image_is_absent || is_own) && (manifest_is_absent || recorded.is_some())
        }
    }
}

fn is_regular(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

fn read(manifest: &Path) -> Option<ManifestRecord> {
    serde_json::from_str(&text(manifest).ok().filter(|_| is_regular(manifest))?).ok()
}

/// Returns the GUID of the disk whose image is in a regular file.
fn disk(image: &Path) -> Option<Uuid> {
    let file = File::open(image).ok().filter(|_| is_regular(image))?;
    let size = file.metadata().ok()?.len();
    match gpt::read(&file, size, None).ok()? {
        TableState::Gpt(gpt) => Some(gpt.table.uuid),
        _ => None,
    }
}
