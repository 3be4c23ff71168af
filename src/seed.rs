//! Derivation of all identifiers of an image from one seed, by HMAC-SHA256.
//!
//! The disk, partition and file system UUIDs are derived in the same way as by systemd-repart, so
//! that both produce the same ids for the same seed. UUIDs are hashed and produced in their textual
//! byte order.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// Version of the derivation of identifiers.
pub(crate) const LAYOUT_VERSION: u32 = 1;

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes any key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn first_16(bytes: [u8; 32]) -> [u8; 16] {
    let (first, _) = bytes.split_at(16);
    first.try_into().expect("a half of 32 bytes")
}

/// Returns a version 4 UUID made from the first half of an HMAC.
fn version_4(bytes: [u8; 32]) -> Uuid {
    Builder::from_random_bytes(first_16(bytes)).into_uuid()
}

/// Seed for all identifiers of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub Uuid);

impl Seed {
    /// Creates a seed from a digest, for images without an explicit seed.
    #[must_use]
    pub fn from_digest(digest: [u8; 32]) -> Self {
        Self(version_4(digest))
    }

    /// Creates a seed from any text, such as the name and version of a product.
    ///
    /// The seed is a version 8 UUID made from the first half of the SHA-256 of
    /// `detfs-seed-string`, a zero byte and the text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let digest = Sha256::new().chain_update(b"detfs-seed-string\0").chain_update(text);
        Self(Builder::from_custom_bytes(first_16(digest.finalize().into())).into_uuid())
    }

    /// Returns the GUID of the disk's partition table.
    #[must_use]
    pub fn disk(self) -> Uuid {
        version_4(hmac(self.0.as_bytes(), &[b"disk-uuid"]))
    }

    /// Returns the GUID of a partition: the `nth` (from 0) of its type on the disk.
    #[must_use]
    pub fn partition(self, partition_type: Uuid, nth: u64) -> Uuid {
        let number = nth.to_le_bytes();
        let number: &[u8] = if nth == 0 { &[] } else { &number };
        version_4(hmac(self.0.as_bytes(), &[partition_type.as_bytes(), number]))
    }

    /// Returns the salt of every dm-verity hash tree of the disk.
    #[must_use]
    pub fn verity_salt(self) -> [u8; 32] {
        hmac(self.0.as_bytes(), &[b"verity-salt"])
    }

    /// Returns the UUID in the superblock of every dm-verity hash tree of the disk.
    #[must_use]
    pub fn verity_uuid(self) -> Uuid {
        version_4(hmac(self.0.as_bytes(), &[b"verity-uuid"]))
    }
}

/// Returns the UUID of the file system in the partition with this GUID.
#[must_use]
pub(crate) fn file_system(partition: Uuid) -> Uuid {
    version_4(hmac(partition.as_bytes(), &[b"file-system-uuid"]))
}

/// Returns the UUID of the LUKS volume in the partition with this GUID.
#[must_use]
pub(crate) fn luks(partition: Uuid) -> Uuid {
    version_4(hmac(partition.as_bytes(), &[b"luks-uuid"]))
}

/// Returns the key that a file system's inode generations are derived from.
#[must_use]
pub(crate) fn generations(file_system: Uuid) -> [u8; 16] {
    first_16(hmac(file_system.as_bytes(), &[b"inode-generation"]))
}

/// Returns the UUID of a component of the btrfs with this UUID: `device`, `chunk-tree`,
/// `top-level`, or `subvolume:` and a path.
#[must_use]
pub(crate) fn btrfs(file_system: Uuid, part: &[u8]) -> Uuid {
    version_4(hmac(file_system.as_bytes(), &[b"btrfs-", part]))
}

/// Returns the UUID of the swap file with this path (without a leading slash) in the file system
/// with this UUID.
#[must_use]
pub(crate) fn swap(file_system: Uuid, path: &[u8]) -> Uuid {
    version_4(hmac(file_system.as_bytes(), &[b"swap-uuid", path]))
}

/// Returns the GUIDs of the data and the hash partition with this dm-verity root hash: its halves.
#[must_use]
pub(crate) fn verity_partitions(root_hash: [u8; 32]) -> (Uuid, Uuid) {
    let id = |half: &[u8]| Uuid::from_slice(half).expect("a half of 32 bytes");
    let (data, hash) = root_hash.split_at(16);
    (id(data), id(hash))
}

/// Returns the FAT volume id of the file system with this UUID.
#[must_use]
pub(crate) fn fat_volume_id(file_system: Uuid) -> u32 {
    let (id, ..) = file_system.as_fields();
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(text: &str) -> Seed {
        Seed(text.parse().unwrap())
    }

    const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
    const ROOT: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";
    const HOME: &str = "933ac7e1-2eb4-4f13-b844-0e14e2aef915";
    const SWAP: &str = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f";
    const USR: &str = "8484680c-9521-48c6-9c11-b0720656f69e";
    const GENERIC: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
    const XBOOTLDR: &str = "bc13c2ff-59e6-4262-a352-b275fd6f7172";
    const SRV: &str = "3b8f8425-20e0-4f3b-907f-1a25a76f98e8";
    const VAR: &str = "4d21b016-b534-45c2-a9fb-5c16e091fd2d";
    const ROOT_VERITY_SIG: &str = "41092b05-9fc8-4523-994f-2def0408b176";
    const TMP: &str = "7ec6f557-3bc5-4aca-b293-16ef5df639d1";

    /// Read from images that systemd-repart 252.39 and 262.1 created with these seeds.
    #[test]
    fn ids_are_those_of_systemd_repart() {
        let s1 = seed("11111111-2222-3333-4444-555555555555");
        let s2 = seed("750b6cd5-c4ae-4012-a15e-7be3c29e6a47");
        assert_eq!(s1.disk().to_string(), "029f4951-90d3-4059-b93b-d358015a0a3b");
        assert_eq!(s2.disk().to_string(), "1d2ce291-7cce-4f7d-bc83-fdb49ad74ebd");
        for (seed, kind, nth, expected) in [
            (s1, ESP, 0, "137c78ee-1d11-4547-ad3f-fa6b1a4ad97a"),
            (s1, ROOT, 0, "6c08bd44-fed4-4c4e-915a-d1b245eb89de"),
            (s1, ROOT, 1, "c938db28-a4b6-4968-8190-0379d3949b75"),
            (s1, ROOT, 2, "3d22c70e-3ffe-4751-8832-a0edac2ffeaf"),
            (s1, ROOT, 3, "d09da707-3b17-4cb7-acea-c0ccd65b3de4"),
            (s1, ROOT, 4, "bc6b8d6a-1372-4e19-ae7c-7ced0f5885f5"),
            (s1, HOME, 0, "16c99888-9efa-4ebd-9d37-94134e8aea4d"),
            (s1, HOME, 1, "1cbe7d65-4651-4ebf-9f3a-253ea59864a1"),
            (s1, SWAP, 0, "99f62f2f-14e7-40e3-8f13-857d7856bfe9"),
            (s1, USR, 0, "ddbaa934-0843-4bff-82f9-cbc7b19bcc53"),
            (s1, USR, 1, "e5e1ec4f-9e24-485a-b896-b1eb6f99f841"),
            (s1, GENERIC, 0, "ffd18fc1-69fc-4eb3-a625-e7053d1a0c3f"),
            (s1, XBOOTLDR, 0, "ca82f7bd-64b8-4614-ac09-1dc6e0f2915a"),
            (s1, SRV, 0, "c24993f6-2d38-4ade-9887-43ffed3e151e"),
            (s1, VAR, 0, "4ebc883b-d66b-4e91-b0a3-e22ba71ef280"),
            (s1, ROOT_VERITY_SIG, 0, "1d00c5de-82e6-410f-8ac9-c08e54925652"),
            (s1, TMP, 0, "cde6df43-5bf1-4160-a7c4-8a47081a326b"),
            (s2, HOME, 0, "4980595d-d74a-483a-aa9e-9903879a0ee5"),
            (s2, ROOT, 0, "60f33797-1d71-4dcb-aa6f-20564f036cd0"),
            (s2, ROOT, 1, "73a4ccd2-eaf5-44da-a366-f99188210fdc"),
            (s2, SWAP, 0, "78c92db8-3d2b-4823-b0dc-792b78f66f1e"),
            (s2, ESP, 0, "39107b09-615d-48fb-ba37-c663885fce67"),
        ] {
            let id = seed.partition(kind.parse().unwrap(), nth);
            assert_eq!(id.to_string(), expected, "{kind} number {nth}");
        }
        for (partition, expected) in [
            ("137c78ee-1d11-4547-ad3f-fa6b1a4ad97a", "877a9082-e0a0-4e11-b7cd-6af00e1b357b"),
            ("6c08bd44-fed4-4c4e-915a-d1b245eb89de", "7bfd409b-b67f-4466-9e33-95510bf538f1"),
            ("c938db28-a4b6-4968-8190-0379d3949b75", "6ed19156-0053-4c75-9f0b-5ea1db78f032"),
            ("16c99888-9efa-4ebd-9d37-94134e8aea4d", "447403ed-a127-496a-bc75-07e0d718d2a3"),
            ("99f62f2f-14e7-40e3-8f13-857d7856bfe9", "dab19906-d93f-471c-9ccf-d761df1da04b"),
            ("01020304-0506-4708-890a-0b0c0d0e0f10", "ff153f37-a3c9-4748-bf4d-b89bad0bece5"),
        ] {
            assert_eq!(file_system(partition.parse().unwrap()).to_string(), expected);
        }
        let root = "6c08bd44-fed4-4c4e-915a-d1b245eb89de".parse().unwrap();
        assert_eq!(luks(root).to_string(), "0c9a131b-ee7f-4a9a-8ce4-496554f02097");
        let esp = file_system("137c78ee-1d11-4547-ad3f-fa6b1a4ad97a".parse().unwrap());
        assert_eq!(fat_volume_id(esp), 0x877a_9082);
    }

    /// Computed with Python's hashlib.
    #[test]
    fn texts_have_seeds() {
        for (text, expected) in [
            ("example 1.0", "8de61a7d-ad08-8fc6-a253-08c7aac27e61"),
            ("random", "421746d5-a992-891f-b90d-2b98c4eafeab"),
            ("größer", "07c92d9f-2f45-8ab6-a449-e985754e9ff2"),
        ] {
            assert_eq!(Seed::from_text(text).0.to_string(), expected, "{text:?}");
        }
    }

    fn hash(hex: &str) -> [u8; 32] {
        std::array::from_fn(|n| u8::from_str_radix(&hex[2 * n..][..2], 16).unwrap())
    }

    /// Read from a hash partition of systemd-repart 262.1, and the partition table around it.
    #[test]
    fn ids_of_verity_are_those_of_systemd_repart() {
        let s1 = seed("11111111-2222-3333-4444-555555555555");
        let salt = hash("860f08c6a5ec51f0b5d608187cbd374c16ba09b312ee6ece89bc87527654eddf");
        assert_eq!(s1.verity_salt(), salt);
        assert_eq!(s1.verity_uuid().to_string(), "8055b167-809b-4e12-9f0c-a100b44438a9");
        let root_hash = hash("1c0872fb333f399cc775495e5dcb4cc9d9c49e10cacb189d6fa3ad1276ccb35c");
        let (data, hash) = verity_partitions(root_hash);
        assert_eq!(data.to_string(), "1c0872fb-333f-399c-c775-495e5dcb4cc9");
        assert_eq!(hash.to_string(), "d9c49e10-cacb-189d-6fa3-ad1276ccb35c");
    }

    /// Computed with Python's hmac and hashlib.
    #[test]
    fn every_swap_file_has_its_own_id() {
        let file_system = "7bfd409b-b67f-4466-9e33-95510bf538f1".parse().unwrap();
        for (path, expected) in [
            (&b"swap/swapfile"[..], "8cb056e2-4368-471f-900d-5a0e1e54ac63"),
            (b"", "788f105d-8126-4005-b3b8-33f28acc8ded"),
        ] {
            assert_eq!(swap(file_system, path).to_string(), expected);
        }
    }
}
