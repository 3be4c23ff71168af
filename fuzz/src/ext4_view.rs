//! `ext4-view`, an independent reader of ext4, as an oracle: it checks the checksums of the
//! superblock, inodes, extents and directories, and looks up names by their hashes.

use std::collections::{BTreeMap, BTreeSet};

use ext4_view::{Ext4, FileType, Metadata};

use crate::Verdict;
use crate::arbitrary_tree::{Expected, What};

/// Maximum number of names in a directory that are looked up, since lookups are the slowest check.
const LOOKUPS: usize = 64;

/// Reads back the whole tree and compares it with the expected nodes.
pub fn check(image: Vec<u8>, model: &[Expected]) -> Verdict {
    let fs = Ext4::load(Box::new(image)).map_err(|error| error.to_string())?;
    let view = View { fs, model };
    let root = view.fs.symlink_metadata("/").map_err(|error| error.to_string())?;
    fields(&root, &model[0])?;
    let mut pending = vec![(0, b"/".to_vec())];
    let mut seen = vec![false; model.len()];
    while let Some((position, path)) = pending.pop() {
        if std::mem::replace(&mut seen[position], true) {
            continue;
        }
        if let What::Directory(names) = &model[position].what {
            view.directory(&path, names)
                .map_err(|error_text| format!("{}: {error_text}", path.escape_ascii()))?;
            let below = names.iter().map(|(name, &child)| (child, join(&path, name)));
            pending.extend(below);
        } else {
            view.content(&path, &model[position])
                .map_err(|error_text| format!("{}: {error_text}", path.escape_ascii()))?;
        }
    }
    Ok(())
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    [path.strip_suffix(b"/").unwrap_or(path), b"/", name].concat()
}

struct View<'a> {
    fs: Ext4,
    model: &'a [Expected],
}

fn error_text(error: ext4_view::Ext4Error) -> String {
    error.to_string()
}

impl View<'_> {
    fn directory(&self, path: &[u8], names: &BTreeMap<Vec<u8>, usize>) -> Verdict {
        let mut found = BTreeSet::new();
        for entry in self.fs.read_dir(path).map_err(error_text)? {
            let entry = entry.map_err(error_text)?;
            let metadata = entry.metadata().map_err(error_text)?;
            if entry.file_type().map_err(error_text)? != metadata.file_type() {
                return Err("an entry's file type is not that of its inode".into());
            }
            let name = entry.file_name().as_ref().to_vec();
            if let Some(&child) = names.get(&name) {
                fields(&metadata, &self.model[child])
                    .map_err(|error_text| format!("{}: {error_text}", name.escape_ascii()))?;
            }
            if !found.insert(name) {
                return Err("a name is there twice".into());
            }
        }
        let dots = [b".".to_vec(), b"..".to_vec()];
        if found != names.keys().cloned().chain(dots).collect() {
            return Err(format!("it lists {found:?}, not {:?}", names.keys()));
        }
        let step = names.len().div_ceil(LOOKUPS).max(1);
        for (name, &child) in names.iter().step_by(step) {
            let metadata = self.fs.symlink_metadata(&join(path, name)[..]).map_err(error_text)?;
            fields(&metadata, &self.model[child])
                .map_err(|error_text| format!("{} looked up: {error_text}", name.escape_ascii()))?;
        }
        Ok(())
    }

    fn content(&self, path: &[u8], node: &Expected) -> Verdict {
        match &node.what {
            What::File(bytes) if self.fs.read(path).map_err(error_text)? != **bytes => {
                Err("another content".into())
            }
            // ext4-view refuses targets with a name that is longer than that of any file.
            What::Symlink(target)
                if target.split(|&byte| byte == b'/').all(|name| name.len() <= 255) =>
            {
                let found = self.fs.read_link(path).map_err(error_text)?;
                match found.as_ref() == &target[..] {
                    true => Ok(()),
                    false => Err(format!("another target: {found:?}")),
                }
            }
            _ => Ok(()),
        }
    }
}

fn fields(metadata: &Metadata, node: &Expected) -> Verdict {
    let (kind, len) = match &node.what {
        What::Directory(_) => (FileType::Directory, metadata.len()),
        What::File(bytes) => (FileType::Regular, bytes.len() as u64),
        What::Symlink(target) => (FileType::Symlink, target.len() as u64),
        What::Fifo => (FileType::Fifo, 0),
        What::Socket => (FileType::Socket, 0),
        What::Char(..) => (FileType::CharacterDevice, 0),
        What::Block(..) => (FileType::BlockDevice, 0),
    };
    let found =
        (metadata.file_type(), metadata.len(), metadata.mode(), metadata.uid(), metadata.gid());
    let expected = (kind, len, node.mode, node.uid, node.gid);
    match found == expected {
        true => Ok(()),
        false => Err(format!("{found:?}, not {expected:?}")),
    }
}
