//! Image layouts: a [`Layout`] maps every byte of an image to its source. Planners build layouts,
//! and [`emit()`] writes them.

mod block;
mod digest;
mod emit;
mod options;
mod ordered;
mod output;
mod render_blocks;
mod sink;
#[cfg(test)]
mod tests;
mod work;
mod write_buffer;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use digest::Digest;
pub use emit::emit;
pub use options::Options;
pub use output::{Destination, Output, publish};
pub(crate) use render_blocks::render_blocks;
pub use sink::{Discard, OffsetSink, Sink, WriteAtSink};

use crate::error::Result;
use crate::tree::{InodeId, Tree};

/// A region whose bytes are produced when they are written: metadata too large to keep in memory as
/// a whole (inode tables, directories, bitmaps), or bytes that depend on file content.
pub trait Render: Send + Sync {
    /// Fills `out` with the bytes of the region that start at `offset`.
    ///
    /// `out` is all zeros on entry. The function is called from several threads, for any part of
    /// the region and in any order, and must produce the same bytes each time.
    ///
    /// # Errors
    /// [`Error::Source`](crate::Error::Source) and [`Error::Changed`](crate::Error::Changed) for
    /// file content that can't be read or has changed since the tree was listed.
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()>;
}

/// An observer of the bytes that are written, for bytes that are computed from earlier ones.
pub trait ByteObserver: Send + Sync {
    /// Receives the bytes of the layout that start at `offset`.
    ///
    /// The function is called from several threads and in any order. Each byte that a region covers
    /// is passed exactly once. Other bytes are zeros and may be omitted.
    ///
    /// Provided that regions start at multiples of 4096 bytes of the image, no 4096-byte sector has
    /// data in two calls: a call that starts within a sector has only zeros in the rest of that
    /// sector, and a call that ends within a sector ends with a region.
    fn observe(&self, offset: u64, bytes: &[u8]);
}

/// A range of the image whose bytes are passed to an observer.
#[derive(Clone)]
struct ObservedRange {
    range: Range<u64>,
    /// Offset of the observer's layout within this layout.
    base: u64,
    observer: Arc<dyn ByteObserver>,
}

/// Source of the bytes of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Constant bytes: an index for [`Layout::bytes_of`].
    Bytes(u32),
    /// Bytes produced on demand: an index for [`Layout::render_of`].
    Render(u32),
    /// Content of a regular file.
    Content {
        /// Index of the tree, for [`Layout::tree_of`].
        tree: u16,
        /// The file in that tree.
        inode: InodeId,
    },
}

/// A run of bytes of the image.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    /// Offset in the image, in bytes.
    pub offset: u64,
    /// Length in bytes; never 0.
    pub len: u64,
    /// Offset of the region's first byte within its source, in bytes.
    pub from: u64,
    /// Source of the bytes.
    pub fill: Fill,
}

impl Region {
    /// Returns the offset of the first byte after the region.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// An image as sorted, disjoint regions. Bytes that no region covers are zeros.
#[derive(Default)]
pub struct Layout {
    size: u64,
    regions: Vec<Region>,
    bytes: Vec<Box<[u8]>>,
    renders: Vec<Arc<dyn Render>>,
    trees: Vec<Arc<Tree>>,
    observed: Vec<ObservedRange>,
    sorted: bool,
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout")
            .field("size", &self.size)
            .field("regions", &self.regions.len())
            .finish_non_exhaustive()
    }
}

fn number(len: usize) -> u32 {
    u32::try_from(len).expect("a layout has fewer than 2^32 fills")
}

impl Layout {
    /// Creates the layout of an image of `size` bytes, all zeros.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, ..Self::default() }
    }

    /// Returns the size of the image in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the regions, sorted and disjoint.
    ///
    /// # Panics
    /// If the layout is not [sealed](Layout::seal).
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        assert!(self.sorted, "a layout is sealed before it is read");
        &self.regions
    }

    /// Returns the bytes of a [`Fill::Bytes`].
    #[must_use]
    pub fn bytes_of(&self, number: u32) -> &[u8] {
        &self.bytes[number as usize]
    }

    /// Returns the renderer of a [`Fill::Render`].
    #[must_use]
    pub fn render_of(&self, number: u32) -> &dyn Render {
        &*self.renders[number as usize]
    }

    /// Returns the tree of a [`Fill::Content`].
    #[must_use]
    pub fn tree_of(&self, number: u16) -> &Tree {
        &self.trees[usize::from(number)]
    }

    /// Adds a tree for [`Layout::push_content`] and returns its index.
    pub fn add_tree(&mut self, tree: Arc<Tree>) -> u16 {
        self.trees.push(tree);
        u16::try_from(self.trees.len() - 1).expect("a layout has a handful of trees")
    }

    /// Adds constant bytes, which [`Layout::push_region`] can place any number of times.
    pub fn add_bytes(&mut self, bytes: impl Into<Box<[u8]>>) -> Fill {
        self.bytes.push(bytes.into());
        Fill::Bytes(number(self.bytes.len() - 1))
    }

    /// Adds bytes that are produced on demand, for [`Layout::push_region`] to place.
    pub fn add_render(&mut self, render: Arc<dyn Render>) -> Fill {
        self.renders.push(render);
        Fill::Render(number(self.renders.len() - 1))
    }

    /// Places constant bytes at `offset`.
    pub fn push_bytes(&mut self, offset: u64, bytes: impl Into<Box<[u8]>>) {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        let fill = self.add_bytes(bytes);
        self.push_region(Region { offset, len, from: 0, fill });
    }

    /// Places `len` bytes that are produced on demand at `offset`.
    pub fn push_render(&mut self, offset: u64, len: u64, render: Arc<dyn Render>) {
        let fill = self.add_render(render);
        self.push_region(Region { offset, len, from: 0, fill });
    }

    /// Places `len` bytes of a file's content at `offset`, starting at offset `from` of the file.
    pub fn push_content(&mut self, offset: u64, len: u64, tree: u16, inode: InodeId, from: u64) {
        self.push_region(Region { offset, len, from, fill: Fill::Content { tree, inode } });
    }

    /// Registers `observer` for `range`: every byte of the range is passed to it before any byte
    /// after the range is rendered.
    pub fn observe(&mut self, range: Range<u64>, observer: Arc<dyn ByteObserver>) {
        self.observed.push(ObservedRange { range, base: 0, observer });
    }

    /// Passes bytes to the observers of their ranges.
    fn notify(&self, offset: u64, bytes: &[u8]) {
        for ObservedRange { range, base, observer } in &self.observed {
            let start = offset.max(range.start);
            let end = (offset + bytes.len() as u64).min(range.end);
            if start < end {
                let within = |at: u64| usize::try_from(at - offset).expect("bytes are in memory");
                observer.observe(start - base, &bytes[within(start)..within(end)]);
            }
        }
    }

    /// Returns whether the byte at `offset` is observed.
    fn is_observed(&self, offset: u64) -> bool {
        self.observed.iter().any(|observed| observed.range.contains(&offset))
    }

    /// Returns the ends of the observed ranges, in ascending order.
    fn barriers(&self) -> Vec<u64> {
        let mut ends: Vec<_> = self.observed.iter().map(|observed| observed.range.end).collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    /// Places another layout, sealed or not, at `offset` of this one.
    pub fn add_layout(&mut self, offset: u64, inner: Self) {
        self.observed.extend(inner.observed.into_iter().map(|observed| ObservedRange {
            range: observed.range.start + offset..observed.range.end + offset,
            base: observed.base + offset,
            ..observed
        }));
        let (bytes, renders) = (number(self.bytes.len()), number(self.renders.len()));
        let trees = u16::try_from(self.trees.len()).expect("a layout has a handful of trees");
        self.regions.reserve_exact(inner.regions.len());
        for mut region in inner.regions {
            region.offset += offset;
            match &mut region.fill {
                Fill::Bytes(number) => *number += bytes,
                Fill::Render(number) => *number += renders,
                Fill::Content { tree, .. } => *tree += trees,
            }
            self.push_region(region);
        }
        self.bytes.extend(inner.bytes);
        self.renders.extend(inner.renders);
        self.trees.extend(inner.trees);
    }

    /// Places a region; an empty region is ignored.
    pub fn push_region(&mut self, region: Region) {
        if region.len > 0 {
            self.sorted = false;
            self.regions.push(region);
        }
    }

    /// Sorts and checks the regions.
    ///
    /// # Panics
    /// If two regions overlap, or a region crosses the end of the image or of an observed range.
    /// Each is a bug in a planner, and such a layout is never written.
    #[must_use]
    pub fn seal(mut self) -> Self {
        self.regions.sort_by_key(|region| region.offset);
        let mut end = 0;
        for region in &self.regions {
            assert!(region.offset >= end, "a region at {} overlaps its neighbour", region.offset);
            end = region.end();
        }
        for barrier in self.barriers() {
            let before = self.regions.partition_point(|region| region.offset < barrier);
            let last = before.checked_sub(1).map_or(0, |last| self.regions[last].end());
            assert!(last <= barrier, "a region ends at {last}, beyond the observed range");
        }
        assert!(end <= self.size, "a region ends at {end}, beyond the image's {}", self.size);
        self.sorted = true;
        self
    }
}

#[cfg(test)]
impl Layout {
    /// Renders the whole image in the simplest way, for tests.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut image = vec![0; usize::try_from(self.size).unwrap()];
        for region in self.regions() {
            let at = usize::try_from(region.offset).unwrap();
            let out = &mut image[at..at + usize::try_from(region.len).unwrap()];
            let from = usize::try_from(region.from).unwrap();
            match region.fill {
                Fill::Bytes(number) => {
                    out.copy_from_slice(&self.bytes_of(number)[from..from + out.len()]);
                }
                Fill::Render(number) => self.render_of(number).render(region.from, out).unwrap(),
                Fill::Content { tree, inode } => {
                    self.tree_of(tree).open(inode).unwrap().read(region.from, out).unwrap();
                }
            }
        }
        image
    }
}
