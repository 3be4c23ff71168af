//! Owners as data: other owners than those of the source, also in ACLs and in file capabilities.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{InodeId, Tree, Xattr};
use crate::error::{Error, Result};

/// Other owners for the inodes of a tree.
///
/// Without an owner and with empty maps, the owners stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ownership {
    /// User and group id of everything in the tree. The maps are not used then.
    pub owner: Option<(u32, u32)>,
    /// Map of user ids.
    pub uids: IdMap,
    /// Map of group ids.
    pub gids: IdMap,
}

/// Map from the ids of a source to those in an image, as ranges like those of a user namespace.
///
/// An empty map leaves all ids as they are. Any other covers every id that it is applied to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMap(Vec<IdRange>);

/// Range of an [`IdMap`].
///
/// As a text, it is `INSIDE:OUTSIDE:COUNT`: the first id in the image, the first id in the source,
/// and the number of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    inside: u32,
    outside: u32,
    count: u32,
}

impl FromStr for IdRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.split(':').map(str::parse::<u32>);
        let (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return Err("not three numbers");
        };
        // The largest number stands for no id.
        let is_valid = |first: u32| first.checked_add(count).is_some();
        match count > 0 && is_valid(inside) && is_valid(outside) {
            true => Ok(Self { inside, outside, count }),
            false => Err("not a range of ids below 4294967295"),
        }
    }
}

impl IdRange {
    fn has(&self, id: u32) -> bool {
        id.checked_sub(self.outside).is_some_and(|distance| distance < self.count)
    }
}

impl IdMap {
    /// Creates a map of ranges.
    ///
    /// # Errors
    /// If two ranges have an id in common, in the source or in the image.
    pub fn new(ranges: impl IntoIterator<Item = IdRange>) -> Result<Self, &'static str> {
        let ranges: Vec<_> = ranges.into_iter().collect();
        let overlap = |first: fn(&IdRange) -> u32| {
            let mut starts: Vec<_> =
                ranges.iter().map(|range| (first(range), range.count)).collect();
            starts.sort_unstable();
            starts.windows(2).any(|pair| pair[1].0 - pair[0].0 < pair[0].1)
        };
        if overlap(|range| range.outside) {
            return Err("two ranges have an id of the source in common");
        }
        // Two owners that become one can't be told apart in the image.
        if overlap(|range| range.inside) {
            return Err("two ranges have an id of the image in common");
        }
        Ok(Self(ranges))
    }

    /// Returns what an id becomes, or `None` if no range covers it.
    fn get(&self, id: u32) -> Option<u32> {
        if self.0.is_empty() {
            return Some(id);
        }
        let range = self.0.iter().find(|range| range.has(id))?;
        Some(range.inside + (id - range.outside))
    }
}

/// Extended attribute of file capabilities.
const CAPABILITY: &[u8] = b"security.capability";

/// Version in the highest byte of `magic_etc`, the first field of [`CAPABILITY`].
const VFS_CAP_REVISION_2: u8 = 2;
const VFS_CAP_REVISION_3: u8 = 3;

/// Lengths of the two versions in bytes. Version 3 ends with `rootid`.
const XATTR_CAPS_SZ_2: usize = 20;
const XATTR_CAPS_SZ_3: usize = 24;

/// Tags of the entries of an ACL that have an id.
const ACL_USER: u16 = 0x02;
const ACL_GROUP: u16 = 0x08;

/// Returns the user id of the root of the user namespace that capabilities of version 3 are for.
fn rootid(xattr: &Xattr) -> Option<u32> {
    let value: &[u8; XATTR_CAPS_SZ_3] = xattr.value[..].try_into().ok()?;
    let is_version_3 = xattr.name == CAPABILITY && value[3] == VFS_CAP_REVISION_3;
    is_version_3.then(|| u32::from_le_bytes(*value.last_chunk().expect("it is longer")))
}

impl Ownership {
    /// Returns whether all owners stay as they are.
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn user(&self, uid: u32) -> Result<u32, String> {
        let mapped = self.owner.map(|(uid, _)| uid).or_else(|| self.uids.get(uid));
        mapped.ok_or_else(|| format!("no range of `tree.uids` has {uid}"))
    }

    fn group(&self, gid: u32) -> Result<u32, String> {
        let mapped = self.owner.map(|(_, gid)| gid).or_else(|| self.gids.get(gid));
        mapped.ok_or_else(|| format!("no range of `tree.gids` has {gid}"))
    }

    /// Changes the ids in an extended attribute of an inode with the owner `uid`.
    fn change(&self, xattr: &mut Xattr, uid: u32) -> Result<(), String> {
        if let Some(rootid) = rootid(xattr) {
            let rootid = match self.owner {
                // The namespace in which its owner is root becomes that of the image.
                Some(_) if rootid == uid => 0,
                Some(_) => rootid,
                None => self.user(rootid)?,
            };
            xattr.value[XATTR_CAPS_SZ_2..].copy_from_slice(&rootid.to_le_bytes());
            if rootid == 0 {
                xattr.value[3] = VFS_CAP_REVISION_2;
                xattr.value.truncate(XATTR_CAPS_SZ_2);
            }
        }
        // The owners of named entries are not those of the file.
        if xattr.name.starts_with(b"system.posix_acl_") && self.owner.is_none() {
            self.change_acl(&mut xattr.value)?;
        }
        Ok(())
    }

    /// Changes the ids in an ACL: a version of 4 bytes, then the tag, permissions and id of each
    /// entry.
    fn change_acl(&self, acl: &mut [u8]) -> Result<(), String> {
        let entries = acl.get_mut(4..).unwrap_or_default().as_chunks_mut::<8>().0;
        let tag = |entry: &[u8; 8]| u16::from_le_bytes([entry[0], entry[1]]);
        let id = |entry: &[u8; 8]| u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        for entry in entries.iter_mut() {
            let new = match tag(entry) {
                ACL_USER => self.user(id(entry))?,
                ACL_GROUP => self.group(id(entry))?,
                _ => continue,
            };
            entry[4..].copy_from_slice(&new.to_le_bytes());
        }
        // The order of ids is that of setfacl, whatever they were.
        for entries in entries.chunk_by_mut(|a, b| tag(a) == tag(b)) {
            entries.sort_by_key(id);
        }
        Ok(())
    }
}

impl Tree {
    /// Gives all inodes other owners, also in ACLs and in file capabilities.
    ///
    /// A map applies to the ids of ACL entries, and to the root id of capabilities of version 3; if
    /// that becomes 0, they become capabilities of version 2, which are valid in the initial user
    /// namespace. So they do with one owner for everything, if the root id was the owner of the
    /// file.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] if a map does not cover an id.
    pub fn change_owners(&mut self, ownership: &Ownership) -> Result<()> {
        if ownership.is_empty() {
            return Ok(());
        }
        let old = std::mem::take(&mut self.xattrs);
        let mut sets = BTreeMap::from([(Box::<[Xattr]>::default(), 0)]);
        // The set of an inode depends on its old set, and on whether that has the owner's root id.
        let mut changed: BTreeMap<(u32, bool), u32> = BTreeMap::new();
        for number in 0..self.inodes.len() {
            let inode = self.inodes[number];
            let set = &old[inode.xattrs as usize];
            let is_rooted = set.iter().any(|xattr| rootid(xattr) == Some(inode.uid));
            let mut change = || {
                let uid = ownership.user(inode.uid)?;
                let gid = ownership.group(inode.gid)?;
                let key = (inode.xattrs, is_rooted);
                if let Some(&xattrs) = changed.get(&key) {
                    return Ok((uid, gid, xattrs));
                }
                let mut set = set.clone();
                set.iter_mut().try_for_each(|xattr| ownership.change(xattr, inode.uid))?;
                let next = u32::try_from(sets.len()).expect("no more than before");
                let xattrs = *sets.entry(set).or_insert(next);
                changed.insert(key, xattrs);
                Ok((uid, gid, xattrs))
            };
            let (uid, gid, xattrs) = change().map_err(|rule: String| {
                let id = InodeId(u32::try_from(number).expect("a tree has fewer than 2^32 inodes"));
                Error::unrepresentable(self.path(id), rule, "add a range to the map")
            })?;
            let inode = &mut self.inodes[number];
            (inode.uid, inode.gid, inode.xattrs) = (uid, gid, xattrs);
        }
        self.xattrs = vec![Box::default(); sets.len()];
        for (set, number) in sets {
            self.xattrs[number as usize] = set;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    fn ranges(texts: &[&str]) -> Result<IdMap, &'static str> {
        IdMap::new(texts.iter().map(|text| text.parse().unwrap()))
    }

    fn capability(rootid: Option<u32>) -> Xattr {
        let version = if rootid.is_some() { 3 } else { 2 };
        let mut value = vec![1, 0, 0, version];
        value.extend_from_slice(&[7; 16]);
        value.extend(rootid.iter().flat_map(|rootid| rootid.to_le_bytes()));
        Xattr { name: CAPABILITY.to_vec(), value }
    }

    fn acl(entries: &[(u16, u32)]) -> Xattr {
        let mut value = vec![2, 0, 0, 0];
        for (tag, id) in entries {
            value.extend(tag.to_le_bytes());
            value.extend([6, 0]);
            value.extend(id.to_le_bytes());
        }
        Xattr { name: b"system.posix_acl_access".to_vec(), value }
    }

    /// Builds a tree of pipes with these owners and attributes, named by their numbers.
    fn tree(nodes: &[(u32, u32, Vec<Xattr>)]) -> Tree {
        let root = Metadata { uid: 1000, gid: 1000, ..Metadata::default() };
        let mut builder = TreeBuilder::new(root).unwrap();
        for (number, (uid, gid, xattrs)) in nodes.iter().enumerate() {
            let metadata =
                Metadata { uid: *uid, gid: *gid, xattrs: xattrs.clone(), ..Metadata::default() };
            let name = number.to_string();
            builder.add(TreeBuilder::ROOT, name.as_bytes(), metadata, Node::Fifo).unwrap();
        }
        builder.finish().unwrap()
    }

    fn nodes(tree: &Tree) -> Vec<(u32, u32, Vec<Xattr>)> {
        let nodes = tree.iter().skip(1);
        nodes.map(|(id, inode)| (inode.uid, inode.gid, tree.xattrs(id).to_vec())).collect()
    }

    /// A user namespace whose root is user 1000, with subordinate ids from 100000 on.
    fn unshared() -> Ownership {
        let map = ranges(&["0:1000:1", "1:100000:65535"]).unwrap();
        Ownership { uids: map.clone(), gids: map, ..Ownership::default() }
    }

    #[test]
    fn ranges_are_read_or_refused() {
        for text in ["", "1:2", "1:2:3:4", "a:2:3", "1:2:0", "-1:2:3", "4294967295:0:1"] {
            text.parse::<IdRange>().expect_err(text);
        }
        assert!("4294967294:0:1".parse::<IdRange>().is_ok());
        assert!("0:4294967294:2".parse::<IdRange>().is_err());
        assert!(ranges(&["0:1000:1", "1:1000:1"]).is_err());
        assert!(ranges(&["0:1000:2", "1:2000:1"]).is_err());
        assert!(ranges(&["0:1000:2", "2:1002:1", "5:1:1"]).is_ok());
    }

    #[test]
    fn ids_are_mapped_everywhere() {
        let named = acl(&[(1, u32::MAX), (2, 1000), (2, 100_004), (4, u32::MAX), (8, 100_007)]);
        let mut mapped = tree(&[
            (1000, 100_009, vec![capability(Some(1000))]),
            (100_000, 1000, vec![capability(Some(100_004)), named]),
        ]);
        mapped.change_owners(&unshared()).unwrap();
        let named = acl(&[(1, u32::MAX), (2, 0), (2, 5), (4, u32::MAX), (8, 8)]);
        assert_eq!(
            nodes(&mapped),
            [(0, 10, vec![capability(None)]), (1, 0, vec![capability(Some(5)), named])]
        );
        assert_eq!((mapped.inodes()[0].uid, mapped.inodes()[0].gid), (0, 0));
    }

    #[test]
    fn entries_of_an_acl_stay_sorted() {
        let mut mapped = tree(&[(1000, 1000, vec![acl(&[(2, 5), (2, 1000), (8, 5), (8, 1000)])])]);
        let map = ranges(&["7:5:1", "0:1000:1"]).unwrap();
        let ownership = Ownership { uids: map.clone(), gids: map, ..Ownership::default() };
        mapped.change_owners(&ownership).unwrap();
        assert_eq!(nodes(&mapped)[0].2, [acl(&[(2, 0), (2, 7), (8, 0), (8, 7)])]);
    }

    #[test]
    fn an_id_that_no_range_has_is_refused() {
        for (node, expected) in [
            ((7, 1000, vec![]), "0: no range of `tree.uids` has 7; add a range to the map"),
            ((1000, 8, vec![]), "0: no range of `tree.gids` has 8; add a range to the map"),
            (
                (1000, 1000, vec![acl(&[(8, 9)])]),
                "0: no range of `tree.gids` has 9; add a range to the map",
            ),
            (
                (1000, 1000, vec![capability(Some(3))]),
                "0: no range of `tree.uids` has 3; add a range to the map",
            ),
        ] {
            let error = tree(&[node]).change_owners(&unshared()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn one_owner_is_that_of_everything() {
        let named = acl(&[(2, 1000)]);
        let mut owned = tree(&[
            (1000, 5, vec![capability(Some(1000)), named.clone()]),
            (6, 7, vec![capability(Some(1000)), named.clone()]),
            (8, 9, vec![]),
        ]);
        let ownership = Ownership { owner: Some((0, 1)), ..Ownership::default() };
        owned.change_owners(&ownership).unwrap();
        assert_eq!(
            nodes(&owned),
            [
                (0, 1, vec![capability(None), named.clone()]),
                (0, 1, vec![capability(Some(1000)), named]),
                (0, 1, vec![])
            ]
        );
    }

    #[test]
    fn sets_that_become_equal_are_one() {
        let mut owned = tree(&[
            (1000, 0, vec![capability(Some(1000))]),
            (2000, 0, vec![capability(Some(2000))]),
            (0, 0, vec![capability(None)]),
        ]);
        assert_eq!(owned.xattr_sets().len(), 4);
        let ownership = Ownership { owner: Some((0, 0)), ..Ownership::default() };
        owned.change_owners(&ownership).unwrap();
        assert_eq!(owned.xattr_sets().len(), 2);
        assert!(owned.iter().skip(1).all(|(_, inode)| inode.xattrs == 1));
    }
}
