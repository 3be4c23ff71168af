//! Source trees: a generated stress tree, copies of a tree that represent the same tree
//! differently, and the root file system of a Debian system.

mod copy;
mod debian;
mod random;
mod stress;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

pub use copy::{Sparseness, copy};
pub use debian::debian;
pub use random::Random;
pub use stress::{LATEST, Stress, stress};

/// The type of an entry, with its content.
#[derive(Debug, Clone)]
pub enum Node {
    Directory,
    /// Data at (offset, length) pairs, with holes in between.
    File {
        size: u64,
        data: Vec<(u64, u64)>,
    },
    /// A file of zeros that are written.
    Zeros {
        size: u64,
    },
    Symlink(Vec<u8>),
    Fifo,
    Socket,
    Char(u32, u32),
    Block(u32, u32),
    /// Another name of an entry that is not a directory.
    Link(PathBuf),
}

/// A name in a tree with the metadata of its inode.
///
/// A [`Node::Link`] has the metadata of its target.
#[derive(Debug, Clone)]
pub struct Entry {
    pub path: PathBuf,
    pub node: Node,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub xattrs: BTreeMap<&'static str, Vec<u8>>,
    /// Seed of the content.
    pub seed: u64,
}

/// Creates a tree in an empty directory.
///
/// Entries are created in an order derived from `order`, which does not affect the resulting tree.
///
/// # Panics
/// If the file system of `root` can't store the metadata of the tree.
pub fn make(root: &Path, entries: &[Entry], order: u64) {
    crate::oracle::require_root();
    let mut random = Random::new(order);
    let (mut first, mut links): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| !matches!(entry.node, Node::Link(_)));
    random.shuffle(&mut first);
    random.shuffle(&mut links);
    for entry in &first {
        let at = root.join(&entry.path);
        if let Node::Directory = entry.node {
            fs::create_dir_all(&at).unwrap_or_else(|error| panic!("{at:?}: {error}"));
        } else {
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            make_node(&at, entry);
        }
    }
    for entry in &links {
        let Node::Link(target) = &entry.node else { unreachable!("partitioned above") };
        fs::hard_link(root.join(target), root.join(&entry.path)).unwrap();
    }
    // A directory's mtime changes with its entries, so directories come after their entries.
    first.sort_by(|a, b| b.path.cmp(&a.path));
    for entry in first {
        set_metadata(&root.join(&entry.path), entry);
    }
}

fn make_node(at: &Path, entry: &Entry) {
    let device = |kind, (major, minor)| {
        let number = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(CWD, at, kind, Mode::from_raw_mode(0o600), number)
            .unwrap_or_else(|error| panic!("{at:?}: {error}"));
    };
    match &entry.node {
        Node::File { size, data } => {
            let file = File::create(at).unwrap_or_else(|error| panic!("{at:?}: {error}"));
            file.set_len(*size).unwrap();
            let mut random = Random::new(entry.seed);
            for &(offset, len) in data {
                file.write_all_at(&random.bytes(len), offset).unwrap();
            }
        }
        Node::Zeros { size } => fs::write(at, vec![0; usize::try_from(*size).unwrap()]).unwrap(),
        Node::Symlink(target) => symlink(OsStr::from_bytes(target), at)
            .unwrap_or_else(|error| panic!("{at:?}: {} bytes: {error}", target.len())),
        Node::Fifo => device(FileType::Fifo, (0, 0)),
        Node::Socket => device(FileType::Socket, (0, 0)),
        Node::Char(major, minor) => device(FileType::CharacterDevice, (*major, *minor)),
        Node::Block(major, minor) => device(FileType::BlockDevice, (*major, *minor)),
        Node::Directory | Node::Link(_) => unreachable!("made elsewhere"),
    }
}

/// Adds the content of an EFI system partition: long, short and lower-case names, and many entries.
pub fn add_efi(root: &Path) {
    let script =
        "mkdir -p $1/efi/EFI/BOOT $1/efi/EFI/Linux $1/efi/loader/entries $1/efi/many; cd $1/efi
        head -c 300000 /dev/zero | tr '\\0' x >EFI/BOOT/BOOTX64.EFI
        echo 'timeout 3' >loader/loader.conf; : >EMPTY; echo x >lower.txt; echo x >MiXeD.txt
        echo x >'loader/entries/a longer name with spaces, and a comma.conf'
        echo x >'EFI/Linux/Größe-ディスク.efi'
        for n in $(seq 300); do echo $n >\"many/a long name that is cut short $n.txt\"; done
        touch -d @1600000000 ..
        find . -exec touch -d @1600000000 {} +";
    crate::oracle::shell(script, &[root]);
}

/// Returns a stress tree with an `efi` directory, which is created once for all tests of a run.
pub fn stressed(entries: u64) -> &'static Path {
    static TREES: Mutex<BTreeMap<u64, &'static Path>> = Mutex::new(BTreeMap::new());
    let mut trees = TREES.lock().unwrap_or_else(PoisonError::into_inner);
    trees.entry(entries).or_insert_with(|| {
        let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stress-{entries}"));
        let _ = fs::remove_dir_all(&tree);
        fs::create_dir_all(&tree).unwrap();
        make(&tree, &stress(Stress { seed: 1, entries, readable: false }), 1);
        add_efi(&tree);
        Box::leak(tree.into_boxed_path())
    })
}

/// Sets the owner, mode, attributes and time of a path.
///
/// The owner comes before the mode, from which chown would clear bits, and the mode before ACLs,
/// which are part of it.
fn set_metadata(at: &Path, entry: &Entry) {
    lchown(at, Some(entry.uid), Some(entry.gid)).unwrap();
    if !matches!(entry.node, Node::Symlink(_)) {
        fs::set_permissions(at, fs::Permissions::from_mode(entry.mode)).unwrap();
    }
    for (name, value) in &entry.xattrs {
        rustix::fs::lsetxattr(at, *name, value, XattrFlags::empty())
            .unwrap_or_else(|error| panic!("{at:?}: {name} of {} bytes: {error}", value.len()));
    }
    set_mtime(at, entry.mtime);
}

/// Sets the modification time of a path without following symlinks.
///
/// # Panics
/// If the file system can't store the exact time.
pub fn set_mtime(at: &Path, (seconds, nanoseconds): (i64, u32)) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, at, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    let kept = fs::symlink_metadata(at).unwrap();
    assert_eq!(
        (kept.mtime(), kept.mtime_nsec()),
        (seconds, nanoseconds.into()),
        "{at:?}: this file system does not keep the time; set TMPDIR to one that does"
    );
}
