//! Replaces old content with zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::layout::sink::zero_slices;

/// Alignment of the zeros that are left to a block device, a multiple of all sector sizes.
const ZERO_UNIT: u64 = 4096;

/// Replaces old content with zeros, which are deallocated with `discard`.
///
/// A hole is punched wherever the device can write zeros by itself; the hole reads as zeros. Where
/// it can't, `ZERO_RANGE` would make the kernel write them, even to unallocated space of a thin
/// device, so only bytes that are not zero yet are overwritten.
pub(super) fn clear(device: &File, discard: bool, offset: u64, len: u64) -> io::Result<()> {
    let end = offset + len;
    let (from, to) = (offset.next_multiple_of(ZERO_UNIT), end - end % ZERO_UNIT);
    if from >= to {
        return write_zeros(device, offset, end);
    }
    write_zeros(device, offset, from)?;
    let flag = if discard { FallocateFlags::PUNCH_HOLE } else { FallocateFlags::ZERO_RANGE };
    match fallocate(device, flag | FallocateFlags::KEEP_SIZE, from, to - from) {
        Err(Errno::OPNOTSUPP | Errno::INVAL) if discard => write_missing_zeros(device, from, to)?,
        Err(Errno::OPNOTSUPP | Errno::INVAL) => write_zeros(device, from, to)?,
        result => result?,
    }
    write_zeros(device, to, end)
}

fn write_zeros(device: &File, mut at: u64, to: u64) -> io::Result<()> {
    zero_slices(to - at).try_for_each(|zeros| {
        device.write_all_at(zeros, at)?;
        at += zeros.len() as u64;
        Ok(())
    })
}

fn write_missing_zeros(device: &File, mut at: u64, to: u64) -> io::Result<()> {
    let mut buffer = Vec::new();
    zero_slices(to - at).try_for_each(|zeros| {
        buffer.resize(zeros.len(), 0);
        // Bytes that can't be read may still be writable.
        if device.read_exact_at(&mut buffer, at).is_err() || buffer != zeros {
            device.write_all_at(zeros, at)?;
        }
        at += zeros.len() as u64;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_any_alignment_are_cleared() {
        let file = tempfile::tempfile().unwrap();
        let ranges = [(0, 8192), (1, 4094), (4095, 4098), (100, 20_000), (4096, 1), (5, 0)];
        type Clear = fn(&File, u64, u64) -> io::Result<()>;
        let ways: [Clear; 4] = [
            |file, offset, len| clear(file, true, offset, len),
            |file, offset, len| clear(file, false, offset, len),
            |file, offset, len| write_zeros(file, offset, offset + len),
            |file, offset, len| write_missing_zeros(file, offset, offset + len),
        ];
        for ((offset, len), clear) in
            ranges.into_iter().flat_map(|range| ways.map(|way| (range, way)))
        {
            file.write_all_at(&[1; 32_768], 0).unwrap();
            clear(&file, offset, len).unwrap();
            let mut bytes = [0; 32_768];
            file.read_exact_at(&mut bytes, 0).unwrap();
            for (at, byte) in (0..).zip(bytes) {
                let inside = (offset..offset + len).contains(&at);
                assert_eq!(byte == 0, inside, "{offset}+{len} at {at}");
            }
        }
    }
}
