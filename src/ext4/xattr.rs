//! Extended attributes: stored in the inode as far as they fit, the rest in a block that is shared
//! by inodes with equal sets.

use zerocopy::byteorder::little_endian::U16;
use zerocopy::{FromZeros, IntoBytes};

use super::block_no::BlockNo;
use super::csum::{CsumSeed, crc};
use super::spec::{IN_INODE_XATTRS, XATTR_MAGIC, XATTR_REFCOUNT_MAX, XattrEntry, XattrHeader};
use crate::name::Escaped;
use crate::tree::Xattr;

const ENTRY: usize = size_of::<XattrEntry>();
const HEADER: usize = size_of::<XattrHeader>();
/// Four zero bytes terminate the list of entries.
const TERMINATOR: usize = 4;

/// Namespace prefixes by `e_name_index`. The ACLs have indexes of their own.
const NAMESPACES: [(u8, &[u8]); 3] = [(1, b"user."), (4, b"trusted."), (6, b"security.")];
const ACL_ACCESS: u8 = 2;
const ACL_DEFAULT: u8 = 3;

/// An attribute in its on-disk form.
#[derive(Debug, Clone)]
struct Attribute {
    index: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

/// A set of attributes as stored by ext4.
#[derive(Debug, Default)]
pub(super) struct XattrSet {
    /// The inode's whole area after its fixed fields; empty without attributes in the inode.
    pub(super) in_inode: Vec<u8>,
    /// Attributes stored in the block, in their order there.
    in_block: Vec<Attribute>,
}

/// Reason why a set can't be stored, as rule and remedy.
pub(super) type XattrError = (String, String);

impl XattrSet {
    /// Converts the attributes of an inode with the permission bits `mode`.
    pub(super) fn new(xattrs: &[Xattr], mode: u16, block_size: usize) -> Result<Self, XattrError> {
        let mut attributes = Vec::with_capacity(xattrs.len());
        for xattr in xattrs {
            attributes.extend(convert(xattr, mode)?);
        }
        // Attributes that access control reads on every open come first, then the canonical order.
        attributes.sort_by(|a, b| {
            let key = |x: &Attribute| (priority(x), x.index, x.name.clone());
            key(a).cmp(&key(b))
        });
        let mut left = IN_INODE_XATTRS - 4 - TERMINATOR;
        let (mut inside, mut in_block) = (Vec::new(), Vec::new());
        for attribute in attributes {
            match left.checked_sub(attribute.stored_len()) {
                Some(rest) => {
                    left = rest;
                    inside.push(attribute);
                }
                None => in_block.push(attribute),
            }
        }
        let order = |x: &Attribute| (x.index, x.name.len(), x.name.clone());
        inside.sort_by_key(order);
        in_block.sort_by_key(order);

        let available = block_size - HEADER - TERMINATOR;
        let needed: usize = in_block.iter().map(Attribute::stored_len).sum();
        if needed > available {
            let largest = in_block.iter().max_by_key(|x| x.stored_len()).expect("there is one");
            return Err((
                format!(
                    "extended attributes (the largest, {}, is {} bytes) need {needed} bytes, ext4 \
                     allows {available} in one block of {block_size}",
                    Escaped(&largest.full_name()),
                    largest.value.len(),
                ),
                "shorten them, or leave some out".into(),
            ));
        }
        let mut in_inode = Vec::new();
        if !inside.is_empty() {
            in_inode = vec![0; IN_INODE_XATTRS];
            in_inode[..4].copy_from_slice(&XATTR_MAGIC.to_le_bytes());
            // The kernel does not store the hash of attributes in the inode.
            write_entries(&inside, &mut in_inode[4..], 0, |_| 0);
        }
        Ok(Self { in_inode, in_block })
    }

    /// Returns whether inodes with this set need a block.
    pub(super) fn has_block(&self) -> bool {
        !self.in_block.is_empty()
    }

    /// Encodes the block of this set, which is stored at `block` and shared by `refcount` inodes.
    pub(super) fn encode_block(
        &self,
        refcount: u32,
        block: BlockNo,
        seed: CsumSeed,
        out: &mut [u8],
    ) {
        debug_assert!(refcount <= XATTR_REFCOUNT_MAX);
        write_entries(&self.in_block, &mut out[HEADER..], HEADER, Attribute::hash);
        let mut header = XattrHeader {
            h_magic: XATTR_MAGIC.into(),
            h_refcount: refcount.into(),
            h_blocks: 1.into(),
            h_hash: self
                .in_block
                .iter()
                .fold(0u32, |hash, x| hash.rotate_left(16) ^ x.hash())
                .into(),
            ..XattrHeader::new_zeroed()
        };
        out[..HEADER].copy_from_slice(header.as_bytes());
        header.h_checksum = crc(seed.block(block), out).into();
        out[..HEADER].copy_from_slice(header.as_bytes());
    }
}

/// Writes a list of entries and, from the end backwards, their values. `base` is the offset of
/// `out` from the position that value offsets are relative to.
fn write_entries(
    attributes: &[Attribute],
    out: &mut [u8],
    base: usize,
    hash: impl Fn(&Attribute) -> u32,
) {
    let (mut at, mut values) = (0, out.len());
    for attribute in attributes {
        let mut offset = 0;
        if !attribute.value.is_empty() {
            values -= attribute.value.len().next_multiple_of(4);
            out[values..values + attribute.value.len()].copy_from_slice(&attribute.value);
            offset = base + values;
        }
        let small = "fits in a block";
        let entry = XattrEntry {
            e_name_len: u8::try_from(attribute.name.len()).expect(small),
            e_name_index: attribute.index,
            e_value_offs: U16::new(u16::try_from(offset).expect(small)),
            e_value_inum: 0.into(),
            e_value_size: u32::try_from(attribute.value.len()).expect(small).into(),
            e_hash: hash(attribute).into(),
        };
        out[at..at + ENTRY].copy_from_slice(entry.as_bytes());
        out[at + ENTRY..at + ENTRY + attribute.name.len()].copy_from_slice(&attribute.name);
        at += ENTRY + attribute.name.len().next_multiple_of(4);
    }
}

fn priority(attribute: &Attribute) -> u8 {
    match (attribute.index, attribute.name.as_slice()) {
        (ACL_ACCESS, _) => 0,
        (ACL_DEFAULT, _) => 1,
        (6, b"capability") => 2,
        (6, b"selinux") => 3,
        _ => 4,
    }
}

impl Attribute {
    /// Returns the size of entry and value.
    fn stored_len(&self) -> usize {
        ENTRY + self.name.len().next_multiple_of(4) + self.value.len().next_multiple_of(4)
    }

    /// Returns `e_hash`: the hash of the name, then of the value in words.
    fn hash(&self) -> u32 {
        let name = self.name.iter().fold(0u32, |hash, &byte| hash.rotate_left(5) ^ u32::from(byte));
        self.value.chunks(4).fold(name, |hash, chunk| {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }

    fn full_name(&self) -> Vec<u8> {
        match self.index {
            ACL_ACCESS => b"system.posix_acl_access".to_vec(),
            ACL_DEFAULT => b"system.posix_acl_default".to_vec(),
            _ => {
                let space = NAMESPACES.iter().find(|(index, _)| *index == self.index);
                [space.map_or(&b""[..], |(_, prefix)| prefix), &self.name].concat()
            }
        }
    }
}

/// Converts an attribute to its on-disk form; `None` for an ACL that only repeats the mode.
fn convert(xattr: &Xattr, mode: u16) -> Result<Option<Attribute>, XattrError> {
    let fault = |rule: &str, remedy: &str| {
        Err((format!("extended attribute {}: {rule}", Escaped(&xattr.name)), remedy.into()))
    };
    let acl = |index, stands_for_mode| match encode_acl(&xattr.value, stands_for_mode) {
        Ok(None) => Ok(None),
        Ok(Some(value)) => Ok(Some(Attribute { index, name: Vec::new(), value })),
        Err(rule) => fault(rule, "set the ACL again, or leave it out"),
    };
    match xattr.name.as_slice() {
        b"system.posix_acl_access" => return acl(ACL_ACCESS, Some(mode)),
        b"system.posix_acl_default" => return acl(ACL_DEFAULT, None),
        _ => {}
    }
    for (index, prefix) in NAMESPACES {
        if let Some(name) = xattr.name.strip_prefix(prefix) {
            // The limits of the system calls, which include the namespace.
            if name.is_empty() || xattr.name.len() > 255 || name.contains(&0) {
                let rule = "name is not 1 to 255 bytes without NUL";
                return fault(rule, "rename it");
            }
            let attribute = Attribute { index, name: name.to_vec(), value: xattr.value.clone() };
            return Ok(Some(attribute));
        }
    }
    fault("namespace not supported by ext4", "leave it out")
}

const ACL_USER_OBJ: u16 = 0x01;
const ACL_USER: u16 = 0x02;
const ACL_GROUP_OBJ: u16 = 0x04;
const ACL_GROUP: u16 = 0x08;
const ACL_MASK: u16 = 0x10;
const ACL_OTHER: u16 = 0x20;

/// Converts an ACL from the format of the system call (version 2, eight bytes per entry) to the
/// on-disk format (version 1, four bytes for an entry without an id). Returns `None` for an access
/// ACL that only repeats the permission bits.
fn encode_acl(value: &[u8], mode: Option<u16>) -> Result<Option<Vec<u8>>, &'static str> {
    let Some((&[2, 0, 0, 0], entries)) = value.split_first_chunk::<4>() else {
        return Err("not an ACL of version 2");
    };
    let (entries, rest) = entries.as_chunks::<8>();
    if !rest.is_empty() {
        return Err("length is not valid for an ACL");
    }
    let mut out = vec![1, 0, 0, 0];
    let mut last = 0;
    let mut seen = 0;
    let mut bits = [0; 3]; // of owner, mask or group, and others
    for entry in entries {
        let [t0, t1, p0, p1, id @ ..] = *entry;
        let (tag, permissions) = (u16::from_le_bytes([t0, t1]), u16::from_le_bytes([p0, p1]));
        if permissions > 7 {
            return Err("an entry has permissions beyond rwx");
        }
        let named = matches!(tag, ACL_USER | ACL_GROUP);
        if !named && seen & tag != 0 || tag < last {
            return Err("entries are out of order or duplicate");
        }
        match tag {
            ACL_USER_OBJ => bits[0] = permissions,
            ACL_GROUP_OBJ | ACL_MASK => bits[1] = permissions,
            ACL_OTHER => bits[2] = permissions,
            ACL_USER | ACL_GROUP => {}
            _ => return Err("an entry has an unknown tag"),
        }
        seen |= tag;
        last = tag;
        out.extend_from_slice(&tag.to_le_bytes());
        out.extend_from_slice(&permissions.to_le_bytes());
        if named {
            out.extend_from_slice(&id);
        }
    }
    let base = ACL_USER_OBJ | ACL_GROUP_OBJ | ACL_OTHER;
    if seen & base != base {
        return Err("no entry for the owner, the group or others");
    }
    if seen & (ACL_USER | ACL_GROUP) != 0 && seen & ACL_MASK == 0 {
        return Err("entry for a user or group, but no mask");
    }
    if let Some(mode) = mode {
        if bits[0] << 6 | bits[1] << 3 | bits[2] != mode & 0o777 {
            return Err("ACL does not match the mode");
        }
        if seen == base {
            return Ok(None);
        }
    }
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = vec![2, 0, 0, 0];
        for (tag, permissions, id) in entries {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&permissions.to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        value
    }

    const NONE: u32 = !0;

    #[test]
    fn acls_are_turned_into_their_disk_form() {
        let minimal = acl(&[(1, 7, NONE), (4, 5, NONE), (0x20, 0, NONE)]);
        assert_eq!(encode_acl(&minimal, Some(0o750)), Ok(None));
        assert_eq!(
            encode_acl(&minimal, None),
            Ok(Some(vec![1, 0, 0, 0, 1, 0, 7, 0, 4, 0, 5, 0, 0x20, 0, 0, 0]))
        );
        let named =
            acl(&[(1, 7, NONE), (2, 6, 1000), (4, 5, NONE), (0x10, 7, NONE), (0x20, 0, NONE)]);
        assert_eq!(
            encode_acl(&named, Some(0o4770)),
            Ok(Some(vec![
                1, 0, 0, 0, 1, 0, 7, 0, 2, 0, 6, 0, 0xe8, 3, 0, 0, 4, 0, 5, 0, 0x10, 0, 7, 0, 0x20,
                0, 0, 0
            ]))
        );
    }

    #[test]
    fn faulty_acls_are_refused() {
        let user = (2, 6, 1000);
        let (owner, group, mask, other) =
            ((1, 7, NONE), (4, 5, NONE), (0x10, 7, NONE), (0x20, 0, NONE));
        for (entries, mode) in [
            (vec![owner, group], 0o750),
            (vec![owner, user, group, other], 0o750),
            (vec![owner, group, mask, other], 0o750),
            (vec![owner, user, group, mask, mask, other], 0o770),
            (vec![group, owner, other], 0o750),
            (vec![(1, 8, NONE), group, other], 0o750),
            (vec![owner, group, other, (0x40, 0, NONE)], 0o750),
        ] {
            assert!(encode_acl(&acl(&entries), Some(mode)).is_err(), "{entries:?}");
        }
        assert!(encode_acl(b"", None).is_err());
        assert!(encode_acl(&[1, 0, 0, 0], None).is_err());
        assert!(encode_acl(&[2, 0, 0, 0, 1], None).is_err());
    }

    #[test]
    fn what_fits_stays_in_the_inode() {
        let set = |len: usize| {
            let xattr = Xattr { name: b"user.x".to_vec(), value: vec![7; len] };
            XattrSet::new(&[xattr], 0, 1024).unwrap()
        };
        // 96 bytes without magic, terminator, entry and name.
        assert!(!set(68).has_block());
        assert!(set(69).has_block());
        assert!(set(69).in_inode.is_empty());
    }

    #[test]
    fn names_that_no_kernel_reads_are_refused() {
        for name in ["", "user", "user.", "system.data", "system.posix_acl", "security", "other.x"]
        {
            let xattr = Xattr { name: name.into(), value: vec![7] };
            assert!(XattrSet::new(&[xattr], 0, 4096).is_err(), "{name}");
        }
    }

    #[test]
    fn what_no_block_holds_is_refused() {
        let set = |len: usize| {
            let xattr = Xattr { name: b"user.x".to_vec(), value: vec![7; len] };
            XattrSet::new(&[xattr], 0, 4096).map(|_| ())
        };
        assert!(set(4096 - 32 - 4 - 16 - 4).is_ok());
        let (rule, _) = set(4096 - 32 - 4 - 16 - 3).unwrap_err();
        assert!(rule.contains("user.x") && rule.contains("4060"), "{rule}");
    }
}
