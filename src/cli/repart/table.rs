//! Prints the partitions as a table in systemd-repart's format.

use std::path::Path;

use super::format_row;
use crate::cli::table::{Alignment, format_rows};
use crate::name::{HostPath, Printable};
use crate::repart::{PartitionResult, type_name};
use crate::size::format_bytes as size;

/// Returns the rows as text; `legend` adds the column headers.
pub(super) fn text(rows: &[PartitionResult], legend: bool, arrow: format_row::Arrow) -> String {
    let columns = format_row::Columns::of(rows);
    let mut heads = vec![
        ("TYPE", Alignment::Left),
        ("LABEL", Alignment::Left),
        ("UUID", Alignment::Left),
        ("PART", Alignment::Right),
        ("FILE", Alignment::Left),
        ("RAW SIZE", Alignment::Right),
        ("SIZE", Alignment::Right),
        ("PADDING", Alignment::Right),
    ];
    let optional = [
        (columns.root_hash, "ROOTHASH"),
        (columns.drop_ins, "DROP-IN FILES"),
        (columns.split, "SPLIT PATH"),
    ];
    heads.extend(optional.iter().filter(|(is, _)| *is).map(|(_, head)| (*head, Alignment::Left)));

    let mut lines: Vec<Vec<String>> = Vec::new();
    if legend {
        lines.push(heads.iter().map(|(head, _)| (*head).to_owned()).collect());
    }
    for row in rows {
        lines.extend(cells(row, columns, arrow));
    }
    if !rows.is_empty() {
        let sum = |of: fn(&PartitionResult) -> u64| {
            format!("Σ = {}", size(rows.iter().map(of).fold(0, u64::saturating_add)))
        };
        let mut sums = vec![String::new(); heads.len()];
        sums[6] = sum(|row| row.size);
        sums[7] = sum(|row| row.padding);
        lines.push(sums);
    }
    let alignments: Vec<_> = heads.iter().map(|(_, alignment)| *alignment).collect();
    format_rows(&alignments, &lines, " ")
}

/// Returns the lines of a partition: one for the partition, and one for each drop-in after the
/// first.
fn cells(
    row: &PartitionResult,
    columns: format_row::Columns,
    arrow: format_row::Arrow,
) -> Vec<Vec<String>> {
    let file = row.file.as_deref().and_then(Path::file_name);
    let label = match &*row.identity.label {
        "" => "-".to_owned(),
        label => Printable(label).to_string(),
    };
    let mut cells = vec![
        type_name(row.identity.partition_type),
        label,
        row.identity.uuid.to_string(),
        row.number.to_string(),
        file.map_or_else(|| "-".to_owned(), |name| HostPath(Path::new(name)).to_string()),
        row.size.to_string(),
        format_row::change(row.old_size, row.size, row.activity, arrow),
        format_row::change(row.old_padding, row.padding, row.activity, arrow),
    ];
    if columns.root_hash {
        cells.push(format_row::root_hash(row));
    }
    let mut drop_ins = row.drop_ins.iter().map(|path| HostPath(path).to_string());
    if columns.drop_ins {
        cells.push(drop_ins.next().unwrap_or_default());
    }
    if columns.split {
        cells.push(Printable(&format_row::split(row)).to_string());
    }
    let at = 8 + usize::from(columns.root_hash);
    let width = cells.len();
    let more = drop_ins.map(|path| {
        let mut line = vec![String::new(); width];
        line[at] = path;
        line
    });
    std::iter::once(cells).chain(more).collect()
}
