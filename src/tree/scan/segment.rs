//! Finds the zeros in a segment of a file.

use std::ops::Range;

use super::swap::is_swap;
use super::window::{GRANULE, SCAN_MIN_SIZE, WINDOW, append, size_of};
use crate::error::Result;
use crate::tree::{ContentReader, InodeId, Tree};

/// Number of bytes that are read at once: a multiple of [`WINDOW`] that fits in the processor's
/// cache.
const CHUNK: usize = 256 << 10;

/// Number of bytes of a granule that are read to detect data.
const PROBE: usize = 64;

/// Result of scanning a segment.
#[derive(Debug, Default)]
pub(super) struct SegmentData {
    /// Data ranges.
    pub(super) data: Vec<Range<u64>>,
    /// CRC-32C of the data, if it was requested.
    pub(super) sum: u32,
    /// Whether the segment is the start of a swap file.
    pub(super) swap: bool,
}

/// Scanner of segments, which start at multiples of [`WINDOW`]. Each thread has one.
pub(super) struct SegmentScanner {
    sums: bool,
    buffer: Vec<u8>,
}

fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<64>();
    blocks.iter().all(|block| block.iter().fold(0, |bits, byte| bits | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}

impl SegmentScanner {
    pub(super) fn new(sums: bool) -> Self {
        Self { sums, buffer: vec![0; CHUNK] }
    }

    /// Scans a segment, which starts at a multiple of [`WINDOW`] and ends at one or at the end of
    /// the file.
    pub(super) fn scan(
        &mut self,
        tree: &Tree,
        file: InodeId,
        segment: Range<u64>,
    ) -> Result<SegmentData> {
        let reader = tree.open(file)?;
        let mut part = SegmentData::default();
        if size_of(tree, file) < SCAN_MIN_SIZE {
            let content = &mut self.buffer[..length(&segment)];
            reader.read(segment.start, content)?;
            part.sum = crc32c::crc32c(content);
            part.data.push(segment);
        } else {
            let mut at = segment.start;
            while let Some(run) = next_run(&*reader, &(at..segment.end)) {
                at = run.end;
                // If the content is a host file, a small read is cheap; otherwise its cost is
                // unknown.
                if self.sums || reader.file().is_none() {
                    self.read(&*reader, run, &mut part)?;
                } else {
                    self.probe(&*reader, run, &mut part)?;
                }
            }
            // The header of a swap file is not all zeros.
            part.swap = part.data.first().is_some_and(|data| data.start == 0) && is_swap(&*reader)?;
        }
        reader.verify()?;
        Ok(part)
    }

    fn read(
        &mut self,
        reader: &dyn ContentReader,
        run: Range<u64>,
        part: &mut SegmentData,
    ) -> Result<()> {
        for chunk in chunks(run, CHUNK as u64) {
            let content = &mut self.buffer[..length(&chunk)];
            reader.read(chunk.start, content)?;
            let bytes = |range: &Range<u64>| {
                let from = length(&(chunk.start..range.start));
                &content[from..from + length(range)]
            };
            for window in chunks(chunk.clone(), WINDOW) {
                for data in data_of(window, |granule| Ok(is_zero(bytes(granule))))? {
                    if self.sums {
                        part.sum = crc32c::crc32c_append(part.sum, bytes(&data));
                    }
                    append(&mut part.data, data);
                }
            }
        }
        Ok(())
    }

    fn probe(
        &mut self,
        reader: &dyn ContentReader,
        run: Range<u64>,
        part: &mut SegmentData,
    ) -> Result<()> {
        for window in chunks(run, WINDOW) {
            let zero = |granule: &Range<u64>| {
                let len = length(granule);
                let (probe, rest) = self.buffer[..len].split_at_mut(len.min(PROBE));
                reader.read(granule.start, probe)?;
                if !is_zero(probe) {
                    return Ok(false);
                }
                reader.read(granule.start + probe.len() as u64, rest)?;
                Ok(is_zero(rest))
            };
            data_of(window, zero)?.for_each(|data| append(&mut part.data, data));
        }
        Ok(())
    }
}

/// Returns the data ranges of a window: all of it if the first granule is not all zeros, otherwise
/// the granules that are not zeros.
///
/// This decides where holes are, for every kind of content.
fn data_of(
    window: Range<u64>,
    mut zero: impl FnMut(&Range<u64>) -> Result<bool>,
) -> Result<impl Iterator<Item = Range<u64>>> {
    let mut data = Vec::new();
    let mut granules = chunks(window.clone(), GRANULE);
    let starts_with_zeros = match granules.next() {
        Some(first) => zero(&first)?,
        None => false,
    };
    if starts_with_zeros {
        for granule in granules {
            if !zero(&granule)? {
                data.push(granule);
            }
        }
    } else {
        data.push(window);
    }
    Ok(data.into_iter())
}

/// Splits a range into chunks of `len` bytes, the last of which may be shorter.
fn chunks(range: Range<u64>, len: u64) -> impl Iterator<Item = Range<u64>> {
    let Range { start, end } = range;
    let count = (end - start).div_ceil(len);
    (0..count).map(move |n| start + n * len).map(move |at| at..end.min(at.saturating_add(len)))
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).expect("a chunk fits the memory")
}

/// Returns the next windows of a segment that are not known to be zeros without reading them.
fn next_run(reader: &dyn ContentReader, segment: &Range<u64>) -> Option<Range<u64>> {
    let data = reader.next_data(segment.clone())?;
    let end = data.end.checked_next_multiple_of(WINDOW).unwrap_or(u64::MAX);
    Some(data.start - data.start % WINDOW..end.min(segment.end))
}
