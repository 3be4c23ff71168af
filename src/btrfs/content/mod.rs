//! Prepass over file content, required to plan a btrfs: compresses it and finds equal extents.
//!
//! The prepass runs in parallel between the scan and the plan, and only reads content to which this
//! applies. Its results depend on the content alone, except for the offsets in the [`Spool`].

mod compress;
mod encode;
mod lzo;
mod ranges;
mod spool;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

pub use compress::{Compression, codecs};
pub(crate) use spool::Spool;

use crate::error::Result;
use crate::tree::{HoleScan, InodeId, Tree};
use encode::EncodedBatch;
use ranges::FileRanges;

/// Unit in which data is stored and checksummed, in bytes.
const SECTOR: usize = 4096;

/// Maximum number of bytes of a file that are compressed into one extent.
const COMPRESSED: u64 = 128 << 10;

/// Treatment of the content of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataPolicy {
    /// Whether the data has checksums.
    pub(crate) checksum: bool,
    /// Compression, used where it saves space.
    pub(crate) compression: Option<Compression>,
    /// Whether zeros that the scan found become holes.
    pub(crate) holes: bool,
    /// Whether extents may be shared with equal content. The kernel refuses to swap to a file with
    /// shared extents.
    pub(crate) shared: bool,
    /// Whether the content may be stored in a leaf; only for files shorter than 4096 bytes.
    pub(crate) inline: bool,
}

/// Options of [`encode()`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContentOptions<'a> {
    /// Number of threads that read. Only the offsets in the spool depend on it.
    pub(crate) threads: NonZero<usize>,
    /// Whether to find equal extents.
    pub(crate) dedup: bool,
    /// Maximum size of content stored in a leaf, in bytes.
    pub(crate) max_inline: u32,
    /// Directory for the spool, an unnamed file; required if anything is compressed.
    pub(crate) spool: Option<&'a Path>,
}

/// Form in which content is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Uncompressed, as in the file.
    Plain,
    /// Compressed, as in the spool.
    Compressed {
        /// Offset in the spool. It differs from run to run.
        at: u64,
        /// Compressed size in bytes, not rounded.
        len: u32,
        /// Compression algorithm and level.
        compression: Compression,
    },
}

/// A range of a file that is stored as a unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtentCandidate {
    /// Offset in the file, a multiple of 4096.
    pub(crate) from: u64,
    /// Length in the file in bytes, not rounded. Only the last candidate of a file may end within a
    /// sector.
    pub(crate) len: u64,
    /// Form in which it is stored.
    pub(crate) encoding: Encoding,
    /// Index of the first candidate, in tree order, with the same content and form of storage; its
    /// own index if it is the first. Equal candidates differ only in `from`.
    pub(crate) same_as: u32,
}

/// Content of a file that is stored in a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inline {
    /// Form in which it is stored.
    pub(crate) encoding: Encoding,
}

/// Results of the prepass over the content of a tree; the default is for a tree without files.
#[derive(Default)]
pub struct Contents {
    candidates: Vec<ExtentCandidate>,
    /// By inode: index of its first candidate, with one more entry after the last inode's.
    first: Vec<u32>,
    /// Sorted.
    inline: Vec<(InodeId, Inline)>,
    spool: Option<Arc<Spool>>,
    /// Files of which no candidate became smaller, sorted.
    incompressible: Vec<InodeId>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents")
            .field("pieces", &self.candidates.len())
            .field("inline", &self.inline.len())
            .finish_non_exhaustive()
    }
}

impl Contents {
    /// Returns the candidates of a file, in order; empty for inline files and other inodes.
    pub(crate) fn candidates(&self, file: InodeId) -> &[ExtentCandidate] {
        &self.candidates[self.first_candidate(file) as usize..self.first[file.index() + 1] as usize]
    }

    /// Returns the index of the first candidate of a file; the others follow it.
    pub(crate) fn first_candidate(&self, file: InodeId) -> u32 {
        self.first[file.index()]
    }

    /// Returns the content of a file that is stored in a leaf.
    pub(crate) fn inline(&self, file: InodeId) -> Option<Inline> {
        let at = self.inline.binary_search_by_key(&file, |&(file, _)| file).ok()?;
        Some(self.inline[at].1)
    }

    /// Returns whether compression of a file was tried and saved nothing.
    pub(crate) fn is_incompressible(&self, file: InodeId) -> bool {
        self.incompressible.binary_search(&file).is_ok()
    }

    /// Returns the compressed content; `None` if nothing was to be compressed.
    pub(crate) fn spool(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref()
    }
}

/// Reads the content of a tree as far as needed.
///
/// Without compression and deduplication, each data range of a file is one extent candidate. With
/// either, ranges are split every 128 KiB. A candidate is compressed if that saves a sector.
///
/// # Errors
/// [`Error::Source`] or [`Error::Changed`] for the first file, in tree order, that can't be read or
/// has changed; [`Error::Output`] if the spool can't be written; [`Error::Parameter`] for an
/// invalid compression level or a missing spool directory.
///
/// [`Error::Source`]: crate::Error::Source
/// [`Error::Changed`]: crate::Error::Changed
/// [`Error::Output`]: crate::Error::Output
/// [`Error::Parameter`]: crate::Error::Parameter
pub(crate) fn encode(
    tree: &Tree,
    scan: &HoleScan,
    policy: &(dyn Fn(InodeId) -> DataPolicy + Sync),
    options: &ContentOptions<'_>,
) -> Result<Contents> {
    let parts = FileRanges::of(tree, scan, policy, options)?;
    let spool = match parts.compressed {
        true => Some(Arc::new(Spool::new(options.spool)?)),
        false => None,
    };
    let examined = encode::encode_all(tree, &parts, policy, options, spool.as_deref())?;
    let mut contents = assemble(tree, &parts, examined);
    if spool.is_some() {
        let in_vain = |&file: &InodeId| {
            let candidates = contents.candidates(file);
            !candidates.is_empty()
                && candidates.iter().all(|candidate| candidate.encoding == Encoding::Plain)
                && policy(file).compression.is_some()
        };
        contents.incompressible = tree.iter().map(|(id, _)| id).filter(in_vain).collect();
    }
    contents.spool = spool;
    Ok(contents)
}

/// Combines the results for all file ranges, in their order.
fn assemble(tree: &Tree, parts: &FileRanges, examined: Vec<EncodedBatch>) -> Contents {
    let mut contents = Contents {
        candidates: Vec::new(),
        first: Vec::with_capacity(tree.inodes().len() + 1),
        inline: Vec::new(),
        spool: None,
        incompressible: Vec::new(),
    };
    let mut seen: BTreeMap<[u8; 32], u32> = BTreeMap::new();
    let mut files = parts.list.iter();
    for batch in examined {
        let mut identities = batch.identities.into_iter();
        for outcome in batch.outcomes {
            let part = files.next().expect("every part has an outcome");
            let number =
                u32::try_from(contents.candidates.len()).expect("parts are counted by u32");
            contents.first.resize(part.file.index() + 1, number);
            if outcome.inline {
                contents.inline.push((part.file, Inline { encoding: outcome.encoding }));
                continue;
            }
            let same_as = match identities.next() {
                Some(identity) => *seen.entry(identity).or_insert(number),
                None => number,
            };
            let encoding = match contents.candidates.get(same_as as usize) {
                Some(same) => same.encoding,
                None => outcome.encoding,
            };
            contents.candidates.push(ExtentCandidate {
                from: part.from,
                len: part.len,
                encoding,
                same_as,
            });
        }
    }
    let count = u32::try_from(contents.candidates.len()).expect("parts are counted by u32");
    contents.first.resize(tree.inodes().len() + 1, count);
    contents
}
