//! The root tree, and the UUID tree, which maps UUIDs to subvolumes.

use std::collections::{BTreeMap, BTreeSet};

use zerocopy::FromBytes;
use zerocopy::little_endian::U64;

use super::super::super::hash;
use super::super::super::key::Key;
use super::super::super::spec::{
    CompatRo, DiskKey, Incompat, InodeItem, ROOT_SUBVOL_RDONLY, RootItem, SECTOR, SuperBlock,
    file_type, item_type, objectid,
};
use super::super::items::{
    DisplayKey, Id, ItemPlace, NameOf, dir_entries, exact, inode_refs, root_ref,
};
use super::super::node;
use super::super::reader::Reader;
use super::super::root::Root;
use super::super::superblock::Super;
use super::names::{check_inode, check_name, is_root};
use super::report::{Report, Rules, unmatched};
use super::root_record::RootRecord;
use super::walk::Trees;
use crate::violation::{Result, Violation};

impl RootRecord {
    fn new(id: u64, parent: u64, name: NameOf<'_>) -> Self {
        Self { id, parent, dir: name.parent, index: name.index, name: name.name.into() }
    }
}

/// Contents of the root tree and the UUID tree.
#[derive(Debug, Default)]
pub(super) struct Roots {
    roots: BTreeMap<u64, RootItem>,
    refs: Vec<RootRecord>,
    backrefs: Vec<RootRecord>,
    /// Items of the root tree's directory.
    directory: BTreeSet<Key>,
    /// Id of the subvolume that is mounted by default.
    default: Option<u64>,
    /// UUIDs and ids of subvolumes.
    uuids: BTreeSet<([u8; 16], u64)>,
}

/// Returns whether a tree is a subvolume or the top level.
fn is_subvolume(id: u64) -> bool {
    id == objectid::FS_TREE
        || (objectid::FIRST_FREE..=objectid::FIRST_FREE.wrapping_neg()).contains(&id)
}

impl Roots {
    pub(super) fn item(&mut self, superblock: &Super, place: ItemPlace, data: &[u8]) -> Result<()> {
        let Key { objectid, item_type, offset } = place.key;
        match (objectid, item_type) {
            (_, item_type::ROOT_ITEM) => self.root(superblock, place, data),
            (_, item_type::ROOT_REF) => {
                let name = self.name(place, data, offset, objectid)?;
                self.refs.push(name);
                Ok(())
            }
            (_, item_type::ROOT_BACKREF) => {
                let name = self.name(place, data, objectid, offset)?;
                self.backrefs.push(name);
                Ok(())
            }
            (objectid::ROOT_TREE_DIR, _) | (objectid::FS_TREE, item_type::INODE_REF) => {
                self.directory.insert(place.key);
                self.directory_item(superblock, place, data)
            }
            _ => Err(place.breaks("item does not belong here or is not supported")),
        }
    }

    fn root(&mut self, superblock: &Super, place: ItemPlace, data: &[u8]) -> Result<()> {
        let item = exact::<RootItem>(data).ok_or_else(|| place.breaks("not a root"))?;
        let Key { objectid: id, offset, .. } = place.key;
        let newest = superblock.generation();
        let known = [
            objectid::EXTENT_TREE,
            objectid::DEV_TREE,
            objectid::CSUM_TREE,
            objectid::UUID_TREE,
            objectid::FREE_SPACE_TREE,
            objectid::BLOCK_GROUP_TREE,
            objectid::DATA_RELOC_TREE,
        ];
        let files = is_subvolume(id) || id == objectid::DATA_RELOC_TREE;
        place
            .require(known.contains(&id) || is_subvolume(id), || "the tree is of no known kind")?;
        place.require(offset == 0, || "of a snapshot, which can't be read")?;
        place.require(item.bytenr.get().is_multiple_of(SECTOR), || "bytenr is not aligned")?;
        let root = node::root(id, item).map_err(|rule| place.breaks(rule))?;
        place.require(root.generation <= newest && root.generation > 0, || {
            format!("generation is {}, and the superblock's is {newest}", root.generation)
        })?;
        place.require(item.generation_v2 == item.generation, || {
            format!("generation_v2 is {}, not generation", item.generation_v2)
        })?;
        place.require(item.last_snapshot <= item.generation, || {
            format!("last_snapshot is {}, newer than generation", item.last_snapshot)
        })?;
        place.require(item.refs == 1, || format!("refs is {}", item.refs))?;
        let flags = item.flags.get();
        place.require(
            flags & !ROOT_SUBVOL_RDONLY == 0 && (flags == 0 || is_subvolume(id)),
            || format!("flags are {flags:#x}"),
        )?;
        let whole = item.drop_progress == DiskKey::from(Key::MIN) && item.drop_level == 0;
        place.require(whole, || "being dropped")?;
        let dirid = if files { objectid::FIRST_FREE } else { 0 };
        place.require(item.root_dirid == dirid, || format!("root_dirid is {}", item.root_dirid))?;
        place.require(item.byte_limit == 0, || format!("byte_limit is {}", item.byte_limit))?;
        let subvolume = (objectid::FIRST_FREE..).contains(&id) && is_subvolume(id);
        place.require(!subvolume || item.uuid != [0; 16], || "has no UUID")?;
        self.roots.insert(id, *item);
        Ok(())
    }

    fn name(&self, place: ItemPlace, data: &[u8], id: u64, parent: u64) -> Result<RootRecord> {
        let name = root_ref(data).ok_or_else(|| place.breaks("not a name of a subvolume"))?;
        check_name(place, name.name)?;
        Ok(RootRecord::new(id, parent, name))
    }

    fn directory_item(&mut self, superblock: &Super, place: ItemPlace, data: &[u8]) -> Result<()> {
        let Key { objectid, item_type, offset } = place.key;
        match (item_type, offset) {
            (item_type::INODE_ITEM, 0) => {
                let item = exact::<InodeItem>(data);
                let item = item.ok_or_else(|| place.breaks("not an inode"))?;
                let kind = check_inode(superblock, place, item)?;
                place.require(kind == file_type::DIR, || "not a directory")
            }
            (item_type::INODE_REF, objectid::ROOT_TREE_DIR) => {
                let expected = if objectid == offset { &b".."[..] } else { &b"default"[..] };
                let names = inode_refs(offset, data);
                let names = names.ok_or_else(|| place.breaks("not a list of names"))?;
                let right = matches!(names[..], [one] if one.name == expected && one.index == 0);
                place.require(right, || "wrong name")
            }
            (item_type::DIR_ITEM, offset) if offset == hash::name(b"default") => {
                let entries = dir_entries(data);
                let entries = entries.ok_or_else(|| place.breaks("not an entry"))?;
                let [entry] = entries[..] else { return Err(place.breaks("has two names")) };
                place.require(entry.name == b"default", || "its name is not `default`")?;
                place.require(entry.data.is_empty(), || "has data")?;
                place.require(entry.item.file_type == file_type::DIR, || {
                    format!("type is {}", entry.item.file_type)
                })?;
                let location = Key::from(entry.item.location);
                let right = is_root(location) && is_subvolume(location.objectid);
                place.require(right, || {
                    format!("location is {}, which is not a subvolume", DisplayKey(location))
                })?;
                self.default = Some(location.objectid);
                Ok(())
            }
            _ => Err(place.breaks("item does not belong here")),
        }
    }

    pub(super) fn uuid_tree_item(&mut self, place: ItemPlace, data: &[u8]) -> Result<()> {
        place.require(
            place.key.item_type == item_type::UUID_KEY_SUBVOL,
            || "item does not belong here or is not supported",
        )?;
        let ids = <[U64]>::ref_from_bytes(data).ok().filter(|ids| !ids.is_empty());
        let ids = ids.ok_or_else(|| place.breaks("not a list of subvolumes"))?;
        let mut uuid = [0; 16];
        let (high, low) = uuid.split_at_mut(8);
        high.copy_from_slice(&place.key.objectid.to_le_bytes());
        low.copy_from_slice(&place.key.offset.to_le_bytes());
        for id in ids {
            place.require(self.uuids.insert((uuid, id.get())), || "it names one twice")?;
        }
        Ok(())
    }

    /// Returns the trees that can be walked, in ascending order of their ids.
    pub(super) fn trees(&self, report: &mut Report) -> Vec<Root> {
        let roots = self.roots.iter().map(|(id, item)| node::root(*id, item));
        let roots: Vec<_> = roots.filter_map(std::result::Result::ok).collect();
        let needed =
            [objectid::EXTENT_TREE, objectid::DEV_TREE, objectid::FS_TREE, objectid::CSUM_TREE];
        for id in needed.into_iter().chain([objectid::DATA_RELOC_TREE]) {
            if !self.roots.contains_key(&id) {
                report
                    .add(Violation::new("root tree", format_args!("tree {} is not there", Id(id))));
            }
        }
        roots
    }

    /// Returns a tree, if it exists.
    pub(super) fn tree(&self, id: u64) -> Option<Root> {
        self.roots.get(&id).and_then(|item| node::root(id, item).ok())
    }

    /// Checks the root tree and the UUID tree against the other trees.
    ///
    /// `seen` are the subvolumes that directories contain.
    pub(super) fn compare(
        &mut self,
        reader: &Reader<'_>,
        trees: &Trees,
        seen: &mut [RootRecord],
        rules: Rules,
        report: &mut Report,
    ) {
        self.compare_features(&reader.superblock, rules, report);
        self.compare_sizes(reader, trees, report);
        self.compare_directory(&reader.superblock, report);
        self.compare_uuids(report);
        for list in [&mut self.refs[..], &mut self.backrefs[..], seen] {
            list.sort();
        }
        let place = |seen: &RootRecord| {
            let RootRecord { id, parent, dir, index, .. } = seen;
            format!("subvolume {id} at index {index} of inode {dir} of tree {parent}")
        };
        for (list, what) in [(&self.refs, "ROOT_REF"), (&self.backrefs, "ROOT_BACKREF")] {
            let (without, more) = unmatched(seen, list);
            for one in without {
                report.add(Violation::new(place(one), format_args!("there is no {what} for it")));
            }
            for one in more {
                let rule = format!("{what} without an entry of that name");
                report.add(Violation::new(place(one), rule));
            }
        }
        self.compare_parents(report);
    }

    fn compare_features(&self, superblock: &Super, rules: Rules, report: &mut Report) {
        let compat_ro = superblock.compat_ro();
        for (id, wanted) in [
            (objectid::FREE_SPACE_TREE, compat_ro.contains(CompatRo::FREE_SPACE_TREE)),
            (objectid::BLOCK_GROUP_TREE, compat_ro.contains(CompatRo::BLOCK_GROUP_TREE)),
        ] {
            if self.roots.contains_key(&id) != wanted {
                let rule = format!("tree {id} is there, or compat_ro_flags says so, but not both");
                report.add(Violation::new("root tree", rule));
            }
        }
        let SuperBlock { uuid_tree_generation, generation, .. } = *superblock.record;
        if rules == Rules::Detfs && uuid_tree_generation != generation {
            let rule = format!("uuid_tree_generation is {uuid_tree_generation}: not up to date");
            report.add(Violation::new("superblock", rule));
        }
    }

    /// Checks that `bytes_used` of each root is the total size of its blocks.
    fn compare_sizes(&self, reader: &Reader<'_>, trees: &Trees, report: &mut Report) {
        let mut used: BTreeMap<u64, u64> = BTreeMap::new();
        for block in trees.blocks() {
            *used.entry(block.owner).or_default() += reader.superblock.node_size() as u64;
        }
        for (id, item) in &self.roots {
            let used = used.get(id).copied().unwrap_or(0);
            if item.bytes_used != used {
                let rule = format!("bytes_used is {}, and its blocks take {used}", item.bytes_used);
                report.add(Violation::new(format_args!("root of tree {}", Id(*id)), rule));
            }
        }
    }

    fn compare_directory(&self, superblock: &Super, report: &mut Report) {
        let dir = objectid::ROOT_TREE_DIR;
        let expected = BTreeSet::from([
            Key::new(dir, item_type::INODE_ITEM, 0),
            Key::new(dir, item_type::INODE_REF, dir),
            Key::new(dir, item_type::DIR_ITEM, hash::name(b"default")),
            Key::new(objectid::FS_TREE, item_type::INODE_REF, dir),
        ]);
        for key in expected.difference(&self.directory) {
            let rule = format!("item {} is not there", DisplayKey(*key));
            report.add(Violation::new("root tree", rule));
        }
        let place = "root tree, default subvolume";
        let Some(default) = self.default else { return };
        if !self.roots.contains_key(&default) {
            report.add(Violation::new(place, format_args!("there is no subvolume {default}")));
        }
        let flagged = superblock.incompat().contains(Incompat::DEFAULT_SUBVOL);
        if default != objectid::FS_TREE && !flagged {
            let rule = "not the top level, and incompat_flags does not say so";
            report.add(Violation::new(place, rule));
        }
    }

    fn compare_uuids(&self, report: &mut Report) {
        if !self.roots.contains_key(&objectid::UUID_TREE) {
            return;
        }
        let subvolumes =
            self.roots.iter().filter(|(id, item)| is_subvolume(**id) && item.uuid != [0; 16]);
        let expected = subvolumes.map(|(id, item)| (item.uuid, *id)).collect::<BTreeSet<_>>();
        for (_, id) in expected.difference(&self.uuids) {
            let rule = "its UUID is not in the UUID tree";
            report.add(Violation::new(format_args!("subvolume {id}"), rule));
        }
        for (_, id) in self.uuids.difference(&expected) {
            let rule = format!("has an entry for tree {id}, which has another UUID");
            report.add(Violation::new("UUID tree", rule));
        }
        let mut uuids = BTreeSet::new();
        for (uuid, id) in &expected {
            if !uuids.insert(uuid) {
                let place = format_args!("subvolume {id}");
                report.add(Violation::new(place, "another subvolume has the same UUID"));
            }
        }
    }

    /// Checks that every subvolume has one parent, and is reachable from the top level.
    fn compare_parents(&self, report: &mut Report) {
        let mut children: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for seen in &self.refs {
            children.entry(seen.parent).or_default().push(seen.id);
        }
        let mut reached = BTreeSet::new();
        let mut pending = vec![objectid::FS_TREE];
        while let Some(id) = pending.pop() {
            if !reached.insert(id) {
                let place = format_args!("subvolume {id}");
                report.add(Violation::new(place, "appears in more than one place"));
                continue;
            }
            pending.extend(children.get(&id).into_iter().flatten());
        }
        for id in &reached {
            if !self.roots.contains_key(id) {
                report.add(Violation::new(format_args!("subvolume {id}"), "has no root"));
            }
        }
        for id in self.roots.keys().filter(|id| is_subvolume(**id)) {
            if !reached.contains(id) {
                report.add(Violation::new(format_args!("subvolume {id}"), "appears nowhere"));
            }
        }
    }
}
