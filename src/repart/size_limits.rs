//! Size limits of partitions, from their definitions and their content.

use super::{Definition, PartitionFormat, Verity};
use crate::disk::SizePolicy;
use crate::disk::place::{SizeRange, SpaceRequest};
use crate::gpt::{PartitionType, Role, SectorSize};
use crate::size::{KIB, MIB, round_up};

/// Size of a signature partition, in bytes.
const SIGNATURE: u64 = 16 * KIB;
/// Space that LUKS2 takes before and after the data, in bytes.
const LUKS2: u64 = 32 * MIB;
/// Default minimum size of a partition, in bytes.
const DEFAULT: u64 = 10 * MIB;
/// Minimum size of any partition, in bytes.
const LEAST: u64 = 4 * KIB;
/// Default sector size of file systems, in bytes, whatever the sector size of the disk.
const FILE_SYSTEM_SECTOR: u32 = 4096;
/// Size of a digest in a hash tree, in bytes.
const DIGEST: u64 = 32;

/// Inputs other than the definition that sizes depend on.
#[derive(Debug, Clone, Copy)]
pub struct SizeRules {
    /// Alignment of the start and end of partitions, in bytes: a power of two.
    pub grain: u64,
    /// Sector size of the disk.
    pub sector_size: SectorSize,
    /// Requested sector size of the disk, which file systems follow.
    pub wanted_sector_size: Option<SectorSize>,
}

impl SizeRules {
    /// Returns the sector size of the partition's file system, in bytes.
    #[must_use]
    pub fn file_system_sector_size(&self, definition: &Definition) -> u32 {
        let wanted = self.wanted_sector_size.map(SectorSize::bytes);
        let size = definition.file_system_sector_size.or(wanted).unwrap_or(FILE_SYSTEM_SECTOR);
        size.max(self.sector_size.bytes())
    }

    /// Returns the space requested for a new partition. `content` is the size of its content in
    /// bytes, if it is known (`CopyBlocks=`, `Minimize=`).
    #[must_use]
    pub fn request(&self, definition: &Definition, content: Option<u64>) -> SpaceRequest {
        self.bounded(definition, &definition.partition.size, self.content(definition, content))
    }

    /// Returns the space requested for an existing partition, which keeps its content.
    #[must_use]
    pub fn existing(&self, definition: &Definition) -> SpaceRequest {
        self.bounded(definition, &definition.partition.size, 0)
    }

    /// Returns the space requested for a partition merged with its supplement. The partition is new
    /// (with `content` as in [`SizeRules::request`]) or, with `exists`, existing.
    ///
    /// As in systemd-repart 262, a minimum size counts only if the supplement has one, and a
    /// minimum padding only if both have one.
    #[must_use]
    pub fn merged(
        &self,
        definition: &Definition,
        supplement: &Definition,
        content: Option<u64>,
        exists: bool,
    ) -> SpaceRequest {
        let (own, other) = (&definition.partition.size, &supplement.partition.size);
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        let policy = SizePolicy {
            size_min: other.size_min.map(|min| min.max(own.size_min.unwrap_or(0))),
            size_max: least(own.size_max, other.size_max),
            padding_min: match own.padding_min {
                0 => 0,
                min => {
                    if other.padding_min == 0 {
                        0
                    } else {
                        min.max(other.padding_min)
                    }
                }
            },
            padding_max: least(own.padding_max, other.padding_max),
            ..other.clone()
        };
        let content = if exists { 0 } else { self.content(definition, content) };
        self.bounded(definition, &policy, content)
    }

    fn bounded(&self, definition: &Definition, policy: &SizePolicy, content: u64) -> SpaceRequest {
        let min = self.defined(definition, policy).max(content);
        let request = policy.request(self.grain, min);
        match is_signature(definition.partition.partition_type) {
            true => SpaceRequest { size: SizeRange::exactly(SIGNATURE), ..request },
            false => request,
        }
    }

    /// Returns the minimum size that a definition gives a partition, whatever its content.
    #[must_use]
    pub fn size_min(&self, definition: &Definition) -> u64 {
        self.defined(definition, &definition.partition.size)
    }

    fn defined(&self, definition: &Definition, policy: &SizePolicy) -> u64 {
        // Read-only content has no use for more space than it takes.
        let read_only = definition.verity != Verity::Off
            || definition.format.as_ref().is_some_and(PartitionFormat::is_read_only);
        let default = if read_only { 1 } else { DEFAULT };
        round_up(policy.size_min.unwrap_or(default), self.grain).max(LEAST)
    }

    /// Returns the minimum size for the content of a partition, with the space that LUKS2 takes.
    fn content(&self, definition: &Definition, content: Option<u64>) -> u64 {
        let encrypted = definition.encrypt.is_some();
        let file_system = content.or_else(|| {
            let format = definition.format.as_ref().map(|_| self.least(definition));
            format.or(encrypted.then_some(self.grain))
        });
        let around = if encrypted { round_up(LUKS2, self.grain) } else { 0 };
        around.saturating_add(round_up(file_system.unwrap_or(0), self.grain))
    }

    /// Returns the minimum size of the file system in a partition, whatever its content.
    #[must_use]
    pub fn least(&self, definition: &Definition) -> u64 {
        let is_boot = matches!(
            definition.partition.partition_type,
            PartitionType::Esp | PartitionType::Xbootldr
        );
        match &definition.format {
            Some(PartitionFormat::FileSystem(format)) => format
                .partition_min(is_boot, self.file_system_sector_size(definition))
                .unwrap_or(self.grain),
            Some(PartitionFormat::Other(name)) if name == "xfs" => 300 * MIB,
            _ => self.grain,
        }
    }
}

fn is_signature(partition_type: PartitionType) -> bool {
    matches!(partition_type, PartitionType::Of(Role::RootVeritySig | Role::UsrVeritySig, _))
}

/// Returns the size of the hash tree for at most `data` bytes, in bytes, including its superblock:
/// the minimum size of a hash partition without a defined size.
///
/// Block sizes are powers of two from 512 to 4096.
#[must_use]
pub fn verity_hash_size(data: u64, data_block_size: u32, hash_block_size: u32) -> u64 {
    let digests = u64::from(hash_block_size) / DIGEST;
    let mut blocks = 2; // The superblock and the root.
    let mut remaining = data.div_ceil(data_block_size.into());
    while remaining > digests {
        remaining = remaining.div_ceil(digests);
        blocks += remaining;
    }
    blocks * u64::from(hash_block_size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk;
    use crate::formats::Formats;
    use crate::gpt::Architecture;

    const METRICS: SizeRules =
        SizeRules { grain: 4096, sector_size: SectorSize::B512, wanted_sector_size: None };

    fn definition(partition_type: PartitionType, format: Option<PartitionFormat>) -> Definition {
        Definition { format, ..Definition::new(disk::Definition::new(partition_type)) }
    }

    fn formatted(name: &str) -> Option<PartitionFormat> {
        Formats::default().find(name).cloned().map(PartitionFormat::FileSystem)
    }

    fn sized(min: Option<u64>, max: Option<u64>) -> Definition {
        let mut definition = definition(PartitionType::Home, None);
        definition.partition.size.size_min = min;
        definition.partition.size.size_max = max;
        definition
    }

    fn other(name: &str) -> Option<PartitionFormat> {
        Some(PartitionFormat::Other(name.into()))
    }

    #[test]
    fn the_least_size_is_that_of_the_file_system() {
        use PartitionType as T;
        let root = T::root(Architecture::X86_64);
        for (kind, format, expected) in [
            (T::Home, None, 10 * MIB),
            (root, formatted("ext4"), 32 * MIB),
            (root, formatted("btrfs"), 256 * MIB),
            (root, other("xfs"), 300 * MIB),
            (root, other("f2fs"), 10 * MIB),
            (root, formatted("erofs"), 4096),
            (root, formatted("squashfs"), 4096),
            (root, formatted("vfat"), 10 * MIB),
            (T::Swap, Some(PartitionFormat::Swap), 10 * MIB),
            (T::Esp, formatted("vfat"), 260 * MIB),
            (T::Xbootldr, formatted("vfat"), 260 * MIB),
            (T::Esp, None, 10 * MIB),
            (T::Esp, formatted("ext4"), 32 * MIB),
        ] {
            let definition = definition(kind, format);
            let SpaceRequest { size, padding, .. } = METRICS.request(&definition, None);
            assert_eq!((size.min, size.max), (expected, u64::MAX), "{definition:?}");
            assert_eq!(padding, SizeRange::ANY);
        }
    }

    #[test]
    fn bounds_are_multiples_of_the_grain() {
        for (grain, min, max, expected) in [
            (4096, Some(0), None, (4096, u64::MAX)),
            (4096, Some(12_288), Some(20_480), (12_288, 20_480)),
            (MIB, Some(12_288), Some(20_480), (MIB, MIB)),
            (MIB, Some(3 * MIB + 1), Some(6 * MIB - 1), (4 * MIB, 5 * MIB)),
            (4096, None, Some(5 * MIB), (10 * MIB, 10 * MIB)),
            (16_384, Some(1), Some(u64::MAX), (16_384, u64::MAX / 16_384 * 16_384)),
        ] {
            let SizeRange { min, max } =
                SizeRules { grain, ..METRICS }.request(&sized(min, max), None).size;
            assert_eq!((min, max), expected);
        }
        let mut small = definition(PartitionType::Home, formatted("ext4"));
        small.partition.size.size_max = Some(20 * MIB);
        assert_eq!(METRICS.request(&small, None).size, SizeRange::exactly(32 * MIB));
    }

    #[test]
    fn content_goes_before_the_least_size_of_a_file_system() {
        let mut ext4 = definition(PartitionType::Home, formatted("ext4"));
        assert_eq!(METRICS.request(&ext4, Some(12 * MIB + 1)).size.min, 12 * MIB + 4096);
        assert_eq!(METRICS.request(&ext4, Some(MIB)).size.min, 10 * MIB);
        assert_eq!(METRICS.existing(&ext4).size.min, 10 * MIB);
        ext4.encrypt = Some("key-file".into());
        assert_eq!(METRICS.request(&ext4, None).size.min, 64 * MIB);
        assert_eq!(METRICS.request(&ext4, Some(MIB)).size.min, 33 * MIB);
        ext4.format = None;
        assert_eq!(METRICS.request(&ext4, None).size.min, 32 * MIB + 4096);
    }

    #[test]
    fn verity_partitions_have_no_default() {
        let x86_64 = Architecture::X86_64;
        let mut hash = definition(PartitionType::Of(Role::RootVerity, x86_64), None);
        hash.verity = Verity::Hash;
        assert_eq!(METRICS.request(&hash, None).size.min, 4096);
        assert_eq!(METRICS.request(&hash, Some(8192)).size.min, 8192);
        let mut signature = definition(PartitionType::Of(Role::UsrVeritySig, x86_64), None);
        signature.verity = Verity::Signature;
        let size_rules = SizeRules { grain: MIB, ..METRICS };
        assert_eq!(size_rules.request(&signature, None).size, SizeRange::exactly(16_384));
    }

    #[test]
    fn sectors_of_file_systems_are_of_4096_bytes_unless_asked() {
        let mut esp = definition(PartitionType::Esp, formatted("vfat"));
        let b4096 = SectorSize::B4096;
        let b512 = Some(SectorSize::B512);
        for (defined, wanted, disk, expected, least) in [
            (None, None, SectorSize::B512, 4096, 260),
            (None, b512, SectorSize::B512, 512, 100),
            (Some(512), None, SectorSize::B512, 512, 100),
            (Some(2048), b512, SectorSize::B512, 2048, 100),
            (Some(512), None, b4096, 4096, 260),
            (Some(8192), Some(b4096), b4096, 8192, 260),
        ] {
            esp.file_system_sector_size = defined;
            let size_rules = SizeRules { sector_size: disk, wanted_sector_size: wanted, ..METRICS };
            assert_eq!(size_rules.file_system_sector_size(&esp), expected);
            assert_eq!(size_rules.request(&esp, None).size.min, least * MIB);
        }
    }

    /// As systemd-repart 262.1 sizes a partition that is merged with another.
    #[test]
    fn supplements_are_merged() {
        let merged = |target: (Option<u64>, Option<u64>),
                      supplement: (Option<u64>, Option<u64>)| {
            let (target, supplement) =
                (sized(target.0, target.1), sized(supplement.0, supplement.1));
            METRICS.merged(&target, &supplement, None, false).size
        };
        let (m44, m50, m55, m60) = (Some(44 * MIB), Some(50 * MIB), Some(55 * MIB), Some(60 * MIB));
        for (target, supplement, min, max) in [
            ((m50, m60), (None, m55), 10 * MIB, 55 * MIB),
            ((m50, None), (None, m60), 10 * MIB, 60 * MIB),
            ((None, None), (m44, None), 44 * MIB, u64::MAX),
            ((m50, None), (m44, None), 50 * MIB, u64::MAX),
            ((m44, None), (m50, m60), 50 * MIB, 60 * MIB),
        ] {
            assert_eq!(merged(target, supplement), SizeRange { min, max });
        }
        let mut padded = sized(None, None);
        padded.partition.size.padding_min = MIB;
        padded.partition.size.weight = 5;
        let request = METRICS.merged(&sized(None, None), &padded, None, true);
        assert_eq!((request.padding.min, request.weight), (0, 5));
        padded.partition.size.padding_max = Some(3 * MIB);
        let request = METRICS.merged(&padded, &padded, None, true);
        assert_eq!(request.padding, SizeRange { min: MIB, max: 3 * MIB });
    }

    /// Hash devices of `veritysetup format`: the superblock's block and those of the tree.
    #[test]
    fn hash_trees_are_counted() {
        for (data, data_block, hash_block, blocks) in [
            (4096, 4096, 4096, 2),
            (128 * 4096, 4096, 4096, 2),
            (129 * 4096, 4096, 4096, 4),
            (128 * 128 * 4096, 4096, 4096, 130),
            (128 * 128 * 4096 + 1, 4096, 4096, 133),
            (16 * 512, 512, 512, 2),
            (17 * 512, 512, 512, 4),
        ] {
            let expected = blocks * u64::from(hash_block);
            assert_eq!(verity_hash_size(data, data_block, hash_block), expected, "{data}");
        }
        assert!(verity_hash_size(u64::MAX, 512, 512) < u64::MAX / 14);
    }
}
