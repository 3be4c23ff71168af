//! Checksums of tree blocks and data.

use blake2::Blake2b256;
use sha2::{Digest, Sha256};

/// Checksum algorithm of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Checksum {
    /// CRC-32C, 4 bytes. Every kernel supports it.
    #[default]
    Crc32c,
    /// xxHash64, 8 bytes. Like all that follow, supported since Linux 5.5.
    Xxhash,
    /// SHA-256, 32 bytes.
    Sha256,
    /// BLAKE2b with a 256-bit digest, 32 bytes.
    Blake2b,
}

impl Checksum {
    /// Returns its number in `csum_type` of the superblock.
    pub(crate) fn csum_type(self) -> u16 {
        match self {
            Self::Crc32c => 0,
            Self::Xxhash => 1,
            Self::Sha256 => 2,
            Self::Blake2b => 3,
        }
    }

    /// Returns the size of a checksum, in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Crc32c => 4,
            Self::Xxhash => 8,
            Self::Sha256 | Self::Blake2b => 32,
        }
    }

    /// Returns the checksum of `bytes`, as it is stored, padded with zeros.
    pub(crate) fn digest(self, bytes: &[u8]) -> [u8; 32] {
        let mut digest = [0; 32];
        match self {
            Self::Crc32c => digest[..4].copy_from_slice(&crc32c::crc32c(bytes).to_le_bytes()),
            Self::Xxhash => {
                let hash = xxhash_rust::xxh64::xxh64(bytes, 0);
                digest[..8].copy_from_slice(&hash.to_le_bytes());
            }
            Self::Sha256 => digest.copy_from_slice(&Sha256::digest(bytes)),
            Self::Blake2b => digest.copy_from_slice(&Blake2b256::digest(bytes)),
        }
        digest
    }

    /// Returns its name, as btrfs-progs and the kernel spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32c => "crc32c",
            Self::Xxhash => "xxhash64",
            Self::Sha256 => "sha256",
            Self::Blake2b => "blake2b",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checksums of `123456789`: the published check values, and the values that Python's hashlib
    /// and libxxhash return.
    #[test]
    #[rustfmt::skip]
    fn known_values() {
        let cases = [
            (Checksum::Crc32c, 0, 4, "839206e3"),
            (Checksum::Xxhash, 1, 8, "83aee640db41b88c"),
            (Checksum::Sha256, 2, 32,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
            (Checksum::Blake2b, 3, 32,
                "16e0bf1f85594a11e75030981c0b670370b3ad83a43f49ae58a2fd6f6513cde9"),
        ];
        for (checksum, number, size, expected) in cases {
            assert_eq!(checksum.csum_type(), number);
            assert_eq!(checksum.size(), size);
            let digest = checksum.digest(b"123456789");
            let shown = crate::hex::hex(&digest);
            assert_eq!(&shown[..2 * size], expected, "{}", checksum.name());
            assert!(digest[size..].iter().all(|&byte| byte == 0));
        }
    }
}
