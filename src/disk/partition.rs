//! Partitions: their identities and their places in the image.

use uuid::Uuid;

use super::definition::Definition;
use crate::error::Result;
use crate::format::FileSystem;
use crate::gpt::{self, Attributes, Geometry, PartitionType, SectorSize, Table};
use crate::layout::Layout;
use crate::seed::{self, Seed};

/// Alignment of partitions, in bytes.
pub const ALIGNMENT: u64 = crate::size::MIB;

/// Type, ids and names of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// Partition type.
    pub partition_type: PartitionType,
    /// GUID of the partition.
    pub uuid: Uuid,
    /// UUID of the file system in the partition.
    pub file_system: Uuid,
    /// Name of the partition.
    pub label: String,
    /// Attributes of the partition.
    pub attributes: Attributes,
}

/// Assigns ids and names to all partitions of a disk, as systemd-repart does.
///
/// The ids depend on the seed, the type, and the number of earlier partitions of the same type. An
/// id that another partition already has is skipped in favour of the next one.
#[must_use]
pub fn identify(seed: Seed, definitions: &[Definition]) -> Vec<Identity> {
    let given: Vec<_> = definitions.iter().filter_map(|definition| definition.uuid).collect();
    let mut identities: Vec<Identity> = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let Definition { partition_type, label, uuid, attributes, .. } = definition;
        let guid = partition_type.guid();
        let nth = identities.iter().filter(|other| other.partition_type.guid() == guid).count();
        let is_free =
            |uuid: &Uuid| !given.contains(uuid) && identities.iter().all(|one| one.uuid != *uuid);
        let uuid = uuid.unwrap_or_else(|| {
            let mut derived = (nth as u64..).map(|nth| seed.partition(guid, nth));
            derived.find(is_free).expect("there are more ids than partitions")
        });
        let taken = |label: &str| identities.iter().any(|other| other.label == label);
        let label = label.clone().unwrap_or_else(|| {
            let name = partition_type.name();
            let numbered = (2..).map(|number| format!("{name}-{number}"));
            let mut labels = std::iter::once(name.clone()).chain(numbered);
            labels.find(|label| !taken(label)).expect("there are more numbers than partitions")
        });
        identities.push(Identity {
            partition_type: *partition_type,
            uuid,
            file_system: seed::file_system(uuid),
            label,
            attributes: attributes.unwrap_or_else(|| partition_type.default_attributes()),
        });
    }
    identities
}

/// A partition with its place on the disk.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Partition {
    /// Type, ids and names.
    pub identity: Identity,
    /// Start in bytes.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// File system in the partition, if it has one.
    pub file_system: Option<FileSystem>,
}

/// A disk with its partitions.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Disk {
    /// GUID of the disk.
    pub uuid: Uuid,
    /// Sector size in bytes.
    pub sector_size: SectorSize,
    /// Size in bytes.
    pub size: u64,
    /// Partitions, ordered by number.
    pub partitions: Vec<Partition>,
}

impl Partition {
    /// Creates a partition from its parts. `start` and `size` are in bytes.
    #[must_use]
    pub fn new(identity: Identity, start: u64, size: u64, file_system: Option<FileSystem>) -> Self {
        Self { identity, start, size, file_system }
    }
}

impl Disk {
    /// Creates a disk of `size` bytes from its partitions, ordered by number.
    #[must_use]
    pub fn new(uuid: Uuid, sector_size: SectorSize, size: u64, partitions: Vec<Partition>) -> Self {
        Self { uuid, sector_size, size, partitions }
    }

    /// Combines the partition table and the contents of the partitions.
    ///
    /// # Errors
    /// Those of [`gpt::plan`].
    ///
    /// # Panics
    /// If the number of contents differs from the number of partitions, or if a content is larger
    /// than its partition.
    pub fn compose(&self, contents: Vec<Layout>) -> Result<Layout> {
        assert_eq!(contents.len(), self.partitions.len(), "every partition has its content");
        let partitions = self.partitions.iter().map(|partition| {
            Some(gpt::Partition {
                partition_type: partition.identity.partition_type.guid(),
                uuid: partition.identity.uuid,
                start: partition.start,
                size: partition.size,
                attributes: partition.identity.attributes,
                name: partition.identity.label.clone(),
            })
        });
        let mut layout = gpt::plan(&Table {
            geometry: Geometry::new(self.size, self.sector_size)?,
            uuid: self.uuid,
            mbr: None,
            partitions: partitions.collect(),
        })?;
        for (partition, content) in self.partitions.iter().zip(contents) {
            assert!(content.size() <= partition.size, "contents are planned for their partition");
            layout.add_layout(partition.start, content);
        }
        Ok(layout.seal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt::Architecture;

    /// The ids are rows of the test vectors in `seed`; the names are those of systemd-repart.
    #[test]
    fn partitions_are_numbered_by_type() {
        let root = || Definition::new(PartitionType::root(Architecture::X86_64));
        let named = Definition { label: Some("system".to_owned()), ..root() };
        let given: Uuid = "01020304-0506-4708-890a-0b0c0d0e0f10".parse().unwrap();
        let srv = Definition { uuid: Some(given), ..Definition::new(PartitionType::Srv) };
        let definitions = [Definition::new(PartitionType::Esp), root(), root(), named, root(), srv];
        let seed = Seed("11111111-2222-3333-4444-555555555555".parse().unwrap());
        let identities = identify(seed, &definitions);
        let expected = [
            ("esp", "137c78ee-1d11-4547-ad3f-fa6b1a4ad97a", 0),
            ("root-x86-64", "6c08bd44-fed4-4c4e-915a-d1b245eb89de", 1 << 59),
            ("root-x86-64-2", "c938db28-a4b6-4968-8190-0379d3949b75", 1 << 59),
            ("system", "3d22c70e-3ffe-4751-8832-a0edac2ffeaf", 1 << 59),
            ("root-x86-64-3", "d09da707-3b17-4cb7-acea-c0ccd65b3de4", 1 << 59),
            ("srv", "01020304-0506-4708-890a-0b0c0d0e0f10", 1 << 59),
        ];
        for (identity, (label, uuid, attributes)) in identities.iter().zip(expected) {
            assert_eq!(identity.label, label);
            assert_eq!(identity.uuid.to_string(), uuid);
            assert_eq!(identity.attributes.bits(), attributes);
        }
        let file_system = "ff153f37-a3c9-4748-bf4d-b89bad0bece5";
        assert_eq!(identities[5].file_system.to_string(), file_system);
    }
}
