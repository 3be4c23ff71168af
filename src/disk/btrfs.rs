//! btrfs file systems in an image: paths in the options are resolved to inodes of the tree.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::codecs::Codecs;
use super::file_system::{FileSystem, Format, PlannedFs};
use super::subvolume::Subvolume;
use super::swap::{self, Swapfile};
use crate::btrfs::{self, Checksum, Compat, Compression, Contents, Metadata, PrepassOptions};
use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::size::{Headroom, MIB};
use crate::time::Timestamp;
use crate::tree::{HoleScan, InodeId, Tree};

/// Options for a btrfs file system of a tree.
#[derive(Debug, Clone)]
pub struct Btrfs {
    /// Kernels that may write to the file system.
    pub compat: Compat,
    /// Checksum algorithm for tree blocks and data.
    pub checksum: Checksum,
    /// Size of a tree block in bytes: a power of two from 4096 to 65536.
    pub node_size: u32,
    /// Number of copies of the metadata.
    pub metadata: Metadata,
    /// Largest size in bytes of a file that is stored inline in the tree; at most 4095.
    pub max_inline: u32,
    /// Compression, applied where it saves space. `None` for no compression.
    pub compression: Option<Compression>,
    /// Files and directories that are not compressed. A directory stands for everything below it.
    pub uncompressed: Option<PathFilter>,
    /// Files and directories whose content is written in place, without checksums or compression. A
    /// directory stands for everything below it.
    pub nodatacow: Option<PathFilter>,
    /// Whether equal content is stored only once.
    pub dedup: bool,
    /// Directories that become subvolumes, in any order.
    pub subvolumes: Vec<Subvolume>,
    /// Path of the subvolume that is mounted by default. `None` for the top level.
    pub default_subvolume: Option<Vec<u8>>,
    /// Whether a file with names in several subvolumes is copied into each of them, with shared
    /// extents. Otherwise such a file is rejected.
    pub copy_links: bool,
    /// Swap file to add to the tree.
    pub swapfile: Option<Swapfile>,
    /// Label of at most 255 bytes. `None` for the name of the partition, or no label without a
    /// partition.
    pub label: Option<String>,
    /// Free space to leave if the size is not fixed. `None` for what a first boot needs. A headroom
    /// of 0 is an exact fit.
    pub headroom: Option<Headroom>,
}

impl Default for Btrfs {
    fn default() -> Self {
        Self {
            compat: Compat::default(),
            checksum: Checksum::default(),
            node_size: 16384,
            metadata: Metadata::default(),
            max_inline: 2048,
            compression: None,
            uncompressed: None,
            nodatacow: None,
            dedup: false,
            subvolumes: Vec::new(),
            default_subvolume: None,
            copy_links: false,
            swapfile: None,
            label: None,
            headroom: None,
        }
    }
}

type Matches = dyn Fn(&[u8]) -> bool + Send + Sync;

/// A filter that selects paths. The paths have no leading slash.
#[derive(Clone)]
pub struct PathFilter {
    patterns: Vec<String>,
    matches: Arc<Matches>,
}

impl fmt::Debug for PathFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PathFilter").field(&self.patterns).finish()
    }
}

impl PathFilter {
    /// Creates a filter from a function.
    ///
    /// `patterns` describes the filter in the manifest.
    pub fn new(
        patterns: Vec<String>,
        matches: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { patterns, matches: Arc::new(matches) }
    }

    /// Returns the patterns that describe the filter.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Returns the inodes that match by any of their names, and everything below matching
    /// directories.
    fn select(&self, tree: &Tree) -> BTreeSet<InodeId> {
        let mut selected = BTreeSet::new();
        for (directory, _) in tree.iter() {
            for entry in tree.entries(directory) {
                // Every path is passed to the filter, because a filter may count its matches.
                let matches = (self.matches)(&tree.path_in(directory, tree.name(entry)));
                if matches || selected.contains(&directory) {
                    selected.insert(entry.inode());
                }
            }
        }
        selected
    }
}

/// A btrfs whose content has been analyzed, but whose size is not known yet.
pub(crate) struct PreparedBtrfs {
    tree: Arc<Tree>,
    contents: Arc<Contents>,
    options: btrfs::Options,
    label: String,
}

impl Btrfs {
    /// Adds the swap file, resolves paths to inodes, and analyzes the content.
    pub(super) fn prepare(
        &self,
        tree: &Arc<Tree>,
        scan: HoleScan,
        uuid: Uuid,
        epoch: Timestamp,
        reading: &PrepassOptions<'_>,
    ) -> Result<PreparedBtrfs> {
        let swapfile = self.swapfile.as_ref();
        if let Some(swapfile) = swapfile {
            swapfile.check_writable(&self.subvolumes)?;
        }
        let (tree, scan) = swap::added(swapfile, Arc::clone(tree), scan, uuid, epoch)?;
        let label = self.label.clone().unwrap_or_default();
        let subvolumes = self.subvolumes.iter().map(|asked| {
            Ok(btrfs::SubvolumeOptions {
                directory: find(&tree, "--subvolume", &asked.path)?,
                read_only: asked.read_only,
                nodatacow: asked.nodatacow,
            })
        });
        let default_subvolume = self.default_subvolume.as_deref();
        let select = |filter: Option<&PathFilter>| {
            filter.map(|filter| filter.select(&tree)).unwrap_or_default()
        };
        let options = btrfs::Options {
            uuid,
            label: label.clone().into_bytes(),
            epoch,
            node_size: self.node_size,
            checksum: self.checksum,
            metadata: self.metadata,
            compat: self.compat,
            max_inline: self.max_inline,
            compression: self.compression,
            uncompressed: select(self.uncompressed.as_ref()),
            nodatacow: select(self.nodatacow.as_ref()),
            dedup: self.dedup,
            subvolumes: subvolumes.collect::<Result<_>>()?,
            default_subvolume: default_subvolume
                .map(|path| find(&tree, "--default-subvolume", path))
                .transpose()?,
            copy_links: self.copy_links,
            preallocated: scan.swap_files().clone(),
            size: None,
            headroom: None,
            multiple: MIB,
        };
        let contents = Arc::new(btrfs::prepass(&tree, &scan, &options, reading)?);
        Ok(PreparedBtrfs { tree, contents, options, label })
    }
}

fn find(tree: &Tree, parameter: &'static str, path: &[u8]) -> Result<InodeId> {
    tree.find(path).ok_or_else(|| {
        Error::parameter(
            parameter,
            format!("the tree has no directory {}", Escaped(path)),
            "make the directory in the tree, or correct the path",
        )
    })
}

impl PreparedBtrfs {
    /// Returns the programs that compressed content, with their versions.
    pub(crate) fn codecs(&self) -> Codecs {
        match self.contents.spool() {
            Some(_) => btrfs::codecs().into(),
            None => Codecs::new(),
        }
    }

    /// Plans the file system with the given size, or with the smallest that leaves the headroom.
    pub(crate) fn plan(&self, size: Option<u64>, headroom: Option<Headroom>) -> Result<PlannedFs> {
        let options = btrfs::Options { size, headroom, ..self.options.clone() };
        let btrfs::Plan { layout, warnings } = btrfs::plan(&self.tree, &self.contents, &options)?;
        let file_system = FileSystem {
            format: Format::Btrfs,
            variant: None,
            uuid: options.uuid,
            label: self.label.clone(),
            size: layout.size(),
        };
        Ok(PlannedFs { layout, file_system, warnings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    #[test]
    fn a_filter_selects_with_all_below_and_by_any_name() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let mut add = |parent, name: &str, node| {
            builder.add(parent, name.as_bytes(), Metadata::default(), node).unwrap()
        };
        let b = add(TreeBuilder::ROOT, "b", Node::Directory);
        let below = add(b, "below", Node::Directory);
        add(below, "deep", Node::Fifo);
        let linked = add(b, "linked", Node::Fifo);
        let a = add(TreeBuilder::ROOT, "a", Node::Directory);
        add(a, "below", Node::Fifo);
        builder.link(a, b"link", linked).unwrap();
        let tree = builder.finish().unwrap();
        for (wanted, expected) in [
            ("b/below", &["b/below", "b/below/deep"][..]),
            ("b/below/deep", &["b/below/deep"]),
            ("a/link", &["a/link"]),
            ("b/linked", &["a/link"]),
            ("b", &["a/link", "b", "b/below", "b/below/deep"]),
            ("/b", &[]),
        ] {
            let filter = PathFilter::new(Vec::new(), |path| path == wanted.as_bytes());
            let selected: Vec<_> =
                filter.select(&tree).into_iter().map(|id| tree.path(id)).collect();
            let expected: Vec<_> = expected.iter().map(|path| path.as_bytes().to_vec()).collect();
            assert_eq!(selected, expected, "{wanted}");
        }
    }
}
