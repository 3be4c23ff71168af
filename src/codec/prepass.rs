//! Parallel pass over pieces of files that are encoded before a layout is planned.
//!
//! Threads take the pieces in order, in batches. The results are in the order of the pieces,
//! whatever the number of threads.

use std::num::NonZero;
use std::ops::Range;

use super::in_order::encode_in_order;
use crate::error::Result;
use crate::progress::{Meter, Observer, Phase};
use crate::tree::{InodeId, Tree};

/// Cost after which a batch ends, in bytes: low enough that threads finish together when
/// compression is slow, high enough that reopening files costs nothing.
const BATCH: u64 = 2 << 20;

/// Cost of a piece in addition to its bytes, in bytes.
const OPENING: u64 = 16 << 10;

/// Range of a file that is encoded as a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) file: InodeId,
    pub(crate) len: u32,
    pub(crate) from: u64,
}

impl Piece {
    /// Splits a range of a file into pieces of `size` bytes and a last one of at most `size`.
    pub(crate) fn split(
        file: InodeId,
        range: &Range<u64>,
        size: u32,
    ) -> impl Iterator<Item = Self> + Clone + use<> {
        let Range { start, end } = *range;
        let mut starts = (start..end).step_by(size as usize);
        std::iter::from_fn(move || {
            let from = starts.next()?;
            let len = u32::try_from(end - from).map_or(size, |left| left.min(size));
            Some(Self { file, len, from })
        })
    }
}

/// Encoder of pieces; each thread has its own.
pub(crate) trait PieceEncoder {
    /// Result for a piece.
    type Output: Send;

    /// Encodes a piece whose content is `raw`.
    fn encode(&mut self, piece: Piece, raw: &[u8]) -> Result<Self::Output>;

    /// Completes the work of the thread after its last piece.
    fn finish(&mut self) -> Result<()>;
}

/// Reads and encodes pieces, several at a time, and returns the results in order.
///
/// Pieces of the same file must follow each other, or the file is opened repeatedly. Each thread
/// calls `encoder` once.
///
/// # Errors
/// The error of the first piece, in order, that can't be encoded or whose file can't be read or has
/// changed; if all pieces are encoded, an error of [`PieceEncoder::finish`].
pub(crate) fn encode_pieces<E: PieceEncoder>(
    tree: &Tree,
    pieces: impl Iterator<Item = Piece> + Clone + Send,
    threads: NonZero<usize>,
    observer: Option<&dyn Observer>,
    encoder: impl Fn() -> E + Sync,
) -> Result<impl Iterator<Item = E::Output>> {
    let count = Batches(pieces.clone()).count();
    let lens = pieces.clone().map(|piece| u64::from(piece.len));
    let meter = Meter::new(observer, Phase::Encode, lens.fold(0, u64::saturating_add));
    let encode = |(encoder, buffer): &mut (E, Vec<u8>), batch: Vec<Piece>| {
        let outputs = encode_batch(tree, &batch, encoder, buffer)?;
        meter.add(batch.iter().map(|piece| u64::from(piece.len)).sum())?;
        Ok(outputs)
    };
    let encoder = || (encoder(), Vec::new());
    let finish = |(mut encoder, _): (E, _)| encoder.finish();
    let done = encode_in_order(Batches(pieces), count, threads, encoder, encode, finish)?;
    Ok(done.into_iter().flatten())
}

fn encode_batch<E: PieceEncoder>(
    tree: &Tree,
    batch: &[Piece],
    encoder: &mut E,
    buffer: &mut Vec<u8>,
) -> Result<Vec<E::Output>> {
    let mut outputs = Vec::with_capacity(batch.len());
    for pieces in batch.chunk_by(|a, b| a.file == b.file) {
        let reader = tree.open(pieces[0].file)?;
        for &piece in pieces {
            buffer.resize(piece.len as usize, 0);
            reader.read(piece.from, buffer)?;
            outputs.push(encoder.encode(piece, buffer)?);
        }
        reader.verify()?;
    }
    Ok(outputs)
}

/// Batches of pieces, in order.
struct Batches<I>(I);

impl<I: Iterator<Item = Piece>> Iterator for Batches<I> {
    type Item = Vec<Piece>;

    fn next(&mut self) -> Option<Vec<Piece>> {
        let (mut batch, mut cost) = (Vec::new(), 0);
        while cost < BATCH
            && let Some(piece) = self.0.next()
        {
            cost += u64::from(piece.len) + OPENING;
            batch.push(piece);
        }
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::{Codec, Encoder, Zstd, verified};
    use crate::spool::{Appender, Spool};
    use crate::tree::{Metadata, Node, TreeBuilder};

    fn file() -> InodeId {
        InodeId::new(1)
    }

    #[test]
    fn the_last_piece_of_a_range_is_shorter() {
        for (range, expected) in [
            (0..0, &[][..]),
            (5..6, &[(5, 1)]),
            (0..8, &[(0, 4), (4, 4)]),
            (3..12, &[(3, 4), (7, 4), (11, 1)]),
            (u64::MAX - 5..u64::MAX, &[(u64::MAX - 5, 4), (u64::MAX - 1, 1)]),
        ] {
            let pieces = Piece::split(file(), &range, 4);
            let found: Vec<_> = pieces.map(|piece| (piece.from, piece.len)).collect();
            assert_eq!(found, expected, "{range:?}");
        }
    }

    #[test]
    fn a_batch_ends_when_its_cost_is_reached() {
        let piece = |len| Piece { file: file(), len, from: 0 };
        let lens = [1 << 20, 1 << 20, 4 << 20, 1, 2].map(piece);
        let batches: Vec<_> = Batches(lens.into_iter()).map(|batch| batch.len()).collect();
        assert_eq!(batches, [2, 1, 2]);
        let small = std::iter::repeat_n(piece(1), 300);
        let batches: Vec<_> = Batches(small).map(|batch| batch.len()).collect();
        assert_eq!(batches, [128, 128, 44]);
    }

    /// Encoder that refers to compressed pieces by their place in a spool.
    struct Spooling<'a> {
        encoder: Encoder,
        spool: Appender<'a>,
    }

    impl PieceEncoder for Spooling<'_> {
        type Output = (Piece, u64, usize);

        fn encode(&mut self, piece: Piece, raw: &[u8]) -> Result<Self::Output> {
            let encoded = self.encoder.encode(raw);
            Ok((piece, self.spool.append(encoded)?, encoded.len()))
        }

        fn finish(&mut self) -> Result<()> {
            self.spool.flush()
        }
    }

    #[test]
    fn results_are_in_order_and_in_the_spool() {
        let content: Vec<u8> = (0..400_000u32).flat_map(u32::to_le_bytes).collect();
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let source = builder.content(Arc::new(content.clone())).unwrap();
        let node = Node::File { size: content.len() as u64, content: source };
        builder.add(TreeBuilder::ROOT, b"file", Metadata::default(), node).unwrap();
        let tree = builder.finish().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(Some(directory.path())).unwrap();
        for threads in [1, 3] {
            let mut pieces = Piece::split(file(), &(10..1_600_000), 10_000);
            let threads = NonZero::new(threads).unwrap();
            let results = encode_pieces(&tree, pieces.clone(), threads, None, || Spooling {
                encoder: verified(&Zstd, 3).unwrap().encoder(),
                spool: Appender::new(&spool),
            })
            .unwrap();
            for (piece, at, len) in results {
                assert_eq!(Some(piece), pieces.next());
                let mut encoded = vec![0; len];
                spool.read_at(at, &mut encoded).unwrap();
                let from = usize::try_from(piece.from).unwrap();
                let raw = &content[from..from + piece.len as usize];
                assert!(Zstd.decode(&encoded, raw.len()).as_deref() == Some(raw), "{piece:?}");
            }
            assert_eq!(pieces.next(), None);
        }
    }
}
