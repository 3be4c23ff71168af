//! Hard links: whether several names of one inode are kept, become copies, or are refused.

use std::collections::BTreeSet;

use super::{InodeId, Kind, Tree};
use crate::error::{Error, Result};
use crate::name::Escaped;

/// What becomes of inodes with several names. Programs that save space in a store of packages link
/// equal files, so the same build may have hard links on one host and none on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum HardLinks {
    /// Keep the hard links of the source.
    #[default]
    Keep,
    /// Give every name an inode of its own, with the same metadata and content.
    Break,
    /// Refuse a tree with hard links.
    Refuse,
}

impl HardLinks {
    /// Returns the name of the rule.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Break => "break",
            Self::Refuse => "refuse",
        }
    }
}

impl Tree {
    /// Applies a rule about hard links.
    ///
    /// A seed that is derived from the tree afterwards depends on the hard links that the rule
    /// leaves, and not on those of the source.
    ///
    /// # Errors
    /// [`Error::Refused`] with the first two names of an inode, if the rule refuses hard links.
    pub fn apply_hard_links(&mut self, rule: HardLinks) -> Result<()> {
        let is_linked = |id: &InodeId| {
            let inode = self.inode(*id);
            inode.links > 1 && inode.kind != Kind::Directory
        };
        let linked = self.iter().map(|(id, _)| id).find(is_linked);
        match (rule, linked) {
            (HardLinks::Keep, _) | (_, None) => Ok(()),
            (HardLinks::Break, Some(_)) => {
                // An inode with one link is created again wherever it is found.
                self.inodes.iter_mut().for_each(|inode| inode.links = 1);
                *self = self.rebuild(InodeId::ROOT, &BTreeSet::new(), None)?;
                Ok(())
            }
            (HardLinks::Refuse, Some(id)) => Err(self.hard_link_error(id)),
        }
    }

    /// Returns the error for an inode with several names.
    fn hard_link_error(&self, id: InodeId) -> Error {
        let names = self.iter().flat_map(|(directory, _)| {
            let entries = self.entries(directory).iter().filter(|entry| entry.inode() == id);
            entries.map(move |entry| self.path_in(directory, self.name(entry)))
        });
        let path = self.path(id);
        let other = names.into_iter().find(|other| *other != path).unwrap_or_default();
        Error::Refused {
            path,
            rule: format!("a hard link to the same inode as /{}", Escaped(&other)),
            remedy: "use break for copies, or keep, instead of refuse".to_owned(),
        }
    }
}
