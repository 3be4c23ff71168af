//! Extended attributes of a source that are left out of a tree.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::name::Escaped;
use crate::report::Warning;

/// Names of extended attributes that are left out.
#[derive(Default)]
pub(crate) struct DroppedXattrs(BTreeMap<Box<[u8]>, Dropped>);

/// Nodes that have a certain extended attribute that is left out.
struct Dropped {
    count: u64,
    first: Vec<u8>,
    reason: &'static str,
}

impl DroppedXattrs {
    /// Adds an attribute of a path. A node with several names counts only if it is `new`.
    pub(crate) fn add(
        &mut self,
        name: &[u8],
        reason: &'static str,
        new: bool,
        path: impl Fn() -> Vec<u8>,
    ) {
        let path = path();
        match self.0.entry(name.into()) {
            Entry::Vacant(entry) => {
                entry.insert(Dropped { count: u64::from(new), first: path, reason });
            }
            Entry::Occupied(mut entry) => {
                let dropped = entry.get_mut();
                dropped.count += u64::from(new);
                if path < dropped.first {
                    dropped.first = path;
                }
            }
        }
    }

    /// Returns a warning for each attribute.
    pub(crate) fn warnings(self) -> impl Iterator<Item = Warning> {
        self.0.into_iter().map(|(name, Dropped { count, first, reason })| {
            let name = Escaped(&name);
            let nodes = match count {
                1 => "1 node".to_owned(),
                count => format!("{count} nodes, first here"),
            };
            let message = format!("extended attribute {name} left out of {nodes}: {reason}");
            Warning { path: first, message }
        })
    }
}
