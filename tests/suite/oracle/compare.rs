//! Compares two trees in everything that a file system stores.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, seek};

use super::{Verdict, oracle_error};

/// The differences that a comparison ignores.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    content_only: bool,
    without: Vec<PathBuf>,
    hollow: Vec<PathBuf>,
    latest: Option<i64>,
    one_time: bool,
    without_nodes: bool,
    without_sockets: bool,
    in_squashfs: bool,
}

impl Comparison {
    /// Compares type, mode, owner, mtime, size, content, symlink target, device number, xattrs and
    /// hard links.
    pub fn exact() -> Self {
        Self::default()
    }

    /// Compares only names, types, symlink targets and content, which is all that FAT stores.
    pub fn names_and_content() -> Self {
        Self { content_only: true, ..Self::default() }
    }

    /// Allows the second tree to contain `path` even if the first tree does not.
    pub fn without(mut self, path: &str) -> Self {
        self.without.push(path.into());
        self
    }

    /// Expects the directory to be empty in the second tree.
    pub fn hollow(mut self, path: &str) -> Self {
        self.hollow.push(path.into());
        self
    }

    /// Expects times of the first tree that are later than `epoch` to be clamped to `epoch`.
    pub fn clamped_to(mut self, epoch: i64) -> Self {
        self.latest = Some(epoch);
        self
    }

    /// Expects all times in the second tree to equal the modification time.
    pub fn one_time(mut self) -> Self {
        self.one_time = true;
        self
    }

    /// Allows the second tree to lack devices, pipes and sockets.
    pub fn without_nodes(mut self) -> Self {
        self.without_nodes = true;
        self
    }

    /// Allows the second tree to lack sockets.
    pub fn without_sockets(mut self) -> Self {
        self.without_sockets = true;
        self
    }

    /// Expects what squashfs stores of the first tree: whole seconds from 1970 to 2106, and no
    /// ACLs.
    pub fn in_squashfs(mut self) -> Self {
        self.in_squashfs = true;
        self
    }

    /// Compares two trees and reports every difference (only the first twenty in full).
    pub fn compare(&self, first: &Path, second: &Path) -> Verdict {
        let mut left = Listing::read(first, self.content_only);
        let mut right = Listing::read(second, self.content_only);
        for path in &self.without {
            if !left.0.contains_key(path) {
                right.0.retain(|found, _| !found.starts_with(path));
            }
        }
        for path in &self.hollow {
            left.0.retain(|found, _| found == path || !found.starts_with(path));
        }
        if self.without_nodes {
            left.0.retain(|_, node| ["file", "directory", "symlink"].contains(&node.kind));
        }
        if let Some(latest) = self.latest {
            for node in left.0.values_mut() {
                node.mtime = node.mtime.min((latest, 0));
            }
        }
        if self.without_sockets {
            left.0.retain(|_, node| node.kind != "socket");
        }
        if self.in_squashfs {
            for node in left.0.values_mut() {
                node.mtime = (node.mtime.0.clamp(0, u32::MAX.into()), 0);
                node.xattrs.retain(|name, _| !name.starts_with(b"system."));
            }
        }
        let mut differences = Vec::new();
        for (path, node) in &left.0 {
            match right.0.get(path) {
                None => differences.push(format!("{}: missing", path.display())),
                Some(other) => differences.extend(
                    node.differences(other, &first.join(path), &second.join(path))
                        .into_iter()
                        .map(|difference| format!("{}: {difference}", path.display())),
                ),
            }
        }
        if self.one_time {
            let others = right.0.iter().filter(|(_, node)| node.times != [node.mtime; 3]);
            differences.extend(others.map(|(path, node)| {
                let Node { times, mtime, .. } = node;
                format!("{}: times {times:?} beside {mtime:?}", path.display())
            }));
        }
        let extra = right.0.keys().filter(|path| !left.0.contains_key(*path));
        differences.extend(extra.map(|path| format!("{}: extra", path.display())));
        if differences.is_empty() {
            return Ok(());
        }
        let count = differences.len();
        differences.truncate(20);
        oracle_error(format!("{count} differences:\n{}", differences.join("\n")))
    }
}

/// A node of a tree.
///
/// Fields that a comparison ignores have their default values.
#[derive(Debug, Default)]
struct Node {
    kind: &'static str,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: (i64, i64),
    /// Access, change and birth time.
    times: [(i64, i64); 3],
    /// Size of a regular file, 0 for other nodes.
    size: u64,
    rdev: u64,
    target: PathBuf,
    links: u64,
    /// The smallest path of the inode, which identifies a group of hard links.
    group: PathBuf,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Node {
    fn differences(&self, other: &Self, here: &Path, there: &Path) -> Vec<String> {
        if self.kind != other.kind {
            return vec![format!("{}, then {}", self.kind, other.kind)];
        }
        let mut found = Vec::new();
        let mut field = |name: &str, same: bool, one: String, two: String| {
            if !same {
                found.push(format!("{name} {one}, then {two}"));
            }
        };
        macro_rules! fields {
            ($($name:ident),*) => {
                $(field(
                    stringify!($name),
                    self.$name == other.$name,
                    format!("{:?}", self.$name),
                    format!("{:?}", other.$name),
                );)*
            };
        }
        fields!(mode, uid, gid, mtime, size, rdev, target, links, group, xattrs);
        if self.kind == "file" && self.size == other.size {
            field("content", same_content(here, there), String::new(), "another".into());
        }
        found
    }
}

/// The nodes of a tree by path.
///
/// The root has the empty path.
struct Listing(BTreeMap<PathBuf, Node>);

impl Listing {
    fn read(root: &Path, content_only: bool) -> Self {
        let mut listing = BTreeMap::new();
        let mut inodes = BTreeMap::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(path) = pending.pop() {
            let at = root.join(&path);
            let metadata = fs::symlink_metadata(&at).unwrap_or_else(|e| panic!("{at:?}: {e}"));
            if metadata.is_dir() {
                let names = fs::read_dir(&at).unwrap_or_else(|e| panic!("{at:?}: {e}"));
                pending.extend(names.map(|entry| path.join(entry.unwrap().file_name())));
            }
            let first: &mut PathBuf =
                inodes.entry((metadata.dev(), metadata.ino())).or_insert_with(|| path.clone());
            if path < *first {
                first.clone_from(&path);
            }
            listing.insert(path, (Node::read(&at, &metadata, content_only), metadata));
        }
        let nodes = listing.into_iter().map(|(path, (mut node, metadata))| {
            if !content_only {
                node.group.clone_from(&inodes[&(metadata.dev(), metadata.ino())]);
            }
            (path, node)
        });
        Self(nodes.collect())
    }
}

impl Node {
    fn read(at: &Path, metadata: &Metadata, content_only: bool) -> Self {
        let kind = metadata.file_type();
        let names = [
            (kind.is_file(), "file"),
            (kind.is_dir(), "directory"),
            (kind.is_symlink(), "symlink"),
            (kind.is_fifo(), "fifo"),
            (kind.is_socket(), "socket"),
            (kind.is_char_device(), "character device"),
            (kind.is_block_device(), "block device"),
        ];
        let mut node = Self {
            kind: names.iter().find(|(is, _)| *is).unwrap().1,
            size: if kind.is_file() { metadata.len() } else { 0 },
            rdev: metadata.rdev(),
            ..Self::default()
        };
        if kind.is_symlink() {
            node.target = fs::read_link(at).unwrap();
        }
        if content_only {
            return node;
        }
        node.mode = metadata.mode();
        (node.uid, node.gid) = (metadata.uid(), metadata.gid());
        node.mtime = (metadata.mtime(), metadata.mtime_nsec());
        node.times = [
            (metadata.atime(), metadata.atime_nsec()),
            (metadata.ctime(), metadata.ctime_nsec()),
            birth_time(at),
        ];
        if !kind.is_dir() {
            node.links = metadata.nlink();
        }
        node.xattrs = read_xattrs(at);
        node
    }
}

/// Returns the birth time of an inode without following symlinks, or 0 if it is not recorded.
fn birth_time(at: &Path) -> (i64, i64) {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    let found = statx(CWD, at, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BTIME).unwrap();
    (found.stx_btime.tv_sec, found.stx_btime.tv_nsec.into())
}

/// Returns the extended attributes of a path without following symlinks.
pub fn read_xattrs(at: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    use rustix::buffer::spare_capacity;
    let mut names = Vec::with_capacity(1 << 16);
    match rustix::fs::llistxattr(at, spare_capacity(&mut names)) {
        Ok(_) => {}
        Err(rustix::io::Errno::OPNOTSUPP) => return BTreeMap::new(),
        Err(error) => panic!("{at:?}: {error}"),
    }
    let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let read = |name: &[u8]| {
        let mut value = Vec::with_capacity(1 << 16);
        rustix::fs::lgetxattr(at, OsStr::from_bytes(name), spare_capacity(&mut value))
            .unwrap_or_else(|error| panic!("{at:?}: {name:?}: {error}"));
        (name.to_vec(), value)
    };
    names.map(read).collect()
}

fn same_content(one: &Path, two: &Path) -> bool {
    let open = |path: &Path| File::open(path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
    let (mut one, mut two) = (open(one), open(two));
    let len = one.metadata().unwrap().len();
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        // Ranges that are holes in both files are equal.
        let at = one.stream_position().unwrap();
        let data = [&one, &two].map(|file| seek(file, SeekFrom::Data(at)).unwrap_or(u64::MAX));
        let at = at.max(data[0].min(data[1]).min(len) / 4096 * 4096);
        for file in [&one, &two] {
            seek(file, SeekFrom::Start(at)).unwrap();
        }
        let Ok(len) = one.read(&mut left) else { return false };
        if two.read_exact(&mut right[..len]).is_err() || left[..len] != right[..len] {
            return false;
        }
        if len == 0 {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use tempfile::TempDir;

    use super::super::tool::{require_root, shell};
    use super::*;

    /// Script that creates a tree with every kind of node.
    const MAKE: &str = "mkdir -p $1/dir/sub; cd $1; seq 1000 >file; seq 1000 >linked
        ln linked second; ln -s file link; ln -s other trusted-link; : >dir/empty
        mkfifo fifo; mknod char c 1 3; mknod block b 7 0; printf x >lone
        chmod 640 file; chown 5:6 file; setfattr -n user.a -v one file
        setfattr -h -n trusted.t -v one trusted-link; setfattr -n trusted.t -v one char
        setfacl -m u:7:rx dir; setfacl -d -m u:7:rx dir
        find . -exec touch -h -d @1600000000.000000005 {} +";

    fn pair() -> (TempDir, PathBuf, PathBuf) {
        require_root();
        let scratch = tempfile::tempdir().unwrap();
        let (one, two) = (scratch.path().join("one"), scratch.path().join("two"));
        for tree in [&one, &two] {
            fs::create_dir(tree).unwrap();
            UnixListener::bind(tree.join("socket")).unwrap();
            shell(MAKE, &[tree]);
        }
        (scratch, one, two)
    }

    #[test]
    fn equal_trees_are_equal() {
        let (_scratch, one, two) = pair();
        Comparison::exact().compare(&one, &two).unwrap();
    }

    #[test]
    fn every_field_is_compared() {
        let restore = "touch -h -d @1600000000.000000005";
        for (change, word) in [
            ("chmod 600 file", "file: mode"),
            ("chmod u+s,o+t file", "file: mode"),
            ("chown 4:6 file; chmod 640 file", "file: uid"),
            ("chown 5:4 file; chmod 640 file", "file: gid"),
            ("chown -h 9 link", "link: uid"),
            ("touch -d @1600000000.000000006 file", "file: mtime"),
            ("touch -d @1600000001.000000005 dir", "dir: mtime"),
            ("touch -h -d @1600000001.000000005 link", "link: mtime"),
            ("touch -d @1600000001.000000005 .", ": mtime"),
            ("chmod 700 .", ": mode"),
            ("printf y >lone", "lone: content"),
            ("printf xx >lone", "lone: size"),
            ("printf '9\\n' | dd of=file bs=1 seek=3000 conv=notrunc status=none", "file: content"),
            ("ln -sfn elif link", "link: target"),
            ("rm char; mknod char c 1 5", "char: rdev"),
            ("rm block; mknod block c 7 0", "block: block device, then character device"),
            ("rm fifo; : >fifo", "fifo: fifo, then file"),
            ("rm socket; mkfifo socket", "socket: socket, then fifo"),
            ("setfattr -n user.a -v two file", "file: xattrs"),
            ("setfattr -x user.a file", "file: xattrs"),
            ("setfattr -n user.b -v one file", "file: xattrs"),
            ("setfattr -h -n trusted.t -v two trusted-link", "trusted-link: xattrs"),
            ("setfattr -n trusted.t -v two char", "char: xattrs"),
            ("setfacl -m u:7:r dir", "dir: xattrs"),
            ("setfacl -k dir", "dir: xattrs"),
            ("rm second; cp -p linked second", "second: group"),
            ("rm second; cp -p linked second", "linked: links"),
            ("rm lone; ln file lone", "lone: links"),
            ("rm dir/empty", "dir/empty: missing"),
            ("rmdir dir/sub", "dir/sub: missing"),
            (": >new", "new: extra"),
        ] {
            let (_scratch, one, two) = pair();
            let script = match word.ends_with("mtime") {
                true => format!("cd $1; {change}"),
                false => format!("cd $1; {change}; find . -exec {restore} {{}} +"),
            };
            shell(&script, &[&two]);
            let error_text = Comparison::exact().compare(&one, &two).expect_err(change).0;
            let found = error_text.lines().any(|line| line.starts_with(word));
            assert!(found, "{change}: {error_text}");
        }
    }

    #[test]
    fn allowances_allow_no_more_than_they_say() {
        let (_scratch, one, two) = pair();
        shell("mkdir $1/lost+found; touch -d @1600000000.000000005 $1", &[&two]);
        let exact = Comparison::exact();
        exact.compare(&one, &two).unwrap_err();
        exact.clone().without("lost+found").compare(&one, &two).unwrap();
        exact.clone().without("lost+found").compare(&two, &one).unwrap_err();

        let (_scratch, one, two) = pair();
        shell("rm -r $1/dir/*; touch -d @1600000000.000000005 $1/dir", &[&two]);
        exact.compare(&one, &two).unwrap_err();
        exact.clone().hollow("dir").compare(&one, &two).unwrap();
        exact.clone().hollow("dir").compare(&two, &one).unwrap_err();

        let (_scratch, one, two) = pair();
        shell("find $1 -exec touch -h -d @1500000000 {} +", &[&two]);
        exact.compare(&one, &two).unwrap_err();
        exact.clone().clamped_to(1_500_000_000).compare(&one, &two).unwrap();
        exact.clone().clamped_to(1_500_000_001).compare(&one, &two).unwrap_err();

        let (_scratch, one, two) = pair();
        exact.clone().one_time().compare(&one, &two).unwrap_err();

        let (_scratch, one, two) = pair();
        shell("cd $1; rm fifo char block socket", &[&two]);
        shell("touch -d @1600000000.000000005 $1", &[&two]);
        exact.compare(&one, &two).unwrap_err();
        exact.clone().without_nodes().compare(&one, &two).unwrap();
        shell("rm $1/link; touch -d @1600000000.000000005 $1", &[&two]);
        exact.clone().without_nodes().compare(&one, &two).unwrap_err();

        let (_scratch, one, two) = pair();
        shell("rm $1/socket; touch -d @1600000000.000000005 $1", &[&two]);
        exact.compare(&one, &two).unwrap_err();
        exact.clone().without_sockets().compare(&one, &two).unwrap();
        exact.clone().without_sockets().compare(&two, &one).unwrap_err();

        let (_scratch, one, two) = pair();
        shell("setfacl -bk $1/dir; find $1 -exec touch -h -d @1600000000 {} +", &[&two]);
        exact.compare(&one, &two).unwrap_err();
        exact.clone().in_squashfs().compare(&one, &two).unwrap();
        shell("touch -d @-1 $1/file", &[&one]);
        shell("touch -d @0 $1/file", &[&two]);
        exact.clone().in_squashfs().compare(&one, &two).unwrap();
        shell("touch -d @1 $1/file", &[&two]);
        exact.in_squashfs().compare(&one, &two).unwrap_err();

        let (_scratch, one, two) = pair();
        shell("chmod 7 $1/file; touch $1/lone", &[&two]);
        Comparison::names_and_content().compare(&one, &two).unwrap();
        shell("printf y >$1/lone", &[&two]);
        Comparison::names_and_content().compare(&one, &two).unwrap_err();
    }
}
