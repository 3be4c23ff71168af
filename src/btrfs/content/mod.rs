//! Prepass over file content, required to plan a btrfs: compresses it and finds equal extents.
//!
//! The prepass runs in parallel between the scan and the plan, and only reads content to which this
//! applies. Its results depend on the content alone, except for the offsets in the [`Spool`].

mod compress;
mod contents;
mod encode;
mod limits;
mod lzo;
mod options;
mod ranges;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use compress::Compression;
pub use contents::Contents;
pub(crate) use contents::{Encoding, ExtentCandidate, Inline};
pub(crate) use options::{ContentOptions, DataPolicy};

use crate::codec::encode_pieces;
use crate::error::Result;
use crate::spool::Spool;
use crate::tree::{HoleScan, InodeId, Tree};
use encode::{EncodedRange, RangeEncoder};
use ranges::FileRanges;

/// Reads the content of a tree as far as needed.
///
/// Without compression and deduplication, each data range of a file is one extent candidate. With
/// either, ranges are split every 128 KiB. A candidate is compressed if that saves a sector.
///
/// # Errors
/// [`Error::Source`] or [`Error::Changed`] for the first file, in tree order, that can't be read or
/// has changed; [`Error::Output`] if the spool can't be written; [`Error::Parameter`] for an
/// invalid compression level, an encoder of other bytes or a missing spool directory.
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
    let spool = match parts.compressions.is_empty() {
        true => None,
        false => Some(Arc::new(Spool::new(options.spool)?)),
    };
    let encoder = || RangeEncoder::new(policy, options, spool.as_deref());
    let encoded = encode_pieces(tree, parts.encoded(), options.threads, options.observer, encoder)?;
    let mut contents = assemble(tree, &parts, encoded);
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
fn assemble(
    tree: &Tree,
    parts: &FileRanges,
    mut encoded: impl Iterator<Item = EncodedRange>,
) -> Contents {
    let mut contents = Contents {
        candidates: Vec::new(),
        first: Vec::with_capacity(tree.inodes().len() + 1),
        inline: Vec::new(),
        spool: None,
        incompressible: Vec::new(),
    };
    let mut seen: BTreeMap<[u8; 32], u32> = BTreeMap::new();
    for part in &parts.list {
        let number = u32::try_from(contents.candidates.len()).expect("parts are counted by u32");
        contents.first.resize(part.file.index() + 1, number);
        let EncodedRange { encoding, inline, identity } = match part.encoded {
            true => encoded.next().expect("every encoded range has a result"),
            false => {
                EncodedRange { encoding: Encoding::Plain, inline: part.inline, identity: None }
            }
        };
        if inline {
            contents.inline.push((part.file, Inline { encoding }));
            continue;
        }
        let same_as = identity.map_or(number, |identity| *seen.entry(*identity).or_insert(number));
        let encoding =
            contents.candidates.get(same_as as usize).map_or(encoding, |same| same.encoding);
        contents.candidates.push(ExtentCandidate {
            from: part.from,
            len: part.len,
            encoding,
            same_as,
        });
    }
    let count = u32::try_from(contents.candidates.len()).expect("parts are counted by u32");
    contents.first.resize(tree.inodes().len() + 1, count);
    contents
}
