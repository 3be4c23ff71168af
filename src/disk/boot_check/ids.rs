//! Ids and labels of a disk, and references to them.

use crate::disk::partition::Disk;

/// Ids and labels of the partitions and file systems of a disk.
#[derive(Debug, Default)]
pub(super) struct DiskIds {
    file_systems: Vec<String>,
    file_system_labels: Vec<String>,
    partitions: Vec<String>,
    partition_labels: Vec<String>,
}

impl DiskIds {
    pub(super) fn new(disk: &Disk) -> Self {
        let mut ids = Self::default();
        for partition in &disk.partitions {
            ids.partitions.push(partition.identity.uuid.to_string());
            ids.partition_labels.push(partition.identity.label.clone());
            if let Some(file_system) = &partition.file_system {
                ids.file_systems.push(file_system.id.clone());
                ids.file_system_labels.push(file_system.label.clone());
            }
        }
        ids
    }

    /// Returns whether a reference, such as `UUID=...` or a path below `/dev/disk`, is to an id or
    /// label that nothing on the disk has.
    ///
    /// Other names of devices, such as `/dev/sda2`, may be those of this disk.
    pub(super) fn is_foreign(&self, reference: &str) -> bool {
        let named = match reference.strip_prefix("/dev/disk/by-") {
            Some(rest) => {
                rest.split_once('/').map(|(tag, value)| (tag, unescape(value, "\\x", 16)))
            }
            None => reference.split_once('=').map(|(tag, value)| {
                let value = value.trim_matches(['"', '\'']);
                // The kernel takes PARTUUID=<GUID>/PARTNROFF=<number>.
                let value = match tag {
                    "PARTUUID" => value.split('/').next().unwrap_or(value),
                    _ => value,
                };
                (tag, value.to_owned())
            }),
        };
        let Some((tag, value)) = named else { return false };
        let has_id = |ids: &[String]| ids.iter().any(|id| id.eq_ignore_ascii_case(&value));
        let has_label = |labels: &[String]| labels.contains(&value);
        match tag {
            "UUID" | "uuid" => !has_id(&self.file_systems),
            "PARTUUID" | "partuuid" => !has_id(&self.partitions),
            "LABEL" | "label" => !has_label(&self.file_system_labels),
            "PARTLABEL" | "partlabel" => !has_label(&self.partition_labels),
            _ => false,
        }
    }

    /// Returns the first reference of a kernel command line to a device that is not on the disk.
    pub(super) fn foreign_option<'a>(&self, options: &'a str) -> Option<&'a str> {
        const KEYS: [&str; 3] = ["root=", "resume=", "mount.usr="];
        options.split_whitespace().find(|word| {
            let values = KEYS.iter().filter_map(|key| word.strip_prefix(key));
            // A boot loader may replace variables.
            values.into_iter().any(|value| !value.contains('$') && self.is_foreign(value))
        })
    }
}

/// Replaces escapes: a prefix and the number of a byte, which has two digits in base 16 and three
/// in base 8.
pub(super) fn unescape(text: &str, prefix: &str, radix: u32) -> String {
    let digits = if radix == 16 { 2 } else { 3 };
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(prefix) {
        bytes.extend(before.bytes());
        let byte = after.get(..digits).and_then(|code| u8::from_str_radix(code, radix).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[digits..];
            }
            None => {
                bytes.extend(prefix.bytes());
                rest = after;
            }
        }
    }
    bytes.extend(rest.bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_to_the_disk_or_not() {
        let text = |text: &str| vec![text.to_owned()];
        let ids = DiskIds {
            file_systems: vec!["7bfd409b-b67f-4466-9e33-95510bf538f1".into(), "12AB-34CD".into()],
            file_system_labels: text("my root"),
            partitions: text("6c08bd44-fed4-4c4e-915a-d1b245eb89de"),
            partition_labels: text("root-x86-64"),
        };
        for (reference, expected) in [
            ("UUID=7BFD409B-B67F-4466-9E33-95510BF538F1", false),
            ("UUID=\"12ab-34cd\"", false),
            ("UUID=6c08bd44-fed4-4c4e-915a-d1b245eb89de", true),
            ("UUID=", true),
            ("PARTUUID=6c08bd44-fed4-4c4e-915a-d1b245eb89de/PARTNROFF=1", false),
            ("PARTUUID=7bfd409b-b67f-4466-9e33-95510bf538f1", true),
            ("LABEL=my root", false),
            ("LABEL=My root", true),
            ("PARTLABEL=root-x86-64", false),
            ("PARTLABEL=root", true),
            ("/dev/disk/by-partuuid/6c08bd44-fed4-4c4e-915a-d1b245eb89de", false),
            ("/dev/disk/by-uuid/6c08bd44-fed4-4c4e-915a-d1b245eb89de", true),
            ("/dev/disk/by-label/my\\x20root", false),
            ("/dev/disk/by-label/my", true),
            ("/dev/disk/by-id/ata-x", false),
            ("/dev/sda2", false),
            ("gpt-auto", false),
        ] {
            assert_eq!(ids.is_foreign(reference), expected, "{reference}");
        }
        for (options, expected) in [
            ("quiet root=LABEL=x ro", Some("root=LABEL=x")),
            ("root=PARTLABEL=root-x86-64 resume=UUID=1", Some("resume=UUID=1")),
            ("root=UUID=$x", None),
            ("nfsroot=UUID=x", None),
        ] {
            assert_eq!(ids.foreign_option(options), expected);
        }
    }

    #[test]
    fn escapes_are_replaced() {
        assert_eq!(unescape("a\\040b\\04", "\\", 8), "a b\\04");
        assert_eq!(unescape("\\x20\\xzz\\x", "\\x", 16), " \\xzz\\x");
    }
}
