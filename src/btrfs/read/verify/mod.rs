//! Verification of a file system: rules that the kernel or `btrfs check` enforces, and rules that
//! both rely on without checking.
//!
//! First, every block of every tree is walked, and every item is checked by itself or against the
//! previous item. If all of them are valid, references between trees are checked.

mod device;
mod extent;
mod extents;
mod files;
mod names;
mod ranges;
mod report;
mod root_record;
mod roots;
mod space;
mod sums;
mod superblocks;
mod walk;

use super::super::spec::objectid;
use super::reader::Reader;
use crate::violation::Violation;
use device::DeviceRecords;
use extents::Extents;
use files::Files;
use names::SubvolumeCheck;
use report::Report;
pub use report::Rules;
use roots::Roots;
use space::FreeSpace;
use sums::Sums;
use walk::Trees;

impl Reader<'_> {
    /// Checks the whole file system, including data, against `rules`.
    ///
    /// Returns the first violations, at most 1000; the list is empty if the file system is clean.
    /// If a block or an item is invalid by itself, references between trees are not checked.
    #[must_use]
    pub fn verify(&self, rules: Rules) -> Vec<Violation> {
        let mut report = Report::default();
        superblocks::check(self, &mut report);
        let findings = Findings::collect(self, &mut report);
        if report.0.is_empty() {
            findings.compare(self, rules, &mut report);
        }
        report.0
    }
}

/// Contents of all trees.
#[derive(Debug, Default)]
struct Findings {
    trees: Trees,
    volumes: DeviceRecords,
    roots: Roots,
    extents: Extents,
    sums: Sums,
    free_space: FreeSpace,
    files: Files,
}

impl Findings {
    fn collect(reader: &Reader<'_>, report: &mut Report) -> Self {
        let superblock = &reader.superblock;
        let mut findings = Self::default();
        let Self { trees, volumes, roots, extents, sums, free_space, files } = &mut findings;
        trees.walk(reader, superblock.chunk_root(), report, |place, data| {
            volumes.chunk_tree_item(place, data)
        });
        trees.walk(reader, superblock.root_tree(), report, |place, data| {
            roots.item(superblock, place, data)
        });
        for root in roots.trees(report) {
            match root.id {
                objectid::DEV_TREE => trees.walk(reader, root, report, |place, data| {
                    volumes.dev_tree_item(superblock, place, data)
                }),
                objectid::BLOCK_GROUP_TREE => trees.walk(reader, root, report, |place, data| {
                    volumes.block_group_tree_item(place, data)
                }),
                objectid::EXTENT_TREE => trees.walk(reader, root, report, |place, data| {
                    if volumes.extent_tree_item(superblock, place, data)? {
                        return Ok(());
                    }
                    extents.item(superblock, place, data)
                }),
                objectid::CSUM_TREE => trees
                    .walk(reader, root, report, |place, data| sums.item(superblock, place, data)),
                objectid::FREE_SPACE_TREE => {
                    trees.walk(reader, root, report, |place, data| free_space.item(place, data));
                }
                objectid::UUID_TREE => trees
                    .walk(reader, root, report, |place, data| roots.uuid_tree_item(place, data)),
                _ => {
                    let mut volume = SubvolumeCheck::new(superblock, root.id, files);
                    trees.walk(reader, root, report, |place, data| volume.item(place, data));
                    volume.finish(report);
                }
            }
        }
        findings
    }

    fn compare(mut self, reader: &Reader<'_>, rules: Rules, report: &mut Report) {
        let trees = &self.trees;
        self.volumes.compare(reader, rules, report);
        self.roots.compare(reader, trees, &mut self.files.subvolumes, rules, report);
        self.extents.compare(reader, trees, &mut self.files.uses, report);
        // The following checks rely on valid extents.
        if !report.0.is_empty() {
            return;
        }
        space::compare(reader, &self.volumes, &self.extents, &self.free_space, rules, report);
        self.sums.compare(&self.files.uses, report);
        if report.0.is_empty() {
            self.sums.check_data(reader, self.roots.tree(objectid::CSUM_TREE), report);
            files::check_compressed(reader, &self.files.uses, report);
        }
    }
}
