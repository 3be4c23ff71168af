//! Definitions from the partitions of another image.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use super::config::type_of;
use super::image::device_sector_size;
use super::outcome::Report;
use super::{Definition, Filter};
use crate::disk::{self, Blocks, SizePolicy};
use crate::error::{Error, Result};
use crate::gpt::{self, Partition, ReadGpt, Table, TableState};
use crate::name::HostPath;

/// Returns definitions of the partitions of an image, with their content and the gaps between them,
/// in the order of their numbers.
///
/// # Errors
/// [`Error::Parameter`] if the image has no GPT, and the errors of reading it.
pub fn definitions(path: &Path, filter: &Filter, report: Report<'_>) -> Result<Vec<Definition>> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let fail = |error| Error::source(bytes, "cannot open", error);
    let refuse = |rule: &str| {
        let rule = format!("{}: {rule}", HostPath(path));
        Err(Error::parameter("repart.copy_from", rule, "give an image with a GPT"))
    };
    let mut file = File::open(path).map_err(fail)?;
    let kind = file.metadata().map_err(fail)?.file_type();
    if !kind.is_file() && !kind.is_block_device() {
        return refuse("neither a file nor a block device");
    }
    let size = file.seek(SeekFrom::End(0)).map_err(fail)?;
    let sector_size = if kind.is_block_device() { device_sector_size(&file)? } else { None };
    let ReadGpt { table, warnings, .. } = match gpt::read(&file, size, sector_size)? {
        TableState::Gpt(gpt) => *gpt,
        TableState::None => return refuse("it has no partition table"),
        TableState::Other(kind) => return refuse(&format!("its partition table is {kind}")),
        TableState::Damaged(error) | TableState::Contradictory(error) => {
            return refuse(&error.to_string());
        }
    };
    for warning in &warnings {
        report(&format_args!("{}: {}", HostPath(path), warning.message));
    }
    let file = Arc::new(file);
    let mut definitions = Vec::new();
    for partition in table.partitions.iter().flatten() {
        let partition_type = type_of(partition.partition_type);
        if !filter.takes(partition_type) {
            continue;
        }
        let range = partition.start..partition.start + partition.size;
        let gap = gap(&table, partition);
        definitions.push(Definition {
            file: Some(path.into()),
            blocks: Some(Blocks::range(Arc::clone(&file), range, path)),
            ..Definition::new(disk::Definition {
                partition_type,
                label: Some(partition.name.clone()).filter(|name| !name.is_empty()),
                uuid: Some(partition.uuid),
                attributes: Some(partition.attributes),
                size: SizePolicy {
                    size_min: Some(partition.size),
                    size_max: Some(partition.size),
                    padding_min: gap,
                    padding_max: Some(gap),
                    ..SizePolicy::default()
                },
            })
        });
    }
    Ok(definitions)
}

/// Returns the number of free bytes between a partition and the next one; 0 for the last partition.
fn gap(table: &Table, partition: &Partition) -> u64 {
    let end = partition.start + partition.size;
    let starts = table.partitions.iter().flatten().map(|other| other.start);
    starts.filter(|&start| start >= end).min().map_or(0, |next| next - end)
}
