//! Verification of a file system: rules that the kernel or `btrfs check` enforces, and rules that
//! both rely on without checking.
//!
//! First, every block of every tree is walked, and every item is checked by itself or against the
//! previous item. If all of them are valid, references between trees are checked.

mod device;
mod extents;
mod files;
mod names;
mod ranges;
mod roots;
mod space;
mod sums;
mod superblocks;
mod walk;

use super::super::spec::objectid;
use super::{Reader, Result, Violation};
use device::DeviceRecords;
use extents::Extents;
use files::Files;
use names::SubvolumeCheck;
use roots::Roots;
use space::FreeSpace;
use sums::Sums;
use walk::Trees;

/// Maximum number of violations that are kept.
const MOST: usize = 1000;

/// Set of rules that an image must obey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Rules for images that the kernel and mkfs.btrfs write.
    Common,
    /// The common rules, and rules for images that detfs writes:
    ///
    /// - No stripe overlaps the place of a superblock, so no such place is listed as free space.
    ///   The kernel and mkfs.btrfs list them, and skip them when they allocate.
    /// - There is no free space of missing block groups, which mkfs.btrfs 6.2 leaves behind.
    /// - No kernel has to rebuild the UUID tree.
    Detfs,
}

/// The violations found.
#[derive(Debug, Default)]
struct Report(Vec<Violation>);

impl Report {
    fn add(&mut self, violation: Violation) {
        if self.0.len() < MOST {
            self.0.push(violation);
        }
    }

    /// Returns the value of `result`, or records its violation.
    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|violation| self.add(violation)).ok()
    }
}

pub(super) fn verify(reader: &Reader<'_>, rules: Rules) -> Vec<Violation> {
    let mut report = Report::default();
    superblocks::check(reader, &mut report);
    let facts = Findings::collect(reader, &mut report);
    if report.0.is_empty() {
        facts.compare(reader, rules, &mut report);
    }
    report.0
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
        let mut facts = Self::default();
        let Self { trees, volumes, roots, extents, sums, free_space, files } = &mut facts;
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
        facts
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

/// Returns the elements of each of two sorted lists that have no equal in the other list.
fn unmatched<'a, T: Ord>(left: &'a [T], right: &'a [T]) -> (Vec<&'a T>, Vec<&'a T>) {
    let (mut only_left, mut only_right) = (Vec::new(), Vec::new());
    let (mut lefts, mut rights) = (left.iter().peekable(), right.iter().peekable());
    loop {
        match (lefts.peek(), rights.peek()) {
            (Some(one), Some(other)) if one == other => {
                lefts.next();
                rights.next();
            }
            (Some(one), Some(other)) if one > other => only_right.extend(rights.next()),
            (Some(_), _) => only_left.extend(lefts.next()),
            (None, Some(_)) => only_right.extend(rights.next()),
            (None, None) => return (only_left, only_right),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_compared_one_by_one() {
        let cases: [[&[u8]; 4]; 5] = [
            [&[], &[], &[], &[]],
            [&[1, 2], &[1, 2], &[], &[]],
            [&[1, 1, 2], &[1, 2], &[1], &[]],
            [&[1], &[0, 2, 2], &[1], &[0, 2, 2]],
            [&[3], &[], &[3], &[]],
        ];
        for [left, right, only_left, only_right] in cases {
            let found = unmatched(left, right);
            let expected = (only_left.iter().collect(), only_right.iter().collect());
            assert_eq!(found, expected, "{left:?} {right:?}");
        }
    }
}
