//! Sets of extended attributes, each stored once.

use std::collections::BTreeMap;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::compression::Compression;
use super::metadata::{MetadataTable, MetadataWriter};
use super::spec::xattr_type::{SECURITY, TRUSTED, USER, VALUE_OOL};
use super::spec::{INVALID_XATTR, XattrEntry, XattrId, XattrVal};
use crate::error::Result;
use crate::tree::{Tree, Xattr};

/// Length of the longest value that is stored again: a reference takes 8 bytes, and to follow it
/// takes another metadata block.
const INLINE_MAX: usize = 128;

/// Returns the type of an attribute and its name without the prefix. `None` if squashfs can't store
/// attributes of its namespace.
pub(super) fn split_name(name: &[u8]) -> Option<(u16, &[u8])> {
    let types = [(USER, &b"user."[..]), (TRUSTED, b"trusted."), (SECURITY, b"security.")];
    types.into_iter().find_map(|(r#type, prefix)| Some((r#type, name.strip_prefix(prefix)?)))
}

/// All sets of extended attributes of a tree.
#[derive(Debug)]
pub(super) struct XattrTables {
    /// Names and values.
    pub(super) values: MetadataTable,
    /// Records of the sets.
    pub(super) ids: MetadataTable,
    /// Number of sets.
    pub(super) count: u32,
    /// By set of the tree: its index, or [`INVALID_XATTR`] if squashfs stores nothing of it.
    indices: Vec<u32>,
}

impl XattrTables {
    pub(super) fn new(tree: &Tree, compression: Compression) -> Result<Self> {
        let mut writer = MetadataWriter::new(compression)?;
        let mut ids = Vec::new();
        let mut indices = Vec::new();
        let mut sets: BTreeMap<Vec<&Xattr>, u32> = BTreeMap::new();
        // References to the long values that are stored.
        let mut values: BTreeMap<&[u8], u64> = BTreeMap::new();
        let mut used = vec![false; tree.xattr_sets().len()];
        tree.inodes().iter().for_each(|inode| used[inode.xattrs as usize] = true);
        for (set, is_used) in tree.xattr_sets().iter().zip(used) {
            let stored: Vec<_> =
                set.iter().filter(|xattr| split_name(&xattr.name).is_some()).collect();
            if stored.is_empty() || !is_used {
                indices.push(INVALID_XATTR);
                continue;
            }
            let number = u32::try_from(sets.len()).expect("sets are counted in 32 bits");
            let index = *sets.entry(stored.clone()).or_insert(number);
            indices.push(index);
            if index == number {
                ids.push(write(&mut writer, &stored, &mut values));
            }
        }
        let count = u32::try_from(ids.len()).expect("sets are counted in 32 bits");
        let ids = MetadataTable::new(compression, ids.as_bytes())?;
        Ok(Self { values: writer.finish(), ids, count, indices })
    }

    /// Returns the index of a set of the tree, or [`INVALID_XATTR`].
    pub(super) fn index(&self, set: u32) -> u32 {
        self.indices[set as usize]
    }
}

/// Writes a set and returns its record.
fn write<'a>(
    writer: &mut MetadataWriter,
    set: &[&'a Xattr],
    values: &mut BTreeMap<&'a [u8], u64>,
) -> XattrId {
    let xattr = U64::new(writer.position().reference());
    let mut size = 0;
    for Xattr { name: full_name, value } in set {
        let (r#type, name) = split_name(full_name).expect("others were filtered");
        let earlier = values.get(&value[..]).map(|reference| reference.to_le_bytes());
        let (flag, stored) = match &earlier {
            Some(reference) => (VALUE_OOL, &reference[..]),
            None => (0, &value[..]),
        };
        let len = U16::new(u16::try_from(name.len()).expect("names are at most 255 bytes"));
        writer.push(XattrEntry { r#type: U16::new(r#type | flag), size: len }.as_bytes());
        writer.push(name);
        if earlier.is_none() && value.len() > INLINE_MAX {
            values.insert(value, writer.position().reference());
        }
        let vsize = u32::try_from(stored.len()).expect("values are at most 64 KiB");
        writer.push(XattrVal { vsize: U32::new(vsize) }.as_bytes());
        writer.push(stored);
        // As in mksquashfs: what the system calls return, with the NUL after a name.
        size += full_name.len() + 1 + value.len();
    }
    let size = u32::try_from(size).expect("a set is at most some MiB");
    let count = u32::try_from(set.len()).expect("a set is at most some MiB");
    XattrId { xattr, count: U32::new(count), size: U32::new(size) }
}
