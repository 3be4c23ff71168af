//! The superblock, and its checksum.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::Options;
use super::compression::Compression;
use super::spec::{
    BLOCK, BLOCK_BITS, Compat, Incompat, SUPER_MAGIC_V1, SUPER_OFFSET, SuperBlock, VOLUME_NAME_SIZE,
};

/// Offset of the checksum in the superblock, in bytes.
const CHECKSUM: usize = std::mem::offset_of!(SuperBlock, checksum);

/// Values of a superblock that depend on the tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct SuperblockInputs {
    pub(super) root_nid: u16,
    pub(super) inos: u64,
    /// Number of the packed inode; 0 without fragments.
    pub(super) packed_nid: u64,
    pub(super) blocks: u32,
    pub(super) xattr_blkaddr: u32,
    pub(super) has_xattr_filter: bool,
    pub(super) incompat: Incompat,
    pub(super) available_compr_algs: u16,
}

/// Returns the records of compression algorithms that follow the superblock, each after its size.
pub(super) fn configs(compression: Option<Compression>, cluster_size: u32) -> Vec<u8> {
    let Some(config) = compression.map(|it| it.config(cluster_size)) else { return Vec::new() };
    let size = u16::try_from(config.len()).expect("a short record");
    [&size.to_le_bytes()[..], &config].concat()
}

/// Returns the superblock, without its checksum.
pub(super) fn superblock(options: &Options, inputs: SuperblockInputs) -> SuperBlock {
    let mut compat = Compat::SB_CHKSUM | Compat::MTIME;
    compat.set(Compat::XATTR_FILTER, inputs.has_xattr_filter);
    let mut volume_name = [0; VOLUME_NAME_SIZE];
    volume_name[..options.label.len()].copy_from_slice(&options.label);
    SuperBlock {
        magic: U32::new(SUPER_MAGIC_V1),
        feature_compat: U32::new(compat.bits()),
        blkszbits: BLOCK_BITS,
        rootnid_2b: U16::new(inputs.root_nid),
        inos: U64::new(inputs.inos),
        epoch: U64::new(options.epoch.seconds.cast_unsigned()),
        fixed_nsec: U32::new(options.epoch.nanoseconds),
        blocks_lo: U32::new(inputs.blocks),
        xattr_blkaddr: U32::new(inputs.xattr_blkaddr),
        uuid: options.uuid.into_bytes(),
        volume_name,
        feature_incompat: U32::new(inputs.incompat.bits()),
        available_compr_algs: U16::new(inputs.available_compr_algs),
        packed_nid: U64::new(inputs.packed_nid),
        ..SuperBlock::new_zeroed()
    }
}

/// Writes a superblock with its checksum into the first block of the image, whose other bytes are
/// complete: the checksum covers them from the superblock on.
pub(super) fn write(superblock: &SuperBlock, configs: &[u8], block: &mut [u8]) {
    debug_assert_eq!(block.len() as u64, BLOCK, "the first block");
    let bytes = [superblock.as_bytes(), configs].concat();
    block[SUPER_OFFSET..][..bytes.len()].copy_from_slice(&bytes);
    // crc32c with an initial value of all ones and no final inversion.
    let checksum = !crc32c::crc32c(&block[SUPER_OFFSET..]);
    block[SUPER_OFFSET + CHECKSUM..][..4].copy_from_slice(&checksum.to_le_bytes());
}
