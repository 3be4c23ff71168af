//! The inputs of a run, and what each partition needs of them.

use std::sync::Arc;

use uuid::Uuid;

use super::content;
use super::outcome::Report;
use super::partition::{self, Partition};
use super::populate::{PopulateRequest, Populated, populate};
use super::size_limits::{SizeRules, verity_hash_size};
use super::validate::Validate;
use super::{Definition, Minimize, Options, PartitionFormat, TreePath, Verity};
use crate::disk::content::Content;
use crate::disk::place::{Candidate, Extent, Merge, Presence, SpaceRequest};
use crate::disk::{Identity, source};
use crate::error::{Error, Result};
use crate::format::{FsInputs, Holds, PartitionSettings};
use crate::gpt::{PartitionType, Role};
use crate::normalize::{self, Rules};
use crate::place::real;
use crate::seed::Seed;
use crate::size::{round_down, round_up};
use crate::tree::{HoleScan, HoleScanOptions, scan_holes};
use crate::verity;

/// The inputs that stay the same during a run.
pub(super) struct Context<'a> {
    pub(super) partitions: &'a [Partition],
    pub(super) options: &'a Options,
    pub(super) size_rules: SizeRules,
    pub(super) report: Report<'a>,
}

/// A populated tree with its scan.
struct SourceTree {
    populated: Populated,
    scan: HoleScan,
}

impl Context<'_> {
    /// Returns the seed, and the identities of all partitions.
    pub(super) fn identities(&self) -> Result<(Seed, Vec<Identity>)> {
        let seed = match self.options.seed {
            Some(seed) => seed,
            None => {
                // Labels do not depend on the seed, so any seed will do here.
                let any = Seed(Uuid::nil());
                let identities = partition::identities(any, self.partitions);
                let mut scans = Vec::new();
                for (at, partition) in self.partitions.iter().enumerate() {
                    if let Some(definition) = &partition.definition {
                        let source = self.source(at, definition, &identities, true)?;
                        scans.extend(source.map(|source| source.scan));
                    }
                }
                source::seed(None, &scans).0
            }
        };
        Ok((seed, partition::identities(seed, self.partitions)))
    }

    /// Returns the source tree of a new or deferred partition, if it has a tree.
    fn source(
        &self,
        at: usize,
        definition: &Definition,
        identities: &[Identity],
        digest: bool,
    ) -> Result<Option<SourceTree>> {
        let partition = &self.partitions[at];
        let Some(format) = definition.file_system() else { return Ok(None) };
        // The content of a deferred partition only matters if its size depends on the content.
        let wanted = partition.is_new()
            || partition.existing.is_none() && definition.minimize != Minimize::Off;
        if !wanted || definition.blocks.is_some() {
            return Ok(None);
        }
        let validate = definition.add_validate_fs.then(|| self.validate(at, identities));
        let image = self.options.image.as_deref().map(real).transpose();
        let populated = populate(&PopulateRequest {
            definition,
            format: &**format,
            copy_source: self.options.copy_source(),
            tree: self.options.tree.as_ref(),
            image: image.map_err(|error| Error::output("cannot find the image", error))?,
            empty_dirs: &self.mount_points_in(at),
            validate: validate.as_ref(),
            epoch: self.options.epoch,
            threads: self.options.threads,
            #[cfg(feature = "tar")]
            spool: &self.options.spool,
            hard_links: self.options.hard_links,
            excludes_by_inode: self.options.excludes_by_inode,
            vfat_leaves_out: self.options.vfat_leaves_out,
        })?;
        let wanted =
            HoleScanOptions { threads: self.options.threads, digest, ..HoleScanOptions::default() };
        let scan = match digest || format.holds().contains(Holds::HOLES) {
            true => scan_holes(&populated.tree, &wanted)?,
            false => HoleScan::default(),
        };
        Ok(Some(SourceTree { populated, scan }))
    }

    /// Returns the constraints that the root inode of a file system records about its partition.
    fn validate(&self, at: usize, identities: &[Identity]) -> Validate {
        let key = self.partitions[at].match_key();
        let siblings = (0..self.partitions.len()).filter(|&other| {
            other == at || key.is_some() && self.partitions[other].match_key() == key
        });
        let definition = self.partitions[at].definition.as_ref();
        let given = definition.map(|one| &*one.mount_points).unwrap_or_default();
        let mount_points = match given {
            [] => mount_points(identities[at].partition_type).map(ToOwned::to_owned).collect(),
            given => given.iter().map(|point| point.path.clone()).collect(),
        };
        let siblings: Vec<_> = siblings.map(|at| &identities[at]).collect();
        Validate {
            labels: siblings.iter().map(|one| one.label.clone()).collect(),
            types: siblings.iter().map(|one| one.partition_type.guid()).collect(),
            mount_points,
        }
    }

    /// Returns the directories of a root file system that other partitions are mounted on.
    fn mount_points_in(&self, at: usize) -> Vec<TreePath> {
        let is_root = |partition: &Partition| {
            matches!(partition.partition_type(), PartitionType::Of(Role::Root, _))
        };
        if !is_root(&self.partitions[at]) {
            return Vec::new();
        }
        let others = self.partitions.iter().filter(|other| other.definition.is_some());
        others
            .filter(|other| !is_root(other))
            .flat_map(|other| mount_points(other.partition_type()))
            .map(|path| path.trim_start_matches('/').as_bytes().to_vec())
            .collect()
    }

    /// Returns the content of each partition.
    pub(super) fn contents(&self, identities: &[Identity]) -> Result<Vec<Content>> {
        let mut contents = Vec::new();
        for (at, partition) in self.partitions.iter().enumerate() {
            contents.push(match &partition.definition {
                Some(definition) if partition.existing.is_none() => {
                    self.content(at, definition, identities)?
                }
                _ => Content::Nothing,
            });
        }
        Ok(contents)
    }

    /// Returns the content of a partition merged with its supplement.
    pub(super) fn merged(&self, at: usize, identities: &[Identity]) -> Result<Content> {
        let partition = &self.partitions[at];
        let supplement = self.supplement(at).and_then(|at| self.partitions[at].definition.as_ref());
        match (&partition.definition, supplement) {
            (Some(definition), Some(supplement)) if partition.existing.is_none() => {
                self.content(at, &definition.with(supplement), identities)
            }
            _ => Ok(Content::Nothing),
        }
    }

    /// Returns the partition whose definition supplements that of partition `at`.
    pub(super) fn supplement(&self, at: usize) -> Option<usize> {
        let name = self.partitions[at].definition.as_ref()?.file.as_ref()?.file_stem()?.to_str()?;
        self.partitions.iter().position(|other| {
            let definition = other.definition.as_ref().filter(|_| other.existing.is_none());
            definition.is_some_and(|one| one.supplement_for.as_deref() == Some(name))
        })
    }

    fn content(&self, at: usize, definition: &Definition, ids: &[Identity]) -> Result<Content> {
        if let Some(copied) = content::blocks(definition, self.options)? {
            return Ok(copied);
        }
        let identity = &ids[at];
        if matches!(definition.format, Some(PartitionFormat::Swap)) {
            return Ok(Content::swap(identity.file_system, &identity.label));
        }
        let Some(format) = definition.file_system() else { return Ok(Content::Nothing) };
        let Some(SourceTree { populated, scan }) = self.source(at, definition, ids, false)? else {
            return Ok(Content::Nothing);
        };
        let Populated { mut tree, warnings, subvolumes } = populated;
        warnings.iter().for_each(|warning| (self.report)(warning));
        let epoch = self.options.epoch.unwrap_or_default();
        let secrets = normalize::remaining_secrets(&tree, &Rules::none(), epoch)?;
        secrets.iter().for_each(|warning| (self.report)(warning));
        let epoch = source::clamp(&mut tree, self.options.epoch)?.epoch.0;
        let settings = PartitionSettings {
            subvolumes,
            default_subvolume: definition.default_subvolume.as_deref(),
            compression: definition.compression.as_deref(),
            compression_level: definition.compression_level.as_deref(),
            is_protected: definition.verity == Verity::Data,
        };
        let locate = |error| definition.locate(error);
        let format = format.for_partition(&settings).map_err(locate)?;
        let prepared = format.prepare(FsInputs {
            label: format.label_for(&identity.label),
            epoch,
            sector_size: self.size_rules.file_system_sector_size(definition),
            threads: self.options.threads,
            spool: Some(&self.options.spool),
            ..FsInputs::new(Arc::new(tree), scan, identity.file_system)
        });
        Ok(Content::FileSystem(prepared.map_err(locate)?.into()))
    }

    /// Returns the content sizes in bytes, for partitions whose size depends on the content.
    pub(super) fn sizes(&self, contents: &[Content]) -> Result<Vec<Option<u64>>> {
        let mut sizes = Vec::new();
        for (partition, content) in self.partitions.iter().zip(contents) {
            let definition = partition.definition.as_ref();
            let minimize = definition.map_or(Minimize::Off, |one| one.minimize);
            let size = content::size(content, minimize).map_err(|error| partition.locate(error))?;
            let least = match (definition, minimize) {
                (None, _) | (_, Minimize::Off) => 0,
                (Some(one), Minimize::Best) => self.size_rules.size_min(one),
                (Some(one), Minimize::Guess) => {
                    self.size_rules.size_min(one).max(self.size_rules.least(one))
                }
            };
            sizes.push(size.map(|size| size.max(least)));
        }
        for (at, partition) in self.partitions.iter().enumerate() {
            if partition.verity() == Verity::Hash
                && self.is_minimized(at)
                && let Some(data) = self.sibling(at, Verity::Data)
                && let Some(size) = sizes[data]
            {
                // The size of the hash tree does not depend on the seed.
                let parameters = self.verity(at, size, Seed(Uuid::nil()));
                let size = parameters.hash_size().map_err(|error| partition.locate(error))?;
                sizes[at] = Some(size);
            }
        }
        Ok(sizes)
    }

    /// Returns whether the size of a partition depends on its content.
    pub(super) fn is_minimized(&self, at: usize) -> bool {
        let definition = self.partitions[at].definition.as_ref();
        definition.is_some_and(|one| one.minimize != Minimize::Off)
    }

    /// Returns the partition of the same hash tree that has the role `part`.
    pub(super) fn sibling(&self, at: usize, part: Verity) -> Option<usize> {
        let key = self.partitions[at].match_key()?;
        let is_it = |other: &Partition| other.verity() == part && other.match_key() == Some(key);
        self.partitions.iter().position(is_it)
    }

    /// Returns the parameters of the hash tree in partition `hash` for `data_size` bytes of data.
    pub(super) fn verity(&self, hash: usize, data_size: u64, seed: Seed) -> verity::Parameters {
        let definition = self.partitions[hash].definition.as_ref();
        let sector_size = || {
            let definition = definition.expect("a hash partition is defined");
            self.size_rules.file_system_sector_size(definition)
        };
        let given = |of: fn(&Definition) -> Option<u32>| definition.and_then(of);
        let data_block_size = given(|one| one.verity_data_block_size).unwrap_or_else(sector_size);
        verity::Parameters {
            // Only whole blocks are protected. No file system ends with a partial block.
            data_size: round_down(data_size, data_block_size.into()),
            data_block_size,
            hash_block_size: given(|one| one.verity_hash_block_size).unwrap_or_else(sector_size),
            salt: seed.verity_salt(),
            uuid: seed.verity_uuid(),
        }
    }

    /// Returns the candidates for placement, in the order of the list.
    pub(super) fn candidates(&self, sizes: &[Option<u64>]) -> Vec<Candidate> {
        let keys: Vec<_> = self.partitions.iter().map(Partition::match_key).collect();
        let first = |key: &str| keys.iter().position(|other| *other == Some(key));
        let mut candidates = Vec::new();
        for (at, partition) in self.partitions.iter().enumerate() {
            let extent = partition.existing.as_ref().map(|(slot, there)| Extent {
                slot: *slot,
                start: there.start,
                size: there.size,
            });
            let presence = match (extent, &partition.definition) {
                (None, _) => Presence::New,
                (Some(extent), Some(_)) => Presence::Existing(extent),
                (Some(extent), None) => Presence::Foreign(extent),
            };
            let definition = partition.definition.as_ref();
            candidates.push(Candidate {
                partition_type: partition.partition_type().guid(),
                request: match definition {
                    Some(definition) => self.request(at, definition, sizes),
                    None => SpaceRequest::none(),
                },
                priority: definition.map_or(0, |one| one.partition.size.priority),
                presence,
                group: keys[at].and_then(first).and_then(|first| u32::try_from(first).ok()),
                merge: definition.and_then(|one| self.merge(at, one, sizes)),
            });
        }
        candidates
    }

    /// Returns how much space a partition requests.
    fn request(&self, at: usize, definition: &Definition, sizes: &[Option<u64>]) -> SpaceRequest {
        if self.partitions[at].existing.is_some() {
            return self.size_rules.existing(definition);
        }
        let mut request = self.size_rules.request(definition, sizes[at]);
        // A hash tree must be large enough for the largest size that its data can get.
        if definition.verity == Verity::Hash
            && definition.minimize == Minimize::Off
            && definition.partition.size.size_min.is_none()
            && let Some(data) = self.sibling(at, Verity::Data)
            && let Some(data) = &self.partitions[data].definition
            && let Some(max) = data.partition.size.size_max
        {
            let verity::Parameters { data_block_size, hash_block_size, .. } =
                self.verity(at, max, Seed(Uuid::nil()));
            let least = verity_hash_size(max, data_block_size, hash_block_size);
            request.size.min = request.size.min.max(round_up(least, self.size_rules.grain));
            request.size.max = request.size.max.max(request.size.min);
        }
        request
    }

    /// Returns how much space a partition requests if it is merged with its supplement.
    fn merge(&self, at: usize, definition: &Definition, sizes: &[Option<u64>]) -> Option<Merge> {
        let supplement = self.supplement(at)?;
        let other = self.partitions[supplement].definition.as_ref()?;
        let exists = self.partitions[at].existing.is_some();
        let request = self.size_rules.merged(definition, other, sizes[at], exists);
        Some(Merge { supplement, request })
    }
}

/// Returns the default mount points of a partition type.
fn mount_points(partition_type: PartitionType) -> impl Iterator<Item = &'static str> {
    let paths: &[&str] = match partition_type {
        PartitionType::Of(Role::Root, _) => &["/"],
        PartitionType::Of(Role::Usr, _) => &["/usr"],
        PartitionType::Home => &["/home"],
        PartitionType::Srv => &["/srv"],
        PartitionType::Esp => &["/efi", "/boot"],
        PartitionType::Xbootldr => &["/boot"],
        PartitionType::Var => &["/var"],
        PartitionType::Tmp => &["/var/tmp"],
        _ => &[],
    };
    paths.iter().copied()
}
