//! Paths resolved as the booted system would resolve them.

use super::{InodeId, Kind, Tree};

/// Number of symlinks that the kernel follows on a path.
const LINKS_MAX: u32 = 40;

impl Tree {
    /// Returns the inode at `path`, following symlinks inside the tree.
    ///
    /// Absolute targets start at the tree's root.
    pub(crate) fn resolve(&self, path: &[u8]) -> Option<InodeId> {
        let names = |path: &[u8]| -> Vec<Vec<u8>> {
            path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec).collect()
        };
        let mut at = InodeId::ROOT;
        let mut pending = names(path);
        let mut links = 0;
        while let Some(name) = pending.pop() {
            match &*name {
                b"" | b"." => continue,
                b".." => {
                    at = self.parent(at);
                    continue;
                }
                _ => {}
            }
            let id = self.child(at, &name)?;
            if self.inode(id).kind != Kind::Symlink {
                at = id;
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return None;
            }
            let target = self.target(id);
            if target.starts_with(b"/") {
                at = InodeId::ROOT;
            }
            pending.extend(names(target));
        }
        Some(at)
    }
}
