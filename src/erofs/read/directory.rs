//! Blocks of directories.

use zerocopy::FromBytes;

use super::super::spec::{Dirent, NAME_LEN};
use super::inode::Inode;
use crate::violation::Result;

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) nid: u64,
    pub(super) file_type: u8,
}

/// Appends the entries of a block to those of the blocks before.
pub(super) fn parse(inode: &Inode, block: &[u8], entries: &mut Vec<Entry>) -> Result<()> {
    let head = size_of::<Dirent>();
    let dirent = |number: usize| {
        let bytes = block.get(number * head..);
        bytes.and_then(|bytes| Dirent::ref_from_prefix(bytes).ok()).map(|(dirent, _)| dirent)
    };
    let start = dirent(0).map_or(0, |first| usize::from(first.nameoff.get()));
    if start == 0 || start % head != 0 || start > block.len() {
        return Err(inode.breaks(format_args!("names of a block start at byte {start}")));
    }
    let count = start / head;
    for number in 0..count {
        let Some(entry) = dirent(number) else { return Err(inode.breaks("half an entry")) };
        let from = usize::from(entry.nameoff.get());
        let names = match dirent(number + 1).filter(|_| number + 1 < count) {
            Some(next) => block.get(from..next.nameoff.get().into()),
            None => block.get(from..),
        };
        let mut name = names.unwrap_or(&[]);
        if number + 1 == count {
            let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            let (rest, padding) = name.split_at(len);
            if padding.iter().any(|&byte| byte != 0) {
                return Err(inode.breaks("bytes after the last name of a block"));
            }
            name = rest;
        }
        if !(1..=NAME_LEN).contains(&name.len()) || entry.reserved != 0 {
            return Err(inode.breaks(format_args!("entry {number} of a block is invalid")));
        }
        if entries.last().is_some_and(|last| last.name.as_slice() >= name) {
            return Err(inode.breaks(format_args!("{} is not in order", name.escape_ascii())));
        }
        let (nid, file_type) = (entry.nid.get(), entry.file_type);
        entries.push(Entry { name: name.to_vec(), nid, file_type });
    }
    Ok(())
}
