//! Generates an fstab from `MountPoint=`.

use super::partition::Partition;
use super::{Definition, MountPoint, PartitionFormat};
use crate::disk::Identity;
use crate::gpt::{PartitionType, Role};

const START: &str = "# Start section ↓ of automatically generated fstab by systemd-repart";
const END: &str = "# End section ↑ of automatically generated fstab by systemd-repart";

/// Returns the generated section with the lines of all partitions; `None` if there are no lines.
pub(super) fn text(partitions: &[Partition], identities: &[Identity]) -> Option<String> {
    let lines: Vec<_> = partitions
        .iter()
        .zip(identities)
        .filter_map(|(partition, identity)| Some((partition.definition.as_ref()?, identity)))
        .flat_map(|(definition, identity)| {
            definition.mount_points.iter().filter_map(|point| line(definition, identity, point))
        })
        .collect();
    (!lines.is_empty()).then(|| format!("{START}\n{}{END}\n", lines.concat()))
}

fn line(definition: &Definition, identity: &Identity, point: &MountPoint) -> Option<String> {
    let format = match definition.format.as_ref()? {
        PartitionFormat::Empty => return None,
        format => format.name(),
    };
    let uuid = identity.file_system;
    let source = match format {
        "vfat" => {
            let [a, b, c, d, ..] = uuid.into_bytes();
            format!("{a:02X}{b:02X}-{c:02X}{d:02X}")
        }
        _ => uuid.to_string(),
    };
    let partition_type = identity.partition_type;
    let mut options = String::new();
    let boots = matches!(partition_type, PartitionType::Esp | PartitionType::Xbootldr);
    if boots {
        options += if format == "vfat" { "fmask=0177,dmask=0077," } else { "" };
        options += "rw,nodev,nosuid,noexec,nosymfollow";
    } else {
        if matches!(format, "btrfs" | "f2fs" | "ext4" | "vfat" | "xfs") {
            options += "discard,";
        }
        options += match partition_type {
            PartitionType::Tmp => "rw,nodev,nosuid,exec",
            _ => "rw,nodev,suid,exec",
        };
    }
    if !point.options.is_empty() {
        options = format!("{options},{}", point.options);
    }
    let pass = if matches!(partition_type, PartitionType::Of(Role::Root, _)) { 1 } else { 2 };
    Some(format!("UUID={source} {} {format} {options} 0 {pass}\n", point.path))
}

/// Returns the new section followed by the existing file without its old section.
pub(super) fn merge(section: &str, there: &str) -> String {
    let mut text = section.to_owned();
    let mut within = false;
    for line in there.split_inclusive('\n') {
        match line.trim_end_matches('\n') {
            START => within = true,
            END if within => within = false,
            _ if !within => text += line,
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_section_goes_and_the_rest_stays() {
        let section = format!("{START}\nnew\n{END}\n");
        for (there, rest) in [
            ("", ""),
            ("mine\n", "mine\n"),
            ("mine", "mine"),
            (&format!("a\n{START}\nold\n{END}\nb\n"), "a\nb\n"),
            (&format!("{section}c"), "c"),
            (&format!("{END}\nd\n"), &format!("{END}\nd\n")),
        ] {
            assert_eq!(merge(&section, there), format!("{section}{rest}"), "{there}");
        }
    }
}
