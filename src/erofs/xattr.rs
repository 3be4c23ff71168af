//! Extended attributes: those that many inodes have are stored once and referred to.

use std::collections::BTreeMap;

use xxhash_rust::xxh32::xxh32;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, IntoBytes};

use super::spec::{
    NAME_LEN, XATTR_ALIGN, XATTR_FILTER_BITS, XATTR_FILTER_SEED, XATTR_PREFIXES, XattrEntry,
    XattrIbodyHeader,
};
use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::tree::{Tree, Xattr};

/// Maximum number of shared attributes of an inode.
const SHARED_MAX: usize = u8::MAX as usize;

/// Size of a reference to a shared attribute, in bytes.
const SHARED_ID: usize = 4;

/// Maximum size of the attributes of an inode, which `i_xattr_icount` counts in units of 4 bytes.
const BODY_MAX: usize = size_of::<XattrIbodyHeader>() + 4 * (u16::MAX as usize - 1);

/// Extended attributes of all inodes.
#[derive(Debug, Default)]
pub(super) struct Xattrs {
    /// Attributes of each of the tree's sets.
    sets: Vec<XattrSet>,
    /// Shared attributes.
    pub(super) shared: Vec<u8>,
}

/// Encoded attributes of an inode.
#[derive(Debug, Default)]
struct XattrSet {
    filter: u32,
    /// Offsets of shared attributes among all shared ones, in units of 4 bytes.
    shared: Vec<u32>,
    inline: Vec<u8>,
}

impl Xattrs {
    /// Encodes the attributes of a tree.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] for the first inode with attributes that erofs can't store.
    pub(super) fn new(tree: &Tree) -> Result<Self> {
        let mut inodes_of_set = vec![0u64; tree.xattr_sets().len()];
        for (id, inode) in tree.iter() {
            let count = &mut inodes_of_set[inode.xattrs as usize];
            *count += 1;
            if *count == 1 {
                for xattr in tree.xattrs(id) {
                    check(xattr).map_err(|(rule, remedy)| {
                        Error::unrepresentable(tree.path(id), rule, remedy)
                    })?;
                }
            }
        }
        let mut inodes: BTreeMap<&Xattr, u64> = BTreeMap::new();
        for (set, count) in tree.xattr_sets().iter().zip(&inodes_of_set) {
            set.iter().for_each(|xattr| *inodes.entry(xattr).or_default() += count);
        }
        let (mut shared, mut offsets) = (Vec::new(), BTreeMap::new());
        for (&xattr, &count) in &inodes {
            let entry = encode(xattr);
            let len = entry.len() as u64;
            if count * len > len + count * SHARED_ID as u64 {
                offsets.insert(xattr, offset(&shared));
                shared.extend_from_slice(&entry);
            }
        }
        let sets = tree.xattr_sets().iter().map(|set| XattrSet::new(set, &offsets)).collect();
        let xattrs = Self { sets, shared };
        for (id, inode) in tree.iter() {
            let len = xattrs.body_len(inode.xattrs);
            if len > BODY_MAX as u64 {
                let rule = format!("extended attributes are {len} bytes, erofs allows {BODY_MAX}");
                return Err(Error::unrepresentable(tree.path(id), rule, "remove some of them"));
            }
        }
        Ok(xattrs)
    }

    /// Returns the size in bytes of the attributes of an inode with this set.
    pub(super) fn body_len(&self, set: u32) -> u64 {
        self.sets[set as usize].len() as u64
    }

    /// Returns `i_xattr_icount` of an inode with this set.
    pub(super) fn icount(&self, set: u32) -> u16 {
        match self.sets[set as usize].len() {
            0 => 0,
            len => u16::try_from((len - size_of::<XattrIbodyHeader>()) / 4 + 1).expect("checked"),
        }
    }

    /// Returns whether an inode has a name filter.
    pub(super) fn has_filter(&self) -> bool {
        self.sets.iter().any(|set| set.filter != 0)
    }

    /// Encodes the attributes of an inode. `shared_id` is the number of the first shared attribute.
    pub(super) fn body(&self, set: u32, shared_id: u32) -> Vec<u8> {
        let set = &self.sets[set as usize];
        if set.len() == 0 {
            return Vec::new();
        }
        let header = XattrIbodyHeader {
            h_name_filter: U32::new(set.filter),
            h_shared_count: u8::try_from(set.shared.len()).expect("limited"),
            ..XattrIbodyHeader::new_zeroed()
        };
        let mut out = header.as_bytes().to_vec();
        for offset in &set.shared {
            out.extend_from_slice(&(shared_id + offset).to_le_bytes());
        }
        out.extend_from_slice(&set.inline);
        out
    }
}

impl XattrSet {
    fn new(xattrs: &[Xattr], offsets: &BTreeMap<&Xattr, u32>) -> Self {
        let mut set = Self::default();
        for xattr in xattrs {
            match offsets.get(xattr).filter(|_| set.shared.len() < SHARED_MAX) {
                Some(&offset) => set.shared.push(offset),
                None => set.inline.extend_from_slice(&encode(xattr)),
            }
        }
        if !xattrs.is_empty() {
            set.filter = !xattrs.iter().fold(0, |bits, xattr| bits | filter_bit(xattr));
        }
        set
    }

    /// Returns the size of the encoded attributes, in bytes.
    fn len(&self) -> usize {
        match self.shared.len() * SHARED_ID + self.inline.len() {
            0 => 0,
            len => size_of::<XattrIbodyHeader>() + len,
        }
    }
}

/// Returns the length of shared attributes in the unit of their numbers.
fn offset(shared: &[u8]) -> u32 {
    u32::try_from(shared.len() as u64 / XATTR_ALIGN).expect("attributes are in memory")
}

/// Returns the index of the prefix of a name, and the rest of the name.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    XATTR_PREFIXES.iter().find_map(|&(index, prefix)| {
        let rest = name.strip_prefix(prefix)?;
        (rest.is_empty() != prefix.ends_with(b".")).then_some((index, rest))
    })
}

fn check(xattr: &Xattr) -> Result<(), (String, &'static str)> {
    let name = Escaped(&xattr.name);
    let Some((_, rest)) = split(&xattr.name) else {
        let rule = format!("erofs can't store the extended attribute {name}");
        return Err((rule, "remove it"));
    };
    if rest.len() > NAME_LEN {
        let len = rest.len();
        let rule = format!(
            "name of the extended attribute {name} is {len} bytes after its namespace, erofs \
             allows {NAME_LEN}"
        );
        return Err((rule, "shorten or remove it"));
    }
    if u16::try_from(xattr.value.len()).is_err() {
        let (len, max) = (xattr.value.len(), u16::MAX);
        let rule = format!("extended attribute {name} is {len} bytes, erofs allows {max}");
        return Err((rule, "shorten or remove it"));
    }
    Ok(())
}

fn encode(xattr: &Xattr) -> Vec<u8> {
    let (index, name) = split(&xattr.name).expect("checked");
    let entry = XattrEntry {
        e_name_len: u8::try_from(name.len()).expect("checked"),
        e_name_index: index,
        e_value_size: U16::new(u16::try_from(xattr.value.len()).expect("checked")),
    };
    let mut out = [entry.as_bytes(), name, &xattr.value].concat();
    while !(out.len() as u64).is_multiple_of(XATTR_ALIGN) {
        out.push(0);
    }
    out
}

/// Returns the bit of the name filter that stands for an attribute. A clear bit of the stored
/// filter means that an attribute may be there.
fn filter_bit(xattr: &Xattr) -> u32 {
    let (index, name) = split(&xattr.name).expect("checked");
    1 << (xxh32(name, XATTR_FILTER_SEED + u32::from(index)) % XATTR_FILTER_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    fn xattr(name: &str, value: &[u8]) -> Xattr {
        Xattr { name: name.into(), value: value.to_vec() }
    }

    fn tree(sets: &[&[Xattr]]) -> Tree {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        for (number, set) in sets.iter().enumerate() {
            let metadata = Metadata { xattrs: set.to_vec(), ..Metadata::default() };
            let name = number.to_string();
            builder.add(TreeBuilder::ROOT, name.as_bytes(), metadata, Node::Fifo).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn an_attribute_is_shared_if_that_takes_less_space() {
        // The entry of `a` is 8 bytes long, and that of `b` 12.
        let (a, b) = (xattr("user.a", b"123"), xattr("user.b", b"1234567"));
        let both = [a.clone(), b.clone()];
        let tree = tree(&[&both, &both, &[xattr("user.a", b"321")]]);
        let xattrs = Xattrs::new(&tree).unwrap();
        assert_eq!(xattrs.shared, encode(&b));
        let set = |number: u32| tree.inodes()[1 + number as usize].xattrs;
        let body = xattrs.body(set(0), 7);
        assert_eq!(body.len() as u64, xattrs.body_len(set(0)));
        assert_eq!(body[4], 1);
        assert_eq!(body[12..16], 7u32.to_le_bytes());
        assert_eq!(body[16..], encode(&a));
        assert_eq!(xattrs.icount(set(0)), 4);
        assert_eq!(xattrs.icount(0), 0);
    }

    #[test]
    fn what_erofs_can_not_store_is_refused() {
        for (xattr, expected) in [
            (xattr("system.nfs4_acl", b""), "erofs can't store the extended attribute"),
            (xattr("system.posix_acl_access.x", b""), "erofs can't store"),
            (xattr("user.", b""), "erofs can't store"),
            (xattr(&format!("user.{}", "a".repeat(256)), b""), "256 bytes after its namespace"),
            (xattr("user.a", &[0; 65536]), "65536 bytes, erofs allows 65535"),
        ] {
            let error = check(&xattr).unwrap_err().0;
            assert!(error.contains(expected), "{error}");
        }
    }
}
