//! Signatures at fixed distances from the end of a disk.

use std::io;

use super::magics::{GPT, MD, NILFS2};
use super::{Disk, Signature};
use crate::size::{KIB, round_down};

/// Finds backup partition tables, backup superblocks, and RAID members with metadata at the end.
pub(super) fn at_the_end(disk: &Disk<'_>) -> io::Result<Vec<Signature>> {
    let size = disk.size;
    let sectors = round_down(size, 512);
    // Returns the offset `distance` before the end of the disk, which is rounded down to `unit`.
    let aligned = |unit: u64, distance: u64| round_down(size, unit).checked_sub(distance);
    let places: [(&str, Option<u64>, &[u8]); 10] = [
        ("gpt", aligned(512, 512), GPT),
        ("gpt", aligned(4096, 4096), GPT),
        ("linux_raid_member", aligned(64 * KIB, 64 * KIB), MD[0]),
        ("linux_raid_member", aligned(64 * KIB, 64 * KIB), MD[1]),
        ("linux_raid_member", sectors.checked_sub(8 * KIB).map(|at| round_down(at, 4096)), MD[0]),
        ("isw_raid_member", aligned(512, 1024), b"Intel Raid ISM Cfg Sig. "),
        ("ddf_raid_member", aligned(512, 512), b"\xde\x11\xde\x11"),
        ("ddf_raid_member", aligned(512, 257 * 512), b"\xde\x11\xde\x11"),
        ("drbd", aligned(512, 4096).map(|at| at + 60), b"\x83\x74\x02\x67"),
        ("nilfs2", aligned(4096, 4096), NILFS2),
    ];
    let mut found = Vec::new();
    for (kind, offset, magic) in places {
        if let Some(offset) = offset
            && disk.has(offset, magic)?
        {
            found.push(Signature { offset, kind });
        }
    }
    Ok(found)
}

/// Finds the first uberblock of each of the four labels of ZFS, two at either end of a disk.
pub(super) fn zfs(disk: &Disk<'_>) -> io::Result<Vec<Signature>> {
    /// Size of a label. Its second half is a ring of uberblocks.
    const LABEL: u64 = 256 * KIB;
    const UBERBLOCK: usize = 1024;
    let end = round_down(disk.size, LABEL);
    let mut found = Vec::new();
    let mut ring = vec![0; 128 * UBERBLOCK];
    for label in [Some(0), Some(LABEL), end.checked_sub(2 * LABEL), end.checked_sub(LABEL)] {
        let Some(start) = label.map(|label| label + LABEL / 2) else { continue };
        if !disk.read(start, &mut ring)? {
            continue;
        }
        let is_one = |block: &[u8]| {
            matches!(
                block[..8],
                [0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0] | [0, 0, 0, 0, 0, 0xba, 0xb1, 0x0c]
            )
        };
        if let Some(at) = ring.chunks(UBERBLOCK).position(is_one) {
            found.push(Signature { offset: start + (at * UBERBLOCK) as u64, kind: "zfs_member" });
        }
    }
    Ok(found)
}
