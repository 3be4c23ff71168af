//! Placement of file content: extents on the device, and the file extents that refer to them.
//!
//! Content is laid out in tree order, before all metadata, so its addresses do not depend on the
//! amount of metadata.

use std::collections::BTreeMap;

use super::address::LogicalAddr;
use super::chunks::{Chunk, Device, first_stripe};
use super::content::{Compression, Contents, Encoding};
use super::hash;
use super::spec::{BlockGroupFlags, MAX_EXTENT_SIZE, SECTOR};
use super::subvolumes::Subvolumes;
use super::{DATA_CHUNK, Options};
use crate::layout::{Fill, Region};
use crate::size::round_up;
use crate::tree::{InodeId, Kind};

/// An extent on the device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) address: LogicalAddr,
    /// Size on the device in bytes, a multiple of [`SECTOR`].
    pub(super) len: u32,
    /// Size of the uncompressed content in bytes, a multiple of [`SECTOR`].
    pub(super) ram_len: u32,
    /// Compression of the content.
    pub(super) compression: Option<Compression>,
    /// Whether it is preallocated and reads as zeros.
    pub(super) prealloc: bool,
    /// Whether its sectors have checksums.
    pub(super) summed: bool,
    /// Index of its first reference.
    pub(super) refs: u32,
}

/// A range of a file that is stored in an extent.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileExtent {
    /// Offset in the file, in bytes.
    pub(super) from: u64,
    /// Length in bytes, a multiple of [`SECTOR`].
    pub(super) len: u32,
    /// Offset in the uncompressed content of the extent, in bytes.
    pub(super) offset: u32,
    /// Index of the extent.
    pub(super) extent: u32,
}

/// A reference from a file to an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DataRef {
    pub(super) root: u64,
    pub(super) objectid: u64,
    /// File offset at which the extent would start, modulo 2^64.
    pub(super) offset: u64,
    /// Number of file extents of this file with the same `offset`.
    pub(super) count: u32,
}

impl DataRef {
    pub(super) fn hash(&self) -> u64 {
        hash::extent_data_ref(self.root, self.objectid, self.offset)
    }
}

/// All content with its addresses.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) chunks: Vec<Chunk>,
    pub(super) extents: Vec<Extent>,
    parts: Vec<FileExtent>,
    /// By inode: index of its first part, with one more entry after the last inode's.
    first_part: Vec<u32>,
    /// Grouped by extent, the highest hash first.
    refs: Vec<DataRef>,
}

impl Data {
    /// Returns the file extents of a file, in order.
    pub(super) fn parts(&self, file: InodeId) -> &[FileExtent] {
        let bounds = &self.first_part[file.index()..][..2];
        &self.parts[bounds[0] as usize..bounds[1] as usize]
    }

    /// Returns the references to an extent, the highest hash first.
    pub(super) fn refs(&self, extent: usize) -> &[DataRef] {
        let end = self.extents.get(extent + 1).map_or(self.refs.len(), |next| next.refs as usize);
        &self.refs[self.extents[extent].refs as usize..end]
    }

    /// Places all content on a device, and returns it with its regions in the image.
    ///
    /// The regions refer to file content as tree 0, and to compressed content as render 0.
    pub(super) fn place(
        subvolumes: &Subvolumes,
        contents: &Contents,
        options: &Options,
        device: &mut Device,
    ) -> (Self, Vec<Region>) {
        let tree = &subvolumes.tree;
        let (data, seen) = (Self::default(), BTreeMap::new());
        let regions = Vec::new();
        let mut placer = Placer { device, data, regions, first_part: 0, seen };
        for (id, inode) in tree.iter() {
            placer.first_part = placer.data.parts.len();
            placer.data.first_part.push(number(placer.first_part));
            let Kind::File { size, .. } = inode.kind else { continue };
            let preallocated = subvolumes.is_preallocated(id);
            let summed = !subvolumes.is_nodatacow(id);
            let mut end = 0;
            for (number, candidate) in (contents.first_candidate(id)..).zip(contents.candidates(id))
            {
                if preallocated {
                    placer.preallocate(end, candidate.from);
                }
                end = candidate.from + round_up(candidate.len, SECTOR);
                if candidate.same_as != number {
                    placer.again(candidate.same_as, candidate.from, candidate.len);
                    continue;
                }
                let content =
                    FileData { file: id, from: candidate.from, len: candidate.len, summed };
                let placed = match candidate.encoding {
                    Encoding::Plain => placer.plain(&content, options.dedup),
                    Encoding::Compressed { at, len, compression } => {
                        let extent = placer.compressed(&content, at, len, compression);
                        PlacedCandidate { extent, offset: 0 }
                    }
                };
                if options.dedup {
                    placer.seen.insert(number, placed);
                }
            }
            if preallocated {
                placer.preallocate(end, round_up(size, SECTOR));
            }
        }
        let Placer { device, mut data, regions, .. } = placer;
        data.first_part.push(number(data.parts.len()));
        if let Some(last) = data.chunks.last_mut() {
            device.trim(last);
        }
        data.refer(subvolumes);
        (data, regions)
    }

    /// Collects all references to extents.
    fn refer(&mut self, subvolumes: &Subvolumes) {
        let mut refs = Vec::with_capacity(self.parts.len());
        for (number, subvolume) in subvolumes.all.iter().enumerate() {
            for (position, id) in (0u64..).zip(subvolumes.inodes(number)) {
                let objectid = super::spec::objectid::FIRST_FREE + position;
                for part in self.parts(id) {
                    let offset = part.from.wrapping_sub(part.offset.into());
                    let (root, count) = (subvolume.id, 1);
                    refs.push((part.extent, DataRef { root, objectid, offset, count }));
                }
            }
        }
        refs.sort_unstable();
        for group in refs.chunk_by(|a, b| a.0 == b.0) {
            self.extents[group[0].0 as usize].refs = number(self.refs.len());
            let start = self.refs.len();
            for same in group.chunk_by(|a, b| a == b) {
                self.refs.push(DataRef { count: number(same.len()), ..same[0].1 });
            }
            // The sort is stable: references with equal hashes stay in order.
            self.refs[start..].sort_by_key(|one| std::cmp::Reverse(one.hash()));
        }
    }
}

fn number(len: usize) -> u32 {
    u32::try_from(len).expect("extents are counted in 32 bits")
}

fn small(len: u64) -> u32 {
    u32::try_from(len).expect("an extent has at most 128 MiB")
}

/// A range of the content of a file.
struct FileData {
    file: InodeId,
    from: u64,
    /// Length in bytes, not rounded.
    len: u64,
    summed: bool,
}

/// Location of a candidate.
#[derive(Debug, Clone, Copy)]
struct PlacedCandidate {
    /// Index of its extent.
    extent: u32,
    /// Offset in the uncompressed content of the extent, in bytes.
    offset: u32,
}

struct Placer<'a> {
    device: &'a mut Device,
    data: Data,
    regions: Vec<Region>,
    /// Index of the first part of the file being placed.
    first_part: usize,
    /// By candidate. Only used for deduplication.
    seen: BTreeMap<u32, PlacedCandidate>,
}

impl Placer<'_> {
    /// Allocates up to `len` bytes, or exactly `len` bytes if `whole` is set.
    ///
    /// Returns the address and the length.
    fn allocate(&mut self, len: u64, whole: bool) -> (LogicalAddr, u64) {
        let least = if whole { len } else { SECTOR };
        loop {
            if let Some(chunk) = self.data.chunks.last_mut() {
                let available = chunk.len - chunk.used;
                if available >= least {
                    let len = len.min(available);
                    let address = chunk.start + chunk.used;
                    chunk.used += len;
                    return (address, len);
                }
                self.device.trim(chunk);
            }
            let chunk = self.device.chunk(BlockGroupFlags::DATA, least, DATA_CHUNK);
            self.data.chunks.push(chunk);
        }
    }

    /// Adds an extent and a file extent that covers all of it.
    fn push(&mut self, from: u64, extent: Extent) {
        let number = number(self.data.extents.len());
        self.data.parts.push(FileExtent { from, len: extent.ram_len, offset: 0, extent: number });
        self.data.extents.push(extent);
    }

    /// Places uncompressed content and returns the location of its start.
    ///
    /// If `whole` is set, the content is not divided, so that duplicates can refer to one extent.
    fn plain(&mut self, content: &FileData, whole: bool) -> PlacedCandidate {
        let mut start = PlacedCandidate { extent: 0, offset: 0 };
        let mut done = 0;
        while done < content.len {
            let wanted = round_up(content.len - done, SECTOR).min(MAX_EXTENT_SIZE);
            let (address, len) = self.allocate(wanted, whole);
            let from = content.from + done;
            self.fill(Region {
                offset: first_stripe(address).0,
                len: len.min(content.len - done),
                from,
                fill: Fill::Content { tree: 0, inode: content.file },
            });
            let extent = Extent {
                address,
                len: small(len),
                ram_len: small(len),
                compression: None,
                prealloc: false,
                summed: content.summed,
                refs: 0,
            };
            if !self.extend(from, &extent) {
                self.push(from, extent);
            }
            if done == 0 {
                let last = self.data.extents.last().expect("extended or pushed above");
                start = PlacedCandidate {
                    extent: number(self.data.extents.len() - 1),
                    offset: last.len - extent.len,
                };
            }
            done += len;
        }
        start
    }

    /// Adds a region, or extends the last region if the new one continues it in the same file.
    fn fill(&mut self, region: Region) {
        match self.regions.last_mut() {
            Some(last)
                if last.fill == region.fill
                    && last.end() == region.offset
                    && last.from + last.len == region.from =>
            {
                last.len += region.len;
            }
            _ => self.regions.push(region),
        }
    }

    /// Extends the last extent, and the file extent that reaches its end, if `more` continues both.
    fn extend(&mut self, from: u64, more: &Extent) -> bool {
        let parts = &mut self.data.parts[self.first_part..];
        let last_number = number(self.data.extents.len()).wrapping_sub(1);
        let (Some(part), Some(last)) = (parts.last_mut(), self.data.extents.last_mut()) else {
            return false;
        };
        let goes_on = part.extent == last_number
            && part.offset + part.len == last.len
            && part.from + u64::from(part.len) == from
            && last.compression.is_none()
            && !last.prealloc
            && last.address + u64::from(last.len) == more.address
            && last.summed == more.summed
            && u64::from(last.len) + u64::from(more.len) <= MAX_EXTENT_SIZE;
        if goes_on {
            last.len += more.len;
            last.ram_len += more.len;
            part.len += more.len;
        }
        goes_on
    }

    fn compressed(
        &mut self,
        content: &FileData,
        at: u64,
        len: u32,
        compression: Compression,
    ) -> u32 {
        let disk_len = round_up(len.into(), SECTOR);
        let (address, _) = self.allocate(disk_len, true);
        let fill = Fill::Render(0);
        let offset = first_stripe(address).0;
        self.regions.push(Region { offset, len: len.into(), from: at, fill });
        let extent = Extent {
            address,
            len: small(disk_len),
            ram_len: small(round_up(content.len, SECTOR)),
            compression: Some(compression),
            prealloc: false,
            summed: content.summed,
            refs: 0,
        };
        self.push(content.from, extent);
        number(self.data.extents.len() - 1)
    }

    /// Refers to a candidate that is already placed.
    fn again(&mut self, candidate: u32, from: u64, len: u64) {
        let PlacedCandidate { extent, offset } = self.seen[&candidate];
        let len = small(round_up(len, SECTOR));
        let plain = self.data.extents[extent as usize].compression.is_none();
        match self.data.parts[self.first_part..].last_mut() {
            Some(part)
                if plain
                    && part.extent == extent
                    && part.offset + part.len == offset
                    && part.from + u64::from(part.len) == from =>
            {
                part.len += len;
            }
            _ => self.data.parts.push(FileExtent { from, len, offset, extent }),
        }
    }

    /// Preallocates extents for a range of a file that reads as zeros.
    fn preallocate(&mut self, mut from: u64, to: u64) {
        while from < to {
            let (address, len) = self.allocate((to - from).min(MAX_EXTENT_SIZE), false);
            let len32 = small(len);
            let extent = Extent {
                address,
                len: len32,
                ram_len: len32,
                compression: None,
                prealloc: true,
                summed: false,
                refs: 0,
            };
            self.push(from, extent);
            from += len;
        }
    }
}
