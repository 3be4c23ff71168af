//! Copies of the superblock.

use super::super::super::address::DeviceOffset;
use super::super::super::spec::{SUPER_INFO_SIZE, SUPER_OFFSETS, SuperBlock};
use super::super::reader::Reader;
use super::super::superblock::Super;
use super::report::Report;
use crate::violation::Violation;

/// Checks that all copies are equal except for their own offset.
///
/// The kernel writes every copy that is not the very last bytes of the device.
pub(super) fn check(reader: &Reader<'_>, report: &mut Report) {
    let first = &reader.superblock.record;
    let behind = |at: &DeviceOffset| (*at + SUPER_INFO_SIZE).0 < first.total_bytes.get();
    for at in SUPER_OFFSETS.into_iter().skip(1).filter(behind) {
        let Some(copy) = report.keep(Super::read(&reader.device, at)) else { continue };
        if alike(&copy.record) != alike(first) {
            let place = format_args!("superblock at {at}");
            report.add(Violation::new(place, "differs from the first superblock"));
        }
    }
}

fn alike(superblock: &SuperBlock) -> SuperBlock {
    SuperBlock { csum: [0; 32], bytenr: 0.into(), ..*superblock }
}
