//! Owners that a user namespace does not map: the kernel shows the same number for all of them.

use std::fs;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::report::Warning;
use crate::tree::{InodeId, Tree, Xattr};

/// Tags of the ACL entries that name a user or a group: `ACL_USER` and `ACL_GROUP`.
const ACL_NAMED: [u16; 2] = [0x02, 0x08];

/// `(uid_t) -1`, which is not the id of any user. In an ACL, the kernel shows it for an unmapped
/// id.
const NONE: u32 = u32::MAX;

/// User or group ids of this process's user namespace.
struct Ids {
    /// Id that is shown for every unmapped owner.
    overflow: u32,
    mapped: Vec<Range<u64>>,
}

impl Ids {
    /// Parses `/proc/self/uid_map` or `gid_map`, and the overflow id.
    fn parse(map: &str, overflow: &str) -> Option<Self> {
        let line = |line: &str| {
            let mut words = line.split_whitespace().map(str::parse::<u64>);
            let (inside, _, count) = (words.next()?, words.next()?, words.next()?);
            let inside = inside.ok()?;
            Some(inside..inside.checked_add(count.ok()?)?)
        };
        let mapped = map.lines().map(line).collect::<Option<_>>()?;
        Some(Self { overflow: overflow.trim().parse().ok()?, mapped })
    }

    /// Reads the ids of this process.
    ///
    /// If they can't be read, any owner may be unmapped.
    fn read(kind: &str) -> Self {
        let text = |path: String| fs::read_to_string(path).ok();
        let map = text(format!("/proc/self/{kind}_map"));
        let overflow = text(format!("/proc/sys/kernel/overflow{kind}"));
        let ids = map.zip(overflow).and_then(|(map, overflow)| Self::parse(&map, &overflow));
        ids.unwrap_or(Self { overflow: 65_534, mapped: std::iter::once(0..65_535).collect() })
    }

    fn are_all_mapped(&self) -> bool {
        let count: u64 = self.mapped.iter().map(|range| range.end - range.start).sum();
        count >= u64::from(NONE)
    }

    /// Classifies the owner with this id.
    fn owner(&self, id: u32) -> Owner {
        if id != self.overflow || self.are_all_mapped() {
            return Owner::Known;
        }
        match self.mapped.iter().any(|range| range.contains(&id.into())) {
            true => Owner::Doubtful,
            false => Owner::Unmapped,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Known,
    /// Either the user with the overflow id, or an unmapped one.
    Doubtful,
    Unmapped,
}

/// Checks the tree for nodes with unmapped owners, and returns a warning about nodes whose owner
/// may be unmapped.
///
/// # Errors
/// [`Error::Unrepresentable`] if any node's owner is unmapped.
pub(super) fn check(tree: &Tree) -> Result<Option<Warning>> {
    check_with(tree, &Ids::read("uid"), &Ids::read("gid"))
}

fn check_with(tree: &Tree, users: &Ids, groups: &Ids) -> Result<Option<Warning>> {
    if users.are_all_mapped() && groups.are_all_mapped() {
        return Ok(None);
    }
    let acls: Vec<bool> = tree.xattr_sets().iter().map(|set| names_nobody(set)).collect();
    let owners = tree.iter().map(|(id, inode)| {
        let owner = users.owner(inode.uid).max(groups.owner(inode.gid));
        (id, if acls[inode.xattrs as usize] { Owner::Unmapped } else { owner })
    });
    let owners: Vec<_> = owners.filter(|(_, owner)| *owner != Owner::Known).collect();
    let of = |wanted| owners.iter().filter(move |(_, owner)| *owner == wanted).map(|(id, _)| *id);
    let (unmapped, doubtful) = (of(Owner::Unmapped), of(Owner::Doubtful));
    if let Some((path, nodes)) = first_of(tree, unmapped) {
        return Err(Error::unrepresentable(
            path,
            format!("{nodes}: its owner, group or ACL has an id that this user namespace lacks"),
            "build as root, or in a namespace with all ids of the tree: \
             unshare --map-root-user --map-auto",
        ));
    }
    Ok(first_of(tree, doubtful).map(|(path, nodes)| Warning {
        path,
        message: format!(
            "{nodes}: owned by {}, which also stands for ids that this user namespace lacks",
            users.overflow
        ),
    }))
}

/// Returns the path of the first of the nodes, and a text with their number.
fn first_of(tree: &Tree, mut nodes: impl Iterator<Item = InodeId>) -> Option<(Vec<u8>, String)> {
    let path = tree.path(nodes.next()?);
    let text = match nodes.count() {
        0 => "1 node".into(),
        more => format!("{} nodes, first here", more + 1),
    };
    Some((path, text))
}

/// Returns whether a POSIX ACL has an entry for a user or group with an unmapped id.
fn names_nobody(xattrs: &[Xattr]) -> bool {
    let acls = xattrs.iter().filter(|xattr| xattr.name.starts_with(b"system.posix_acl_"));
    // A version of 4 bytes, then the tag, permissions and id of each entry.
    let mut entries =
        acls.flat_map(|acl| acl.value.get(4..).unwrap_or_default().as_chunks::<8>().0);
    entries.any(|entry| {
        let [tag @ .., _, _, _, _, _, _] = *entry;
        let [.., a, b, c, d] = *entry;
        ACL_NAMED.contains(&u16::from_le_bytes(tag)) && u32::from_le_bytes([a, b, c, d]) == NONE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    const ALL: &str = "         0          0 4294967295\n";

    fn ids(map: &str) -> Ids {
        Ids::parse(map, "65534\n").unwrap()
    }

    fn tree(owners: &[(u32, u32)], acl: Option<&[u8]>) -> Tree {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        for (number, &(uid, gid)) in owners.iter().enumerate() {
            let acl = acl.map(|value| Xattr {
                name: b"system.posix_acl_access".to_vec(),
                value: value.to_vec(),
            });
            let metadata =
                Metadata { uid, gid, xattrs: acl.into_iter().collect(), ..Metadata::default() };
            let name = number.to_string();
            builder.add(TreeBuilder::ROOT, name.as_bytes(), metadata, Node::Fifo).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn nobody_is_an_owner_where_all_are_mapped() {
        let tree = tree(&[(65_534, 65_534), (0, 0)], None);
        for map in [ALL, "0 0 65534\n65534 65534 4294901761\n"] {
            assert_eq!(check_with(&tree, &ids(map), &ids(map)).unwrap(), None, "{map}");
        }
    }

    #[test]
    fn owners_that_are_not_mapped_are_counted() {
        let tree = tree(&[(0, 0), (65_534, 0), (0, 65_534), (5, 5)], None);
        let root = "0 1000 1\n";
        let message = |users: &str, groups: &str| {
            check_with(&tree, &ids(users), &ids(groups)).unwrap_err().to_string()
        };
        assert!(message(root, root).starts_with("1: 2 nodes, first here: "));
        assert!(message(ALL, root).starts_with("2: 1 node: "));
        assert!(message(root, "0 1000 1\n1 100000 65536\n").starts_with("1: 1 node: "));
        let many = ids("0 1000 1\n1 100000 65536\n");
        let warning = check_with(&tree, &many, &many).unwrap().unwrap().to_string();
        assert!(warning.starts_with("1: 2 nodes, first here: owned by 65534, "), "{warning}");
        let other = Ids::parse("0 1000 1\n", "99\n").unwrap();
        assert_eq!(check_with(&tree, &other, &other).unwrap(), None);
    }

    #[test]
    fn an_acl_that_names_nobody_is_refused() {
        let acl = |id: [u8; 4]| [&[2, 0, 0, 0, 2, 0, 4, 0][..], &id].concat();
        let known = tree(&[(0, 0)], Some(&acl([7, 0, 0, 0])));
        let unknown = tree(&[(0, 0)], Some(&acl([0xff; 4])));
        // Entries whose tag names neither a user nor a group have this id too.
        let owner = tree(&[(0, 0)], Some(&[&[2, 0, 0, 0, 1, 0, 4, 0][..], &[0xff; 4]].concat()));
        let map = ids("0 1000 1\n");
        for tree in [known, owner] {
            assert_eq!(check_with(&tree, &map, &map).unwrap(), None);
        }
        let error = check_with(&unknown, &map, &map).unwrap_err();
        assert_eq!(error.exit_code(), 3);
    }
}
