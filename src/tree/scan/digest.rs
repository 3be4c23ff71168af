//! Digest of a whole tree.
//!
//! The input is the tree in canonical form: every inode in tree order, with its fields in a fixed
//! order as little-endian integers, and byte strings after their length. The format is part of the
//! layout version, because seeds are derived from the digest.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest, Sha256};

use super::{HoleScan, Segment};
use crate::tree::{Inode, InodeId, Kind, Tree};

#[derive(Default)]
struct Writer(Sha256);

impl Writer {
    fn u8(&mut self, value: u8) {
        self.0.update([value]);
    }

    fn u16(&mut self, value: u16) {
        self.0.update(value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.update(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.update(value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.u64(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn inode(&mut self, tree: &Tree, id: InodeId, inode: &Inode) {
        self.u16(inode.mode);
        self.u32(inode.uid);
        self.u32(inode.gid);
        self.0.update(inode.mtime.seconds.to_le_bytes());
        self.u32(inode.mtime.nanoseconds);
        self.u8(inode.flags.bits());
        let xattrs = tree.xattrs(id);
        self.u64(xattrs.len() as u64);
        for xattr in xattrs {
            self.bytes(&xattr.name);
            self.bytes(&xattr.value);
        }
    }

    fn ranges(&mut self, ranges: &[Range<u64>]) {
        self.u64(ranges.len() as u64);
        for range in ranges {
            self.u64(range.start);
            self.u64(range.end);
        }
    }
}

/// Computes the digest.
///
/// `sums` contains the CRC-32C of the data in each segment, without holes.
pub(super) fn digest(
    tree: &Tree,
    scan: &HoleScan,
    segments: &[Segment],
    sums: &[AtomicU32],
) -> [u8; 32] {
    let mut writer = Writer::default();
    writer.bytes(b"detfs tree 1");
    writer.u64(tree.inodes().len() as u64);
    let mut sums = segments.iter().zip(sums).peekable();
    for (id, inode) in tree.iter() {
        writer.inode(tree, id, inode);
        match inode.kind {
            Kind::Directory => {
                writer.u8(b'd');
                let entries = tree.entries(id);
                writer.u64(entries.len() as u64);
                for entry in entries {
                    writer.bytes(tree.name(entry));
                    // Names of the same inode have the same number, which covers hard links.
                    writer.u64(entry.inode().index() as u64);
                }
            }
            Kind::File { size, .. } => {
                writer.u8(b'f');
                writer.u64(size);
                match scan.data(id) {
                    Some(ranges) => writer.ranges(ranges),
                    None => writer.ranges(std::slice::from_ref(&(0..size))),
                }
                // The number of segments follows from the size.
                while let Some((_, sum)) = sums.next_if(|(segment, _)| segment.file == id) {
                    writer.u32(sum.load(Ordering::Relaxed));
                }
            }
            Kind::Symlink => {
                writer.u8(b'l');
                writer.bytes(tree.target(id));
            }
            Kind::Fifo => writer.u8(b'p'),
            Kind::Socket => writer.u8(b's'),
            Kind::CharDevice(major, minor) => {
                writer.u8(b'c');
                writer.u32(major);
                writer.u32(minor);
            }
            Kind::BlockDevice(major, minor) => {
                writer.u8(b'b');
                writer.u32(major);
                writer.u32(minor);
            }
        }
    }
    writer.0.finalize().into()
}
