//! Places the content of all files: which extents there are on the device, and which of them a
//! file is made of.
//!
//! Content is laid out in the order of the tree, before all metadata, so that no address of it
//! depends on how much metadata there is.

use std::collections::BTreeMap;

use super::chunks::{Chunk, Device};
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
    /// Its logical address in bytes.
    pub(super) address: u64,
    /// How many bytes it takes on the device, a multiple of [`SECTOR`].
    pub(super) len: u32,
    /// How many bytes of content it has, a multiple of [`SECTOR`].
    pub(super) ram_len: u32,
    /// What the content is compressed with.
    pub(super) compression: Option<Compression>,
    /// Whether it holds room alone, and reads as zeros.
    pub(super) prealloc: bool,
    /// Whether its sectors have checksums.
    pub(super) summed: bool,
    /// The first of its references.
    pub(super) refs: u32,
}

/// A part of a file that is in an extent.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileExtent {
    /// Where it is in the file, in bytes.
    pub(super) from: u64,
    /// How long it is, a multiple of [`SECTOR`].
    pub(super) len: u32,
    /// Where it starts in the extent's content, in bytes.
    pub(super) offset: u32,
    /// The number of the extent.
    pub(super) extent: u32,
}

/// A place that files refer to an extent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DataRef {
    pub(super) root: u64,
    pub(super) objectid: u64,
    /// Where the extent's first byte would be in the file, modulo 2^64.
    pub(super) offset: u64,
    /// How many parts of that file agree in all this.
    pub(super) count: u32,
}

impl DataRef {
    pub(super) fn hash(&self) -> u64 {
        hash::extent_data_ref(self.root, self.objectid, self.offset)
    }
}

/// All content in its places.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) chunks: Vec<Chunk>,
    pub(super) extents: Vec<Extent>,
    parts: Vec<FileExtent>,
    /// By inode: the first of its parts. There is one more behind the last inode's.
    first_part: Vec<u32>,
    /// Grouped by extent, the highest hash first.
    refs: Vec<DataRef>,
}

impl Data {
    /// The parts of a file, in order.
    pub(super) fn parts(&self, file: InodeId) -> &[FileExtent] {
        let bounds = &self.first_part[file.index()..][..2];
        &self.parts[bounds[0] as usize..bounds[1] as usize]
    }

    /// The references to an extent, the highest hash first.
    pub(super) fn refs(&self, extent: usize) -> &[DataRef] {
        let end = self.extents.get(extent + 1).map_or(self.refs.len(), |next| next.refs as usize);
        &self.refs[self.extents[extent].refs as usize..end]
    }

    /// Places all content on a device. Gives also where it goes in the image: content of a file
    /// as that of the first tree, and what is compressed as the first that is rendered.
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
                let (extent, start) = match candidate.encoding {
                    Encoding::Plain => placer.plain(&content, options.dedup),
                    Encoding::Compressed { at, len, compression } => {
                        (placer.compressed(&content, at, len, compression), 0)
                    }
                };
                if options.dedup {
                    placer.seen.insert(number, (extent, start));
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

    /// Finds all references.
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
            // Equal hashes stay in the order of the references.
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

/// A piece of a file's content.
struct FileData {
    file: InodeId,
    from: u64,
    /// In bytes, not rounded.
    len: u64,
    summed: bool,
}

struct Placer<'a> {
    device: &'a mut Device,
    data: Data,
    regions: Vec<Region>,
    /// The first part of the file that is being placed.
    first_part: usize,
    /// The extent that a piece is in, and where in it, by the piece's number. This is for
    /// deduplication alone.
    seen: BTreeMap<u32, (u32, u32)>,
}

impl Placer<'_> {
    /// Room for up to `len` bytes; for exactly so many if they are not to be divided.
    fn allocate(&mut self, len: u64, whole: bool) -> (u64, u64) {
        let least = if whole { len } else { SECTOR };
        loop {
            if let Some(chunk) = self.data.chunks.last_mut() {
                let room = chunk.len - chunk.used;
                if room >= least {
                    let len = len.min(room);
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

    /// Adds an extent, and the part of the file that is all of it.
    fn push(&mut self, from: u64, extent: Extent) {
        let number = number(self.data.extents.len());
        self.data.parts.push(FileExtent { from, len: extent.ram_len, offset: 0, extent: number });
        self.data.extents.push(extent);
    }

    /// Places content as it is; with deduplication undivided, so that it can be found again in one
    /// place. Gives where that is: the extent, and where in its content.
    fn plain(&mut self, content: &FileData, whole: bool) -> (u32, u32) {
        let mut start = (0, 0);
        let mut done = 0;
        while done < content.len {
            let wanted = round_up(content.len - done, SECTOR).min(MAX_EXTENT_SIZE);
            let (address, len) = self.allocate(wanted, whole);
            let from = content.from + done;
            self.fill(Region {
                offset: address,
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
                start = (number(self.data.extents.len() - 1), last.len - extent.len);
            }
            done += len;
        }
        start
    }

    /// Adds a region, or to the last one what follows it in the same file.
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

    /// Makes the last extent longer, and the part of the file that reaches to its end, if `more`
    /// goes on right there.
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
        self.regions.push(Region { offset: address, len: len.into(), from: at, fill });
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

    /// Refers to a piece that is in its place already.
    fn again(&mut self, candidate: u32, from: u64, len: u64) {
        let (extent, offset) = self.seen[&candidate];
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

    /// Keeps room for a part of a file that reads as zeros.
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
