//! Pass over content before planning: compresses it, and finds equal files.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Options;
use super::check::check_options;
use super::compression::PIECE;
use super::spec::BLOCK;
use crate::codec::{Appender, Encoder, Piece, PieceEncoder, Spool, encode_pieces};
use crate::error::Result;
use crate::progress::Observer;
use crate::tree::{HoleScan, InodeId, Kind, Tree};

/// Options of [`prepass`].
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct PrepassOptions<'a> {
    /// Number of threads that read. The image does not depend on it.
    pub threads: NonZero<usize>,
    /// Directory for compressed content until it is written; required if anything is compressed.
    pub spool: Option<&'a Path>,
    /// Observer of the progress, in bytes of content.
    pub observer: Option<&'a dyn Observer>,
}

impl fmt::Debug for PrepassOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrepassOptions")
            .field("threads", &self.threads)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

impl PrepassOptions<'_> {
    /// Returns options for reading with `threads` threads, without a spool or an observer.
    #[must_use]
    pub fn new(threads: NonZero<usize>) -> Self {
        Self { threads, spool: None, observer: None }
    }
}

/// A piece of a file as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredPiece {
    /// Offset of the compressed bytes in the spool. It differs from run to run.
    pub(super) at: u64,
    /// Compressed size in bytes; 0 for a piece that is stored as it is.
    pub(super) len: u32,
}

/// Results of the prepass over the content of a tree; the default is for content that is neither
/// compressed nor compared.
#[derive(Default)]
pub struct Contents {
    pieces: Vec<StoredPiece>,
    /// First piece of each file that compression makes smaller.
    first: BTreeMap<InodeId, u32>,
    /// First file, in tree order, with the same content.
    same_as: BTreeMap<InodeId, InodeId>,
    pub(super) spool: Option<Arc<Spool>>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents").field("pieces", &self.pieces.len()).finish_non_exhaustive()
    }
}

/// Compresses content and finds equal files, as far as `options` request it.
///
/// # Errors
/// The errors of [`plan`](super::plan()) that concern options, [`Error::Source`] and
/// [`Error::Changed`] for content that can't be read or has changed, and [`Error::Output`] if the
/// spool can't be written.
///
/// [`Error::Source`]: crate::Error::Source
/// [`Error::Changed`]: crate::Error::Changed
/// [`Error::Output`]: crate::Error::Output
pub fn prepass(
    tree: &Tree,
    scan: &HoleScan,
    options: &Options,
    reading: &PrepassOptions<'_>,
) -> Result<Contents> {
    check_options(options)?;
    let mut contents = Contents::default();
    if options.compression.is_none() && !options.dedup {
        return Ok(contents);
    }
    if let Some(compression) = options.compression {
        compression.encoder()?;
        contents.spool = Some(Arc::new(Spool::new(reading.spool)?));
    }
    let spool = contents.spool.as_deref();
    let encoder = || FileEncoder {
        tree,
        options,
        encoder: options.compression.map(|it| it.encoder().expect("checked before")),
        spool: spool.map(Appender::new),
    };
    let inodes = (0..).map(InodeId::new).zip(tree.inodes());
    let files = inodes.filter_map(|(id, inode)| match inode.kind {
        Kind::File { size, .. } if !is_mostly_holes(scan, id, size) => Some((id, size)),
        _ => None,
    });
    let pieces = files.clone().flat_map(|(id, size)| Piece::split(id, &(0..size), PIECE));
    let &PrepassOptions { threads, observer, .. } = reading;
    let mut encoded = encode_pieces(tree, pieces, threads, observer, encoder)?;
    let mut identities: BTreeMap<[u8; 32], InodeId> = BTreeMap::new();
    let (mut found, mut first, mut same_as) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (id, size) in files {
        let start = found.len();
        let mut identity = Sha256::new_with_prefix(size.to_le_bytes());
        for (stored, hash) in encoded.by_ref().take(piece_count(size)) {
            found.push(stored);
            identity.update(hash);
        }
        if found[start..].iter().any(|piece| piece.len > 0) {
            first.insert(id, u32::try_from(start).expect("fewer pieces than bytes in memory"));
        } else {
            found.truncate(start);
        }
        if options.dedup && size >= BLOCK {
            let of = *identities.entry(identity.finalize().into()).or_insert(id);
            if of != id {
                same_as.insert(id, of);
            }
        }
    }
    drop(encoded);
    found.shrink_to_fit();
    Ok(Contents { pieces: found, first, same_as, ..contents })
}

/// Returns whether less than an eighth of a file is data: holes are smaller than compressed zeros,
/// and a file of holes may be so large that to read it would take hours.
fn is_mostly_holes(scan: &HoleScan, file: InodeId, size: u64) -> bool {
    let data = scan.data(file).map(|ranges| ranges.iter().map(|range| range.end - range.start));
    data.is_some_and(|lens| lens.sum::<u64>() < size / 8)
}

fn piece_count(size: u64) -> usize {
    usize::try_from(size.div_ceil(PIECE.into())).expect("pieces are in memory")
}

impl Contents {
    /// Returns the pieces of a file of `size` bytes; `None` if compression saves nothing.
    pub(super) fn pieces(&self, file: InodeId, size: u64) -> Option<&[StoredPiece]> {
        let first = *self.first.get(&file)? as usize;
        Some(&self.pieces[first..][..piece_count(size)])
    }

    /// Returns the first file with the same content, if it is another one.
    pub(super) fn same_as(&self, file: InodeId) -> Option<InodeId> {
        self.same_as.get(&file).copied()
    }
}

/// Encoder of pieces; each thread has its own.
struct FileEncoder<'a> {
    tree: &'a Tree,
    options: &'a Options,
    encoder: Option<Encoder>,
    spool: Option<Appender<'a>>,
}

impl FileEncoder<'_> {
    /// Returns whether compressed data is worth storing: it takes fewer blocks, or can follow the
    /// inode because it ends the file.
    fn saves(&self, piece: Piece, len: usize) -> bool {
        let Kind::File { size, .. } = self.tree.inode(piece.file).kind else { return false };
        let len = len as u64;
        let is_tail = piece.from + u64::from(piece.len) == size
            && self.options.profile.tail_packing()
            && len < BLOCK;
        len < u64::from(piece.len)
            && (is_tail || len.div_ceil(BLOCK) < u64::from(piece.len).div_ceil(BLOCK))
    }
}

impl PieceEncoder for FileEncoder<'_> {
    type Output = (StoredPiece, [u8; 32]);

    fn encode(&mut self, piece: Piece, raw: &[u8]) -> Result<Self::Output> {
        let mut stored = StoredPiece { at: 0, len: 0 };
        let is_compressed = !self.options.uncompressed.contains(&piece.file);
        if let Some(mut encoder) = self.encoder.take() {
            if is_compressed {
                let compressed = encoder.encode(raw);
                if self.saves(piece, compressed.len()) {
                    let spool = self.spool.as_mut().expect("there is one if content is compressed");
                    let len = u32::try_from(compressed.len()).expect("less than a piece");
                    stored = StoredPiece { at: spool.append(compressed)?, len };
                }
            }
            self.encoder = Some(encoder);
        }
        let hash = if self.options.dedup { Sha256::digest(raw).into() } else { [0; 32] };
        Ok((stored, hash))
    }

    fn finish(&mut self) -> Result<()> {
        self.spool.as_mut().map_or(Ok(()), Appender::flush)
    }
}
