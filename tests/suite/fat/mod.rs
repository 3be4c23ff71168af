//! Tests of the FAT planner with fsck.fat, mtools, blkid and GRUB.

mod any;
mod boot;
mod checkers;
mod entries;
mod image;
mod metadata;
mod names;
mod sample;
mod sizes;
