//! Runs repart: turns definitions into an image.

use super::apply::{Completion, ImageWriter};
use super::context::Context;
use super::image::Image;
use super::outcome::{Activity, Outcome, PartitionResult, Placed, Report};
use super::partition::{self, Partition};
use super::size_limits::SizeRules;
use super::{
    Definition, Empty, Options, PartitionFormat, Size, Verity, config, cross_checks, generate,
};
use crate::disk::Identity;
use crate::disk::assembly::Assembly;
use crate::disk::place::{self, Place};
use crate::error::Result;
use crate::seed::Seed;
use crate::size::{format_bytes, round_up};

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
    let contents = context.contents(&identities)?;
    let sizes = context.sizes(&contents)?;
    let candidates = context.candidates(&sizes);
    let mut assembly = Assembly { identities, candidates, contents, grain, sector_size };
    let least = assembly.minimal_size();

    // Without an image, the size is the only result.
    if options.size == Size::Auto || image.is_none() {
        let text = format_bytes(least);
        report(&format_args!("Automatically determined minimal disk image size as {text}."));
    }
    let Some(mut image) = image else {
        return Ok(PreparedRun { outcome: Outcome::default(), completion: None });
    };
    image.resize(options.size, least, report)?;

    let placed = assembly.place(image.usable()?).map_err(|no_space| {
        let name = partitions[no_space.candidate].name();
        no_space.error(&name, image.size(), round_up(least, 4096))
    })?;
    report_left_out(&context, &placed);
    for at in (0..partitions.len()).filter(|&at| placed.merged[at]) {
        assembly.contents[at] = context.merged(at, &assembly.identities)?;
    }
    let mut remaining = partitions.clone();
    for &at in &placed.left_alone {
        report(&format_args!("{}: it can't grow and is left unchanged", partitions[at].name()));
        remaining[at].left_alone = true;
    }
    let context = Context { partitions: &remaining, ..context };
    let partitions = &remaining;
    let mut all_placed = Vec::new();
    for &at in &placed.order {
        if let Some(place) = placed.places[at] {
            let result = partition_result(&partitions[at], &assembly.identities[at], place);
            all_placed.push(Placed { at, result, content_size: sizes[at] });
        }
    }
    let changed = all_placed.iter().any(|placed| placed.result.activity != Activity::Unchanged);
    let write = changed || !image.has_table();
    report_unwritten(write, options, report);
    let job =
        ImageWriter { context: &context, seed, assembly: &mut assembly, placed: &mut all_placed };
    let completion = Some(job.run(image, write && !options.dry_run)?);
    let outcome =
        Outcome { partitions: Some(all_placed.into_iter().map(|placed| placed.result).collect()) };
    Ok(PreparedRun { outcome, completion })
}

/// Reports that nothing is written, and why.
fn report_unwritten(has_changes: bool, options: &Options, report: Report<'_>) {
    match (has_changes, options.dry_run) {
        (true, true) if options.empty == Empty::Create => {}
        (true, true) => report(&"Refusing to repartition, please re-run with `repart.dry_run=no`."),
        (false, _) => report(&"No changes."),
        (true, false) => {}
    }
}

/// Returns the identities of the partitions of a new image, in the order of the definitions. A UUID
/// that derives from a root hash is nil.
///
/// # Errors
/// [`Definition`](crate::Error::Definition) for definitions that can't be carried out.
pub fn identities(seed: Seed, definitions: &[Definition]) -> Result<Vec<Identity>> {
    cross_checks::check(definitions)?;
    let partitions: Vec<_> = definitions.iter().cloned().map(Partition::new).collect();
    partitions.iter().try_for_each(refuse)?;
    Ok(partition::identities(seed, &partitions))
}

/// Reports the partitions that do not fit, except for supplements that were merged.
fn report_left_out(context: &Context<'_>, placed: &place::Placed) {
    let is_supplement = |at| {
        let all = placed.merged.iter().enumerate().filter(|(_, merged)| **merged);
        all.filter_map(|(at, _)| context.supplement(at)).any(|supplement| supplement == at)
    };
    for (at, place) in placed.places.iter().enumerate() {
        if place.is_none() && !is_supplement(at) {
            let name = context.partitions[at].name();
            (context.report)(&format_args!("{name}: it does not fit and is left out"));
        }
    }
}

/// Rejects a definition of a new partition that can't be carried out.
fn refuse(partition: &Partition) -> Result<()> {
    let Some(definition) = partition.definition.as_ref().filter(|_| partition.is_new()) else {
        return Ok(());
    };
    if let Some(encrypt) = &definition.encrypt {
        return Err(definition.fault(
            &["Encrypt"],
            format!("Encrypt={encrypt} is not supported"),
            "leave the definition out, and put it into /usr/lib/repart.d of the image: \
             systemd-repart makes and encrypts that partition on first boot",
        ));
    }
    if let Some(online) = definition.online {
        let setting = online.split('=').next().unwrap_or(online);
        return Err(definition.fault(
            &[setting],
            format!("{online} needs a running system"),
            "leave it out of the definitions of an image",
        ));
    }
    match &definition.format {
        Some(PartitionFormat::Other(name)) => Err(definition.fault(
            &["Format"],
            format!("Format={name} is not supported"),
            format!(
                "use ext4, btrfs, erofs, squashfs, vfat, swap or empty; without a change of \
                 definitions, with \
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
            &["Verity"],
            "the image already has the data of this hash tree, but not the tree",
            "delete the data partition too, so that both are created",
        )),
        None => Ok(()),
    }
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
