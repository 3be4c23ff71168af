//! Pass over content before planning: compresses it, and finds equal files.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::Options;
use super::check::check_options;
use super::compressed::{CompressedFile, StoredPiece, Tail};
use super::compression::Compression;
use super::fragments::FragmentPacker;
use super::repeated::{Digest, PieceNumbers};
use super::spec::BLOCK;
use crate::codec::{Encoder, Piece, PieceEncoder, encode_pieces};
use crate::error::Result;
use crate::progress::Observer;
use crate::spool::{Appender, Spool};
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
    /// Numbers of the pieces of files with pieces that occur more than once.
    repeated: BTreeMap<InodeId, Box<[Option<u32>]>>,
    /// Offset in the packed inode of the last piece of each file that has it there.
    fragments: BTreeMap<InodeId, u64>,
    /// Pieces of the packed inode; those that are stored as they are have their bytes in the spool.
    packed: Vec<StoredPiece>,
    packed_size: u64,
    cluster_size: u32,
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
    let mut contents = Contents { cluster_size: options.cluster_size, ..Contents::default() };
    if options.compression.is_none() && !options.dedup {
        return Ok(contents);
    }
    let codec = options.compression.map(Compression::verified).transpose()?;
    // An empty file system, whose size is a limit of the format, needs no spool.
    let has_content = |inode: &Inode| matches!(inode.kind, Kind::File { size: 1.., .. });
    if codec.is_some() {
        if !tree.inodes().iter().any(has_content) {
            return Ok(contents);
        }
        contents.spool = Some(Arc::new(Spool::new(reading.spool)?));
    }
    let spool = contents.spool.clone();
    let spool = spool.as_deref();
    let division = Division { tree, scan, options };
    let encoder = || FileEncoder {
        division,
        encoder: codec.map(|codec| codec.encoder()),
        spool: spool.map(Appender::new),
    };
    let inodes = (0..).map(InodeId::new).zip(tree.inodes());
    let files = inodes.filter_map(|(id, inode)| match inode.kind {
        Kind::File { size, .. } if !is_mostly_holes(scan, id, size) => Some((id, size)),
        _ => None,
    });
    let pieces =
        files.clone().flat_map(|(id, size)| Piece::split(id, &(0..size), options.cluster_size));
    let &PrepassOptions { threads, observer, .. } = reading;
    let mut encoded = encode_pieces(tree, pieces, threads, observer, encoder)?;
    let mut collector = Collector::new(division, contents);
    for (id, size) in files {
        let pieces = encoded.by_ref().take(division.pieces(size)).collect();
        collector.add(id, size, pieces);
    }
    drop(encoded);
    let Collector { mut contents, packer, numbers, .. } = collector;
    contents.pieces.shrink_to_fit();
    contents.repeated = numbers.repeated();
    if let (Some(codec), Some(spool)) = (codec, &contents.spool) {
        let cluster_size = options.cluster_size;
        contents.packed = packer.encode(codec, cluster_size, spool, threads, observer)?;
        contents.packed_size = packer.size;
    }
    Ok(contents)
}

/// Collector of files in the order of the tree.
struct Collector<'a> {
    division: Division<'a>,
    contents: Contents,
    packer: FragmentPacker,
    /// First file by its digest.
    identities: BTreeMap<Digest, InodeId>,
    numbers: PieceNumbers,
}

impl<'a> Collector<'a> {
    fn new(division: Division<'a>, contents: Contents) -> Self {
        let (packer, numbers) = (FragmentPacker::default(), PieceNumbers::default());
        Self { division, contents, packer, identities: BTreeMap::new(), numbers }
    }

    /// Adds a file of `size` bytes with all its pieces and their digests.
    fn add(&mut self, id: InodeId, size: u64, encoded: Vec<(StoredPiece, Digest)>) {
        let Self { contents, division, .. } = self;
        let is_smaller = encoded.iter().any(|(piece, _)| piece.len > 0);
        let fragment = division.fragment(id, size);
        let is_fragment = !fragment.is_empty();
        let mut same = None;
        if division.options.dedup && (size >= BLOCK || is_fragment) {
            let mut identity = Sha256::new_with_prefix(size.to_le_bytes());
            encoded.iter().for_each(|(_, digest)| identity.update(digest));
            let of = *self.identities.entry(identity.finalize().into()).or_insert(id);
            same = (of != id).then_some(of);
            contents.same_as.extend(same.map(|of| (id, of)));
            let has_chunks = division.options.profile.chunks() && !is_smaller && !is_fragment;
            if has_chunks && same.is_none() {
                encoded.iter().for_each(|&(_, digest)| self.numbers.add(id, digest));
            }
        }
        if let (true, Some((raw, _))) = (is_fragment, encoded.last()) {
            let same = same.and_then(|of| contents.fragments.get(&of).copied());
            let len = fragment.end - fragment.start;
            let offset = same.unwrap_or_else(|| self.packer.push(raw.at, len));
            contents.fragments.insert(id, offset);
        }
        if is_smaller || is_fragment && fragment.start > 0 {
            let first = u32::try_from(contents.pieces.len());
            contents.first.insert(id, first.expect("fewer pieces than bytes in memory"));
            contents.pieces.extend(encoded.into_iter().map(|(piece, _)| piece));
        }
    }
}

/// Division of files into pieces, the last of which may be compressed together with those of other
/// files.
#[derive(Clone, Copy)]
struct Division<'a> {
    tree: &'a Tree,
    scan: &'a HoleScan,
    options: &'a Options,
}

impl Division<'_> {
    /// Returns the number of pieces of a file of `size` bytes.
    fn pieces(&self, size: u64) -> usize {
        piece_count(size, self.options.cluster_size)
    }

    /// Returns the range of a file of `size` bytes that is compressed together with others: all of
    /// a file that is shorter than a piece, else the rest after the last whole piece.
    fn fragment(&self, file: InodeId, size: u64) -> Range<u64> {
        let Options { fragments, compression, uncompressed, cluster_size, .. } = self.options;
        let start = size - size % u64::from(*cluster_size);
        let is_packed = *fragments && compression.is_some() && !uncompressed.contains(&file);
        // A long file with holes may be stored in chunks.
        match is_packed && (start == 0 || self.scan.data(file).is_none()) {
            true => start..size,
            false => size..size,
        }
    }
}

/// Returns whether less than an eighth of a file is data: holes are smaller than compressed zeros,
/// and a file of holes may be so large that to read it would take hours.
fn is_mostly_holes(scan: &HoleScan, file: InodeId, size: u64) -> bool {
    let data = scan.data(file).map(|ranges| ranges.iter().map(|range| range.end - range.start));
    data.is_some_and(|lens| lens.sum::<u64>() < size / 8)
}

fn piece_count(size: u64, cluster_size: u32) -> usize {
    usize::try_from(size.div_ceil(cluster_size.into())).expect("pieces are in memory")
}

impl Contents {
    /// Returns a file of `size` bytes with its pieces; `None` if compression saves nothing.
    pub(super) fn file(&self, file: InodeId, size: u64) -> Option<CompressedFile<'_>> {
        let cluster_size = self.cluster_size;
        let (pieces, tail) = match (self.first.get(&file), self.fragments.get(&file)) {
            (None, None) => return None,
            (None, Some(&offset)) => (&[][..], Tail::Fragment(offset)),
            (Some(&first), fragment) => {
                let pieces = &self.pieces[first as usize..][..piece_count(size, cluster_size)];
                (pieces, fragment.map_or(Tail::Blocks, |&offset| Tail::Fragment(offset)))
            }
        };
        Some(CompressedFile { size, cluster_size, pieces, tail })
    }

    /// Returns the size of a piece, and the numbers of all pieces of a file that has pieces that
    /// occur more than once.
    pub(super) fn repeated(&self, file: InodeId) -> Option<(u64, &[Option<u32>])> {
        Some((self.cluster_size.into(), self.repeated.get(&file)?))
    }

    /// Returns the content of the packed inode; `None` if there are no fragments.
    pub(super) fn packed_file(&self) -> Option<CompressedFile<'_>> {
        let (size, pieces) = (self.packed_size, &*self.packed);
        let cluster_size = self.cluster_size;
        (size > 0).then_some(CompressedFile { size, cluster_size, pieces, tail: Tail::Blocks })
    }

    /// Returns the first file with the same content, if it is another one.
    pub(super) fn same_as(&self, file: InodeId) -> Option<InodeId> {
        self.same_as.get(&file).copied()
    }
}

/// Encoder of pieces; each thread has its own.
struct FileEncoder<'a> {
    division: Division<'a>,
    encoder: Option<Encoder>,
    spool: Option<Appender<'a>>,
}

impl FileEncoder<'_> {
    fn size(&self, file: InodeId) -> u64 {
        super::inode::size(self.division.tree, file)
    }

    /// Returns whether compressed data is worth storing: it takes fewer blocks, or can follow the
    /// inode because it ends the file.
    fn saves(&self, piece: Piece, len: usize) -> bool {
        let len = len as u64;
        let is_tail = piece.from + u64::from(piece.len) == self.size(piece.file)
            && self.division.options.profile.tail_packing()
            && len < BLOCK;
        len < u64::from(piece.len)
            && (is_tail || len.div_ceil(BLOCK) < u64::from(piece.len).div_ceil(BLOCK))
    }
}

impl PieceEncoder for FileEncoder<'_> {
    type Output = (StoredPiece, Digest);

    fn encode(&mut self, piece: Piece, raw: &[u8]) -> Result<Self::Output> {
        let Division { options, .. } = self.division;
        let mut stored = StoredPiece { at: 0, len: 0 };
        let is_compressed = !options.uncompressed.contains(&piece.file);
        let hash = if options.dedup { Sha256::digest(raw).into() } else { [0; 32] };
        if self.division.fragment(piece.file, self.size(piece.file)).contains(&piece.from) {
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
