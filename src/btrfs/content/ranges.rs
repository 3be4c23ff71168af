//! Splits the content of a tree into ranges.

use std::ops::Range;
use std::slice;

use super::compress::Compression;
use super::limits::COMPRESSED;
use super::options::{ContentOptions, DataPolicy};
use crate::codec::Piece;
use crate::error::{Error, Result};
use crate::tree::{HoleScan, InodeId, Kind, Tree};

/// A range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileRange {
    pub(super) file: InodeId,
    pub(super) from: u64,
    pub(super) len: u64,
    /// Whether it is stored in a leaf, unless it is encoded.
    pub(super) inline: bool,
    /// Whether it is encoded: compressed, or compared with other ranges.
    pub(super) encoded: bool,
}

/// All ranges, in tree order.
#[derive(Debug, Default)]
pub(super) struct FileRanges {
    pub(super) list: Vec<FileRange>,
    /// Compressions of the ranges, each once.
    pub(super) compressions: Vec<Compression>,
}

impl FileRanges {
    pub(super) fn of(
        tree: &Tree,
        scan: &HoleScan,
        policy: &dyn Fn(InodeId) -> DataPolicy,
        options: &ContentOptions<'_>,
    ) -> Result<Self> {
        let mut parts = Self::default();
        for (file, inode) in tree.iter() {
            let Kind::File { size: size @ 1.., .. } = inode.kind else { continue };
            let policy = policy(file);
            if let Some(compression) = policy.compression
                && !parts.compressions.contains(&compression)
            {
                compression.check()?;
                compression.verify()?;
                parts.compressions.push(compression);
            }
            let whole = 0..size;
            let data = scan.data(file).filter(|_| policy.holes);
            for range in data.unwrap_or(slice::from_ref(&whole)) {
                parts.push(file, range, &policy, options);
            }
        }
        if u32::try_from(parts.list.len()).is_err() {
            let count = parts.list.len();
            return Err(Error::unrepresentable(
                Vec::new(),
                format!("content is {count} extents, at most {} are supported", u32::MAX),
                "leave out content, compression or deduplication",
            ));
        }
        Ok(parts)
    }

    fn push(
        &mut self,
        file: InodeId,
        range: &Range<u64>,
        policy: &DataPolicy,
        options: &ContentOptions<'_>,
    ) {
        let new = |from, len| {
            let inline = policy.fits_inline(len, options.max_inline);
            let encoded = policy.compression.is_some() || options.dedup && !inline;
            FileRange { file, from, len, inline, encoded }
        };
        if policy.compression.is_none() && !options.dedup {
            self.list.push(new(range.start, range.end - range.start));
            return;
        }
        let pieces = Piece::split(file, range, COMPRESSED);
        self.list.extend(pieces.map(|piece| new(piece.from, piece.len.into())));
    }

    /// Returns the ranges that are encoded.
    pub(super) fn encoded(&self) -> impl Iterator<Item = Piece> + Clone + Send {
        self.list.iter().filter(|range| range.encoded).map(
            |&FileRange { file, from, len, .. }| {
                let len = u32::try_from(len).expect("ranges that are encoded were split");
                Piece { file, len, from }
            },
        )
    }
}
