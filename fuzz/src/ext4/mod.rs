//! A small checker of ext4 images for everything that the independent reader does not expose.
//!
//! Every block must have exactly one owner and every inode its names, and the bitmaps and all
//! counts must agree with them. Every inode must be as expected, including its times, device
//! numbers, links and extended attributes. Checksums and file content are left to the other
//! oracles.

mod raw;
mod usage;
mod xattr;

use std::collections::BTreeMap;

use detfs::tree::FileFlags;

use crate::Verdict;
use crate::arbitrary_tree::{Expected, What};
use crate::bytes::{slice, u16_at, u32_at};
use raw::{FLAG_EXTENTS, FLAG_INDEX, Inode, Raw};
use usage::Usage;

const ROOT: u32 = 2;
const RESIZE: u32 = 7;
const JOURNAL: u32 = 8;
const FIRST: u32 = 11;

/// Checks an image against the [adapted](crate::ext4_options::adapt) expected nodes of its tree.
pub fn check(image: &[u8], model: &[Expected]) -> Verdict {
    let raw = Raw::read(image)?;
    let mut checker = Checker {
        usage: Usage::new(&raw)?,
        raw: &raw,
        model,
        numbers: vec![0; model.len()],
        shared: BTreeMap::new(),
    };
    checker.tree()?;
    checker.special()?;
    checker.shares()?;
    checker.usage.check(&raw)
}

struct Checker<'a> {
    raw: &'a Raw<'a>,
    usage: Usage,
    model: &'a [Expected],
    /// Inode numbers by index in `model`, or 0 for nodes that have not been reached.
    numbers: Vec<u32>,
    /// Blocks of extended attributes, each with the reference count that it stores and the number
    /// of inodes that use it.
    shared: BTreeMap<u64, (u32, u32)>,
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Verdict {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what} {found:?}, not {expected:?}")),
    }
}

impl Checker<'_> {
    fn tree(&mut self) -> Verdict {
        self.numbers[0] = ROOT;
        let mut pending = vec![(0, ROOT, Vec::new())];
        self.inode(0).map_err(|error_text| format!("/: {error_text}"))?;
        while let Some((position, parent, path)) = pending.pop() {
            let at = |path: &[u8], error_text| format!("{}: {error_text}", path.escape_ascii());
            let What::Directory(names) = &self.model[position].what else { continue };
            let number = self.numbers[position];
            let found = self.listing(number, parent).map_err(|error_text| at(&path, error_text))?;
            let listed: Vec<_> = found.keys().collect();
            let expected: Vec<_> = names.keys().collect();
            same("it lists", listed, expected).map_err(|error_text| at(&path, error_text))?;
            for (name, (ino, file_type)) in found {
                let child = names[&name];
                let path = [&path[..], b"/", &name].concat();
                let node = &self.model[child];
                same("file type", file_type, file_type_of(&node.what))
                    .map_err(|error_text| at(&path, error_text))?;
                if self.numbers[child] != 0 {
                    same("inode", ino, self.numbers[child])
                        .map_err(|error_text| at(&path, error_text))?;
                    continue;
                }
                self.numbers[child] = ino;
                self.inode(child).map_err(|error_text| at(&path, error_text))?;
                pending.push((child, number, path));
            }
        }
        Ok(())
    }

    /// Returns the names in a directory except `.` and `..`, with their inode numbers and file
    /// types.
    fn listing(&self, number: u32, parent: u32) -> Verdict<BTreeMap<Vec<u8>, (u32, u8)>> {
        let inode = self.raw.inode(number)?;
        let (extents, _) = inode.extents(self.raw)?;
        let mut names = BTreeMap::new();
        let mut dots = Vec::new();
        for block in extents.iter().flat_map(|&(_, start, len)| start..start + len) {
            let block = self.raw.block(block)?;
            let mut at = 0;
            while at < block.len() {
                let entry = slice(block, at, 8)?;
                let (ino, rec_len) = (u32_at(entry, 0), usize::from(u16_at(entry, 4)));
                let (name_len, file_type) = (usize::from(entry[6]), entry[7]);
                if rec_len < 8 + name_len || rec_len % 4 != 0 {
                    return Err(format!("an entry at {at} is {rec_len} bytes long"));
                }
                slice(block, at, rec_len)?;
                let name = slice(block, at + 8, name_len)?;
                match name {
                    _ if ino == 0 => {}
                    b"." | b".." => dots.push((name, ino, file_type)),
                    _ => {
                        if names.insert(name.to_vec(), (ino, file_type)).is_some() {
                            return Err(format!("{} is there twice", name.escape_ascii()));
                        }
                    }
                }
                at += rec_len;
            }
        }
        same("dots", dots, vec![(&b"."[..], number, 2), (b"..", parent, 2)])?;
        Ok(names)
    }

    /// Checks the inode of a node, and marks its blocks as used.
    fn inode(&mut self, position: usize) -> Verdict {
        let node = &self.model[position];
        let inode = self.raw.inode(self.numbers[position])?;
        let is_directory = matches!(node.what, What::Directory(_));
        self.usage.take_inode(inode.number, is_directory)?;
        same("mode", inode.mode(), kind_bits(&node.what) | node.mode)?;
        same("owner", (inode.uid(), inode.gid()), (node.uid, node.gid))?;
        same("times", inode.times(), [node.mtime; 4])?;
        let names = match &node.what {
            What::Directory(names) => {
                let is_directory =
                    |&&child: &&usize| matches!(self.model[child].what, What::Directory(_));
                2 + u32::try_from(names.values().filter(is_directory).count()).unwrap()
            }
            _ => node.names,
        };
        same("links", inode.links().into(), names)?;

        let size = match &node.what {
            What::Directory(_) => inode.size(),
            What::File(bytes) => bytes.len() as u64,
            What::Symlink(target) => target.len() as u64,
            _ => 0,
        };
        same("size", inode.size(), size)?;
        let mut flags = [
            (FileFlags::SYNC, 0x8),
            (FileFlags::IMMUTABLE, 0x10),
            (FileFlags::APPEND, 0x20),
            (FileFlags::NODUMP, 0x40),
            (FileFlags::NOATIME, 0x80),
            (FileFlags::DIRSYNC, 0x1_0000),
        ]
        .into_iter()
        .filter(|(flag, _)| node.flags.contains(*flag))
        .fold(0, |flags, (_, bit)| flags | bit);
        let block_size = self.raw.block_size as u64;
        let mut blocks = 0;
        match &node.what {
            What::Symlink(target) if target.len() < 60 => {
                same("target", &inode.block_field()[..target.len()], target)?;
            }
            What::Directory(_) | What::File(_) | What::Symlink(_) => {
                flags |= FLAG_EXTENTS;
                blocks = self.take_extents(&inode)?;
                let (extents, _) = inode.extents(self.raw)?;
                let end = extents.last().map_or(0, |&(logical, _, len)| logical + len);
                if end > size.div_ceil(block_size) {
                    return Err(format!("blocks up to {end} beyond the size {size}"));
                }
                if let What::Symlink(target) = &node.what {
                    let block = self.raw.block(extents.first().map_or(0, |extent| extent.1))?;
                    same("target", slice(block, 0, target.len())?, target)?;
                }
                if is_directory {
                    flags |= inode.flags() & FLAG_INDEX;
                    let data: u64 = extents.iter().map(|&(_, _, len)| len).sum();
                    same("bytes of blocks", data * block_size, size)?;
                }
            }
            What::Char(major, minor) | What::Block(major, minor) => {
                same("device", inode.device(), (*major, *minor))?;
            }
            What::Fifo | What::Socket => {}
        }
        same("flags", inode.flags(), flags)?;

        let mut xattrs = BTreeMap::new();
        xattr::in_inode(inode.rest(), &mut xattrs)?;
        if inode.xattr_block() != 0 {
            let block = inode.xattr_block();
            let refcount = xattr::in_block(self.raw.block(block)?, &mut xattrs)?;
            if !self.shared.contains_key(&block) {
                self.usage.take(block, 1)?;
            }
            self.shared.entry(block).or_insert((refcount, 0)).1 += 1;
            blocks += 1;
        }
        same("attributes", &xattrs, &node.xattrs)?;
        same("sectors", inode.sectors(), blocks * block_size / 512)
    }

    /// Marks the blocks of an inode as used, and returns their number.
    fn take_extents(&mut self, inode: &Inode<'_>) -> Verdict<u64> {
        let (extents, tree) = inode.extents(self.raw)?;
        for &(_, start, len) in &extents {
            self.usage.take(start, len)?;
        }
        for &block in &tree {
            self.usage.take(block, 1)?;
        }
        Ok(extents.iter().map(|&(_, _, len)| len).sum::<u64>() + tree.len() as u64)
    }

    /// Checks the inodes that are not part of the tree.
    fn special(&mut self) -> Verdict {
        for number in (1..FIRST).filter(|&number| number != ROOT) {
            self.usage.take_inode(number, false)?;
        }
        const HAS_JOURNAL: u32 = 0x4;
        const RESIZE_INODE: u32 = 0x10;
        if self.raw.compat & HAS_JOURNAL != 0 {
            self.take_extents(&self.raw.inode(JOURNAL)?)?;
        }
        if self.raw.compat & RESIZE_INODE != 0 {
            let double_indirect = u32_at(self.raw.inode(RESIZE)?.block_field(), 4 * 13);
            self.usage.take(double_indirect.into(), 1)?;
        }
        if self.raw.orphan_file() != 0 {
            self.usage.take_inode(self.raw.orphan_file(), false)?;
            self.take_extents(&self.raw.inode(self.raw.orphan_file())?)?;
        }
        Ok(())
    }

    fn shares(&self) -> Verdict {
        for (block, (says, has)) in &self.shared {
            same("inodes that share attributes", says, has)
                .map_err(|error_text| format!("block {block}: {error_text}"))?;
        }
        Ok(())
    }
}

fn file_type_of(what: &What) -> u8 {
    match what {
        What::File(_) => 1,
        What::Directory(_) => 2,
        What::Char(..) => 3,
        What::Block(..) => 4,
        What::Fifo => 5,
        What::Socket => 6,
        What::Symlink(_) => 7,
    }
}

fn kind_bits(what: &What) -> u16 {
    match what {
        What::Fifo => 0o01_0000,
        What::Char(..) => 0o02_0000,
        What::Directory(_) => 0o04_0000,
        What::Block(..) => 0o06_0000,
        What::File(_) => 0o10_0000,
        What::Symlink(_) => 0o12_0000,
        What::Socket => 0o14_0000,
    }
}
