//! Parameters of a hash tree, and the resulting sizes.

use uuid::Uuid;
use zerocopy::{FromZeros, IntoBytes};

use super::spec::{DIGEST, HASH_TYPE_NORMAL, SIGNATURE, Superblock};
use crate::error::{Error, Result};

/// Valid block sizes, in bytes: all powers of two in this range. The kernel rejects blocks larger
/// than a page.
const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 512..=4096;

/// The parameters of a hash tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Number of protected bytes, from the start of the partition: a nonzero multiple of
    /// `data_block_size`.
    pub data_size: u64,
    /// Size of a data block, in bytes: a power of two from 512 to 4096.
    pub data_block_size: u32,
    /// Size of a hash block, in bytes: a power of two from 512 to 4096.
    pub hash_block_size: u32,
    /// Salt that is hashed before each block.
    pub salt: [u8; 32],
    /// UUID of the device in the superblock.
    pub uuid: Uuid,
}

impl Parameters {
    /// Returns the size of the superblock and the tree, in bytes: a multiple of `hash_block_size`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for sizes that a hash tree can't have.
    pub fn hash_size(&self) -> Result<u64> {
        let levels = self.levels()?;
        Ok((1 + levels.iter().sum::<u64>()) * u64::from(self.hash_block_size))
    }

    /// Returns the number of protected blocks.
    pub(super) fn data_blocks(&self) -> u64 {
        self.data_size / u64::from(self.data_block_size)
    }

    /// Returns the number of blocks of each level of the tree, from the hashes of the data up to
    /// the single block below the root hash. A single data block has no tree: its hash is the root
    /// hash.
    pub(super) fn levels(&self) -> Result<Vec<u64>> {
        for (field, size) in [
            ("verity.data_block_size", self.data_block_size),
            ("verity.hash_block_size", self.hash_block_size),
        ] {
            if !size.is_power_of_two() || !BLOCK_SIZES.contains(&size) {
                let rule = format!("block size {size} is not supported");
                return Err(Error::parameter(field, rule, "use 512, 1024, 2048 or 4096"));
            }
        }
        if self.data_size == 0 || !self.data_size.is_multiple_of(self.data_block_size.into()) {
            return Err(Error::parameter(
                "verity.data_size",
                format!("{} bytes is not a whole number of blocks", self.data_size),
                format!("protect a multiple of {} bytes", self.data_block_size),
            ));
        }
        let hashes_per_block = u64::from(self.hash_block_size) / DIGEST as u64;
        let mut levels = Vec::new();
        let mut blocks = self.data_blocks();
        while blocks > 1 {
            blocks = blocks.div_ceil(hashes_per_block);
            levels.push(blocks);
        }
        Ok(levels)
    }

    pub(super) fn superblock(&self) -> Superblock {
        let mut superblock = Superblock {
            signature: SIGNATURE,
            version: 1.into(),
            hash_type: HASH_TYPE_NORMAL.into(),
            uuid: self.uuid.into_bytes(),
            data_block_size: self.data_block_size.into(),
            hash_block_size: self.hash_block_size.into(),
            data_blocks: self.data_blocks().into(),
            salt_size: 32.into(),
            ..Superblock::new_zeroed()
        };
        superblock.algorithm[..6].copy_from_slice(b"sha256");
        superblock.salt[..self.salt.len()].copy_from_slice(&self.salt);
        superblock
    }
}

impl Superblock {
    /// Writes the superblock to the start of the hash device.
    pub(super) fn write(&self, out: &mut [u8]) {
        out[..size_of::<Self>()].copy_from_slice(self.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(data_size: u64, data_block_size: u32, hash_block_size: u32) -> Parameters {
        let (salt, uuid) = ([0; 32], Uuid::nil());
        Parameters { data_size, data_block_size, hash_block_size, salt, uuid }
    }

    /// Counted by hand. The sizes of whole trees are compared with veritysetup's elsewhere in the
    /// test suite.
    #[test]
    fn sizes_follow() {
        for (data_size, data, hash, levels, hash_size) in [
            (4096, 4096, 4096, vec![], 4096),
            (8192, 4096, 4096, vec![1], 2 * 4096),
            (128 * 4096, 4096, 4096, vec![1], 2 * 4096),
            (129 * 4096, 4096, 4096, vec![2, 1], 4 * 4096),
            (128 * 128 * 4096, 4096, 4096, vec![128, 1], 130 * 4096),
            ((128 * 128 + 1) * 4096, 4096, 4096, vec![129, 2, 1], 133 * 4096),
            (16 * 512, 512, 512, vec![1], 1024),
            (17 * 512, 512, 512, vec![2, 1], 2048),
            (17 * 4096, 4096, 512, vec![2, 1], 2048),
            (129 * 1024, 1024, 4096, vec![2, 1], 4 * 4096),
        ] {
            let parameters = parameters(data_size, data, hash);
            assert_eq!(parameters.levels().unwrap(), levels, "{parameters:?}");
            assert_eq!(parameters.hash_size().unwrap(), hash_size, "{parameters:?}");
        }
    }

    #[test]
    fn sizes_that_do_not_go_are_refused() {
        for (data_size, data, hash, rule) in [
            (0, 4096, 4096, "verity.data_size: 0 bytes is not a whole number of blocks; "),
            (4608, 4096, 512, "verity.data_size: 4608 bytes is not a whole number of blocks; "),
            (8192, 256, 4096, "verity.data_block_size: block size 256 is not supported; "),
            (8192, 4096, 8192, "verity.hash_block_size: block size 8192 is not supported; "),
            (6144, 1536, 4096, "verity.data_block_size: block size 1536 is not supported; "),
            (8192, 4096, 0, "verity.hash_block_size: block size 0 is not supported; "),
        ] {
            let error = parameters(data_size, data, hash).hash_size().unwrap_err();
            assert!(error.to_string().starts_with(rule), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
