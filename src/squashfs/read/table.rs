//! Tables of equal records, whose metadata blocks are listed in an index.

use std::ops::Range;

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::super::spec::METADATA_SIZE;
use super::image::Image;
use super::metadata::read_block;
use crate::violation::{Result, Violation};

/// A table of records.
#[derive(Debug)]
pub(super) struct Table<T> {
    pub(super) records: Vec<T>,
    /// Start of the first metadata block, where the previous table ends.
    pub(super) start: u64,
}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned + Clone> Table<T> {
    /// Reads `count` records, at least one, whose blocks end at `end` and have their index in
    /// `index`.
    pub(super) fn read(
        name: &str,
        image: &Image,
        end: u64,
        index: Range<u64>,
        count: u32,
    ) -> Result<Self> {
        let breaks = |rule: String| Violation::new(name, rule);
        let size = u64::from(count) * size_of::<T>() as u64;
        let blocks = size.div_ceil(METADATA_SIZE as u64);
        let len = index.end.checked_sub(index.start);
        if len != Some(blocks * size_of::<U64>() as u64) {
            return Err(breaks(format!("the index of {blocks} blocks is not {index:?}")));
        }
        let area = image.data.start..end;
        let (mut records, mut start, mut expected) = (Vec::new(), 0, None);
        for number in 0..blocks {
            let mut pointer = U64::new_zeroed();
            image.read(&index, index.start + 8 * number, pointer.as_mut_bytes())?;
            let at = pointer.get();
            if *expected.get_or_insert(at) != at {
                return Err(breaks(format!("block {number} does not follow the one before")));
            }
            let (bytes, end) = read_block(image, &area, at)?;
            let rest = size - number * METADATA_SIZE as u64;
            if bytes.len() as u64 != rest.min(METADATA_SIZE as u64) {
                return Err(breaks(format!("block {number} has {} bytes", bytes.len())));
            }
            let block = <[T]>::ref_from_bytes(&bytes);
            let block = block.map_err(|_| breaks(format!("block {number} has half a record")))?;
            records.extend_from_slice(block);
            if number == 0 {
                start = at;
            }
            expected = Some(end);
        }
        match expected {
            Some(last) if last == end => Ok(Self { records, start }),
            _ => Err(breaks("the last block does not end at the end of the table".to_owned())),
        }
    }
}
