//! The superblock, and the configurations of the compressors.

use std::fmt::Display;
use std::sync::Arc;

use positioned_io::ReadAt;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::super::spec::{
    Compat, DeflateCfgs, ISLOT, Incompat, Lz4Cfgs, LzmaCfgs, SUPER_MAGIC_V1, SUPER_OFFSET,
    SuperBlock, ZstdCfgs, algorithm,
};
use super::image::Image;
use crate::violation::{Result, Violation};

/// `COMPR_HEAD2`, which is the bit of `DEVICE_TABLE` too.
const COMPR_HEAD2: u32 = 0x8;

/// `XATTR_PREFIXES`
const XATTR_PREFIXES: u32 = 0x40;

/// Base-2 logarithms of the sizes of blocks, in bytes.
const BLOCK_BITS: std::ops::RangeInclusive<u8> = 9..=16;

/// Sizes of LZMA's dictionary, in bytes.
const LZMA_DICTIONARIES: std::ops::RangeInclusive<u32> = 4096..=8 << 20;

/// Maximum base-2 logarithm of the window of DEFLATE, in bytes.
const MAX_WBITS: u8 = 15;

/// Maximum size of a cluster, in bytes.
const CLUSTER_MAX: u64 = 1 << 20;

/// A superblock, and what follows from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Super {
    pub(super) record: SuperBlock,
    /// A bit for each algorithm that files may use.
    pub(super) algorithms: u16,
}

fn breaks(rule: impl Display) -> Violation {
    Violation::new("superblock", rule)
}

impl Super {
    /// Reads and checks the superblock of an image of `size` bytes.
    pub(super) fn read(
        source: Arc<dyn ReadAt + Send + Sync>,
        size: u64,
    ) -> Result<(Self, Arc<Image>)> {
        let whole = Image::new(Arc::clone(&source), size, 1);
        let record: SuperBlock = whole.record(SUPER_OFFSET as u64)?;
        if record.magic != SUPER_MAGIC_V1 {
            return Err(breaks("not an erofs"));
        }
        if !BLOCK_BITS.contains(&record.blkszbits) {
            return Err(breaks(format_args!("blocks of 2^{} bytes", record.blkszbits)));
        }
        let block_size = 1 << record.blkszbits;
        let used = u64::from(record.blocks_lo.get()) * block_size;
        let known = Incompat::all().bits() | COMPR_HEAD2 | XATTR_PREFIXES;
        let incompat = record.feature_incompat.get();
        let wrong = [
            (used > size, "blocks_lo is larger than the image"),
            (record.dirblkbits != 0, "dirblkbits is not 0"),
            (incompat & !known != 0, "unknown incompatible features"),
            (record.extra_devices != 0, "several devices are not supported"),
            (record.sb_extslots != 0, "an extended superblock is not supported"),
            (record.fixed_nsec.get() >= 1_000_000_000, "fixed_nsec is not below a second"),
            (record.rootnid_2b == 0, "no root"),
        ];
        if let Some((_, rule)) = wrong.iter().find(|(is_wrong, _)| *is_wrong) {
            return Err(breaks(rule));
        }
        let image = Image::new(source, used, block_size);
        let mut superblock = Self { record, algorithms: 1 << algorithm::LZ4 };
        superblock.check_checksum(&image)?;
        if superblock.has(Incompat::BIG_PCLUSTER) {
            superblock.read_configurations(&image)?;
        }
        Ok((superblock, Arc::new(image)))
    }

    /// Returns whether an incompatible feature is on.
    pub(super) fn has(&self, feature: Incompat) -> bool {
        Incompat::from_bits_retain(self.record.feature_incompat.get()).contains(feature)
    }

    /// Returns whether a compatible feature is on.
    pub(super) fn has_compat(&self, feature: Compat) -> bool {
        Compat::from_bits_retain(self.record.feature_compat.get()).contains(feature)
    }

    /// Returns whether the heads of clusters may name a second algorithm.
    pub(super) fn has_head2(&self) -> bool {
        self.record.feature_incompat.get() & COMPR_HEAD2 != 0
    }

    /// Returns the place of a node.
    pub(super) fn place(&self, nid: u64, block_size: u64) -> Option<u64> {
        let start = u64::from(self.record.meta_blkaddr.get()) * block_size;
        nid.checked_mul(ISLOT)?.checked_add(start)
    }

    fn check_checksum(&self, image: &Image) -> Result<()> {
        if !self.has_compat(Compat::SB_CHKSUM) {
            return Ok(());
        }
        let start = SUPER_OFFSET as u64;
        let len = image.block_size.checked_sub(start).filter(|&len| len > 0);
        let mut bytes = image.bytes(start, len.unwrap_or(image.block_size))?;
        let mut record = self.record;
        record.checksum.zero();
        bytes[..size_of::<SuperBlock>()].copy_from_slice(record.as_bytes());
        // The kernel's checksum is not inverted at the end.
        match !crc32c::crc32c(&bytes) == self.record.checksum.get() {
            true => Ok(()),
            false => Err(breaks("the checksum is wrong")),
        }
    }

    /// Reads the configurations of the compressors after the superblock.
    fn read_configurations(&mut self, image: &Image) -> Result<()> {
        self.algorithms = self.record.available_compr_algs.get();
        let mut at = (SUPER_OFFSET + size_of::<SuperBlock>()) as u64;
        for number in (0..u16::BITS).filter(|number| self.algorithms & 1 << number != 0) {
            let len: zerocopy::little_endian::U16 = image.record(at)?;
            let bytes = image.bytes(at + 2, len.get().into())?;
            at += 2 + u64::from(len.get());
            let is_valid = match u8::try_from(number) {
                Ok(algorithm::LZ4) => Lz4Cfgs::ref_from_prefix(&bytes).is_ok_and(|(lz4, _)| {
                    let blocks = u64::from(lz4.max_pclusterblks.get());
                    blocks * image.block_size <= CLUSTER_MAX
                }),
                Ok(algorithm::ZSTD) => ZstdCfgs::ref_from_prefix(&bytes)
                    .is_ok_and(|(zstd, _)| zstd.format == 0 && zstd.windowlog <= 10),
                Ok(algorithm::LZMA) => LzmaCfgs::ref_from_prefix(&bytes).is_ok_and(|(lzma, _)| {
                    lzma.format == 0 && LZMA_DICTIONARIES.contains(&lzma.dict_size.get())
                }),
                Ok(algorithm::DEFLATE) => DeflateCfgs::ref_from_prefix(&bytes)
                    .is_ok_and(|(deflate, _)| deflate.windowbits <= MAX_WBITS),
                _ => return Err(breaks(format_args!("algorithm {number} is unknown"))),
            };
            if !is_valid {
                return Err(breaks(format_args!("the configuration of algorithm {number}")));
            }
        }
        Ok(())
    }
}
