//! Old content that becomes zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::layout::sink::zero_slices;

/// Zeros are left to a block device in units of this many bytes, a multiple of all sector sizes.
const ZERO_UNIT: u64 = 4096;

/// Makes old content zeros, where that is possible by a call with this flag.
pub(super) fn clear(device: &File, flag: FallocateFlags, offset: u64, len: u64) -> io::Result<()> {
    let end = offset + len;
    let (from, to) = (offset.next_multiple_of(ZERO_UNIT), end - end % ZERO_UNIT);
    let write = |mut at: u64, to: u64| {
        zero_slices(to - at).try_for_each(|zeros| {
            device.write_all_at(zeros, at)?;
            at += zeros.len() as u64;
            Ok::<_, io::Error>(())
        })
    };
    if from >= to {
        return write(offset, end);
    }
    write(offset, from)?;
    match fallocate(device, flag | FallocateFlags::KEEP_SIZE, from, to - from) {
        Err(Errno::OPNOTSUPP | Errno::INVAL) => write(from, to)?,
        result => result?,
    }
    write(to, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_any_alignment_are_cleared() {
        let file = tempfile::tempfile().unwrap();
        let ranges = [(0, 8192), (1, 4094), (4095, 4098), (100, 20_000), (4096, 1), (5, 0)];
        let flags = [FallocateFlags::ZERO_RANGE, FallocateFlags::PUNCH_HOLE];
        for ((offset, len), flag) in
            ranges.into_iter().flat_map(|range| flags.map(|flag| (range, flag)))
        {
            file.write_all_at(&[1; 32_768], 0).unwrap();
            clear(&file, flag, offset, len).unwrap();
            let mut bytes = [0; 32_768];
            file.read_exact_at(&mut bytes, 0).unwrap();
            for (at, byte) in (0..).zip(bytes) {
                let inside = (offset..offset + len).contains(&at);
                assert_eq!(byte == 0, inside, "{offset}+{len} at {at}");
            }
        }
    }
}
