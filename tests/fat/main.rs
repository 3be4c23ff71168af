//! Tests of the FAT planner with fsck.fat, mtools, blkid and GRUB.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that fails may panic"
)]

mod any;
mod boot;
mod entries;
mod image;
mod metadata;
mod names;
mod oracle;
mod sample;
mod sizes;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
