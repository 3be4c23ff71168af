//! What an image is made of: a tree, and the seed and the time for all that the tree does not say.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::architecture;
use crate::error::{Error, Result};
use crate::gpt::Architecture;
use crate::normalize::{self, Report, Rules};
use crate::report::Warning;
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::tree::{HoleScan, Tree};

/// The seconds that an epoch can have: those of an ext4 time stamp, 1901-12-13 to 2446-05-10.
pub const EPOCHS: RangeInclusive<i64> = -(1 << 31)..=(1 << 34) - (1 << 31) - 1;

/// A tree and what an image of it is made with.
#[derive(Debug)]
pub struct BuildInput {
    /// The tree.
    pub tree: Tree,
    /// What all ids are derived from; `None` to derive it from the tree.
    pub seed: Option<Seed>,
    /// The latest time of anything in the image, and the time of all that has none in the tree;
    /// `None` for the newest of the tree.
    pub epoch: Option<Timestamp>,
    /// What the tree's programs run on; `None` to look at them.
    pub architecture: Option<Architecture>,
    /// How many threads read content. The image does not depend on it.
    pub threads: NonZero<usize>,
    /// A directory for what is compressed until it is written; needed if anything is. The image
    /// does not depend on it.
    pub spool: Option<PathBuf>,
    /// What brings the tree into its canonical form first.
    pub rules: Rules,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueOrigin {
    /// The caller.
    Given,
    /// The tree.
    Tree,
}

/// What all ids and times of an image come from.
#[derive(Debug, Clone, Copy)]
pub struct ResolvedInputs {
    /// The seed, if any id was derived from it.
    pub seed: Option<(Seed, ValueOrigin)>,
    /// The latest time of anything in the image.
    pub epoch: (Timestamp, ValueOrigin),
    /// How many inodes of the tree were newer than that.
    pub clamped: usize,
    /// What the tree's programs run on, if it matters.
    pub architecture: Option<(Architecture, ValueOrigin)>,
}

impl BuildInput {
    /// A tree with everything else derived from it.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        Self {
            tree,
            seed: None,
            epoch: None,
            architecture: None,
            threads: NonZero::<usize>::MIN,
            spool: None,
            rules: Rules::none(),
        }
    }
}

/// The epoch that is given, or else the newest time of the tree.
pub(crate) fn epoch(tree: &Tree, given: Option<Timestamp>) -> Result<(Timestamp, ValueOrigin)> {
    match given {
        Some(epoch) if EPOCHS.contains(&epoch.seconds) => Ok((epoch, ValueOrigin::Given)),
        Some(epoch) => Err(Error::parameter(
            "--source-date-epoch",
            format!("{} is out of range", epoch.seconds),
            format!("give it from {} to {}", EPOCHS.start(), EPOCHS.end()),
        )),
        None => Ok((newest(tree), ValueOrigin::Tree)),
    }
}

/// Settles the epoch and sets all later times of the tree to it.
pub(crate) fn clamp(tree: &mut Tree, given: Option<Timestamp>) -> Result<ResolvedInputs> {
    let epoch = epoch(tree, given)?;
    let clamped = tree.clamp_times(epoch.0);
    Ok(ResolvedInputs { seed: None, epoch, clamped, architecture: None })
}

/// Settles the epoch, brings the tree into its canonical form, and sets all later times of it to
/// the epoch. The warnings are about secrets that stay.
pub(super) fn resolve_inputs(
    tree: &mut Tree,
    given: Option<Timestamp>,
    rules: &Rules,
) -> Result<(ResolvedInputs, Report, Vec<Warning>)> {
    // The epoch is that of the tree as it came: rules ask for it.
    let (epoch, origin) = epoch(tree, given)?;
    let report = normalize::normalize(tree, rules, epoch)?;
    let warnings = normalize::remaining_secrets(tree, rules, epoch)?;
    let resolved = clamp(tree, Some(epoch))?;
    Ok((ResolvedInputs { epoch: (epoch, origin), ..resolved }, report, warnings))
}

/// Settles the architecture.
pub(super) fn architecture(
    tree: &Tree,
    given: Option<Architecture>,
) -> Result<(Architecture, ValueOrigin)> {
    match given {
        Some(architecture) => Ok((architecture, ValueOrigin::Given)),
        None => Ok((architecture::detect(tree)?, ValueOrigin::Tree)),
    }
}

/// Settles the seed, of all trees that go into the image if it is not given.
pub(crate) fn seed(given: Option<Seed>, scans: &[HoleScan]) -> (Seed, ValueOrigin) {
    if let Some(seed) = given {
        return (seed, ValueOrigin::Given);
    }
    let mut hash = Sha256::new();
    for scan in scans {
        hash.update(scan.digest().expect("it is asked for where no seed is given"));
    }
    (Seed::from_digest(hash.finalize().into()), ValueOrigin::Tree)
}

/// The first whole second that nothing in the tree is after, so that it clamps nothing and can be
/// said again as a number of seconds; the end of [`EPOCHS`] if the tree goes beyond it.
fn newest(tree: &Tree) -> Timestamp {
    let newest = tree.inodes().iter().map(|inode| inode.mtime).max().unwrap_or_default();
    let seconds = newest.seconds.saturating_add(i64::from(newest.nanoseconds > 0));
    Timestamp::from_seconds(seconds.clamp(*EPOCHS.start(), *EPOCHS.end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    fn tree(mtimes: [(i64, u32); 2]) -> Tree {
        let [root, child] = mtimes.map(|(seconds, nanoseconds)| Metadata {
            mtime: Timestamp { seconds, nanoseconds },
            ..Metadata::default()
        });
        let mut builder = TreeBuilder::new(root).unwrap();
        builder.add(TreeBuilder::ROOT, b"fifo", child, Node::Fifo).unwrap();
        builder.finish().unwrap()
    }

    #[test]
    fn the_epoch_is_given_or_the_newest_time() {
        for (mtimes, given, expected, clamped) in [
            ([(5, 0), (7, 0)], None, 7, 0),
            ([(5, 0), (7, 1)], None, 8, 0),
            ([(9, 999_999_999), (7, 1)], None, 10, 0),
            ([(-5, 1), (-7, 0)], None, -4, 0),
            ([(0, 0), (i64::MAX, 999_999_999)], None, 15_032_385_535, 1),
            ([(i64::MIN, 0), (i64::MIN, 0)], None, -2_147_483_648, 0),
            ([(5, 0), (7, 0)], Some(6), 6, 1),
            ([(5, 1), (7, 0)], Some(5), 5, 2),
            ([(5, 0), (7, 0)], Some(100), 100, 0),
        ] {
            let epoch = given.map(Timestamp::from_seconds);
            let resolved = clamp(&mut tree(mtimes), epoch).unwrap();
            assert_eq!(resolved.epoch.0, Timestamp::from_seconds(expected), "{mtimes:?}");
            assert_eq!(
                resolved.epoch.1,
                if given.is_some() { ValueOrigin::Given } else { ValueOrigin::Tree }
            );
            assert_eq!(resolved.clamped, clamped, "{mtimes:?}");
        }
    }

    #[test]
    fn an_epoch_out_of_range_is_refused() {
        for seconds in [-2_147_483_649, 15_032_385_536, i64::MIN, i64::MAX] {
            let epoch = Some(Timestamp::from_seconds(seconds));
            let error = clamp(&mut tree([(0, 0), (0, 0)]), epoch).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{seconds}");
        }
    }
}
