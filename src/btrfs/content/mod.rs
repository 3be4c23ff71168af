//! What must be known about file content before a btrfs can be planned: its compressed form, and
//! which pieces of it are equal.
//!
//! This is one parallel pass between the scan and the plan, over the content of which anything
//! of that is wanted. All that it finds depends on the content alone, but for the places in the
//! [`Spool`].

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

/// Data is stored, and checksummed, in units of so many bytes.
const SECTOR: usize = 4096;

/// The most bytes of a file that are compressed to one extent.
const COMPRESSED: u64 = 128 << 10;

/// What is done with the content of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataPolicy {
    /// Whether its data has checksums.
    pub(crate) checksum: bool,
    /// How it is compressed, where that saves something.
    pub(crate) compression: Option<Compression>,
    /// Whether its zeros are holes, where the scan found some.
    pub(crate) holes: bool,
    /// Whether it may share what is stored with equal content. The kernel does not swap to a file
    /// that does.
    pub(crate) shared: bool,
    /// Whether it may be stored in a leaf: only for a file shorter than 4096 bytes.
    pub(crate) inline: bool,
}

/// How to look into content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContentOptions<'a> {
    /// How many threads read. Nothing that is found depends on it, but places in the spool.
    pub(crate) threads: NonZero<usize>,
    /// Whether to look for equal pieces.
    pub(crate) dedup: bool,
    /// The most bytes that are stored in a leaf.
    pub(crate) max_inline: u32,
    /// A directory for the spool, which is a file without a name; needed if anything is compressed.
    pub(crate) spool: Option<&'a Path>,
}

/// In what form bytes of a file are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are in the file.
    Plain,
    /// As they are in the spool.
    Compressed {
        /// Where in the spool. It never is the same twice.
        at: u64,
        /// How many bytes, not rounded.
        len: u32,
        /// With what it was compressed.
        compression: Compression,
    },
}

/// A part of a file that is stored as one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtentCandidate {
    /// Where it is in the file; a multiple of 4096.
    pub(crate) from: u64,
    /// How many bytes of the file it is, not rounded. All but a file's last are whole sectors.
    pub(crate) len: u64,
    /// Its form.
    pub(crate) encoding: Encoding,
    /// The number of the first piece, in the order of the tree, with the same content that is
    /// stored in the same way; its own if there is none. All else but the place in the file is
    /// equal then.
    pub(crate) same_as: u32,
}

/// The content of a file that is stored in a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inline {
    /// Its form.
    pub(crate) encoding: Encoding,
}

/// The facts about the content of a tree; the default has no file.
#[derive(Default)]
pub struct Contents {
    candidates: Vec<ExtentCandidate>,
    /// The number of the first piece of each inode, and of no inode.
    first: Vec<u32>,
    /// Sorted.
    inline: Vec<(InodeId, Inline)>,
    spool: Option<Arc<Spool>>,
    /// Files of which no piece became smaller, sorted.
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
    /// The pieces of a file, in its order; none of what is not a file or stored in a leaf.
    pub(crate) fn candidates(&self, file: InodeId) -> &[ExtentCandidate] {
        &self.candidates[self.first_candidate(file) as usize..self.first[file.index() + 1] as usize]
    }

    /// The number of a file's first piece; the others follow.
    pub(crate) fn first_candidate(&self, file: InodeId) -> u32 {
        self.first[file.index()]
    }

    /// The content of a file that is stored in a leaf.
    pub(crate) fn inline(&self, file: InodeId) -> Option<Inline> {
        let at = self.inline.binary_search_by_key(&file, |&(file, _)| file).ok()?;
        Some(self.inline[at].1)
    }

    /// Whether it was tried in vain to compress a file.
    pub(crate) fn is_incompressible(&self, file: InodeId) -> bool {
        self.incompressible.binary_search(&file).is_ok()
    }

    /// The compressed bytes; `None` if nothing was to be compressed.
    pub(crate) fn spool(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref()
    }
}

/// Reads the content of a tree as far as needed.
///
/// Without compression and deduplication, each range of data of a file is a piece. With either, a
/// range is cut every 128 KiB. A piece is compressed if that saves a sector.
///
/// # Errors
/// [`Error::Source`] or [`Error::Changed`] for the first file, in the order of the tree, that
/// can't be read or was changed; [`Error::Output`] if the spool can't be written;
/// [`Error::Parameter`] for a level that there is not, or a spool that is missing.
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

/// Puts together what was found out about the parts, in their order.
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
