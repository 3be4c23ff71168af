//! Encodes ranges of files: compresses and identifies them.

use sha2::{Digest, Sha256};

use super::compress::ExtentEncoders;
use super::contents::Encoding;
use super::limits::SECTOR;
use super::options::{ContentOptions, DataPolicy};
use crate::codec::{Piece, PieceEncoder};
use crate::error::Result;
use crate::spool::{Appender, Spool};
use crate::tree::InodeId;

/// Result for a range that was read.
#[derive(Debug)]
pub(super) struct EncodedRange {
    pub(super) encoding: Encoding,
    pub(super) inline: bool,
    /// With deduplication, the identity of a range that is not inline.
    pub(super) identity: Option<Box<[u8; 32]>>,
}

/// Encoder of file ranges; each thread has one.
pub(super) struct RangeEncoder<'a> {
    policy: &'a (dyn Fn(InodeId) -> DataPolicy + Sync),
    dedup: bool,
    max_inline: u32,
    encoders: ExtentEncoders,
    spool: Option<Appender<'a>>,
}

impl<'a> RangeEncoder<'a> {
    pub(super) fn new(
        policy: &'a (dyn Fn(InodeId) -> DataPolicy + Sync),
        options: &ContentOptions<'_>,
        spool: Option<&'a Spool>,
    ) -> Self {
        Self {
            policy,
            dedup: options.dedup,
            max_inline: options.max_inline,
            encoders: ExtentEncoders::default(),
            spool: spool.map(Appender::new),
        }
    }
}

impl PieceEncoder for RangeEncoder<'_> {
    type Output = EncodedRange;

    fn encode(&mut self, piece: Piece, raw: &[u8]) -> Result<EncodedRange> {
        let policy = (self.policy)(piece.file);
        let mut encoding = Encoding::Plain;
        let mut inline = policy.fits_inline(raw.len() as u64, self.max_inline);
        if let Some(compression) = policy.compression {
            let compressed = self.encoders.compress(compression, raw)?;
            let len = compressed.len();
            inline |= policy.fits_inline(len as u64, self.max_inline);
            let saves = match inline {
                true => len < raw.len(),
                false => len.next_multiple_of(SECTOR) < raw.len().next_multiple_of(SECTOR),
            };
            if saves {
                let spool = self.spool.as_mut().expect("there is one if anything is compressed");
                let len = u32::try_from(len).expect("an extent is at most 128 KiB");
                encoding = Encoding::Compressed { at: spool.append(compressed)?, len, compression };
            }
        }
        let identity = (self.dedup && !inline).then(|| {
            let only = (!policy.shared).then_some((piece.file, piece.from));
            Box::new(identity(raw, &policy, only))
        });
        Ok(EncodedRange { encoding, inline, identity })
    }

    fn finish(&mut self) -> Result<()> {
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
