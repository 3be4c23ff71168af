//! The partitions of an image, defined and existing.

use uuid::Uuid;

use super::config::type_of;
use super::{Definition, Options, Verity};
use crate::disk::{self, Identity, identify};
use crate::error::Error;
use crate::gpt::{self, PartitionType};
use crate::name::HostPath;
use crate::seed::Seed;

/// A partition that is defined, exists, or both.
#[derive(Debug, Clone)]
pub(super) struct Partition {
    /// The definition; `None` for an existing partition that nothing defines.
    pub(super) definition: Option<Definition>,
    /// The number of the existing partition, from 0, and its table entry.
    pub(super) existing: Option<(u32, gpt::Partition)>,
    /// Whether the partition is left to another run.
    pub(super) deferred: bool,
    /// Whether the partition exists, can't grow as defined, and so is left as it is.
    pub(super) left_alone: bool,
}

impl Partition {
    /// Creates a new partition from its definition.
    pub(super) fn new(definition: Definition) -> Self {
        let definition = Some(definition);
        Self { definition, existing: None, deferred: false, left_alone: false }
    }

    /// Returns whether this run creates the partition.
    pub(super) fn is_new(&self) -> bool {
        self.existing.is_none() && !self.deferred
    }

    /// Returns the type, that of the definition if there is one.
    pub(super) fn partition_type(&self) -> PartitionType {
        match (&self.definition, &self.existing) {
            (Some(definition), _) => definition.partition.partition_type,
            (None, Some((_, there))) => type_of(there.partition_type),
            (None, None) => unreachable!("a partition is defined or there"),
        }
    }

    /// Returns the name for messages: the definition file, or else the type.
    pub(super) fn name(&self) -> String {
        match self.definition.as_ref().and_then(|definition| definition.file.as_ref()) {
            Some(file) => HostPath(file).to_string(),
            None => self.partition_type().name(),
        }
    }

    /// Returns an error that occurred while the partition was planned, [located](
    /// Definition::locate) in its definition.
    pub(super) fn locate(&self, error: Error) -> Error {
        match &self.definition {
            Some(definition) => definition.locate(error),
            None => error,
        }
    }

    /// Returns the definition, unless the partition is left alone.
    pub(super) fn managed(&self) -> Option<&Definition> {
        self.definition.as_ref().filter(|_| !self.left_alone)
    }

    /// Returns the UUID that does not depend on other partitions: that of the existing partition,
    /// or `UUID=`.
    fn fixed_uuid(&self) -> Option<Uuid> {
        let given = |uuid: &Uuid| !uuid.is_nil();
        let there = self.existing.as_ref().map(|(_, there)| there.uuid).filter(given);
        let defined = self.definition.as_ref().filter(|one| one.blocks.is_none());
        there.or_else(|| defined?.partition.uuid.filter(given))
    }

    pub(super) fn verity(&self) -> Verity {
        self.managed().map_or(Verity::Off, |definition| definition.verity)
    }

    /// Returns the key that the partitions of one hash tree have in common (`VerityMatchKey=`).
    pub(super) fn match_key(&self) -> Option<&str> {
        self.managed()?.verity_match_key.as_deref()
    }
}

/// Merges the definitions with the existing partitions: each existing partition is assigned to the
/// first definition of its type that has none yet. Existing partitions without a definition come
/// last, in the order of the table.
pub(super) fn list(
    definitions: Vec<Definition>,
    existing: Vec<(u32, gpt::Partition)>,
    options: &Options,
) -> Vec<Partition> {
    let mut partitions: Vec<_> = definitions
        .into_iter()
        .map(|definition| {
            let deferred = options.deferred.takes(&definition);
            Partition { deferred, ..Partition::new(definition) }
        })
        .collect();
    for there in existing {
        let guid = there.1.partition_type;
        let partner = partitions.iter_mut().find(|partition| {
            partition.existing.is_none() && partition.partition_type().guid() == guid
        });
        match partner {
            Some(partition) => partition.existing = Some(there),
            None => partitions.push(Partition {
                definition: None,
                existing: Some(there),
                deferred: false,
                left_alone: false,
            }),
        }
    }
    partitions
}

/// Returns the identity of each partition. Existing partitions keep their UUIDs. A partition copied
/// from another image gets a derived UUID if its own is in use.
pub(super) fn identities(seed: Seed, partitions: &[Partition]) -> Vec<Identity> {
    let mut used: Vec<_> = partitions.iter().filter_map(Partition::fixed_uuid).collect();
    let definitions: Vec<_> = partitions
        .iter()
        .map(|partition| {
            let defined = partition.definition.as_ref().map(|one| one.partition.clone());
            let mut definition =
                defined.unwrap_or_else(|| disk::Definition::new(partition.partition_type()));
            if partition.fixed_uuid().is_none() {
                let is_free = |uuid: &Uuid| uuid.is_nil() || !used.contains(uuid);
                definition.uuid = definition.uuid.filter(is_free);
                used.extend(definition.uuid);
            }
            if let Some((_, there)) = &partition.existing {
                if !there.uuid.is_nil() || partition.definition.is_none() {
                    definition.uuid = Some(there.uuid);
                }
                definition.attributes = Some(there.attributes);
                match (&*there.name, &partition.definition, definition.partition_type) {
                    ("", Some(_), _) => {}
                    ("", None, PartitionType::Other(_)) => definition.label = Some(String::new()),
                    ("", None, known) => definition.label = Some(known.name()),
                    (name, ..) => definition.label = Some(name.to_owned()),
                }
            }
            definition
        })
        .collect();
    let mut identities = identify(seed, &definitions);
    for (partition, identity) in partitions.iter().zip(&mut identities) {
        let given = partition.definition.as_ref().and_then(|one| one.partition.uuid);
        let of_root_hash = matches!(partition.verity(), Verity::Data | Verity::Hash);
        let has_uuid = partition.existing.as_ref().is_some_and(|(_, there)| !there.uuid.is_nil());
        if of_root_hash && !has_uuid && given.is_none() {
            // The UUID is set to half of the root hash later; other UUIDs stay derived from the
            // present one.
            identity.uuid = Uuid::nil();
        }
    }
    identities
}

/// Returns the new partitions that could not get their regular UUIDs because other partitions have
/// them, each with that regular UUID.
pub(super) fn displaced(
    seed: Seed,
    partitions: &[Partition],
    identities: &[Identity],
) -> impl Iterator<Item = (usize, Uuid)> {
    let regular = move |(at, partition): (usize, &Partition)| {
        let guid = partition.partition_type().guid();
        let before = partitions[..at].iter().filter(|one| one.partition_type().guid() == guid);
        let given = partition.definition.as_ref().and_then(|one| one.partition.uuid);
        (at, given.unwrap_or_else(|| seed.partition(guid, before.count() as u64)))
    };
    let new = partitions.iter().enumerate().filter(|(_, partition)| partition.existing.is_none());
    new.map(regular).filter(|&(at, regular)| {
        let uuid = identities[at].uuid;
        !uuid.is_nil() && uuid != regular
    })
}
