//! Ids and labels of a disk, and references to them.

use uuid::Uuid;

use crate::disk::partition::{Disk, Partition};
use crate::disk::verity::VerityTarget;
use crate::gpt::PartitionType;

/// Options of the kernel whose value is a root hash.
const HASH_KEYS: [&str; 2] = ["roothash=", "usrhash="];

/// Ids and labels of the partitions and file systems of a disk.
#[derive(Debug, Default)]
pub(super) struct DiskIds {
    partitions: Vec<Ids>,
    /// File system that a hash tree protects.
    protected: Option<VerityTarget>,
}

/// Ids and labels of a partition and its file system.
#[derive(Debug, Default)]
struct Ids {
    /// Whether firmware or a boot loader reads the partition, so that it is no file system of the
    /// running system.
    is_boot: bool,
    partition: String,
    partition_label: String,
    file_system: Option<String>,
    file_system_label: Option<String>,
}

impl Ids {
    /// Returns whether a tag, such as `UUID`, has this value; `None` if it is no such tag.
    fn has(&self, tag: &str, value: &str) -> Option<bool> {
        let is_id = |id: &str| id.eq_ignore_ascii_case(value);
        Some(match tag {
            "UUID" | "uuid" => self.file_system.as_deref().is_some_and(is_id),
            "PARTUUID" | "partuuid" => is_id(&self.partition),
            "LABEL" | "label" => self.file_system_label.as_deref() == Some(value),
            "PARTLABEL" | "partlabel" => self.partition_label == value,
            _ => return None,
        })
    }
}

impl DiskIds {
    pub(super) fn new(disk: &Disk) -> Self {
        let of = |partition: &Partition| {
            let file_system = partition.file_system.as_ref();
            let kind = partition.identity.partition_type;
            Ids {
                is_boot: [PartitionType::Esp, PartitionType::Xbootldr, PartitionType::BiosBoot]
                    .contains(&kind),
                partition: partition.identity.uuid.to_string(),
                partition_label: partition.identity.label.clone(),
                file_system: file_system.and_then(|file_system| file_system.id.clone()),
                file_system_label: file_system.map(|file_system| file_system.label.clone()),
            }
        };
        let has_hashes = |target: &VerityTarget| {
            let [_, hash, _] = target.roles();
            let mut types = disk.partitions.iter().map(|part| part.identity.partition_type);
            types.any(|kind| matches!(kind, PartitionType::Of(role, _) if role == hash))
        };
        Self {
            partitions: disk.partitions.iter().map(of).collect(),
            protected: [VerityTarget::Root, VerityTarget::Usr].into_iter().find(has_hashes),
        }
    }

    /// Returns whether a reference, such as `UUID=...` or a path below `/dev/disk`, is to an id or
    /// label that nothing on the disk has.
    ///
    /// Other names of devices, such as `/dev/sda2`, may be those of this disk.
    pub(super) fn is_foreign(&self, reference: &str) -> bool {
        self.named(reference).is_some_and(|named| named.is_empty())
    }

    /// Returns the partitions that a reference names; `None` if it may name any device.
    fn named(&self, reference: &str) -> Option<Vec<&Ids>> {
        let (tag, value) = match reference.strip_prefix("/dev/disk/by-") {
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
        }?;
        Ids::default().has(tag, &value)?;
        let has = |ids: &&Ids| ids.has(tag, &value) == Some(true);
        Some(self.partitions.iter().filter(has).collect())
    }

    /// Returns whether the disk has the partitions with the halves of a root hash as their GUIDs.
    fn has_partitions_of(&self, root_hash: &str) -> bool {
        const HALF: usize = 32;
        let digits = root_hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let halves = [root_hash.get(..HALF), root_hash.get(HALF..)];
        digits
            && halves.into_iter().all(|half| {
                let half = half.and_then(|half| Uuid::try_parse(half).ok());
                half.is_some_and(|half| {
                    self.partitions.iter().any(|ids| ids.partition == half.to_string())
                })
            })
    }

    /// Returns the protected file system that a kernel command line leaves unverified, if any.
    pub(super) fn unverified(&self, options: &str) -> Option<VerityTarget> {
        self.protected.filter(|target| {
            // systemd finds the hash partition by itself if it assembles the whole disk.
            let verified = [target.option(), "root=dissect"];
            let mut words = options.split_whitespace();
            !words.any(|word| verified.iter().any(|key| word.starts_with(key)))
        })
    }

    /// Returns the first option of a kernel command line that refers to a device in vain, with what
    /// is wrong with it.
    pub(super) fn vain_option<'a>(&self, options: &'a str) -> Option<(&'a str, &'static str)> {
        const KEYS: [&str; 3] = ["root=", "resume=", "mount.usr="];
        options.split_whitespace().find_map(|word| {
            if let Some(hash) = HASH_KEYS.iter().find_map(|key| word.strip_prefix(key)) {
                let is_vain = !hash.contains('$') && !self.has_partitions_of(hash);
                return is_vain.then_some((word, NOWHERE));
            }
            let value = KEYS.iter().find_map(|key| word.strip_prefix(key))?;
            // A boot loader may replace variables.
            if value.contains('$') {
                return None;
            }
            if value.is_empty() {
                return Some((word, "has no value"));
            }
            let named = self.named(value)?;
            match named.iter().all(|ids| ids.is_boot) {
                true if named.is_empty() => Some((word, NOWHERE)),
                true => Some((word, "is a partition that the firmware or a boot loader reads")),
                false => None,
            }
        })
    }
}

/// What is wrong with a reference to another disk.
pub(super) const NOWHERE: &str = "is nothing that this image has";

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
        let text = |text: &str| Some(text.to_owned());
        let partitions = vec![
            Ids {
                file_system: text("7bfd409b-b67f-4466-9e33-95510bf538f1"),
                file_system_label: text("my root"),
                partition: "6c08bd44-fed4-4c4e-915a-d1b245eb89de".to_owned(),
                partition_label: "root-x86-64".to_owned(),
                is_boot: false,
            },
            Ids {
                file_system: text("12AB-34CD"),
                partition_label: "esp".to_owned(),
                is_boot: true,
                ..Ids::default()
            },
        ];
        let ids = DiskIds { partitions, protected: None };
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
            ("quiet root=LABEL=x ro", Some(("root=LABEL=x", NOWHERE))),
            ("root=PARTLABEL=root-x86-64 resume=UUID=1", Some(("resume=UUID=1", NOWHERE))),
            ("root=UUID=$x", None),
            ("nfsroot=UUID=x", None),
            ("root=/dev/sda2 resume=", Some(("resume=", "has no value"))),
            (
                "root=PARTLABEL=esp",
                Some((
                    "root=PARTLABEL=esp",
                    "is a partition that the firmware or a boot loader reads",
                )),
            ),
        ] {
            assert_eq!(ids.vain_option(options), expected);
        }
    }

    #[test]
    fn root_hashes_are_of_the_disk_or_not() {
        let partitions =
            ["6c08bd44-fed4-4c4e-915a-d1b245eb89de", "7bfd409b-b67f-4466-9e33-95510bf538f1"];
        let of = |id: &str| Ids { partition: id.to_owned(), ..Ids::default() };
        let ids =
            DiskIds { partitions: partitions.map(of).into(), protected: Some(VerityTarget::Root) };
        let [data, hash] = partitions.map(|id| id.replace('-', ""));
        let own = format!("quiet roothash={data}{hash}");
        let swapped = format!("roothash={hash}{}", "0".repeat(32));
        for (options, expected) in [
            (&*own, None),
            (&swapped, Some(&*swapped)),
            ("roothash=x", Some("roothash=x")),
            ("usrhash=00", Some("usrhash=00")),
            ("roothash=$hash", None),
        ] {
            assert_eq!(ids.vain_option(options).map(|(option, _)| option), expected);
        }
        for (options, expected) in [
            (&*own, false),
            ("root=dissect", false),
            ("root=PARTUUID=6c08bd44-fed4-4c4e-915a-d1b245eb89de", true),
            ("", true),
        ] {
            assert_eq!(ids.unverified(options).is_some(), expected, "{options}");
        }
        assert_eq!(DiskIds::default().unverified("quiet"), None);
        let ids = DiskIds { protected: Some(VerityTarget::Usr), ..ids };
        assert_eq!(ids.unverified(&own), Some(VerityTarget::Usr));
        assert_eq!(ids.unverified(&own.replace("roothash", "usrhash")), None);
    }

    #[test]
    fn escapes_are_replaced() {
        assert_eq!(unescape("a\\040b\\04", "\\", 8), "a b\\04");
        assert_eq!(unescape("\\x20\\xzz\\x", "\\x", 16), " \\xzz\\x");
    }
}
