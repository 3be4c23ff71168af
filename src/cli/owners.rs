//! Options for other owners than those of the source.

use super::arguments::OwnerArgs;
use crate::error::{Error, Result};
use crate::report::Warning;
use crate::tree::{IdMap, Ownership, Tree};

impl OwnerArgs {
    pub(super) fn ownership(&self) -> Result<Ownership> {
        Ok(Ownership {
            owner: self.owner.as_deref().map(owner).transpose()?,
            uids: id_map("--uid-map", &self.uid_map)?,
            gids: id_map("--gid-map", &self.gid_map)?,
        })
    }
}

fn owner(text: &str) -> Result<(u32, u32)> {
    // The largest number stands for no id.
    let id = |text: &str| text.parse().ok().filter(|&id| id != u32::MAX);
    let ids = text.split_once(':').and_then(|(uid, gid)| id(uid).zip(id(gid)));
    ids.ok_or_else(|| {
        let rule = format!("{text:?} is not a user id and a group id");
        Error::parameter("--owner", rule, "give two numbers, such as 0:0")
    })
}

fn id_map(option: &'static str, ranges: &[String]) -> Result<IdMap> {
    let parsed = ranges.iter().map(|text| {
        text.parse().map_err(|fault| {
            let remedy = "give the first id in the image, the first in the tree and the number of \
                          ids, such as 0:100000:65536";
            Error::parameter(option, format!("{text:?} is {fault}"), remedy)
        })
    });
    let ranges = parsed.collect::<Result<Vec<_>>>()?;
    let remedy = "give ranges that do not overlap";
    IdMap::new(ranges).map_err(|fault| Error::parameter(option, fault, remedy))
}

/// Returns the warning about a root directory that does not belong to root.
pub(super) fn foreign_root(tree: &Tree) -> Option<Warning> {
    let root = tree.inodes().first().filter(|root| root.uid != 0)?;
    Some(Warning {
        path: Vec::new(),
        message: format!(
            "it is owned by user {} instead of root, as if a user had unpacked the tree; --owner \
             0:0 gives everything to root, and an archive or `unshare --map-root-user --map-auto` \
             keeps all owners",
            root.uid
        ),
    })
}
