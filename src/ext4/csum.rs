//! The CRC-32C of ext4: without the final inversion, and chained from seed to seed.

use zerocopy::IntoBytes;

use super::block_no::BlockNo;
use super::spec::{GroupDesc, InodeRecord, SuperBlock};

/// Continues a checksum with more bytes.
pub(super) fn crc(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

/// The checksum seed of the file system, from which every checksum but the superblock's starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct CsumSeed(pub(super) u32);

impl CsumSeed {
    pub(super) fn new(uuid: &[u8; 16]) -> Self {
        Self(crc(!0, uuid))
    }

    /// Returns the seed for the record, extents and directory blocks of an inode.
    pub(super) fn inode(self, ino: u32, generation: u32) -> u32 {
        crc(crc(self.0, &ino.to_le_bytes()), &generation.to_le_bytes())
    }

    /// Returns the checksum of a bitmap, which the group descriptor stores in two halves.
    pub(super) fn bitmap(self, bitmap: &[u8]) -> u32 {
        crc(self.0, bitmap)
    }

    /// Returns the seed for a block whose checksum covers its block number, to detect misplaced
    /// blocks.
    pub(super) fn block(self, block: BlockNo) -> u32 {
        crc(self.0, &block.0.to_le_bytes())
    }

    /// Sets the checksum of a group descriptor.
    pub(super) fn seal_group(self, group: u32, desc: &mut GroupDesc) {
        desc.bg_checksum = 0.into();
        let sum = crc(crc(self.0, &group.to_le_bytes()), desc.as_bytes());
        desc.bg_checksum = low_16(sum).into();
    }

    /// Sets the checksum of an inode.
    pub(super) fn seal_inode(self, ino: u32, record: &mut InodeRecord) {
        record.l_i_checksum_lo = 0.into();
        record.i_checksum_hi = 0.into();
        let sum = crc(self.inode(ino, record.i_generation.get()), record.as_bytes());
        record.l_i_checksum_lo = low_16(sum).into();
        record.i_checksum_hi = high_16(sum).into();
    }
}

/// Sets the checksum of a superblock.
pub(super) fn seal_super(sb: &mut SuperBlock) {
    let bytes = sb.as_bytes();
    sb.s_checksum = crc(!0, &bytes[..bytes.len() - 4]).into();
}

pub(super) fn low_16(value: u32) -> u16 {
    (value & 0xFFFF) as u16
}

pub(super) fn high_16(value: u32) -> u16 {
    (value >> 16) as u16
}

pub(super) fn low_32(value: u64) -> u32 {
    (value & 0xFFFF_FFFF) as u32
}

pub(super) fn high_32(value: u64) -> u32 {
    (value >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32C (RFC 3720, appendix B.4) is inverted at the end, unlike `crc`.
    #[test]
    fn the_polynomial_is_castagnolis() {
        assert_eq!(!crc(!0, b"123456789"), 0xE306_9283);
        assert_eq!(crc(crc(!0, b"1234"), b"56789"), crc(!0, b"123456789"));
    }
}
