//! Hashes by which names and references are sorted: CRC-32C without the final inversion.

/// Continues a hash over more bytes.
fn crc(seed: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!seed, bytes)
}

/// Returns the hash of the name of a directory entry or extended attribute.
pub(super) fn name(name: &[u8]) -> u64 {
    crc(!1, name).into()
}

/// Returns the hash of a name that an inode has in the directory `parent`.
///
/// Only the low 32 bits of `parent` are hashed.
pub(super) fn extref(parent: u64, name: &[u8]) -> u64 {
    crc((parent & 0xFFFF_FFFF) as u32, name).into()
}

/// Returns the hash of a reference to a data extent.
pub(super) fn extent_data_ref(root: u64, objectid: u64, offset: u64) -> u64 {
    let high = crc(!0, &root.to_le_bytes());
    let low = crc(crc(!0, &objectid.to_le_bytes()), &offset.to_le_bytes());
    (u64::from(high) << 31) ^ u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values from `dump-tree` of file systems created by mkfs.btrfs and the kernel.
    #[test]
    fn names_hash_as_the_kernel_hashes_them() {
        // The entry in the directory of every root tree.
        assert_eq!(name(b"default"), 2_378_154_706);
    }
}
