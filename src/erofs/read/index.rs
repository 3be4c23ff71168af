//! Indexes of compressed files: an entry for each logical cluster, which is a block.

use super::super::spec::{
    LI_D0_CBLKCNT, LI_PARTIAL_REF, LclusterIndex, MapHeader, advise, datalayout, lcluster_type,
};
use super::image::Image;
use super::inode::Inode;
use crate::violation::Result;

/// Bits of `di_advise` that are the type of a logical cluster.
const LI_TYPE_MASK: u16 = 3;

/// Bits of a delta in a compact index.
const DELTA_BITS: u32 = 12;

/// An entry of an index.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lcluster {
    /// An extent starts in the cluster.
    Head { kind: u16, clusterofs: u16, block: u32, is_partial: bool },
    /// The extent that started before covers the cluster.
    Nonhead {
        /// Distance to the head, if the entry has it.
        delta0: Option<u16>,
        /// Compressed blocks of the extent, in the first entry after a head.
        blocks: Option<u16>,
    },
}

/// An index.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) entries: Vec<Lcluster>,
    /// End of the index in the image.
    pub(super) end: u64,
}

fn nonhead(delta: u16, has_delta0: bool) -> Lcluster {
    match delta & LI_D0_CBLKCNT {
        0 => Lcluster::Nonhead { delta0: has_delta0.then_some(delta), blocks: None },
        _ => Lcluster::Nonhead { delta0: None, blocks: Some(delta & !LI_D0_CBLKCNT) },
    }
}

impl Index {
    /// Reads the `count` entries after the header at `header`.
    pub(super) fn read(
        image: &Image,
        inode: &Inode,
        header: u64,
        advise: u16,
        count: u64,
    ) -> Result<Self> {
        let start = header + size_of::<MapHeader>() as u64;
        match inode.layout {
            datalayout::COMPRESSED_FULL => full(image, inode, start + 8, count),
            _ => compact(image, inode, start, advise, count),
        }
    }
}

fn full(image: &Image, inode: &Inode, start: u64, count: u64) -> Result<Index> {
    let size = size_of::<LclusterIndex>() as u64;
    image.check_range(start, count.saturating_mul(size))?;
    let mut entries = Vec::new();
    for number in 0..count {
        let entry: LclusterIndex = image.record(start + number * size)?;
        let advise = entry.di_advise.get();
        let (kind, is_partial) = (advise & LI_TYPE_MASK, advise & LI_PARTIAL_REF != 0);
        if advise & !(LI_TYPE_MASK | LI_PARTIAL_REF) != 0 {
            return Err(inode.breaks(format_args!("advice {advise:#x} of cluster {number}")));
        }
        let (block, clusterofs) = (entry.di_u.get(), entry.di_clusterofs.get());
        entries.push(match kind {
            lcluster_type::NONHEAD => {
                let [low, high, ..] = block.to_le_bytes();
                nonhead(u16::from_le_bytes([low, high]), true)
            }
            kind => Lcluster::Head { kind, clusterofs, block, is_partial },
        });
    }
    Ok(Index { entries, end: start + count * size })
}

fn compact(image: &Image, inode: &Inode, start: u64, advise: u16, count: u64) -> Result<Index> {
    image.check_range(start, count.saturating_mul(2))?;
    let is_big = advise & advise::BIG_PCLUSTER_1 != 0;
    // Packs of 16 entries take 32 bytes, and start at a multiple of that; those of two take eight.
    let first = ((32 - start % 32) / 4) & 7;
    let (first, narrow) = match advise & advise::COMPACTED_2B != 0 && first < count {
        true => (first, (count - first) / 16 * 16),
        false => (count, 0),
    };
    let mut index = Index { entries: Vec::new(), end: start };
    for (pack, size, count) in [(2, 8, first), (16, 32, narrow), (2, 8, count - first - narrow)] {
        for number in (0..count).step_by(pack) {
            let mut bytes = [0; 32];
            let bytes = &mut bytes[..size];
            image.read(index.end, bytes)?;
            let kept = usize::try_from(count - number).unwrap_or(usize::MAX).min(pack);
            index.entries.extend(unpack(bytes, pack, is_big).into_iter().take(kept));
            index.end += bytes.len() as u64;
        }
    }
    match index.entries.len() as u64 == count {
        true => Ok(index),
        false => Err(inode.breaks("the index is too short")),
    }
}

/// Returns the entries of a pack: their bits, and then the address of a block.
fn unpack(bytes: &[u8], pack: usize, is_big: bool) -> Vec<Lcluster> {
    let (bits, base) = bytes.split_at(bytes.len() - 4);
    let mut block = u32::from_le_bytes(*base.first_chunk().expect("four bytes"));
    let width = bits.len() * 8 / pack;
    let number = |bit: usize| -> u16 {
        let mut word = [0; 4];
        for (byte, from) in word.iter_mut().zip(bits.iter().skip(bit / 8)) {
            *byte = *from;
        }
        let word = (u32::from_le_bytes(word) >> (bit % 8)) & 0xffff;
        u16::try_from(word).expect("16 bits")
    };
    let raw: Vec<_> = (0..pack)
        .map(|slot| number(slot * width))
        .map(|word| (word >> DELTA_BITS & 3, word & ((1 << DELTA_BITS) - 1)))
        .collect();
    // Without big clusters, each extent has a block, and the base is the one before.
    let mut entries = Vec::new();
    for (slot, &(kind, value)) in raw.iter().enumerate() {
        let is_last = slot + 1 == pack;
        if kind == lcluster_type::NONHEAD {
            let entry = nonhead(value, !is_last);
            if let (true, Lcluster::Nonhead { blocks: Some(blocks), .. }) = (is_big, entry) {
                block = block.wrapping_add(blocks.into());
            }
            entries.push(entry);
            continue;
        }
        if !is_big {
            block = block.wrapping_add(1);
        }
        entries.push(Lcluster::Head { kind, clusterofs: value, block, is_partial: false });
        let next = raw.get(slot + 1);
        let has_count = next.is_some_and(|(kind, value)| {
            *kind == lcluster_type::NONHEAD && value & LI_D0_CBLKCNT != 0
        });
        if is_big && !has_count {
            block = block.wrapping_add(1);
        }
    }
    entries
}
