//! What is reported, and how.

use crate::violation::{Result, Violation};

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
pub(super) struct Report(pub(super) Vec<Violation>);

impl Report {
    /// Records a violation, unless there are too many.
    pub(super) fn add(&mut self, violation: Violation) {
        if self.0.len() < MOST {
            self.0.push(violation);
        }
    }

    /// Returns the value of `result`, or records its violation.
    pub(super) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|violation| self.add(violation)).ok()
    }
}

/// Returns the elements of each of two sorted lists that have no equal in the other list.
pub(super) fn unmatched<'a, T: Ord>(left: &'a [T], right: &'a [T]) -> (Vec<&'a T>, Vec<&'a T>) {
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
