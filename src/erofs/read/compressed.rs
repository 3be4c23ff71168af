//! Compressed files: extents, each of which is stored in whole blocks.

use super::super::spec::{
    FRAGMENT_INODE, Incompat, MapHeader, advise, algorithm, datalayout, lcluster_type,
};
use super::decompress::Compression;
use super::image::{Cluster, Image, Packed};
use super::index::{Index, Lcluster};
use super::inode::Inode;
use super::superblock::Super;
use crate::violation::{Result, Violation};

/// Maximum size of an extent as it is stored, in bytes.
const STORED_MAX: u64 = 1 << 20;

/// Maximum size of an extent, in bytes.
const EXTENT_MAX: u64 = 12 << 20;

/// Advice that is known.
const KNOWN_ADVICE: u16 = 0x3f;

/// Bit of the header of a file whose bytes are all in the packed inode.
const WHOLE_FRAGMENT: u64 = 1 << 63;

/// Place of the bytes of an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The bytes as they are.
    Plain,
    /// The bytes up to the end of a block of the file are last, and those of the next block first.
    Interlaced,
    Compressed(Compression),
    /// Bytes of the packed inode.
    Fragment,
}

/// An extent.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Offset in the file.
    start: u64,
    /// Place in the image, or in the packed inode.
    at: u64,
    stored: u64,
    form: Form,
}

/// Extents of a file.
#[derive(Debug)]
pub(super) struct Compressed {
    nid: u64,
    size: u64,
    extents: Box<[Extent]>,
    packed: Option<Packed>,
}

/// What the header of an index says.
struct Header {
    place: u64,
    record: MapHeader,
    advise: u16,
    algorithms: [u8; 2],
    /// Whether LZ4 is at the start of clusters.
    is_unpadded: bool,
}

impl Compressed {
    /// Reads the index of a compressed inode.
    pub(super) fn read(
        image: &Image,
        superblock: &Super,
        inode: &Inode,
        packed: Option<&Packed>,
    ) -> Result<Self> {
        let place = inode.end.next_multiple_of(8);
        let record: MapHeader = image.record(place)?;
        let (nid, size) = (inode.nid, inode.size);
        if size == 0 {
            return Err(inode.breaks("an empty file is not compressed"));
        }
        let extents = if record.h_clusterbits & FRAGMENT_INODE != 0 {
            let at = image.record::<zerocopy::little_endian::U64>(place)?.get() ^ WHOLE_FRAGMENT;
            vec![Extent { start: 0, at, stored: size, form: Form::Fragment }]
        } else {
            let header = Header::new(superblock, inode, place, record)?;
            let count = size.div_ceil(image.block_size);
            let index = Index::read(image, inode, place, header.advise, count)?;
            extents(image, inode, &header, &index)?
        };
        let packed = packed.cloned();
        let compressed = Self { nid, size, extents: extents.into(), packed };
        for number in 0..compressed.extents.len() {
            compressed.check_extent(image, number).map_err(|rule| inode.breaks(rule))?;
        }
        Ok(compressed)
    }

    /// Returns the length of an extent in the file.
    fn len(&self, number: usize) -> u64 {
        let end = self.extents.get(number + 1).map_or(self.size, |next| next.start);
        end.saturating_sub(self.extents[number].start)
    }

    fn check_extent(&self, image: &Image, number: usize) -> std::result::Result<(), String> {
        let (Extent { start, at, stored, form }, len) = (self.extents[number], self.len(number));
        let is_last = number + 1 == self.extents.len();
        let is_valid = match form {
            Form::Fragment => {
                let size = self.packed.as_ref().map_or(0, |packed| packed.size);
                is_last && at.checked_add(len).is_some_and(|end| end <= size)
            }
            Form::Plain => len <= stored,
            Form::Interlaced => {
                let last = image.block_size - start % image.block_size;
                len <= stored && last <= stored && stored <= image.block_size
            }
            Form::Compressed(Compression { is_unpadded, is_partial, .. }) => {
                is_unpadded || is_partial || stored <= len || is_last
            }
        };
        if !is_valid || len == 0 {
            return Err(format!("{len} bytes at {start} are stored in {stored} bytes as {form:?}"));
        }
        if form != Form::Fragment {
            if len > EXTENT_MAX || stored > STORED_MAX {
                return Err(format!("the extent at {start} is too large"));
            }
            image.check_range(at, stored).map_err(|violation| violation.to_string())?;
        }
        Ok(())
    }

    /// Checks that everything can be decompressed.
    pub(super) fn check(&self, image: &Image) -> Result<()> {
        self.extents.iter().try_for_each(|extent| {
            self.read_part(image, extent.start, &mut [0])?;
            Ok(())
        })
    }

    /// Reads bytes from `offset` on, which is below the size, and returns their number.
    pub(super) fn read_part(&self, image: &Image, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let after = self.extents.partition_point(|extent| extent.start <= offset);
        let number = after.saturating_sub(1);
        let (Extent { start, at, stored, form }, len) = (self.extents[number], self.len(number));
        let within = offset - start;
        let mut rest = len - within;
        let mut from = at + within;
        if form == Form::Interlaced {
            let last = image.block_size - start % image.block_size;
            match last.checked_sub(within).filter(|&left| left > 0) {
                Some(left) => (from, rest) = (at + stored - left, rest.min(left)),
                None => from = at + within - last,
            }
        }
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
        let out = &mut buffer[..count];
        match (form, &self.packed) {
            (Form::Plain | Form::Interlaced, _) => image.read(from, out)?,
            (Form::Compressed(compression), _) => {
                let bytes = image.decompress(Cluster { compression, at, stored, len })?;
                let start = usize::try_from(within).unwrap_or(usize::MAX);
                out.copy_from_slice(&bytes[start..start + count]);
            }
            (Form::Fragment, Some(packed)) => {
                let read = packed.content.read_exact_at(from, out);
                read.map_err(|error| self.breaks(&format!("a fragment: {error}")))?;
            }
            (Form::Fragment, None) => return Err(self.breaks("no packed inode")),
        }
        Ok(count)
    }

    fn breaks(&self, rule: &str) -> Violation {
        Violation::new(format_args!("nid {}", self.nid), rule)
    }
}

impl Header {
    fn new(superblock: &Super, inode: &Inode, place: u64, record: MapHeader) -> Result<Self> {
        let advise = record.h_advise.get();
        let is_big = advise & (advise::BIG_PCLUSTER_1 | advise::BIG_PCLUSTER_2);
        let algorithms = [record.h_algorithmtype & 0xf, record.h_algorithmtype >> 4];
        let is_missing =
            |number| number > algorithm::ZSTD || superblock.algorithms >> number & 1 == 0;
        let is_compact = inode.layout == datalayout::COMPRESSED_COMPACT;
        let needed = [
            (advise::INLINE_PCLUSTER, Incompat::ZTAILPACKING),
            (advise::FRAGMENT_PCLUSTER, Incompat::FRAGMENTS),
            (advise::BIG_PCLUSTER_1, Incompat::BIG_PCLUSTER),
            (advise::BIG_PCLUSTER_2, Incompat::BIG_PCLUSTER),
        ];
        let wrong = [
            (advise & !KNOWN_ADVICE != 0, "unknown advice"),
            (record.h_clusterbits != 0, "clusters that are no blocks are not supported"),
            (is_compact && is_big.count_ones() == 1, "big clusters of one algorithm"),
            (
                needed.iter().any(|&(bit, feature)| advise & bit != 0 && !superblock.has(feature)),
                "a feature that the superblock does not have",
            ),
            (
                is_missing(algorithms[0]) || algorithms[1] != 0 && is_missing(algorithms[1]),
                "an algorithm that the superblock does not have",
            ),
            (
                ![0, algorithms[0]].contains(&algorithms[1]) && !superblock.has_head2(),
                "a second algorithm without the feature",
            ),
        ];
        match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, rule)) => Err(inode.breaks(rule)),
            None => {
                let is_unpadded = !superblock.has(Incompat::LZ4_0PADDING);
                Ok(Self { place, record, advise, algorithms, is_unpadded })
            }
        }
    }
}

/// Returns the extents of an index.
fn extents(image: &Image, inode: &Inode, header: &Header, index: &Index) -> Result<Vec<Extent>> {
    let mut extents: Vec<Extent> = Vec::new();
    let mut head = 0;
    let mut high = 0;
    for (number, &entry) in index.entries.iter().enumerate() {
        let breaks = |rule: &str| inode.breaks(format_args!("cluster {number}: {rule}"));
        match entry {
            Lcluster::Head { kind, clusterofs, block, is_partial } => {
                let (clusterofs, start) = (u64::from(clusterofs), number as u64 * image.block_size);
                if clusterofs >= image.block_size || number == 0 && clusterofs != 0 {
                    return Err(breaks("the offset is too large"));
                }
                head = number;
                let start = start + clusterofs;
                // A file may end with the head of nothing.
                if start >= inode.size {
                    continue;
                }
                let blocks = blocks_of(header, kind, index.entries.get(number + 1));
                // The last extent may be elsewhere, and a head without blocks can't be read.
                let is_elsewhere =
                    header.advise & (advise::FRAGMENT_PCLUSTER | advise::INLINE_PCLUSTER) != 0;
                let blocks = blocks.or(is_elsewhere.then_some(0));
                let blocks = blocks.ok_or_else(|| breaks("the number of blocks is missing"))?;
                let form = form(header, kind, is_partial, start % image.block_size);
                let (at, stored) = (u64::from(block) * image.block_size, blocks * image.block_size);
                high = u64::from(block) << 32;
                extents.push(Extent { start, at, stored, form });
            }
            Lcluster::Nonhead { delta0, blocks } => {
                let distance = number - head;
                let is_first = blocks.is_none() || distance == 1;
                let expected = distance.min(0x7ff);
                if number == 0 || !is_first || delta0.is_some_and(|it| usize::from(it) != expected)
                {
                    return Err(breaks("the distance to the head is wrong"));
                }
            }
        }
    }
    let Some(last) = extents.last_mut() else { return Err(inode.breaks("no extent")) };
    let offset = header.record.h_fragmentoff.get();
    if header.advise & advise::FRAGMENT_PCLUSTER != 0 {
        let is_full = inode.layout == datalayout::COMPRESSED_FULL;
        last.at = u64::from(offset) | if is_full { high } else { 0 };
        last.form = Form::Fragment;
    } else if header.advise & advise::INLINE_PCLUSTER != 0 {
        (last.at, last.stored) = (index.end, u64::from(offset >> 16));
        if last.stored == 0 || last.at % image.block_size + last.stored > image.block_size {
            return Err(inode.breaks("an inline cluster crosses a block"));
        }
    }
    debug_assert!(index.end >= header.place, "the index follows its header");
    Ok(extents)
}

/// Returns the number of blocks of an extent, which may be in the entry after its head.
fn blocks_of(header: &Header, kind: u16, next: Option<&Lcluster>) -> Option<u64> {
    let bit = match kind {
        lcluster_type::HEAD2 => advise::BIG_PCLUSTER_2,
        _ => advise::BIG_PCLUSTER_1,
    };
    match next {
        Some(Lcluster::Nonhead { blocks, .. }) if header.advise & bit != 0 => {
            blocks.filter(|&blocks| blocks > 0).map(u64::from)
        }
        _ => Some(1),
    }
}

fn form(header: &Header, kind: u16, is_partial: bool, in_block: u64) -> Form {
    let compressed = |algorithm| {
        let is_unpadded = algorithm == algorithm::LZ4 && header.is_unpadded;
        Form::Compressed(Compression { algorithm, is_unpadded, is_partial })
    };
    match kind {
        lcluster_type::PLAIN if in_block == 0 => Form::Plain,
        lcluster_type::PLAIN if header.advise & advise::INTERLACED_PCLUSTER == 0 => Form::Plain,
        lcluster_type::PLAIN => Form::Interlaced,
        lcluster_type::HEAD1 => compressed(header.algorithms[0]),
        _ => compressed(header.algorithms[1]),
    }
}
