//! Inputs of an image: a tree, and the seed, epoch and architecture, which may be derived from it.

use std::fmt;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::architecture;
use crate::error::{Error, Result};
use crate::gpt::Architecture;
use crate::progress::Observer;
use crate::report::Warning;
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::tree::dir::DirOptions;
use crate::tree::host_xattrs::HostXattrs;
use crate::tree::{Directory, HardLinks, HoleScan, PathFilter, Source, Tree};

/// Valid range of [`BuildInput::epoch`], in seconds: that of ext4 timestamps, 1901-12-13 to
/// 2446-05-10.
pub const EPOCHS: RangeInclusive<i64> = -(1 << 31)..=(1 << 34) - (1 << 31) - 1;

/// A tree and the inputs for an image of it.
///
/// ```no_run
/// use std::path::Path;
///
/// use detfs::BuildInput;
///
/// # fn main() -> detfs::Result<()> {
/// // What `detfs mkimage` reads, with the rules that it applies.
/// let input = BuildInput::from_dir(Path::new("rootfs"))?.normalized()?;
/// # drop(input);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct BuildInput {
    /// Source tree.
    pub tree: Tree,
    /// Parts of the source that were selected for the tree.
    pub selection: Selection,
    /// What becomes of inodes with several names, before anything else happens to the tree.
    pub hard_links: HardLinks,
    /// Warnings about parts of the source that are not in the tree.
    pub warnings: Vec<Warning>,
    /// Seed for all UUIDs. `None` to derive it from the tree.
    pub seed: Option<Seed>,
    /// Latest time of anything in the image, and the time of everything that has no time in the
    /// tree. `None` for the newest time of the tree.
    pub epoch: Option<Timestamp>,
    /// Target architecture. `None` to detect it from the tree's programs.
    pub architecture: Option<Architecture>,
    /// Number of threads that read content. It does not affect the image.
    pub threads: NonZero<usize>,
    /// Directory for compressed data until it is written to the image; required if anything is
    /// compressed. It does not affect the image.
    pub spool: Option<PathBuf>,
    /// Rules that normalize the tree first.
    #[cfg(feature = "normalize")]
    pub rules: crate::normalize::Rules,
    /// Observer of the progress.
    pub observer: Option<Arc<dyn Observer>>,
}

impl fmt::Debug for BuildInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildInput")
            .field("tree", &self.tree)
            .field("seed", &self.seed)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Whether the seed, the epoch or the architecture was given or derived from the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueOrigin {
    /// The caller gave the value.
    Given,
    /// The value was derived from the tree.
    Tree,
}

/// Values that all ids and times of an image are derived from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ResolvedInputs {
    /// Seed, if any id was derived from it.
    pub seed: Option<(Seed, ValueOrigin)>,
    /// Latest time of anything in the image.
    pub epoch: (Timestamp, ValueOrigin),
    /// Number of inodes of the tree whose times were later than the epoch.
    pub clamped: usize,
    /// Target architecture, if the image depends on it.
    pub architecture: Option<(Architecture, ValueOrigin)>,
    /// Directory of the tree that the content of the ESP comes from.
    pub esp_from: Option<Vec<u8>>,
}

/// Parts of a source that are selected for a tree.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Selection {
    /// Paths to leave out; a directory is left out with everything below it.
    pub exclude: Option<PathFilter>,
    /// Extended attributes to leave out.
    pub host_xattrs: HostXattrs,
}

impl BuildInput {
    /// Creates an input from a tree, with the seed, epoch and architecture derived from it, and
    /// without normalization rules.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        Self {
            tree,
            selection: Selection::default(),
            hard_links: HardLinks::default(),
            warnings: Vec::new(),
            seed: None,
            epoch: None,
            architecture: None,
            threads: NonZero::<usize>::MIN,
            spool: None,
            #[cfg(feature = "normalize")]
            rules: crate::normalize::Rules::none(),
            observer: None,
        }
    }

    /// Reads the tree of a directory, as [`BuildInput::read`] does with one thread and without
    /// leaving anything out that belongs to the tree.
    ///
    /// # Errors
    /// Those of [`BuildInput::read`].
    pub fn from_dir(directory: &Path) -> Result<Self> {
        Self::read(&Directory::new(directory), Selection::default(), NonZero::<usize>::MIN, None)
    }

    /// Reads the selected parts of a source, with a number of threads that the image does not
    /// depend on, and an observer of this and of the planning.
    ///
    /// # Errors
    /// Those of [`Source::read`].
    pub fn read(
        source: &dyn Source,
        selection: Selection,
        threads: NonZero<usize>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self> {
        let exclude = selection.exclude.as_ref().map(|filter| |path: &[u8]| filter.matches(path));
        let options = DirOptions {
            threads,
            exclude: exclude.as_ref().map(|exclude| exclude as _),
            host_xattrs: selection.host_xattrs.clone(),
            observer: observer.as_deref().map(|observer| observer as _),
        };
        let (tree, warnings) = source.read(&options)?;
        Ok(Self { selection, warnings, threads, observer, ..Self::new(tree) })
    }
}

/// Returns the given epoch, or the newest time of the tree.
pub(crate) fn epoch(tree: &Tree, given: Option<Timestamp>) -> Result<(Timestamp, ValueOrigin)> {
    match given {
        Some(epoch) if EPOCHS.contains(&epoch.seconds) => Ok((epoch, ValueOrigin::Given)),
        Some(epoch) => Err(Error::parameter(
            "epoch",
            format!("{} is out of range", epoch.seconds),
            format!("give a value from {} to {}", EPOCHS.start(), EPOCHS.end()),
        )),
        None => Ok((newest(tree), ValueOrigin::Tree)),
    }
}

/// Resolves the epoch and clamps the tree's timestamps to it.
pub(crate) fn clamp(tree: &mut Tree, given: Option<Timestamp>) -> Result<ResolvedInputs> {
    let epoch = epoch(tree, given)?;
    let clamped = tree.clamp_times(epoch.0);
    Ok(ResolvedInputs { seed: None, epoch, clamped, architecture: None, esp_from: None })
}

/// Returns the given architecture, or the one detected from the tree.
pub(super) fn architecture(
    tree: &Tree,
    given: Option<Architecture>,
) -> Result<(Architecture, ValueOrigin)> {
    match given {
        Some(architecture) => Ok((architecture, ValueOrigin::Given)),
        None => Ok((architecture::detect(tree)?, ValueOrigin::Tree)),
    }
}

/// Returns the given seed, or one derived from all trees of the image.
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

/// Returns the first whole second that no time in the tree is after, so that it clamps nothing and
/// can be passed again as a number of seconds.
///
/// The result is at most the end of [`EPOCHS`].
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
