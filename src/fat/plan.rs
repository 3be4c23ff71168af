//! Placement of a tree on a volume: every chain is contiguous, in pre-order of the tree.

use std::sync::Arc;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::cluster_no::ClusterNo;
use super::directory_plan::DirectoryPlan;
use super::geometry::{FATS, Geometry};
use super::names;
use super::spec::{ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_VOLUME_ID, SLOT, ShortSlot};
use super::table::Table;
use super::time::{self, DosTime};
use super::variant::Variant;
use crate::layout::Layout;
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

/// The slot of the volume label in the root directory.
#[derive(Debug)]
pub(super) struct Label {
    pub bytes: [u8; 11],
    pub time: Timestamp,
}

/// Allocates clusters, one chain after the other.
struct Allocator {
    next: ClusterNo,
    /// Last cluster of each chain.
    ends: Vec<ClusterNo>,
}

impl Allocator {
    /// Allocates a chain and returns its first cluster; [`ClusterNo::NONE`] for an empty chain.
    fn chain(&mut self, clusters: u64) -> ClusterNo {
        if clusters == 0 {
            return ClusterNo::NONE;
        }
        let first = self.next;
        let clusters = u32::try_from(clusters).expect("the tree fits the volume");
        self.next = first + clusters;
        self.ends.push(first + (clusters - 1));
        first
    }
}

/// Locations of everything on a volume.
#[derive(Debug)]
pub(super) struct Placement<'a> {
    tree: &'a Tree,
    directory_plan: &'a DirectoryPlan,
    geometry: &'a Geometry,
    /// First cluster of each name in the directory plan.
    names: Vec<ClusterNo>,
    /// First cluster of each directory in the directory plan; [`ClusterNo::NONE`] for the root, as
    /// in references to it.
    directories: Vec<ClusterNo>,
    /// Number of clusters in use.
    pub used: u64,
    table: Arc<Table>,
}

impl<'a> Placement<'a> {
    /// Places a tree on a volume that is large enough.
    pub(super) fn new(
        tree: &'a Tree,
        directory_plan: &'a DirectoryPlan,
        geometry: &'a Geometry,
    ) -> Self {
        let cluster_size = geometry.params.cluster_size;
        let mut allocator = Allocator { next: ClusterNo::FIRST, ends: Vec::new() };
        let mut names = vec![ClusterNo::NONE; directory_plan.names.len()];
        let mut directories = vec![ClusterNo::NONE];
        if geometry.params.variant == Variant::Fat32 {
            allocator.chain(directory_plan.root().clusters(cluster_size));
        }
        let mut stack =
            vec![tree.entries(InodeId::ROOT).iter().zip(directory_plan.root().names.clone())];
        while let Some(entries) = stack.last_mut() {
            let Some((entry, name)) = entries.next() else {
                stack.pop();
                continue;
            };
            names[name] = match tree.inode(entry.inode()).kind {
                Kind::File { size, .. } => allocator.chain(size.div_ceil(cluster_size)),
                _ => {
                    let directory = &directory_plan.directories[directories.len()];
                    debug_assert_eq!(directory.id, entry.inode(), "both are in pre-order");
                    let first = allocator.chain(directory.clusters(cluster_size));
                    directories.push(first);
                    stack.push(tree.entries(directory.id).iter().zip(directory.names.clone()));
                    first
                }
            };
        }
        let used = u64::from(allocator.next - ClusterNo::FIRST);
        let table = Arc::new(Table::new(geometry.params.variant, allocator.ends));
        Self { tree, directory_plan, geometry, names, directories, used, table }
    }

    /// Adds both FATs to a layout.
    pub(super) fn place_tables(&self, layout: &mut Layout) {
        for number in 0..FATS {
            let offset = self.geometry.fat_offset(number);
            layout.push_render(offset, self.table.len(), self.table.clone());
        }
    }

    /// Adds directories and files to a layout, in which the tree has index `number`.
    pub(super) fn place_tree(&self, layout: &mut Layout, number: u16, label: Option<&Label>) {
        for (position, directory) in self.directory_plan.directories.iter().enumerate() {
            let offset = match self.directories[position] {
                // The root has its own location on FAT12 and FAT16, and the first cluster on FAT32.
                ClusterNo::NONE => self.geometry.root_offset(),
                cluster => self.geometry.cluster_offset(cluster),
            };
            layout.push_bytes(offset, self.encode_directory(position, label));
            for (entry, name) in self.tree.entries(directory.id).iter().zip(directory.names.clone())
            {
                if let Kind::File { size, .. } = self.tree.inode(entry.inode()).kind
                    && size > 0
                {
                    let offset = self.geometry.cluster_offset(self.names[name]);
                    layout.push_content(offset, size, number, entry.inode(), 0);
                }
            }
        }
    }

    fn encode_directory(&self, position: usize, label: Option<&Label>) -> Vec<u8> {
        let directory = &self.directory_plan.directories[position];
        let time_of = |id: InodeId| time::encode(self.tree.inode(id).mtime);
        let mut out = Vec::with_capacity(directory.slots * SLOT);
        if directory.id != InodeId::ROOT {
            let parent = self.tree.parent(directory.id);
            let above = self.directories[self.directory_plan.position(parent)];
            for (name, id, cluster) in [
                (b".          ", directory.id, self.directories[position]),
                (b"..         ", parent, above),
            ] {
                let slot =
                    ShortEntry { name: *name, attr: ATTR_DIRECTORY, time: time_of(id), cluster };
                out.extend_from_slice(slot.encode(0, 0).as_bytes());
            }
        } else if let Some(Label { bytes, time }) = label {
            let time = time::encode(*time);
            let slot =
                ShortEntry { name: *bytes, attr: ATTR_VOLUME_ID, time, cluster: ClusterNo::NONE };
            out.extend_from_slice(slot.encode(0, 0).as_bytes());
        }
        for (entry, at) in self.tree.entries(directory.id).iter().zip(directory.names.clone()) {
            let short = &self.directory_plan.names[at];
            if short.long {
                let name = std::str::from_utf8(self.tree.name(entry)).expect("checked when listed");
                names::encode_long(name, short, &mut out);
            }
            let (attr, size) = match self.tree.inode(entry.inode()).kind {
                Kind::File { size, .. } => (ATTR_ARCHIVE, size),
                _ => (ATTR_DIRECTORY, 0),
            };
            let size = u32::try_from(size).expect("checked when listed");
            let time = time_of(entry.inode());
            let slot = ShortEntry { name: short.bytes, attr, time, cluster: self.names[at] };
            out.extend_from_slice(slot.encode(short.case, size).as_bytes());
        }
        out
    }
}

/// The fields of a slot with a short name.
struct ShortEntry {
    name: [u8; 11],
    attr: u8,
    time: DosTime,
    cluster: ClusterNo,
}

impl ShortEntry {
    fn encode(&self, case: u8, size: u32) -> ShortSlot {
        let DosTime { date, time, tenth } = self.time;
        let half = |bits: u32| U16::new(u16::try_from(bits).expect("a half"));
        ShortSlot {
            DIR_Name: self.name,
            DIR_Attr: self.attr,
            DIR_NTRes: case,
            DIR_CrtTimeTenth: tenth,
            DIR_CrtTime: U16::new(time),
            DIR_CrtDate: U16::new(date),
            DIR_LstAccDate: U16::new(date),
            DIR_FstClusHI: half(self.cluster.0 >> 16),
            DIR_WrtTime: U16::new(time),
            DIR_WrtDate: U16::new(date),
            DIR_FstClusLO: half(self.cluster.0 & 0xffff),
            DIR_FileSize: U32::new(size),
        }
    }
}
