//! Copies of a tree that differ in everything that must not matter: the order of creation, and with
//! it inode numbers and directory order, the file system, and which zeros are holes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};

use super::{Random, set_mtime};
use crate::oracle::read_xattrs;

/// Which zeros of a copy become holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sparseness {
    /// Every page of zeros.
    Most,
    /// No zeros, except in files of more than 64 MiB.
    Least,
}

/// Copies a tree into an empty directory, in an order derived from `order`.
pub fn copy(from: &Path, to: &Path, order: u64, sparseness: Sparseness) {
    crate::oracle::require_root();
    let mut random = Random::new(order);
    let mut directories = vec![PathBuf::new()];
    let mut others = Vec::new();
    let mut next = 0;
    while let Some(directory) = directories.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(from.join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            let is_directory = entry.file_type().unwrap().is_dir();
            if is_directory { &mut directories } else { &mut others }.push(path);
        }
    }
    random.shuffle(&mut directories);
    random.shuffle(&mut others);
    for path in &directories {
        fs::create_dir_all(to.join(path)).unwrap();
    }
    let mut copied: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    for path in &others {
        let (source, target) = (from.join(path), to.join(path));
        let metadata = fs::symlink_metadata(&source).unwrap();
        let inode = (metadata.dev(), metadata.ino());
        if let Some(first) = copied.get(&inode) {
            fs::hard_link(first, &target).unwrap();
            continue;
        }
        copy_node(&source, &target, &metadata, sparseness);
        copy_metadata(&source, &target, &mut random);
        copied.insert(inode, target);
    }
    directories.sort();
    for path in directories.iter().rev() {
        copy_metadata(&from.join(path), &to.join(path), &mut random);
    }
}

fn copy_node(source: &Path, target: &Path, metadata: &fs::Metadata, sparseness: Sparseness) {
    let kind = metadata.file_type();
    let device = |kind| {
        rustix::fs::mknodat(CWD, target, kind, Mode::from_raw_mode(0o600), metadata.rdev())
            .unwrap();
    };
    if kind.is_file() {
        copy_content(source, target, metadata.len(), sparseness);
    } else if kind.is_symlink() {
        symlink(fs::read_link(source).unwrap(), target)
            .unwrap_or_else(|error| panic!("{target:?}: {error}"));
    } else if kind.is_fifo() {
        device(FileType::Fifo);
    } else if kind.is_socket() {
        device(FileType::Socket);
    } else if kind.is_char_device() {
        device(FileType::CharacterDevice);
    } else {
        device(FileType::BlockDevice);
    }
}

fn copy_content(source: &Path, target: &Path, len: u64, sparseness: Sparseness) {
    let target = File::create(target).unwrap();
    target.set_len(len).unwrap();
    let dense = sparseness == Sparseness::Least && len <= 64 << 20;
    let mut source = File::open(source).unwrap();
    let mut buffer = vec![0; 4096];
    let mut at = 0;
    while at < len {
        // Holes in the source are skipped, since they may be as large as a tebibyte.
        if !dense {
            match rustix::fs::seek(&source, rustix::fs::SeekFrom::Data(at)) {
                Ok(data) => at = data / 4096 * 4096,
                Err(_) => break,
            }
            rustix::fs::seek(&source, rustix::fs::SeekFrom::Start(at)).unwrap();
        }
        let step = usize::try_from((len - at).min(4096)).unwrap();
        source.read_exact(&mut buffer[..step]).unwrap();
        if dense || buffer[..step].iter().any(|&byte| byte != 0) {
            target.write_all_at(&buffer[..step], at).unwrap();
        }
        at += u64::try_from(step).unwrap();
    }
}

fn copy_metadata(source: &Path, target: &Path, random: &mut Random) {
    let metadata = fs::symlink_metadata(source).unwrap();
    lchown(target, Some(metadata.uid()), Some(metadata.gid())).unwrap();
    if !metadata.is_symlink() {
        fs::set_permissions(target, fs::Permissions::from_mode(metadata.mode() & 0o7777)).unwrap();
    }
    let mut xattrs: Vec<_> = read_xattrs(source).into_iter().collect();
    random.shuffle(&mut xattrs);
    for (name, value) in xattrs {
        let name = OsStr::from_bytes(&name);
        rustix::fs::lsetxattr(target, name, &value, XattrFlags::empty())
            .unwrap_or_else(|error| panic!("{target:?}: {name:?}: {error}"));
    }
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap();
    set_mtime(target, (metadata.mtime(), nanoseconds));
}

#[cfg(test)]
mod tests {
    use super::super::{Stress, make, stress};
    use super::*;
    use crate::oracle::{Comparison, Mounted};

    fn blocks(at: PathBuf) -> u64 {
        fs::metadata(at).unwrap().blocks()
    }

    #[test]
    fn a_copy_is_the_same_tree() {
        let plan = stress(Stress { seed: 2, entries: 300, readable: false });
        let one = tempfile::tempdir().unwrap();
        make(one.path(), &plan, 0);
        let two = Mounted::new("tmpfs", "size=512m", None).unwrap();
        copy(one.path(), two.path(), 1, Sparseness::Most);
        Comparison::exact().compare(one.path(), two.path()).unwrap();
        let three = tempfile::tempdir().unwrap();
        copy(one.path(), three.path(), 2, Sparseness::Least);
        Comparison::exact().compare(one.path(), three.path()).unwrap();

        let zeros = "sparse/zeros";
        assert_eq!(blocks(two.path().join(zeros)), 0);
        assert!(blocks(three.path().join(zeros)) > 0);
        assert!(blocks(three.path().join("sparse/all")) > 0);
    }
}
