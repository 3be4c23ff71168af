//! Locations of the areas of a volume, computed by pure arithmetic on sizes.
//!
//! Sizes are multiples of [`UNIT`], and so are the starts of all areas: the reserved sectors, each
//! FAT, the root directory of FAT12 and FAT16, and the data area. The data area also starts at a
//! multiple of the cluster size. Unused space before it is added to the reserved sectors. Besides
//! aligned input and output, this ensures that a larger volume never has fewer clusters.

use std::ops::RangeInclusive;

use super::cluster_no::ClusterNo;
use super::spec::SLOT;
use super::variant::Variant;
use crate::size::round_up;

/// Unit of sizes, in bytes.
pub(super) const UNIT: u64 = 4096;
/// Cluster sizes in bytes, in descending order. Some firmware fails on 64 KiB.
pub(super) const CLUSTER_SIZES: [u64; 7] = [32_768, 16_384, 8192, 4096, 2048, 1024, 512];
/// Largest cluster size that is used unless the volume is too large for it.
const COMMON_CLUSTER: u64 = 4096;
/// Number of copies of the FAT.
pub(super) const FATS: u64 = 2;
/// Minimum number of slots in the root directory of FAT12 and FAT16.
pub(super) const ROOT_ENTRIES: u64 = 512;
/// Maximum number of slots, in whole units, that fits in the 16 bits of `BPB_RootEntCnt`.
pub(super) const ROOT_ENTRIES_MAX: u64 = 65_408;

impl Variant {
    /// Returns the cluster counts that every reader takes for this variant. Readers detect the
    /// variant by the count alone, but differ by up to 16 in the boundaries.
    pub(super) fn cluster_counts(self) -> RangeInclusive<u64> {
        match self {
            Self::Fat12 => 1..=4084 - 16,
            Self::Fat16 => 4085 + 16..=65_524 - 16,
            Self::Fat32 => 65_525 + 16..=0x0fff_fff0,
        }
    }

    /// Returns the number of bits of a FAT entry.
    fn entry_bits(self) -> u64 {
        match self {
            Self::Fat12 => 12,
            Self::Fat16 => 16,
            Self::Fat32 => 32,
        }
    }

    /// Returns the size of the first `entries` FAT entries, in bytes.
    pub(super) fn fat_bytes(self, entries: u64) -> u64 {
        (entries * self.entry_bits()).div_ceil(8)
    }
}

/// The parameters of a volume that do not depend on its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GeometryParams {
    pub variant: Variant,
    /// Sector size in bytes.
    pub sector_size: u64,
    /// Cluster size in bytes; at least the sector size.
    pub cluster_size: u64,
    /// Slots of the root directory: a multiple of [`UNIT`] bytes. Unused for FAT32.
    pub root_entries: u64,
}

/// A volume of a certain size. Offsets and lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub params: GeometryParams,
    pub size: u64,
    pub reserved: u64,
    /// Length of one FAT.
    pub fat: u64,
    /// Length of the root directory of FAT12 and FAT16; 0 for FAT32.
    pub root: u64,
    pub clusters: u64,
}

impl GeometryParams {
    fn root(&self) -> u64 {
        match self.variant {
            Variant::Fat32 => 0,
            _ => self.root_entries * SLOT as u64,
        }
    }

    fn reserved(&self) -> u64 {
        let sectors = if self.variant == Variant::Fat32 { 32 } else { 1 };
        round_up(sectors * self.sector_size, UNIT)
    }

    fn fat(&self, clusters: u64) -> u64 {
        round_up(self.variant.fat_bytes(u64::from(ClusterNo::FIRST.0) + clusters), UNIT)
    }

    /// Returns the alignment of the start of the data area.
    fn alignment(&self) -> u64 {
        self.cluster_size.max(UNIT)
    }

    /// Returns the earliest start of a data area of `clusters` clusters.
    fn data(&self, clusters: u64) -> u64 {
        round_up(self.reserved() + FATS * self.fat(clusters) + self.root(), self.alignment())
    }

    /// Returns the volume of a size, for any resulting number of clusters.
    ///
    /// A reader computes that number from the space between the start of the data area and the end
    /// of the volume, so the start is the first one whose FATs are large enough for the clusters
    /// after it.
    fn unbounded(&self, size: u64) -> Geometry {
        let all = size / self.cluster_size;
        let clusters = |data| all.saturating_sub(data / self.cluster_size);
        let step = self.alignment();
        let (mut low, mut high) = (self.data(0) / step, self.data(all) / step);
        while low < high {
            let middle = low.midpoint(high);
            if self.data(clusters(middle * step)) <= middle * step {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let data = low * step;
        let clusters = clusters(data);
        let (fat, root) = (self.fat(clusters), self.root());
        Geometry { params: *self, size, reserved: data - FATS * fat - root, fat, root, clusters }
    }

    /// Returns the smallest size with at least `clusters` clusters.
    pub(super) fn smallest_with(&self, clusters: u64) -> u64 {
        let mut size = round_up(self.data(clusters) + clusters * self.cluster_size, UNIT);
        // With clusters smaller than a unit, rounding up may add clusters that need a larger FAT.
        while self.unbounded(size).clusters < clusters {
            size += UNIT;
        }
        size
    }

    /// Returns the range of sizes at which readers detect the variant and at which clusters of this
    /// size are reasonable; empty if there are no such sizes.
    pub(super) fn sizes(&self) -> RangeInclusive<u64> {
        let counts = self.variant.cluster_counts();
        let sectors = u64::from(u32::MAX) * self.sector_size / UNIT * UNIT;
        let largest = |params: &Self| (params.smallest_with(counts.end() + 1) - UNIT).min(sectors);
        let reasonable = match self.variant {
            _ if self.cluster_size <= COMMON_CLUSTER => 0,
            // As in Microsoft's table: 8 KiB beyond 8 GiB, and so on.
            Variant::Fat32 => (self.cluster_size << 20) + UNIT,
            _ => largest(&Self { cluster_size: self.cluster_size / 2, ..*self }) + UNIT,
        };
        self.smallest_with(*counts.start()).max(reasonable)..=largest(self)
    }

    /// Returns the largest size of a volume of a variant, or of any variant.
    pub(super) fn size_max(variant: Option<Variant>, sector_size: u64) -> u64 {
        let variant = variant.unwrap_or(Variant::Fat32);
        let all =
            CLUSTER_SIZES.into_iter().filter(|&size| size >= sector_size).map(|cluster_size| {
                Self { variant, sector_size, cluster_size, root_entries: ROOT_ENTRIES }.sizes()
            });
        all.filter(|sizes| !sizes.is_empty()).map(|sizes| *sizes.end()).max().unwrap_or(0)
    }

    /// Returns the volume of a size, if it is one of [`Self::sizes`].
    pub(super) fn at(&self, size: u64) -> Option<Geometry> {
        self.sizes().contains(&size).then(|| self.unbounded(size))
    }
}

impl Geometry {
    /// Returns the start of the FAT with index `number`.
    pub(super) fn fat_offset(&self, number: u64) -> u64 {
        self.reserved + number * self.fat
    }

    /// Returns the start of the root directory of FAT12 and FAT16, or of the data area of FAT32.
    pub(super) fn root_offset(&self) -> u64 {
        self.fat_offset(FATS)
    }

    /// Returns the start of a cluster.
    pub(super) fn cluster_offset(&self, cluster: ClusterNo) -> u64 {
        let data = self.root_offset() + self.root;
        data + u64::from(cluster - ClusterNo::FIRST) * self.params.cluster_size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Variant::{Fat12, Fat16, Fat32};

    fn params(variant: Variant, sector_size: u64, cluster_size: u64) -> GeometryParams {
        GeometryParams { variant, sector_size, cluster_size, root_entries: 512 }
    }

    fn all_params() -> impl Iterator<Item = GeometryParams> {
        let variants = [Fat12, Fat16, Fat32].into_iter();
        variants.flat_map(|variant| {
            [512, 1024, 2048, 4096].into_iter().flat_map(move |sector| {
                let clusters = CLUSTER_SIZES.into_iter().filter(move |&size| size >= sector);
                clusters.map(move |cluster| params(variant, sector, cluster))
            })
        })
    }

    /// Checks the specification's requirements on any volume, computed as a reader does.
    fn check(geometry: &Geometry) {
        let Geometry { params, size, .. } = geometry;
        for part in [geometry.reserved, geometry.fat, geometry.root, *size] {
            assert_eq!(part % UNIT, 0, "{geometry:?}");
        }
        let data = geometry.reserved + 2 * geometry.fat + geometry.root;
        assert_eq!(data % params.cluster_size, 0, "{geometry:?}");
        assert_eq!(geometry.clusters, (size - data) / params.cluster_size, "{geometry:?}");
        let bits = match params.variant {
            Fat12 => 12,
            Fat16 => 16,
            Fat32 => 32,
        };
        assert!((geometry.clusters + 2) * bits <= geometry.fat * 8, "{geometry:?}");
        assert!(size / params.sector_size < 1 << 32, "{geometry:?}");
        assert!(geometry.reserved / params.sector_size < 1 << 16, "{geometry:?}");
    }

    #[test]
    fn sizes_hold_the_counts_and_are_exact() {
        for params in all_params() {
            let counts = params.variant.cluster_counts();
            let end = (*counts.end()).min(1_000_000);
            for count in [*counts.start(), counts.start() + 1, end - 1, end] {
                let size = params.smallest_with(count);
                let geometry = params.unbounded(size);
                check(&geometry);
                assert!(geometry.clusters >= count, "{geometry:?}");
                assert!(params.unbounded(size - UNIT).clusters < count, "{geometry:?}");
            }
        }
    }

    #[test]
    fn a_larger_volume_never_has_fewer_clusters() {
        for params in all_params() {
            let start = params.smallest_with(*params.variant.cluster_counts().start());
            let mut before = 0;
            for step in 0..5000 {
                let geometry = params.unbounded(start + step * UNIT);
                check(&geometry);
                assert!(geometry.clusters >= before, "{geometry:?}");
                before = geometry.clusters;
            }
        }
    }

    #[test]
    fn counts_near_the_boundaries_are_refused() {
        for params in all_params() {
            let sizes = params.sizes();
            if sizes.is_empty() {
                continue;
            }
            for inside in [*sizes.start(), *sizes.end()] {
                let geometry = params.at(inside).unwrap();
                check(&geometry);
                assert!(params.variant.cluster_counts().contains(&geometry.clusters));
            }
            assert_eq!(params.at(sizes.start() - UNIT), None);
            assert_eq!(params.at(sizes.end() + UNIT), None);
        }
        // Microsoft's and dosfstools' boundaries, with a margin of 16 on either side.
        for (variant, clusters, fine) in [
            (Fat12, 4068, true),
            (Fat12, 4069, false),
            (Fat12, 4084, false),
            (Fat16, 4085, false),
            (Fat16, 4100, false),
            (Fat16, 4101, true),
            (Fat16, 65_508, true),
            (Fat16, 65_509, false),
            (Fat16, 65_524, false),
            (Fat32, 65_525, false),
            (Fat32, 65_540, false),
            (Fat32, 65_541, true),
        ] {
            let params = params(variant, 4096, 4096);
            let size = params.smallest_with(clusters);
            assert_eq!(params.unbounded(size).clusters, clusters);
            assert_eq!(params.at(size).is_some(), fine, "{variant:?} {clusters}");
        }
    }

    #[test]
    fn known_sizes() {
        const MIB: u64 = 1 << 20;
        let least = |variant, sector| *params(variant, sector, sector).sizes().start();
        // 65,541 clusters, two FATs of 262,172 bytes in whole units, 32 reserved sectors.
        assert_eq!(least(Fat32, 512), 65_541 * 512 / UNIT * UNIT + UNIT + 2 * 266_240 + 16_384);
        assert_eq!(least(Fat32, 4096), 65_541 * 4096 + 2 * 266_240 + 131_072);
        assert!(least(Fat32, 512) <= 33 * MIB);
        assert!(least(Fat32, 4096) <= 260 * MIB);
        // 2 TiB minus a unit is the last size with 512-byte sectors. With 4 KiB sectors it would be
        // 16 TiB, were it not limited by the number of clusters: 2^28 of 32 KiB.
        assert_eq!(*params(Fat32, 512, 32_768).sizes().end(), (2 << 40) - UNIT);
        assert_eq!(params(Fat32, 4096, 32_768).sizes().end() >> 40, 8);
        for (variant, cluster, size, fine) in [
            (Fat32, 4096, 8 << 30, true),
            (Fat32, 8192, 8 << 30, false),
            (Fat32, 8192, (8 << 30) + UNIT, true),
            (Fat32, 32_768, 1 << 40, true),
            (Fat16, 4096, 255 * MIB, true),
            (Fat16, 8192, 255 * MIB, false),
            (Fat16, 4096, 257 * MIB, false),
            (Fat16, 8192, 257 * MIB, true),
            (Fat16, 32_768, 2047 * MIB, true),
            (Fat16, 32_768, 2049 * MIB, false),
        ] {
            let got = params(variant, 512, cluster).at(size);
            assert_eq!(got.is_some(), fine, "{variant:?} {cluster} {size}");
        }
    }
}
