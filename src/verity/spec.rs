//! The superblock of dm-verity version 1 on disk, with the fields named as the kernel's and
//! cryptsetup's documentation names them.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, Immutable, IntoBytes, KnownLayout};

/// `signature` of a superblock.
pub(super) const SIGNATURE: [u8; 8] = *b"verity\0\0";
/// `hash_type` that stands for hashes in which the salt comes before the data.
pub(super) const HASH_TYPE_NORMAL: u32 = 1;
/// Bytes of the digests of SHA-256, the one algorithm that is used here.
pub(super) const DIGEST: usize = 32;

/// What is at the start of the first hash block; zeros follow.
#[derive(Debug, FromZeros, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Superblock {
    pub signature: [u8; 8],
    pub version: U32,
    pub hash_type: U32,
    pub uuid: [u8; 16],
    pub algorithm: [u8; 32],
    pub data_block_size: U32,
    pub hash_block_size: U32,
    pub data_blocks: U64,
    pub salt_size: U16,
    pub _pad1: [u8; 6],
    pub salt: [u8; 256],
    pub _pad2: [u8; 168],
}

const _: () = assert!(size_of::<Superblock>() == 512);
