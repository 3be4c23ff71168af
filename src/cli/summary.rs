//! Human-readable summary of an image.

use std::fmt::Write;
use std::path::Path;

use crate::disk::{ImageKind, Plan, ValueOrigin};
use crate::format::FileSystem;
use crate::name::{HostPath, Printable};
use crate::size::{GIB, KIB, MIB};

/// Returns a few lines that describe an image.
pub(super) fn of(plan: &Plan, out: &Path) -> String {
    let mut lines = Lines::default();
    let name =
        if out == Path::new("-") { "standard output".into() } else { HostPath(out).to_string() };
    lines.add(format_args!("{name}: {}", size(plan.layout.size())));
    match &plan.product {
        ImageKind::FileSystem(file_system) => {
            lines.add(format_args!("  {}", describe(file_system)));
        }
        ImageKind::Disk(disk) => {
            let sector_size = disk.sector_size.bytes();
            lines.add(format_args!("  gpt {}, {sector_size}-byte sectors", disk.uuid));
            for (at, partition) in disk.partitions.iter().enumerate() {
                let identity = &partition.identity;
                lines.add(format_args!(
                    "  {}  {:<16} {} at {:<10} {:>10}  {}",
                    at + 1,
                    identity.label,
                    identity.uuid,
                    size(partition.start),
                    size(partition.size),
                    partition.file_system.as_ref().map_or("empty".to_owned(), describe),
                ));
            }
        }
    }
    if let Some(boot) = &plan.boot {
        lines.add(format_args!("  boots: {}", Printable(&boot.verdict.to_string())));
    }
    if let Some((seed, origin)) = plan.resolved.seed {
        let note = match origin {
            ValueOrigin::Given => "",
            ValueOrigin::Tree => ", derived from the tree",
        };
        lines.add(format_args!("  seed {}{note}", seed.0));
    }
    let (epoch, origin) = plan.resolved.epoch;
    let note = match origin {
        ValueOrigin::Given => "",
        ValueOrigin::Tree => ", the newest time in the tree",
    };
    lines.add(format_args!("  source date epoch {}{note}", epoch.seconds));
    lines.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes everything");
    }
}

fn describe(file_system: &FileSystem) -> String {
    let label = match &*file_system.label {
        "" => String::new(),
        label => format!(" {label:?}"),
    };
    let FileSystem { format, id, .. } = file_system;
    let variant = file_system.variant.as_ref();
    let variant = variant.map_or(String::new(), |variant| format!(" ({variant})"));
    format!("{format}{variant} {id}{label}")
}

/// Formats a size in the largest unit that divides it.
fn size(bytes: u64) -> String {
    let units = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (1025, "1025 bytes"),
            (34 << 20, "34 MiB"),
            (1 << 30, "1 GiB"),
            ((1 << 30) + (1 << 20), "1025 MiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
