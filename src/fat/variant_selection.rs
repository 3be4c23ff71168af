//! Selection of the variant, cluster size and volume size for a tree.
//!
//! FAT32 is used wherever it is valid, because UEFI requires it on fixed disks. Some tools create
//! FAT32 with too few clusters, which firmware can't read; such a volume is never created here.
//! Clusters are as large as is common and valid, and smaller if the tree fits only then.

use super::directory_plan::DirectoryPlan;
use super::geometry::{
    CLUSTER_SIZES, Geometry, GeometryParams, ROOT_ENTRIES, ROOT_ENTRIES_MAX, UNIT,
};
use super::spec::SLOT;
use super::variant::Variant;
use crate::error::{Error, Result};
use crate::size::{MIB, count, exact, round_down, round_up, typed};
use crate::tree::{InodeId, Tree};

/// The constraints of the selection.
#[derive(Debug)]
pub(super) struct VariantSelection<'a> {
    pub tree: &'a Tree,
    pub directory_plan: &'a DirectoryPlan,
    /// Sector size in bytes.
    pub sector_size: u64,
    /// The only variant to use; `None` for any.
    pub variant: Option<Variant>,
}

impl VariantSelection<'_> {
    /// Returns the possible parameters of a variant, in descending order of cluster size. There are
    /// none if the variant can't hold the root directory.
    fn all_params(&self, variant: Variant) -> impl Iterator<Item = GeometryParams> {
        let slots = self.directory_plan.root().slots as u64;
        let root_entries = round_up(slots.max(ROOT_ENTRIES), UNIT / SLOT as u64);
        let possible = variant == Variant::Fat32 || root_entries <= ROOT_ENTRIES_MAX;
        let sector_size = self.sector_size;
        let sizes = CLUSTER_SIZES.into_iter().filter(move |&size| possible && size >= sector_size);
        sizes.map(move |cluster_size| GeometryParams {
            variant,
            sector_size,
            cluster_size,
            root_entries,
        })
    }

    /// Returns the number of clusters that the tree takes.
    fn need(&self, params: &GeometryParams) -> u64 {
        let mut sizes = CLUSTER_SIZES.into_iter().zip(self.directory_plan.clusters);
        let (_, clusters) = sizes
            .find(|&(size, _)| size == params.cluster_size)
            .expect("shapes have the sizes of the list");
        match params.variant {
            Variant::Fat32 => clusters + self.directory_plan.root().clusters(params.cluster_size),
            _ => clusters,
        }
    }

    /// Returns the smallest and the largest valid size of a variant.
    fn limits(&self, variant: Variant) -> Option<(u64, u64)> {
        let sizes =
            || self.all_params(variant).map(|params| params.sizes()).filter(|s| !s.is_empty());
        let smallest = sizes().map(|sizes| *sizes.start()).min()?;
        let largest = sizes().map(|sizes| *sizes.end()).max()?;
        Some((smallest, largest))
    }

    /// Returns the variant for a size, which may be too large for it; `None` if the size is too
    /// small.
    fn variant_at(&self, size: u64) -> Option<Variant> {
        self.variant.or_else(|| {
            let reaches = |&variant: &Variant| {
                self.limits(variant).is_some_and(|(smallest, _)| smallest <= size)
            };
            [Variant::Fat32, Variant::Fat16, Variant::Fat12].into_iter().find(reaches)
        })
    }

    /// Returns the smallest size from `least` on that holds the tree.
    fn smallest(&self, least: u64) -> Option<u64> {
        let fit = |params: GeometryParams| {
            let sizes = params.sizes();
            let size = params.smallest_with(self.need(&params)).max(*sizes.start()).max(least);
            let chosen = || self.variant_at(size) == Some(params.variant);
            (size <= *sizes.end() && chosen()).then_some(size)
        };
        let variants = [Variant::Fat12, Variant::Fat16, Variant::Fat32].into_iter();
        variants.flat_map(|variant| self.all_params(variant)).filter_map(fit).min()
    }

    /// Returns the smallest size that holds the tree.
    pub(super) fn minimal(&self) -> Result<u64> {
        self.smallest(0).ok_or_else(|| self.too_large())
    }

    /// Returns the error for a tree that no size is large enough for.
    fn too_large(&self) -> Error {
        let variant = self.variant.unwrap_or(Variant::Fat32);
        Error::unrepresentable(
            self.tree.path(InodeId::ROOT),
            format!("the tree does not fit on the largest {variant}"),
            "leave something out, or use another variant or file system",
        )
    }

    /// Returns the volume of a size.
    pub(super) fn at(&self, size: u64) -> Result<Geometry> {
        if !size.is_multiple_of(UNIT) {
            let rounded = round_up(size, UNIT);
            return Err(Error::parameter(
                "size",
                format!("{} is not a multiple of {UNIT}", exact(size)),
                format!("use {}", typed(self.smallest(rounded).unwrap_or(rounded))),
            ));
        }
        let Some(variant) = self.variant_at(size) else { return Err(self.too_small(size, None)) };
        let Some((smallest, largest)) = self.limits(variant) else {
            return Err(Error::unrepresentable(
                self.tree.path(InodeId::ROOT),
                format!(
                    "the root directory takes {} slots, {variant} allows {}",
                    self.directory_plan.root().slots,
                    ROOT_ENTRIES_MAX
                ),
                "split it, or use FAT32",
            ));
        };
        if !(smallest..=largest).contains(&size) {
            let counts = variant.cluster_counts();
            return Err(Error::parameter(
                "size",
                format!(
                    "{} is not a valid size for {variant}, which has {} to {} clusters",
                    exact(size),
                    counts.start(),
                    counts.end()
                ),
                // Partitions are whole MiB.
                format!(
                    "use {} to {}, or another variant",
                    typed(round_up(smallest, MIB)),
                    typed(round_down(largest, MIB))
                ),
            ));
        }
        let mut last = None;
        for geometry in self.all_params(variant).filter_map(|params| params.at(size)) {
            if self.need(&geometry.params) <= geometry.clusters {
                return Ok(geometry);
            }
            last = Some(geometry);
        }
        Err(self.too_small(size, last))
    }

    /// Returns the error for a size that is too small; `volume` is the best volume of that size.
    fn too_small(&self, size: u64, volume: Option<Geometry>) -> Error {
        let Some(needed) = self.smallest(size) else { return self.too_large() };
        let detail = match volume {
            Some(Geometry { params, clusters, .. }) => {
                let (need, unit) = (self.need(&params), params.cluster_size);
                let short = need - clusters;
                format!(
                    "the tree takes {} of {unit} bytes, {} missing",
                    count(need, "cluster"),
                    exact(short * unit)
                )
            }
            None => String::new(),
        };
        Error::TooSmall {
            what: self.variant.map_or_else(|| "FAT".to_owned(), |variant| variant.to_string()),
            detail,
            needed,
            available: size,
        }
    }
}
