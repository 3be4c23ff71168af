//! `ext4-view`, a reader of ext4 that others wrote, as an oracle: it checks the checksums of
//! superblock, inodes, extents and directories, and looks names up by their hashes.

use std::collections::BTreeSet;

use detfs::name::Escaped;
use ext4_view::{Ext4, FileType, Metadata};

use crate::Verdict;
use crate::sketch::{Expected, What};

/// Reads the whole tree back and compares it with the model.
pub fn check(image: Vec<u8>, model: &[Expected]) -> Verdict {
    let fs = Ext4::load(Box::new(image)).map_err(|error| error.to_string())?;
    let mut pending = vec![(0, b"/".to_vec())];
    while let Some((position, path)) = pending.pop() {
        let node = &model[position];
        compare(&fs, &path, node)
            .map_err(|complaint| format!("{}: {complaint}", Escaped(&path)))?;
        if let What::Directory(names) = &node.what {
            let base = if path == b"/" { &b""[..] } else { &path };
            pending.extend(names.iter().map(|(name, &child)| (child, [base, b"/", name].concat())));
        }
    }
    Ok(())
}

fn compare(fs: &Ext4, path: &[u8], node: &Expected) -> Verdict {
    let complaint = |error: ext4_view::Ext4Error| error.to_string();
    let metadata = fs.symlink_metadata(path).map_err(complaint)?;
    fields(&metadata, node)?;
    match &node.what {
        What::Directory(names) => {
            let mut found = BTreeSet::new();
            for entry in fs.read_dir(path).map_err(complaint)? {
                let entry = entry.map_err(complaint)?;
                let metadata = entry.metadata().map_err(complaint)?;
                if entry.file_type().map_err(complaint)? != metadata.file_type() {
                    return Err("an entry's file type is not that of its inode".into());
                }
                found.insert(entry.file_name().as_ref().to_vec());
            }
            let dots = [b".".to_vec(), b"..".to_vec()];
            match found == names.keys().cloned().chain(dots).collect() {
                true => Ok(()),
                false => Err(format!("it lists {found:?}, not {:?}", names.keys())),
            }
        }
        What::File(bytes) => match fs.read(path).map_err(complaint)? == **bytes {
            true => Ok(()),
            false => Err("another content".into()),
        },
        What::Symlink(target) => {
            let found = fs.read_link(path).map_err(complaint)?;
            match found.as_ref() == &target[..] {
                true => Ok(()),
                false => Err(format!("another target: {found:?}")),
            }
        }
        _ => Ok(()),
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
