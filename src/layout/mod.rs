//! What byte goes where: the value that every planner makes and the emitter writes.

mod digest;
mod emit;
mod ordered;
mod output;
mod sink;
#[cfg(test)]
mod tests;
mod work;
mod write_buffer;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use digest::Digest;
pub use emit::{Options, emit};
pub use output::{Destination, Output, publish};
pub use sink::{Discard, OffsetSink, Sink, WriteAtSink};

use crate::error::Result;
use crate::tree::{InodeId, Tree};

/// Bytes that are made when they are written, because a million of them together would take too
/// much memory, inode tables, directories, bitmaps; or because they hold file content.
pub trait Render: Send + Sync {
    /// Fills `out`, which is all zeros, with the bytes from `offset` of the region on. It is
    /// called from several threads, for any part of the region and in any order, and gives the
    /// same bytes each time.
    ///
    /// # Errors
    /// [`Error::Source`](crate::Error::Source) and [`Error::Changed`](crate::Error::Changed) for
    /// file content that can't be read or is not what it was.
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()>;
}

/// Sees bytes when they are written, so that others that are made of them can come after.
pub trait ByteObserver: Send + Sync {
    /// Bytes of the layout from `offset` on. It is called from several threads and in any order,
    /// with each byte that a region covers once. What is not covered is zeros, and may be left
    /// out.
    ///
    /// Where regions start at multiples of 4096 bytes of the image, no such sector comes in two
    /// parts: what starts or ends within one starts with zeros or ends with a region.
    fn observe(&self, offset: u64, bytes: &[u8]);
}

/// A part of the image that somebody observes.
#[derive(Clone)]
struct ObservedRange {
    range: Range<u64>,
    /// Where the observer's layout starts in this one.
    base: u64,
    observer: Arc<dyn ByteObserver>,
}

/// Where the bytes of a region come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Finished bytes: a number for [`Layout::bytes_of`].
    Bytes(u32),
    /// Bytes that are made on demand: a number for [`Layout::render_of`].
    Render(u32),
    /// The content of a regular file: a number for [`Layout::tree_of`], and the file.
    Content {
        /// The tree.
        tree: u16,
        /// The file in that tree.
        inode: InodeId,
    },
}

/// A run of bytes of the image.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    /// Where it starts in the image, in bytes.
    pub offset: u64,
    /// How long it is, in bytes; never 0.
    pub len: u64,
    /// Where it starts in what fills it, in bytes.
    pub from: u64,
    /// What fills it.
    pub fill: Fill,
}

impl Region {
    /// The first byte after the region.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.len
    }
}

/// An image as sorted, disjoint regions; what no region covers is zeros.
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
    /// An image of `size` bytes, all zeros.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, ..Self::default() }
    }

    /// The size of the image in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The regions, sorted and disjoint.
    ///
    /// # Panics
    /// Before [`Layout::seal`].
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        assert!(self.sorted, "a layout is sealed before it is read");
        &self.regions
    }

    /// The bytes of a [`Fill::Bytes`].
    #[must_use]
    pub fn bytes_of(&self, number: u32) -> &[u8] {
        &self.bytes[number as usize]
    }

    /// The maker of a [`Fill::Render`].
    #[must_use]
    pub fn render_of(&self, number: u32) -> &dyn Render {
        &*self.renders[number as usize]
    }

    /// The tree of a [`Fill::Content`].
    #[must_use]
    pub fn tree_of(&self, number: u16) -> &Tree {
        &self.trees[usize::from(number)]
    }

    /// Adds a tree for [`Layout::push_content`] to refer to; gives its number.
    pub fn add_tree(&mut self, tree: Arc<Tree>) -> u16 {
        self.trees.push(tree);
        u16::try_from(self.trees.len() - 1).expect("a layout has a handful of trees")
    }

    /// Adds finished bytes for [`Layout::push_region`] to place, once or several times.
    pub fn add_bytes(&mut self, bytes: impl Into<Box<[u8]>>) -> Fill {
        self.bytes.push(bytes.into());
        Fill::Bytes(number(self.bytes.len() - 1))
    }

    /// Adds bytes that are made on demand, for [`Layout::push_region`] to place.
    pub fn add_render(&mut self, render: Arc<dyn Render>) -> Fill {
        self.renders.push(render);
        Fill::Render(number(self.renders.len() - 1))
    }

    /// Places finished bytes.
    pub fn push_bytes(&mut self, offset: u64, bytes: impl Into<Box<[u8]>>) {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        let fill = self.add_bytes(bytes);
        self.push_region(Region { offset, len, from: 0, fill });
    }

    /// Places `len` bytes that are made on demand.
    pub fn push_render(&mut self, offset: u64, len: u64, render: Arc<dyn Render>) {
        let fill = self.add_render(render);
        self.push_region(Region { offset, len, from: 0, fill });
    }

    /// Places `len` bytes of a file's content, from the file's offset `from` on.
    pub fn push_content(&mut self, offset: u64, len: u64, tree: u16, inode: InodeId, from: u64) {
        self.push_region(Region { offset, len, from, fill: Fill::Content { tree, inode } });
    }

    /// Has all bytes of a range seen before any byte behind it is made.
    pub fn observe(&mut self, range: Range<u64>, observer: Arc<dyn ByteObserver>) {
        self.observed.push(ObservedRange { range, base: 0, observer });
    }

    /// Shows bytes to those who observe them.
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

    /// Whether anybody observes a byte.
    fn is_observed(&self, offset: u64) -> bool {
        self.observed.iter().any(|observed| observed.range.contains(&offset))
    }

    /// Where the ranges that are observed end, in ascending order.
    fn barriers(&self) -> Vec<u64> {
        let mut ends: Vec<_> = self.observed.iter().map(|observed| observed.range.end).collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    /// Places another layout, sealed or not, inside this one.
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

    /// Places a region; one without bytes is left out.
    pub fn push_region(&mut self, region: Region) {
        if region.len > 0 {
            self.sorted = false;
            self.regions.push(region);
        }
    }

    /// Sorts the regions.
    ///
    /// # Panics
    /// If two regions overlap, or one is beyond the end or across that of what is observed: a
    /// planner's mistake, never written.
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
            assert!(last <= barrier, "a region ends at {last}, across the end of what is observed");
        }
        assert!(end <= self.size, "a region ends at {end}, beyond the image's {}", self.size);
        self.sorted = true;
        self
    }
}

#[cfg(test)]
impl Layout {
    /// The whole image by the plainest of ways, for tests.
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
