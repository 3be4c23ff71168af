//! Formats the properties of a partition for JSON and for the table.

use std::path::Path;

use crate::hex::hex;
use crate::repart::{Activity, PartitionResult, Verity};
use crate::size::format_bytes;

/// Separator between the old and the new size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrow(pub(super) &'static str);

/// Optional columns; each is shown if it applies to any partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) root_hash: bool,
    pub(super) drop_ins: bool,
    pub(super) split: bool,
}

impl Columns {
    pub(super) fn of(rows: &[PartitionResult]) -> Self {
        Self {
            root_hash: rows.iter().any(|row| row.verity != Verity::Off),
            drop_ins: rows.iter().any(|row| !row.drop_ins.is_empty()),
            split: rows.iter().any(|row| row.split.is_some()),
        }
    }
}

/// Returns the device node of a partition, as the kernel would name it if the image were a device.
pub(super) fn node(image: &Path, number: u32) -> String {
    let image = image.to_string_lossy();
    let infix = if image.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    format!("{image}{infix}{}", number + 1)
}

/// Returns the root hash in hexadecimal digits, or `TBD` if it is not known.
pub(super) fn root_hash(row: &PartitionResult) -> String {
    match row.root_hash {
        Some(hash) => hex(&hash),
        None => "TBD".to_owned(),
    }
}

/// Returns the path of the separate file, or `-`.
pub(super) fn split(row: &PartitionResult) -> String {
    row.split.as_ref().map_or_else(|| "-".to_owned(), |path| path.to_string_lossy().into_owned())
}

/// Formats the change of a size.
pub(super) fn change(old: u64, new: u64, activity: Activity, Arrow(arrow): Arrow) -> String {
    match activity {
        Activity::Create => format!("{arrow} {}", format_bytes(new)),
        _ if old != new => format!("{} {arrow} {}", format_bytes(old), format_bytes(new)),
        _ => format_bytes(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_named_as_the_kernel_names_them() {
        for (image, number, expected) in
            [("/w/a.raw", 0, "/w/a.raw1"), ("/w/a1", 1, "/w/a1p2"), ("/dev/sda", 9, "/dev/sda10")]
        {
            assert_eq!(node(Path::new(image), number), expected);
        }
    }

    /// As systemd-repart 262 prints them.
    #[test]
    fn changes_are_shown() {
        for (old, new, activity, expected) in [
            (0, 20 << 20, Activity::Create, "→ 20M"),
            (0, 0, Activity::Create, "→ 0B"),
            (82_817_024, 82_817_024, Activity::Unchanged, "78.9M"),
            (0, 104_857_600, Activity::Unchanged, "0B → 100M"),
            (10 << 20, 26_112_000, Activity::Resize, "10M → 24.9M"),
        ] {
            assert_eq!(change(old, new, activity, Arrow("→")), expected);
        }
    }
}
