//! Pass over content before planning: compresses it, and finds equal files.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Options;
use super::check::check_options;
use super::compressed::StoredPiece;
use super::compression::PIECE;
use super::fragments::FragmentPacker;
use super::spec::BLOCK;
use crate::codec::{Appender, Encoder, Piece, PieceEncoder, Spool, encode_pieces};
use crate::error::Result;
use crate::progress::Observer;
use crate::tree::{HoleScan, Inode, InodeId, Kind, Tree};

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

/// Results of the prepass over the content of a tree; the default is for content that is neither
/// compressed nor compared.
#[derive(Default)]
pub struct Contents {
    pieces: Vec<StoredPiece>,
    /// First piece of each file that compression makes smaller.
    first: BTreeMap<InodeId, u32>,
    /// First file, in tree order, with the same content.
    same_as: BTreeMap<InodeId, InodeId>,
    /// Offset of each fragment in the packed inode.
    fragments: BTreeMap<InodeId, u64>,
    /// Pieces of the packed inode; those that are stored as they are have their bytes in the spool.
    pub(super) packed: Vec<StoredPiece>,
    pub(super) packed_size: u64,
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
    // An empty file system, whose size is a limit of the format, needs no spool.
    let has_content = |inode: &Inode| matches!(inode.kind, Kind::File { size: 1.., .. });
    if let Some(compression) = options.compression {
        compression.encoder()?;
        if !tree.inodes().iter().any(has_content) {
            return Ok(contents);
        }
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
    let (mut packer, mut fragments) = (FragmentPacker::default(), BTreeMap::new());
    for (id, size) in files {
        let start = found.len();
        let mut identity = Sha256::new_with_prefix(size.to_le_bytes());
        for (stored, hash) in encoded.by_ref().take(piece_count(size)) {
            found.push(stored);
            identity.update(hash);
        }
        if options.dedup && (size >= BLOCK || is_fragment(options, id, size)) {
            let of = *identities.entry(identity.finalize().into()).or_insert(id);
            if of != id {
                same_as.insert(id, of);
            }
        }
        if is_fragment(options, id, size) {
            let raw = found.pop().expect("a fragment is one piece");
            let same = same_as.get(&id).and_then(|of| fragments.get(of).copied());
            let offset = same.unwrap_or_else(|| packer.push(raw.at, size));
            fragments.insert(id, offset);
        } else if found[start..].iter().any(|piece| piece.len > 0) {
            first.insert(id, u32::try_from(start).expect("fewer pieces than bytes in memory"));
        } else {
            found.truncate(start);
        }
    }
    drop(encoded);
    found.shrink_to_fit();
    if let (Some(compression), Some(spool)) = (options.compression, &contents.spool) {
        contents.packed = packer.encode(compression, spool, threads, observer)?;
        contents.packed_size = packer.size;
    }
    Ok(Contents { pieces: found, first, same_as, fragments, ..contents })
}

/// Returns whether a file of `size` bytes is compressed together with others.
fn is_fragment(options: &Options, file: InodeId, size: u64) -> bool {
    options.fragments
        && options.compression.is_some()
        && (1..u64::from(PIECE)).contains(&size)
        && !options.uncompressed.contains(&file)
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

    /// Returns the offset of a file in the packed inode.
    pub(super) fn fragment(&self, file: InodeId) -> Option<u64> {
        self.fragments.get(&file).copied()
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
    fn size(&self, file: InodeId) -> u64 {
        super::inode::size(self.tree, file)
    }

    /// Returns whether compressed data is worth storing: it takes fewer blocks, or can follow the
    /// inode because it ends the file.
    fn saves(&self, piece: Piece, len: usize) -> bool {
        let len = len as u64;
        let is_tail = piece.from + u64::from(piece.len) == self.size(piece.file)
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
        let hash = if self.options.dedup { Sha256::digest(raw).into() } else { [0; 32] };
        if is_fragment(self.options, piece.file, self.size(piece.file)) {
            let spool = self.spool.as_mut().expect("there is one if content is compressed");
            return Ok((StoredPiece { at: spool.append(raw)?, len: 0 }, hash));
        }
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
        Ok((stored, hash))
    }

    fn finish(&mut self) -> Result<()> {
        self.spool.as_mut().map_or(Ok(()), Appender::flush)
    }
}
