//! Human-readable summary of an image.

use std::fmt::{Display, Write};
use std::path::Path;

use super::normalize;
use super::table::{Alignment, format_rows};
use crate::disk::{Disk, ImageKind, Partition, Plan, ValueOrigin, VerityTarget};
use crate::format::FileSystem;
use crate::hex::hex;
use crate::layout::Digest;
use crate::name::{HostPath, Printable};
use crate::size::{GIB, KIB, MIB, count, exact};

/// Columns of the picture of a disk.
const BAR_WIDTH: u64 = 76;

/// Description of a finished image.
pub(super) struct Summary<'a> {
    pub(super) plan: &'a Plan,
    pub(super) out: &'a Path,
    /// Whether the image was written; false for a dry run.
    pub(super) is_written: bool,
    /// SHA-256 of the image, if it was computed.
    pub(super) sha256: Option<Digest>,
    /// Origin of an epoch that was given.
    pub(super) epoch_from: &'static str,
    /// Whether to list what normalization changed.
    pub(super) is_verbose: bool,
    /// Whether to draw the disk.
    pub(super) has_bar: bool,
}

impl Summary<'_> {
    /// Returns the lines of the summary.
    pub(super) fn text(&self) -> String {
        let Self { plan, out, .. } = self;
        let mut text = Text::default();
        let name = if *out == Path::new("-") {
            "standard output".into()
        } else {
            HostPath(out).to_string()
        };
        let image_size = exact(plan.layout.size());
        let not_written = if self.is_written { "" } else { " (not written)" };
        match &plan.product {
            ImageKind::FileSystem(file_system) => {
                text.line(format_args!("{name}: {image_size}{not_written}\n"));
                text.0 += &file_system_table(file_system);
            }
            ImageKind::Disk(disk) => {
                let sector_size = disk.sector_size.bytes();
                text.line(format_args!(
                    "{name}: {image_size}, GPT, {sector_size}-byte sectors{not_written}\n"
                ));
                if self.has_bar {
                    text.line(format_args!("{}", bar(disk)));
                }
                text.0 += &partition_table(disk);
                text.line(format_args!(""));
                text.0 += &id_table(disk);
            }
        }
        text.line(format_args!(""));
        self.facts(&mut text);
        text.0
    }

    /// Adds what the image depends on, one fact per line.
    fn facts(&self, text: &mut Text) {
        let Self { plan, sha256, .. } = self;
        if let Some(sha256) = sha256 {
            text.fact("sha256", sha256);
        }
        if let Some(root_hash) = &plan.root_hash {
            let signed = if root_hash.is_signed { " (signed)" } else { "" };
            let name = match root_hash.target {
                VerityTarget::Usr => "usr hash",
                _ => "root hash",
            };
            text.fact(name, &format_args!("{root_hash}{signed}"));
        }
        if let Some(uki) = &plan.uki {
            text.fact("uki", &format_args!("{} {}", hex(&uki.sha256), Printable(&uki.path)));
        }
        if let Some(boot) = &plan.boot {
            text.fact("boots", &Printable(&boot.verdict.to_string()));
        }
        if let Some((seed, origin)) = plan.resolved.seed {
            let from = match origin {
                ValueOrigin::Given => "given",
                ValueOrigin::Tree => "derived from the tree",
            };
            text.fact("seed", &format_args!("{} ({from})", seed.0));
        }
        let (epoch, origin) = plan.resolved.epoch;
        let from = match origin {
            ValueOrigin::Given => self.epoch_from,
            ValueOrigin::Tree => "the newest time in the tree",
        };
        text.fact("epoch", &format_args!("{} ({from})", epoch.seconds));
        let fired = &plan.normalization.fired;
        if self.is_verbose {
            normalize::lines(&plan.normalization, origin)
                .iter()
                .for_each(|line| text.line(format_args!("{line}")));
        } else if !fired.is_empty() {
            let paths = count(plan.normalization.count() as u64, "path");
            let rules = count(fired.len() as u64, "rule");
            text.fact("normalized", &format_args!("{paths} by {rules} (-v lists them)"));
        }
    }
}

/// Text under construction. Lines that it is given are escaped.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes everything");
    }

    fn fact(&mut self, name: &str, value: &dyn Display) {
        self.line(format_args!("{name}: {value}"));
    }
}

fn file_system_table(file_system: &FileSystem) -> String {
    use Alignment::{Left, Right};
    let head = ["size", "used", "file system", "id"].map(str::to_owned).to_vec();
    let row = vec![
        exact(file_system.size),
        used(Some(file_system)),
        describe(Some(file_system)),
        file_system.id.clone().unwrap_or_else(|| "-".into()),
    ];
    format_rows(&[Right, Right, Left, Left], &[head, row], "  ")
}

/// Returns a table of what the partitions hold. Labels that are the names of the types, as is the
/// default, are not repeated.
fn partition_table(disk: &Disk) -> String {
    use Alignment::{Left, Right};
    let is_labelled = |partition: &Partition| {
        partition.identity.label != partition.identity.partition_type.name()
    };
    let has_labels = disk.partitions.iter().any(is_labelled);
    let mut alignments = vec![Right, Left, Right, Right, Right, Left];
    let mut head =
        ["#", "type", "offset", "size", "used", "file system"].map(str::to_owned).to_vec();
    if has_labels {
        alignments.insert(2, Left);
        head.insert(2, "label".into());
    }
    let rows = (1..).zip(&disk.partitions).map(|(number, partition): (usize, _)| {
        let mut row = vec![
            number.to_string(),
            partition.identity.partition_type.name(),
            exact(partition.start),
            exact(partition.size),
            used(partition.file_system.as_ref()),
            describe(partition.file_system.as_ref()),
        ];
        if has_labels {
            row.insert(2, Printable(&partition.identity.label).to_string());
        }
        row
    });
    format_rows(&alignments, &[head].into_iter().chain(rows).collect::<Vec<_>>(), "  ")
}

/// Returns a table of the ids of the disk, the partitions and the file systems, which would make
/// the lines of the other table too long.
fn id_table(disk: &Disk) -> String {
    use Alignment::{Left, Right};
    let head = ["#", "id", "id of the file system"].map(str::to_owned).to_vec();
    let whole = vec!["disk".into(), disk.uuid.to_string(), String::new()];
    let rows = (1..).zip(&disk.partitions).map(|(number, partition): (usize, _)| {
        let id = partition.file_system.as_ref().and_then(|file_system| file_system.id.clone());
        vec![number.to_string(), partition.identity.uuid.to_string(), id.unwrap_or_default()]
    });
    let rows = [head, whole].into_iter().chain(rows).collect::<Vec<_>>();
    format_rows(&[Right, Left, Left], &rows, "  ")
}

/// Draws a disk, with the used and the free part of each file system, and the numbers of the
/// partitions below.
fn bar(disk: &Disk) -> String {
    let column = |offset: u64| {
        let column = u128::from(offset) * u128::from(BAR_WIDTH) / u128::from(disk.size.max(1));
        usize::try_from(column).expect("at most the width")
    };
    let mut cells = vec![' '; column(disk.size)];
    let mut numbers = String::new();
    for (number, partition) in (1..).zip(&disk.partitions) {
        let Partition { start, size, .. } = *partition;
        let first = column(start);
        let end = column(start + size).max(first + 1).min(cells.len());
        let used = partition.file_system.as_ref().and_then(|file_system| file_system.used);
        let used_end = used.map_or(first, |used| column(start + used.min(size)));
        for (at, cell) in cells.iter_mut().enumerate().take(end).skip(first) {
            *cell = if at < used_end { '█' } else { '░' };
        }
        // A number that would overlap the one before is left out.
        let number: String = usize::to_string(&number);
        if numbers.is_empty() || first > numbers.len() {
            numbers = format!("{numbers:<first$}{number}");
        }
    }
    format!("|{}|\n {numbers}\n", cells.into_iter().collect::<String>())
}

fn describe(file_system: Option<&FileSystem>) -> String {
    let Some(FileSystem { format, variant, label, .. }) = file_system else {
        return "-".into();
    };
    let variant = variant.as_ref().map_or(String::new(), |variant| format!(" ({variant})"));
    let label = match &**label {
        "" => String::new(),
        label => format!(" {label:?}"),
    };
    Printable(&format!("{format}{variant}{label}")).to_string()
}

fn used(file_system: Option<&FileSystem>) -> String {
    file_system.and_then(|file_system| file_system.used).map_or("-".into(), rounded)
}

const UNITS: [(u64, &str); 3] = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];

/// Formats a size in the largest unit that is not larger, with one digit after the point.
fn rounded(bytes: u64) -> String {
    match UNITS.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}
