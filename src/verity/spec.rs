//! On-disk superblock of dm-verity version 1, with the field names of the kernel's and cryptsetup's
//! documentation.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, Immutable, IntoBytes, KnownLayout};

/// Superblock field `signature`.
pub(super) const SIGNATURE: [u8; 8] = *b"verity\0\0";
/// Superblock field `hash_type`, for hashes with the salt before the data.
pub(super) const HASH_TYPE_NORMAL: u32 = 1;
/// Size of a SHA-256 digest, in bytes. No other algorithm is supported.
pub(super) const DIGEST: usize = 32;

/// The superblock at the start of the first hash block, followed by zeros.
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
