//! Definitions made of the partitions of another image.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::config::type_of;
use super::content::Blocks;
use super::{Definition, Filter};
use crate::disk::{self, Room};
use crate::error::{Error, Result};
use crate::gpt::{self, Label, SectorSize};
use crate::name::HostPath;

/// Defines partitions as they are in an image, with their content, in the order of their numbers.
///
/// # Errors
/// [`Error::Parameter`] if the image has no GPT, and those of reading it.
pub fn definitions(
    path: &Path,
    sector_size: Option<SectorSize>,
    filter: &Filter,
) -> Result<Vec<Definition>> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let fail = |error| Error::source(bytes, "cannot open", error);
    let file = File::open(path).map_err(fail)?;
    let size = file.metadata().map_err(fail)?.len();
    let Label::Gpt(gpt) = gpt::read(&file, size, sector_size)? else {
        return Err(Error::parameter(
            "--copy-from",
            format!("{} has no GPT to copy from", HostPath(path)),
            "give an image with one",
        ));
    };
    let file = Arc::new(file);
    let mut definitions = Vec::new();
    for partition in gpt.table.partitions.iter().flatten() {
        let partition_type = type_of(partition.partition_type);
        if !filter.takes(partition_type) {
            continue;
        }
        let range = partition.start..partition.start + partition.size;
        definitions.push(Definition {
            file: Some(path.into()),
            blocks: Some(Blocks::range(Arc::clone(&file), range, path)),
            ..Definition::new(disk::Definition {
                partition_type,
                label: Some(partition.name.clone()),
                uuid: Some(partition.uuid),
                attributes: Some(partition.attributes),
                room: Room {
                    size_min: Some(partition.size),
                    size_max: Some(partition.size),
                    ..Room::default()
                },
            })
        });
    }
    Ok(definitions)
}
