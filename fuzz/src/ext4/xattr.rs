//! Extended attributes in their on-disk format.

use std::collections::BTreeMap;

use crate::Verdict;
use crate::bytes::{slice, u16_at, u32_at};

const MAGIC: u32 = 0xea02_0000;

/// Attributes in the format of the system calls.
type Attributes = BTreeMap<Vec<u8>, Vec<u8>>;

/// Reads the attributes in an inode after its fixed fields.
pub fn in_inode(rest: &[u8], into: &mut Attributes) -> Verdict {
    match u32_at(rest, 0) {
        0 if rest.iter().all(|&byte| byte == 0) => Ok(()),
        MAGIC => entries(&rest[4..], 0, false, into),
        magic => Err(format!("attributes in the inode start with {magic:x}")),
    }
}

/// Reads a block of attributes, and returns its reference count.
pub fn in_block(block: &[u8], into: &mut Attributes) -> Verdict<u32> {
    if u32_at(block, 0) != MAGIC || u32_at(block, 8) != 1 {
        return Err("a block of attributes has no header".into());
    }
    entries(block, 32, true, into)?;
    Ok(u32_at(block, 4))
}

/// Reads entries from `at` on, with values at offsets in `bytes`.
fn entries(bytes: &[u8], mut at: usize, sorted: bool, into: &mut Attributes) -> Verdict {
    let mut last: Option<(u8, usize, Vec<u8>)> = None;
    let mut lowest = bytes.len();
    while u32_at(slice(bytes, at, 4)?, 0) != 0 {
        let entry = slice(bytes, at, 16)?;
        let (len, index) = (usize::from(entry[0]), entry[1]);
        let name = slice(bytes, at + 16, len)?.to_vec();
        let (offset, size) = (usize::from(u16_at(entry, 2)), u32_at(entry, 8));
        let value = slice(bytes, offset, usize::try_from(size).unwrap())?.to_vec();
        if size > 0 {
            lowest = lowest.min(offset);
        }
        at += 16 + len.next_multiple_of(4);
        let key = (index, len, name.clone());
        if sorted && last.as_ref().is_some_and(|last| *last >= key) {
            return Err(format!("{key:?} is not in order"));
        }
        last = Some(key);
        let (prefix, value) = match index {
            1 => ("user.", value),
            2 => ("system.posix_acl_access", acl(&value)?),
            3 => ("system.posix_acl_default", acl(&value)?),
            4 => ("trusted.", value),
            6 => ("security.", value),
            _ => return Err(format!("an attribute of the namespace {index}")),
        };
        let name = [prefix.as_bytes(), &name].concat();
        if into.insert(name.clone(), value).is_some() {
            return Err(format!("{name:?} is there twice"));
        }
    }
    match at + 4 <= lowest {
        true => Ok(()),
        false => Err("entries run into values".into()),
    }
}

/// Converts an ACL from the on-disk format to that of the system calls.
fn acl(disk: &[u8]) -> Verdict<Vec<u8>> {
    if slice(disk, 0, 4)? != [1, 0, 0, 0] {
        return Err("an ACL of another version than 1".into());
    }
    let (mut value, mut rest) = (vec![2, 0, 0, 0], &disk[4..]);
    while !rest.is_empty() {
        let named = matches!(rest[0], 0x02 | 0x08);
        let len = if named { 8 } else { 4 };
        let entry = slice(rest, 0, len)?;
        value.extend_from_slice(&entry[..4]);
        value.extend_from_slice(if named { &entry[4..] } else { &[0xff; 4] });
        rest = &rest[len..];
    }
    Ok(value)
}
