//! Runs repart: turns definitions into an image.

use std::fmt::Display;

use uuid::Uuid;

use super::apply::{Completion, ImageWriter};
use super::content::{self, Content, FsInputs};
use super::image::Image;
use super::outcome::{Activity, Outcome, PartitionResult};
use super::partition::{self, Partition};
use super::populate::{PopulateRequest, Validate, populate};
use super::size_limits::{SizeRules, verity_hash_size};
use super::{
    Definition, Format, Minimize, Options, Size, Verity, config, cross_checks, format_bytes,
    generate,
};
use crate::disk::place::{self, Candidate, Extent, Merge, Place, Presence, SpaceRequest};
use crate::disk::{Identity, source};
use crate::error::{Error, Result};
use crate::gpt::{PartitionType, Role, SectorSize};
use crate::normalize::{self, Rules};
use crate::place::real;
use crate::seed::Seed;
use crate::size::{round_down, round_up};
use crate::tree::{HoleScan, HoleScanOptions, scan_holes};
use crate::verity;

/// Callback for the messages of a run, each of one line.
pub type Report<'a> = &'a dyn Fn(&dyn Display);

/// Creates or extends an image.
///
/// Everything is planned before any byte of a partition is written, and the partition table is
/// written last. A new image appears completely or not at all. Existing partitions keep their
/// content, and if writing to an existing image fails, it still has its old table.
///
/// # Errors
/// [`Definition`](crate::Error::Definition) for definitions that can't be carried out,
/// [`Label`](crate::Error::Label) for an image whose partition table can't be used,
/// [`TooSmall`](crate::Error::TooSmall) if the partitions do not fit, and the errors of the formats
/// and of input and output.
pub fn run(definitions: Vec<Definition>, options: &Options, report: Report<'_>) -> Result<Outcome> {
    prepare(definitions, options, report)?.finish()
}

/// A run that has written all contents. Until [`PreparedRun::finish`], a new image has no name, and
/// an existing image has its old partition table.
#[derive(Debug)]
pub struct PreparedRun {
    outcome: Outcome,
    completion: Option<Completion>,
}

impl PreparedRun {
    /// Returns the result that the run will have once it is finished.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Writes the partition table and gives new files their names.
    ///
    /// # Errors
    /// [`Output`](crate::Error::Output) if writing fails, [`Parameter`](crate::Error::Parameter) if
    /// a file that would be replaced has appeared in the meantime.
    pub fn finish(self) -> Result<Outcome> {
        self.completion.map_or(Ok(()), Completion::finish)?;
        Ok(self.outcome)
    }
}

/// Does everything that [`run`] does except the last step, so that the caller can report the result
/// before.
///
/// # Errors
/// The same as [`run`].
pub fn prepare(
    definitions: Vec<Definition>,
    options: &Options,
    report: Report<'_>,
) -> Result<PreparedRun> {
    cross_checks::check(&definitions)?;
    let image = Image::open(options, report)?;
    let existing = image.as_ref().map(Image::partitions).unwrap_or_default();
    let partitions = partition::list(definitions, existing, options);
    partitions.iter().try_for_each(refuse)?;
    refuse_lone_trees(&partitions)?;
    let sector_size = match &image {
        Some(image) => image.sector_size(),
        None => options.sector_size.unwrap_or_default(),
    };
    let grain = options.grain.unwrap_or(4096).max(sector_size.bytes().into());

    let partitions = &partitions;
    let size_rules = SizeRules { grain, sector_size, wanted_sector_size: options.sector_size };
    let context = Context { partitions, options, size_rules, report };
    let (seed, identities) = context.identities()?;
    if !options.dry_run && image.is_some() {
        generate::write(partitions, &identities, options, report)?;
        for (at, regular) in partition::displaced(seed, partitions, &identities) {
            let (name, uuid) = (partitions[at].name(), identities[at].uuid);
            report(&format_args!("{name}: the UUID {regular} is in use, so it has {uuid}"));
        }
    }
    let mut contents = context.contents(&identities)?;
    let sizes = context.sizes(&contents)?;
    let candidates = context.candidates(&sizes);
    let least = place::minimal_size(grain, sector_size, &candidates);

    // Without an image, the size is the only result.
    if options.size == Size::Auto || image.is_none() {
        let text = format_bytes(least);
        report(&format_args!("Automatically determined minimal disk image size as {text}."));
    }
    let Some(mut image) = image else {
        return Ok(PreparedRun { outcome: Outcome::default(), completion: None });
    };
    image.resize(options.size, least, report)?;

    let placed = place::place(image.usable()?, grain, &candidates);
    let placed = placed.map_err(|no_space| {
        no_space.error(&partitions[no_space.candidate].name(), round_up(least, 4096))
    })?;
    let is_supplement = |at| {
        let all = placed.merged.iter().enumerate().filter(|(_, merged)| **merged);
        all.filter_map(|(at, _)| context.supplement(at)).any(|supplement| supplement == at)
    };
    for (at, place) in placed.places.iter().enumerate() {
        if place.is_none() && !is_supplement(at) {
            report(&format_args!("{}: it does not fit and is left out", partitions[at].name()));
        }
    }
    for at in (0..partitions.len()).filter(|&at| placed.merged[at]) {
        contents[at] = context.merged(at, &identities)?;
    }
    let mut remaining = partitions.clone();
    for &at in &placed.left_alone {
        report(&format_args!("{}: it can't grow and is left alone", partitions[at].name()));
        remaining[at].left_alone = true;
    }
    let grounds = Context { partitions: &remaining, ..context };
    let partitions = &remaining;
    let mut rows = Vec::new();
    for &at in &placed.order {
        if let Some(place) = placed.places[at] {
            let row = partition_result(&partitions[at], &identities[at], place);
            rows.push(Placed { at, row, content_size: sizes[at] });
        }
    }
    let changed = rows.iter().any(|placed| placed.row.activity != Activity::Unchanged);
    let write = changed || !image.has_table();
    match (write, options.dry_run) {
        (true, true) => report(&"Refusing to repartition, please re-run with --dry-run=no."),
        (false, _) => report(&"No changes."),
        (true, false) => {}
    }
    let job = ImageWriter { context: &grounds, seed, contents: &contents, rows: &mut rows };
    let completion = Some(job.run(image, write && !options.dry_run)?);
    let outcome = Outcome { rows: Some(rows.into_iter().map(|placed| placed.row).collect()) };
    Ok(PreparedRun { outcome, completion })
}

/// A partition with its place on the disk.
pub(super) struct Placed {
    /// Index of the partition in the list.
    pub(super) at: usize,
    pub(super) row: PartitionResult,
    /// The size of the content in bytes, if the size of the partition depends on it.
    pub(super) content_size: Option<u64>,
}

/// Rejects a definition of a new partition that can't be carried out.
fn refuse(partition: &Partition) -> Result<()> {
    let Some(definition) = partition.definition.as_ref().filter(|_| partition.is_new()) else {
        return Ok(());
    };
    if let Some(encrypt) = &definition.encrypt {
        return Err(definition.fault(
            format!("Encrypt={encrypt} can't be done"),
            "leave the definition out, and put it into /usr/lib/repart.d of the image: \
             systemd-repart makes and encrypts that partition on first boot",
        ));
    }
    if let Some(online) = definition.online {
        return Err(definition.fault(
            format!("{online} needs a running system"),
            "leave it out of the definitions of an image",
        ));
    }
    match &definition.format {
        Some(Format::Other(name)) => Err(definition.fault(
            format!("Format={name} can't be written"),
            format!(
                "use ext4, btrfs, vfat, swap or empty; without a change of definitions, with \
                 SYSTEMD_REPART_OVERRIDE_FSTYPE{}=ext4 in the environment",
                config::designator(definition.partition.partition_type)
                    .map_or_else(String::new, |name| format!("_{}", name.to_ascii_uppercase())),
            ),
        )),
        _ => Ok(()),
    }
}

/// Rejects new hash trees whose data partition exists: a tree is built while its data is written.
fn refuse_lone_trees(partitions: &[Partition]) -> Result<()> {
    let is_there = |key| {
        let mut others = partitions.iter().filter(|other| other.match_key() == key);
        others.any(|other| other.verity() == Verity::Data && other.existing.is_some())
    };
    let mut trees = partitions.iter().filter(|one| one.is_new() && one.verity() == Verity::Hash);
    let lone = trees.find(|tree| is_there(tree.match_key()));
    match lone.and_then(|tree| tree.definition.as_ref()) {
        Some(definition) => Err(definition.fault(
            "the data of this hash tree is in the image already, and the tree is not",
            "delete the partition of the data too, so that both are made",
        )),
        None => Ok(()),
    }
}

/// The inputs that stay the same during a run.
pub(super) struct Context<'a> {
    pub(super) partitions: &'a [Partition],
    pub(super) options: &'a Options,
    pub(super) size_rules: SizeRules,
    pub(super) report: Report<'a>,
}

/// A populated tree with its scan.
struct SourceTree {
    populated: super::populate::Populated,
    scan: HoleScan,
}

impl Context<'_> {
    /// Returns the seed, and the identities of all partitions.
    fn identities(&self) -> Result<(Seed, Vec<Identity>)> {
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
        let formatted =
            matches!(definition.format, Some(Format::Ext4 | Format::Btrfs | Format::Vfat));
        // The content of a deferred partition only matters if its size depends on the content.
        let wanted = partition.is_new()
            || partition.existing.is_none() && definition.minimize != Minimize::Off;
        if !formatted || !wanted || definition.blocks.is_some() {
            return Ok(None);
        }
        let validate = definition.add_validate_fs.then(|| self.validate(at, identities));
        let image = self.options.image.as_deref().map(real).transpose();
        let populated = populate(&PopulateRequest {
            definition,
            copy_source: self.options.copy_source(),
            image: image.map_err(|error| Error::output("cannot find the image", error))?,
            empty_dirs: &self.mount_points_in(at),
            validate: validate.as_ref(),
            epoch: self.options.epoch,
            threads: self.options.threads,
            excludes_by_inode: self.options.excludes_by_inode,
            vfat_leaves_out: self.options.vfat_leaves_out,
        })?;
        let wanted = HoleScanOptions { threads: self.options.threads, digest };
        let scan = match definition.format {
            Some(Format::Vfat) if !digest => HoleScan::default(),
            _ => scan_holes(&populated.tree, &wanted)?,
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
    fn mount_points_in(&self, at: usize) -> Vec<super::TreePath> {
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
    fn contents(&self, identities: &[Identity]) -> Result<Vec<Content>> {
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
    fn merged(&self, at: usize, identities: &[Identity]) -> Result<Content> {
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
    fn supplement(&self, at: usize) -> Option<usize> {
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
        if definition.format == Some(Format::Swap) {
            return Ok(Content::swap(identity));
        }
        let Some(SourceTree { populated, scan }) = self.source(at, definition, ids, false)? else {
            return Ok(Content::Nothing);
        };
        populated.warnings.iter().for_each(|warning| (self.report)(warning));
        let epoch = self.options.epoch.unwrap_or_default();
        let secrets = normalize::remaining_secrets(&populated.tree, &Rules::none(), epoch)?;
        secrets.iter().for_each(|warning| (self.report)(warning));
        let inputs = FsInputs {
            tree: populated.tree,
            scan,
            subvolumes: populated.subvolumes,
            identity,
            sector_size: self.file_system_sector_size(definition),
        };
        Content::of(definition, inputs, self.options)
    }

    fn file_system_sector_size(&self, definition: &Definition) -> u32 {
        let given = match definition.format {
            Some(Format::Vfat) => self.options.vfat_sector_size.map(SectorSize::bytes),
            _ => None,
        };
        given.unwrap_or_else(|| self.size_rules.file_system_sector_size(definition))
    }

    /// Returns the content sizes in bytes, for partitions whose size depends on the content.
    fn sizes(&self, contents: &[Content]) -> Result<Vec<Option<u64>>> {
        let mut sizes = Vec::new();
        for (partition, content) in self.partitions.iter().zip(contents) {
            let definition = partition.definition.as_ref();
            let minimize = definition.map_or(Minimize::Off, |one| one.minimize);
            let size = content.minimal(minimize)?;
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
                sizes[at] = Some(self.verity(at, size, Seed(Uuid::nil())).hash_size()?);
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
            self.file_system_sector_size(definition)
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
    fn candidates(&self, sizes: &[Option<u64>]) -> Vec<Candidate> {
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

/// Returns the result for a partition, before its content is written.
fn partition_result(partition: &Partition, identity: &Identity, place: Place) -> PartitionResult {
    let definition = partition.managed();
    let old = partition.existing.as_ref().map(|(_, there)| there.size);
    PartitionResult {
        identity: identity.clone(),
        number: place.slot,
        file: definition.and_then(|one| one.file.clone()),
        drop_ins: definition.map(|one| one.drop_ins.clone()).unwrap_or_default(),
        offset: place.start,
        old_size: old.unwrap_or(0),
        size: place.size,
        old_padding: place.old_padding,
        padding: place.padding,
        activity: match old {
            None => Activity::Create,
            Some(old) if old != place.size => Activity::Resize,
            Some(_) => Activity::Unchanged,
        },
        verity: partition.verity(),
        root_hash: None,
        split: None,
    }
}
