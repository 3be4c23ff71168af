//! Writes the planned image: the contents of new partitions, then the table.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::context::Context;
use super::image::Image;
use super::outcome::{PartitionResult, Placed};
use super::signing::Signed;
use super::{Verity, el_torito, split};
use crate::disk::assembly::{Assembly, ContentPlace, PlannedPartition};
use crate::error::{Error, Result};
use crate::gpt::{self, PartitionType};
use crate::layout::{self, Discard, Layout, OffsetSink, Output, Sink, emit, publish};
use crate::seed::Seed;
use crate::verity::{HashTree, LeafHashes, Parameters};

/// Writes the image and the separate files of partitions.
pub(super) struct ImageWriter<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) seed: Seed,
    pub(super) assembly: &'a mut Assembly,
    pub(super) placed: &'a mut [Placed],
}

/// The planned content of a new partition.
struct PlannedContent {
    /// Index of the partition in the list of placed partitions.
    number: usize,
    layout: Layout,
    /// Observer that hashes the content while it is written.
    leaf_hashes: Option<Arc<LeafHashes>>,
}

/// The steps that remain once all contents are written.
#[derive(Debug)]
pub(super) struct Completion {
    image: Option<(Output, gpt::Table)>,
    /// The separate files of partitions.
    splits: Vec<Output>,
}

impl Completion {
    fn new(image: Option<(Output, gpt::Table)>, splits: Vec<Output>) -> Result<Self> {
        image.iter().map(|(output, _)| output).chain(&splits).try_for_each(Output::flush)?;
        Ok(Self { image, splits })
    }

    /// Writes the partition table and gives new files their names.
    pub(super) fn finish(self) -> Result<()> {
        if let Some((output, table)) = &self.image {
            super::image::write_table(table, output)?;
        }
        publish(self.image.map(|(output, _)| output).into_iter().chain(self.splits))
    }
}

impl ImageWriter<'_> {
    /// Writes the contents of new partitions if `write` is set, and the separate files of
    /// partitions.
    pub(super) fn run(mut self, image: Image, write: bool) -> Result<Completion> {
        if !write {
            // Even if nothing is written, root hashes are computed where the hash tree is
            // minimized.
            for planned in self.plan(true)? {
                self.emit(planned, &Discard)?;
            }
            let splits = self.splits(image.path())?;
            let splits = image.file().map(|file| self.split(&splits, file)).transpose()?;
            return Completion::new(None, splits.unwrap_or_default());
        }
        // Nothing is written before the end of this part, and every error that can be detected in
        // advance is reported in it.
        let planned = self.plan(false)?;
        self.check_signatures()?;
        let catalog = self.catalog(&image)?;
        let path = image.path().to_owned();
        self.splits(&path)?;
        let mut table = image.table(self.seed)?;
        let mut preview = table.clone();
        self.placed.iter().for_each(|placed| self.set_partition(placed, &mut preview));
        gpt::plan(&preview)?;

        let discard = self.context.options.discard;
        let gaps =
            if discard && image.has_table() { self.gaps(&image.usable()?) } else { Vec::new() };
        let output = image.into_output()?;
        for planned in planned {
            self.emit(planned, &output)?;
        }
        self.sign(&output)?;
        let fail = |error| Error::output(format!("cannot write {}", output.name()), error);
        for Range { start, end } in gaps {
            output.zeros(start, end - start).map_err(fail)?;
        }
        if let Some(catalog) = catalog {
            output.write(el_torito::OFFSET, &catalog).map_err(fail)?;
        }
        for placed in &*self.placed {
            self.set_partition(placed, &mut table);
        }
        // The names can contain UUIDs that derive from root hashes.
        let splits = self.splits(&path)?;
        let splits = self.split(&splits, output.file())?;
        Completion::new(Some((output, table)), splits)
    }

    /// Returns the free ranges of the disk before the first partition and after each new partition:
    /// they may contain remains of deleted partitions.
    fn gaps(&self, usable: &Range<u64>) -> Vec<Range<u64>> {
        let starts = || self.placed.iter().map(|placed| placed.result.offset).chain([usable.end]);
        let is_made = |placed: &&Placed| self.context.partitions[placed.at].is_new();
        let made = self.placed.iter().filter(is_made);
        let ends =
            made.map(|Placed { result, .. }| result.offset + result.size).chain([usable.start]);
        ends.filter_map(|end| {
            let next = starts().filter(|&start| start >= end).min()?;
            (next > end).then_some(end..next)
        })
        .collect()
    }

    /// Plans the content of all new partitions, or only of those whose hash tree is minimized.
    fn plan(&mut self, only_minimized: bool) -> Result<Vec<PlannedContent>> {
        let context = self.context;
        let mut all = Vec::new();
        for (number, placed) in self.placed.iter().enumerate() {
            let partition = &context.partitions[placed.at];
            if !partition.is_new() || matches!(partition.verity(), Verity::Hash | Verity::Signature)
            {
                continue;
            }
            let &Placed { at, content_size, .. } = placed;
            let size = placed.result.size;
            let hash =
                context.sibling(at, Verity::Hash).filter(|_| self.assembly.contents[at].is_some());
            let hash = hash.filter(|&hash| {
                partition.verity() == Verity::Data && context.partitions[hash].is_new()
            });
            // The data has the size that its minimized hash tree was sized for.
            let minimized = hash.is_some_and(|hash| context.is_minimized(hash));
            if only_minimized && !minimized {
                continue;
            }
            let filled = content_size.filter(|_| minimized).unwrap_or(size);
            let hash_tree = match hash {
                Some(hash) => {
                    let parameters = context.verity(hash, filled, self.seed);
                    let checked = self.check_hash_size(hash, &parameters);
                    checked.map_err(|error| context.partitions[hash].locate(error))?;
                    Some(parameters)
                }
                None => None,
            };
            let place = ContentPlace { start: placed.result.offset, size, filled };
            let planned = self.assembly.plan(at, place, hash_tree);
            let planned = planned.map_err(|error| partition.locate(error))?;
            let PlannedPartition { layout, warnings, leaf_hashes, .. } = planned;
            warnings.iter().for_each(|warning| (context.report)(warning));
            all.push(PlannedContent { number, layout: layout.seal(), leaf_hashes });
        }
        Ok(all)
    }

    /// Rejects a hash partition that is too small for its hash tree.
    fn check_hash_size(&self, hash: usize, parameters: &Parameters) -> Result<()> {
        let needed = parameters.hash_size()?;
        match self.placed.iter().find(|placed| placed.at == hash) {
            Some(Placed { result, .. }) if result.size < needed => Err(Error::TooSmall {
                what: "hash tree".to_owned(),
                detail: String::new(),
                needed,
                available: result.size,
            }),
            _ => Ok(()),
        }
    }

    /// Writes the content of a partition, and the hash tree of that content.
    fn emit(&mut self, planned: PlannedContent, output: &dyn Sink) -> Result<()> {
        let PlannedContent { number, layout, leaf_hashes } = planned;
        let threads = self.context.options.threads;
        let (at, base) = (self.placed[number].at, self.placed[number].result.offset);
        emit(&layout, &OffsetSink { sink: output, base }, &layout::Options::new(threads))?;
        let Some(leaf_hashes) = leaf_hashes else { return Ok(()) };
        let HashTree { root_hash, bytes } = leaf_hashes.finish(threads);
        let key = self.context.partitions[at].match_key();
        for placed in &mut *self.placed {
            let partition = &self.context.partitions[placed.at];
            if partition.match_key() != key {
                continue;
            }
            placed.result.root_hash = Some(root_hash);
            if placed.result.identity.uuid.is_nil() {
                let (data, hash) = crate::seed::verity_partitions(root_hash);
                let is_data = partition.verity() == Verity::Data;
                placed.result.identity.uuid = if is_data { data } else { hash };
            }
            if partition.verity() == Verity::Hash {
                self.context.fill(output, &placed.result, &bytes)?;
            }
        }
        Ok(())
    }

    /// Rejects new signature partitions if there is neither a signer nor an existing signature.
    fn check_signatures(&self) -> Result<()> {
        let Context { partitions, options, .. } = self.context;
        let new = self.placed.iter().map(|placed| &partitions[placed.at]);
        let mut new = new.filter(|one| one.is_new() && one.verity() == Verity::Signature);
        let unsigned = new.find_map(|partition| partition.definition.as_ref());
        match unsigned.filter(|_| !options.can_sign()) {
            Some(definition) => Err(definition.fault(
                &["Verity"],
                "no key to sign the root hash with",
                "give `signature.key` and `signature.certificate`, or defer the partition \
                 with `repart.deferred`",
            )),
            None => Ok(()),
        }
    }

    /// Writes the signatures of root hashes.
    fn sign(&mut self, output: &Output) -> Result<()> {
        for number in 0..self.placed.len() {
            let Placed { at, result, .. } = &self.placed[number];
            let partition = &self.context.partitions[*at];
            if !partition.is_new() || partition.verity() != Verity::Signature {
                continue;
            }
            let known = result.root_hash.or_else(|| self.existing_root_hash(*at));
            let Some(root_hash) = known else {
                let name = partition.name();
                (self.context.report)(&format_args!("{name}: no root hash to sign"));
                continue;
            };
            let Some(Signed { json, is_joined }) = self.context.options.signature(root_hash)?
            else {
                let definition = partition.definition.as_ref().expect("it is new");
                return Err(definition.fault(
                    &["Verity"],
                    "the signature of its root hash is missing",
                    "give `signature.key` and `signature.certificate`, or `signature.joined`",
                ));
            };
            if is_joined {
                // The root hash of an existing partition is reported with its joined signature.
                let key = partition.match_key();
                let parts = &self.context.partitions;
                let siblings =
                    self.placed.iter_mut().filter(|one| parts[one.at].match_key() == key);
                siblings.for_each(|placed| placed.result.root_hash = known);
            }
            self.placed[number].result.root_hash = known;
            self.context.fill(output, &self.placed[number].result, json.as_bytes())?;
        }
        Ok(())
    }

    /// Returns the root hash of existing partitions, whose UUIDs are its two halves.
    fn existing_root_hash(&self, at: usize) -> Option<[u8; 32]> {
        let half = |part| {
            let sibling = self.context.sibling(at, part)?;
            let (_, there) = self.context.partitions[sibling].existing.as_ref()?;
            Some(there.uuid).filter(|uuid| !uuid.is_nil()).map(Uuid::into_bytes)
        };
        let both = [half(Verity::Data)?, half(Verity::Hash)?].concat();
        both.try_into().ok()
    }

    /// Returns the bytes of the boot catalog, if one is to be written.
    fn catalog(&self, image: &Image) -> Result<Option<Vec<u8>>> {
        let Context { options, .. } = self.context;
        let Some(el_torito) = &options.el_torito else { return Ok(None) };
        let mut results = self.placed.iter().map(|placed| &placed.result);
        let esp = results.find(|result| result.identity.partition_type == PartitionType::Esp);
        let epoch = options.epoch.unwrap_or_default();
        el_torito.blocks(epoch, esp.map(|result| result.offset), &image.free()?).map(Some)
    }

    /// Adds a new partition to the table, or updates the entry of an existing partition.
    fn set_partition(&self, placed: &Placed, table: &mut gpt::Table) {
        let partition = &self.context.partitions[placed.at];
        if partition.deferred {
            return;
        }
        let Placed { result, .. } = placed;
        if let Some((_, there)) = &partition.existing {
            let mut entries = table.partitions.iter_mut().flatten();
            let entry = entries.find(|entry| entry.start == there.start);
            let entry = entry.expect("it was read from the table");
            entry.size = result.size;
            if partition.managed().is_some() {
                if entry.name.is_empty() {
                    entry.name.clone_from(&result.identity.label);
                }
                if entry.uuid.is_nil() {
                    entry.uuid = result.identity.uuid;
                }
            }
            return;
        }
        let entry = gpt::Partition {
            partition_type: result.identity.partition_type.guid(),
            uuid: result.identity.uuid,
            start: result.offset,
            size: result.size,
            attributes: result.identity.attributes,
            name: result.identity.label.clone(),
        };
        let number = usize::try_from(result.number).expect("there are few partitions");
        if table.partitions.len() <= number {
            table.partitions.resize(number + 1, None);
        }
        table.partitions[number] = Some(entry);
    }

    /// Sets the paths of the separate files. Returns the indexes of the partitions whose files are
    /// written.
    fn splits(&mut self, image: &Path) -> Result<Vec<usize>> {
        if !self.context.options.split {
            return Ok(Vec::new());
        }
        for placed in &mut *self.placed {
            let definition = self.context.partitions[placed.at].definition.as_ref();
            placed.result.split =
                definition.and_then(|one| split::path(image, one, &placed.result));
        }
        let written: Vec<_> = (0..self.placed.len())
            .filter(|&number| {
                let Placed { at, result, .. } = &self.placed[number];
                let partition = &self.context.partitions[*at];
                result.split.is_some() && !partition.deferred
            })
            .collect();
        split::check(
            written.iter().filter_map(|&number| self.placed[number].result.split.as_deref()),
        )?;
        Ok(written)
    }

    /// Copies partitions of the image to separate files, which have no names yet.
    fn split(&self, numbers: &[usize], image: &File) -> Result<Vec<Output>> {
        let mut sizes = Vec::new();
        for &number in numbers {
            let Placed { at, result, .. } = &self.placed[number];
            sizes.push(match self.context.partitions[*at].verity() {
                Verity::Signature => split::text_size(image, result.offset, result.size)?,
                _ => result.size,
            });
        }
        let mut outputs = Vec::new();
        for (&number, size) in numbers.iter().zip(sizes) {
            let result = &self.placed[number].result;
            if let Some(path) = &result.split {
                let range = result.offset..result.offset + size;
                outputs.push(split::copy(image, range, path, self.context.options)?);
            }
        }
        Ok(outputs)
    }
}

impl Context<'_> {
    /// Writes `bytes` to a partition, and zeros after them.
    fn fill(&self, output: &dyn Sink, result: &PartitionResult, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        let sink = OffsetSink { sink: output, base: result.offset };
        let written = sink.write(0, bytes).and_then(|()| sink.zeros(len, result.size - len));
        written.map_err(|error| {
            Error::output(format!("cannot write {}", result.identity.label), error)
        })
    }
}
