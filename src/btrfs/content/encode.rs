//! Encodes ranges of files: reads, compresses and identifies them.

use std::num::NonZero;

use sha2::{Digest, Sha256};

use super::compress::ExtentEncoders;
use super::contents::Encoding;
use super::limits::{COMPRESSED, SECTOR};
use super::options::{ContentOptions, DataPolicy};
use super::ranges::{FileRange, FileRanges};
use super::spool::{Appender, Spool};
use crate::error::Result;
use crate::tree::{ContentReader, InodeId, Tree};
use crate::workers::{Queue, share};

/// Result for a range.
#[derive(Debug)]
pub(super) struct EncodedRange {
    pub(super) encoding: Encoding,
    pub(super) inline: bool,
}

/// Results for a batch.
#[derive(Debug, Default)]
pub(super) struct EncodedBatch {
    pub(super) outcomes: Vec<EncodedRange>,
    /// With deduplication, the identity of each outcome that is not inline.
    pub(super) identities: Vec<[u8; 32]>,
}

/// Encodes all batches, several at a time.
pub(super) fn encode_all(
    tree: &Tree,
    parts: &FileRanges,
    policy: &(dyn Fn(InodeId) -> DataPolicy + Sync),
    options: &ContentOptions<'_>,
    spool: Option<&Spool>,
) -> Result<Vec<EncodedBatch>> {
    let queue = Queue::new(&parts.batches);
    let work = || {
        let mut encoder = Encoder::new(tree, policy, options, spool);
        let mut done = Vec::new();
        while let Some((index, batch)) = queue.next() {
            match encoder.batch(&parts.list[batch.clone()]) {
                Ok(examined) => done.push((index, examined)),
                Err(error) => queue.fail(index, error),
            }
        }
        if let Err(error) = encoder.finish() {
            queue.fail(parts.batches.len(), error);
        }
        done
    };
    let batches = NonZero::new(parts.batches.len()).unwrap_or(NonZero::<usize>::MIN);
    let mut done: Vec<_> =
        share(options.threads.min(batches), work).into_iter().flatten().collect();
    queue.finish()?;
    done.sort_by_key(|&(index, _)| index);
    Ok(done.into_iter().map(|(_, examined)| examined).collect())
}

/// Encoder of file ranges; each thread has one.
struct Encoder<'a> {
    tree: &'a Tree,
    policy: &'a (dyn Fn(InodeId) -> DataPolicy + Sync),
    dedup: bool,
    max_inline: u64,
    buffer: Vec<u8>,
    encoders: ExtentEncoders,
    spool: Option<Appender<'a>>,
}

/// The file whose ranges are read; it is opened by the first read.
struct Current<'a> {
    tree: &'a Tree,
    file: InodeId,
    policy: DataPolicy,
    reader: Option<Box<dyn ContentReader>>,
}

impl Current<'_> {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.tree.open(self.file)?,
        };
        let read = reader.read(offset, buffer);
        self.reader = Some(reader);
        read
    }

    fn verify(&self) -> Result<()> {
        self.reader.as_ref().map_or(Ok(()), |reader| reader.verify())
    }
}

impl<'a> Encoder<'a> {
    fn new(
        tree: &'a Tree,
        policy: &'a (dyn Fn(InodeId) -> DataPolicy + Sync),
        options: &ContentOptions<'_>,
        spool: Option<&'a Spool>,
    ) -> Self {
        Self {
            tree,
            policy,
            dedup: options.dedup,
            max_inline: options.max_inline.into(),
            buffer: vec![0; length(COMPRESSED)],
            encoders: ExtentEncoders::default(),
            spool: spool.map(Appender::new),
        }
    }

    fn batch(&mut self, parts: &[FileRange]) -> Result<EncodedBatch> {
        let mut batches = EncodedBatch::default();
        for parts in parts.chunk_by(|a, b| a.file == b.file) {
            let file = parts[0].file;
            let policy = (self.policy)(file);
            let mut current = Current { tree: self.tree, file, policy, reader: None };
            for part in parts {
                let (encoding, inline) = self.part(&mut current, part, &mut batches.identities)?;
                batches.outcomes.push(EncodedRange { encoding, inline });
            }
            current.verify()?;
        }
        Ok(batches)
    }

    fn part(
        &mut self,
        file: &mut Current<'_>,
        part: &FileRange,
        identities: &mut Vec<[u8; 32]>,
    ) -> Result<(Encoding, bool)> {
        let DataPolicy { compression, inline, .. } = file.policy;
        let fits = inline && part.len <= self.max_inline;
        if compression.is_none() && (fits || !self.dedup) {
            return Ok((Encoding::Plain, fits));
        }

        assert!(part.len <= COMPRESSED, "ranges are split at this size");
        let len = length(part.len);
        let rounded = len.next_multiple_of(SECTOR);
        file.read(part.from, &mut self.buffer[..len])?;
        let raw = &self.buffer[..len];

        let mut encoding = Encoding::Plain;
        let mut inlined = fits;
        if let Some(compression) = compression {
            let compressed = self.encoders.compress(compression, raw)?;
            let short = compressed.len();
            inlined = fits || inline && short as u64 <= self.max_inline;
            let saves = match inlined {
                true => short < len,
                false => short.next_multiple_of(SECTOR) < rounded,
            };
            if saves {
                let spool = self.spool.as_mut().expect("there is one if anything is compressed");
                let len = u32::try_from(short).expect("a part is at most 128 KiB");
                encoding = Encoding::Compressed { at: spool.append(compressed)?, len, compression };
            }
        }
        if inlined {
            return Ok((encoding, true));
        }
        if self.dedup {
            let only = (!file.policy.shared).then_some((file.file, part.from));
            identities.push(identity(raw, &file.policy, only));
        }
        Ok((encoding, false))
    }

    fn finish(mut self) -> Result<()> {
        self.spool.as_mut().map_or(Ok(()), Appender::flush)
    }
}

/// Returns a hash that is equal for ranges that may share an extent.
///
/// `only` is the position of a range that must not be shared.
fn identity(raw: &[u8], policy: &DataPolicy, only: Option<(InodeId, u64)>) -> [u8; 32] {
    let (number, level) = policy
        .compression
        .map_or((0, 0), |compression| (compression.number(), compression.level().unwrap_or(0)));
    // The fields after the content have a fixed length, so no content can imitate them.
    let mut hash = Sha256::new_with_prefix(raw);
    hash.update((raw.len() as u64).to_le_bytes());
    hash.update([number, level, policy.checksum.into()]);
    // The first inode is the root, which is never a file.
    let (file, from) = only.unwrap_or((InodeId::ROOT, 0));
    hash.update((file.index() as u64).to_le_bytes());
    hash.update(from.to_le_bytes());
    hash.finalize().into()
}

fn length(len: u64) -> usize {
    usize::try_from(len).expect("a part fits in memory")
}
