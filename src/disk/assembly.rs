//! The way from partitions with contents to a disk, for the built-in partition set and for repart.d
//! definitions alike: the partitions are placed, then their contents are planned for their places,
//! with hash trees where they are requested.

use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use super::content::{Content, PlannedContent};
use super::definition::Definition;
use super::partition::{Disk, Identity, Partition};
use super::place::{self, Candidate, NoSpace, Placed, Presence, SizeRange};
use crate::error::{Error, Result};
use crate::format::{FileSystem, PreparedFs};
use crate::gpt::{Geometry, SectorSize};
use crate::layout::Layout;
use crate::report::Warning;
use crate::size::{exact, round_up};
use crate::verity::{self, LeafHashes};

/// Partitions that are to be placed on a disk and filled. All lists have the same order.
pub(crate) struct Assembly {
    pub(crate) identities: Vec<Identity>,
    /// Space that each partition requests.
    pub(crate) candidates: Vec<Candidate>,
    /// Content of each new partition.
    pub(crate) contents: Vec<Content>,
    /// Alignment of the start and end of partitions, in bytes: a power of two.
    pub(crate) grain: u64,
    pub(crate) sector_size: SectorSize,
}

/// Place that the content of a partition is planned for, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContentPlace {
    /// Start of the partition on its disk.
    pub(crate) start: u64,
    /// Size of the partition.
    pub(crate) size: u64,
    /// Bytes of the partition that the content fills.
    pub(crate) filled: u64,
}

/// A partition whose content is planned for its place.
pub(crate) struct PlannedPartition {
    /// Layout of the whole partition.
    pub(crate) layout: Layout,
    pub(crate) file_system: Option<FileSystem>,
    pub(crate) warnings: Vec<Warning>,
    /// Observer that hashes the content while it is written, if the partition has a hash tree.
    pub(crate) leaf_hashes: Option<Arc<LeafHashes>>,
}

/// A new disk with everything on it.
pub(crate) struct Composed {
    pub(crate) disk: Disk,
    pub(crate) layout: Layout,
    pub(crate) warnings: Vec<Warning>,
}

impl Assembly {
    /// Creates the assembly of new partitions.
    pub(crate) fn new(
        definitions: &[Definition],
        identities: Vec<Identity>,
        contents: Vec<Content>,
        grain: u64,
        sector_size: SectorSize,
    ) -> Self {
        let candidate = |definition: &Definition| Candidate {
            partition_type: definition.partition_type.guid(),
            request: definition.size.request(grain, definition.size.size_min.unwrap_or(0)),
            priority: definition.size.priority,
            presence: Presence::New,
            group: None,
            merge: None,
        };
        let candidates = definitions.iter().map(candidate).collect();
        Self { identities, candidates, contents, grain, sector_size }
    }

    /// Returns the smallest size of a disk that holds all partitions, in bytes.
    pub(crate) fn minimal_size(&self) -> u64 {
        place::minimal_size(self.grain, self.sector_size, &self.candidates)
    }

    /// Places all partitions within `usable`, the bytes that partitions may use.
    pub(crate) fn place(&self, usable: Range<u64>) -> Result<Placed, NoSpace> {
        place::place(usable, self.grain, &self.candidates)
    }

    /// Plans the content of partition `at`, which is taken from the list. `hash_tree` describes the
    /// hash tree that protects the start of the partition, if it has one.
    pub(crate) fn plan(
        &mut self,
        at: usize,
        place: ContentPlace,
        hash_tree: Option<verity::Parameters>,
    ) -> Result<PlannedPartition> {
        let content = std::mem::replace(&mut self.contents[at], Content::Nothing);
        let PlannedContent { mut layout, file_system, warnings } =
            content.plan(place.filled, place.start)?;
        assert!(layout.size() <= place.size, "contents are planned for their place");
        if layout.size() != place.size {
            let inner = std::mem::replace(&mut layout, Layout::new(place.size));
            layout.add_layout(0, inner);
        }
        let leaf_hashes = match hash_tree {
            Some(parameters) => {
                let protected = 0..parameters.data_size;
                let leaf_hashes = Arc::new(LeafHashes::new(parameters)?);
                layout.observe(protected, Arc::clone(&leaf_hashes) as _);
                Some(leaf_hashes)
            }
            None => None,
        };
        Ok(PlannedPartition { layout, file_system, warnings, leaf_hashes })
    }

    /// Composes a new disk of `size` bytes, or of the smallest size that holds all partitions.
    ///
    /// # Errors
    /// [`Error::TooSmall`] if the partitions do not fit, and those of the contents and of the
    /// partition table.
    pub(crate) fn compose(mut self, size: Option<u64>, uuid: Uuid) -> Result<Composed> {
        let (grain, sector_size) = (self.grain, self.sector_size);
        let size = size.unwrap_or_else(|| round_up(self.minimal_size(), grain));
        let end = size.saturating_sub(Geometry::tail(sector_size));
        let places = match self.place(grain..end.max(grain)) {
            Ok(placed) => placed.places,
            Err(_) => return Err(self.no_space(size)),
        };
        let (mut partitions, mut contents, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        // No partition of a new disk has a priority by which it could be left out.
        for (at, place) in places.into_iter().enumerate() {
            let Some(place) = place else { continue };
            let (start, part_size) = (place.start, place.size);
            let prepared = match &self.contents[at] {
                Content::FileSystem(prepared) => Some(Arc::clone(prepared)),
                _ => None,
            };
            let planned = match (
                self.plan(at, ContentPlace { start, size: part_size, filled: part_size }, None),
                prepared,
            ) {
                (Err(error), Some(prepared)) => {
                    return Err(self.too_small(at, prepared, error, size));
                }
                (planned, _) => planned?,
            };
            let identity = self.identities[at].clone();
            let file_system = planned.file_system;
            partitions.push(Partition { identity, start, size: part_size, file_system });
            contents.push(planned.layout);
            warnings.extend(planned.warnings);
        }
        let disk = Disk { uuid, sector_size, size, partitions };
        Ok(Composed { layout: disk.compose(contents)?, disk, warnings })
    }

    /// Returns the error for partitions that do not fit on a disk of `size` bytes, with the space
    /// that each of them takes.
    fn no_space(&mut self, size: u64) -> Error {
        for at in 0..self.contents.len() {
            if let Err(error) = self.require_content(at) {
                return error;
            }
        }
        let needed = round_up(self.minimal_size(), self.grain);
        let taken: Vec<_> = self.candidates.iter().map(|it| it.request.size.min).collect();
        let names = self.identities.iter().map(|identity| &identity.label);
        let mut parts: Vec<_> =
            names.zip(&taken).map(|(name, &bytes)| format!("{name} {}", exact(bytes))).collect();
        let table = needed - taken.iter().sum::<u64>();
        parts.push(format!("partition table {}", exact(table)));
        let (what, detail) = ("`image.size`".to_owned(), parts.join(", "));
        Error::TooSmall { what, detail, needed, available: size }
    }

    /// Raises the minimum size of a partition that takes the remaining space to that of its file
    /// system.
    fn require_content(&mut self, at: usize) -> Result<()> {
        let SizeRange { min, max } = self.candidates[at].request.size;
        if let Content::FileSystem(prepared) = &self.contents[at]
            && min != max
        {
            let min = round_up(prepared.minimal_size()?, self.grain);
            self.candidates[at].request.size = SizeRange { min, max };
        }
        Ok(())
    }

    /// Returns the error for a file system that does not fit: if its partition takes the remaining
    /// space of a disk of `size` bytes, the missing space is missing on the disk.
    fn too_small(
        &mut self,
        at: usize,
        prepared: Arc<dyn PreparedFs>,
        error: Error,
        size: u64,
    ) -> Error {
        let SizeRange { min, max } = self.candidates[at].request.size;
        match error {
            Error::TooSmall { .. } if min != max => {
                self.contents[at] = Content::FileSystem(prepared);
                self.no_space(size)
            }
            error => error,
        }
    }
}
