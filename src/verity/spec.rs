//! On-disk superblock of dm-verity version 1, with the field names of the kernel's and cryptsetup's
//! documentation.

use zerocopy::little_endian::{U16, U32, U64};

use crate::record::records;

/// Superblock field `signature`.
pub(super) const SIGNATURE: [u8; 8] = *b"verity\0\0";
/// Superblock field `hash_type`, for hashes with the salt before the data.
pub(super) const HASH_TYPE_NORMAL: u32 = 1;
/// Size of a SHA-256 digest, in bytes. No other algorithm is supported.
pub(super) const DIGEST: usize = 32;

records! {
    /// The superblock at the start of the first hash block, followed by zeros.
    pub(super) struct Superblock("verity_sb", 512) {
        signature: [u8; 8],
        version: U32,
        hash_type: U32,
        uuid: [u8; 16],
        algorithm: [u8; 32],
        data_block_size: U32,
        hash_block_size: U32,
        data_blocks: U64,
        salt_size: U16,
        _pad1: [u8; 6],
        salt: [u8; 256],
        _pad2: [u8; 168],
    }
}
