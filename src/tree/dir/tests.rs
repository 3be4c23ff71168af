use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{
    CWD, Gid, IFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, ioctl_getflags,
    ioctl_setflags, lsetxattr, makedev, mkdirat, mknodat, openat, utimensat,
};

use super::*;
use crate::progress::Progress;
use crate::report::Warning;
use crate::time::Timestamp;
use crate::tree::{FileFlags, InodeId, Kind};

/// A directory of the host that is removed at the end, however deep it is.
struct Host(PathBuf);

impl Host {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap().keep())
    }

    /// Creates the directory on disk: `/tmp` may be in memory, where there are no file flags.
    fn on_disk() -> Self {
        Self(tempfile::tempdir_in("/var/tmp").unwrap().keep())
    }

    fn path(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.0.join(std::ffi::OsStr::from_bytes(name.as_ref()))
    }

    fn file(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn node(&self, name: &str, kind: FileType, major: u32, minor: u32) -> PathBuf {
        let path = self.path(name);
        mknodat(CWD, &path, kind, Mode::RUSR, makedev(major, minor)).unwrap();
        path
    }

    fn read(&self) -> Tree {
        self.read_with(&DirOptions::default()).0
    }

    fn read_with(&self, options: &DirOptions<'_>) -> (Tree, Vec<Warning>) {
        read(&self.0, options).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        assert!(Command::new("rm").arg("-rf").arg(&self.0).status().unwrap().success());
    }
}

fn threads(count: usize) -> DirOptions<'static> {
    DirOptions { threads: NonZero::new(count).unwrap(), ..DirOptions::default() }
}

fn set_times(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn find(tree: &Tree, path: impl AsRef<[u8]>) -> InodeId {
    tree.find(path.as_ref()).expect("the path is in the tree")
}

fn content(tree: &Tree, id: InodeId) -> Vec<u8> {
    let Kind::File { size, .. } = tree.inode(id).kind else { panic!("not a file") };
    let reader = tree.open(id).unwrap();
    let mut content = vec![0; usize::try_from(size).unwrap()];
    reader.read(0, &mut content).unwrap();
    reader.verify().unwrap();
    content
}

/// Returns every path with all its attributes, in tree order.
fn dump(tree: &Tree) -> Vec<String> {
    fn below(tree: &Tree, id: InodeId, path: &str, lines: &mut Vec<String>) {
        let inode = tree.inode(id);
        let what = match inode.kind {
            Kind::File { size, .. } => format!("file {size} {:?}", content(tree, id)),
            Kind::Symlink => format!("symlink {:?}", tree.target(id)),
            other => format!("{other:?}"),
        };
        lines.push(format!(
            "{path} {id:?} {:o} {}:{} {:?} {} {:?} {:?} {what}",
            inode.mode,
            inode.uid,
            inode.gid,
            inode.mtime,
            inode.links,
            inode.flags,
            tree.xattrs(id),
        ));
        for entry in tree.entries(id) {
            let path = format!("{path}/{}", tree.name(entry).escape_ascii());
            below(tree, entry.inode(), &path, lines);
        }
    }
    let mut lines = Vec::new();
    below(tree, InodeId::ROOT, "", &mut lines);
    lines
}

fn message(result: Result<impl Sized>) -> String {
    result.err().expect("it fails").to_string()
}

#[test]
fn every_kind_is_read() {
    let host = Host::new();
    host.file("file", "content");
    host.file("empty", "");
    fs::create_dir(host.path("dir")).unwrap();
    symlink("dir/../nowhere", host.path("link")).unwrap();
    symlink("x".repeat(4095), host.path("long")).unwrap();
    host.node("fifo", FileType::Fifo, 0, 0);
    host.node("socket", FileType::Socket, 0, 0);
    host.node("null", FileType::CharacterDevice, 1, 3);
    host.node("char", FileType::CharacterDevice, 0xfff, 0xf_ffff);
    host.node("block", FileType::BlockDevice, 259, 65_537);
    let tree = host.read();
    for (path, kind) in [
        ("dir", Kind::Directory),
        ("link", Kind::Symlink),
        ("long", Kind::Symlink),
        ("fifo", Kind::Fifo),
        ("socket", Kind::Socket),
        ("null", Kind::CharDevice(1, 3)),
        ("char", Kind::CharDevice(0xfff, 0xf_ffff)),
        ("block", Kind::BlockDevice(259, 65_537)),
    ] {
        assert_eq!(tree.inode(find(&tree, path)).kind, kind, "{path}");
    }
    assert_eq!(content(&tree, find(&tree, "file")), b"content");
    assert_eq!(content(&tree, find(&tree, "empty")), b"");
    assert_eq!(tree.target(find(&tree, "link")), b"dir/../nowhere");
    assert_eq!(tree.target(find(&tree, "long")), [b'x'; 4095]);
    assert_eq!(tree.entry_count(), 10);
}

#[test]
fn metadata_is_read() {
    let host = Host::new();
    let file = host.file("file", "x");
    let dir = host.path("dir");
    fs::create_dir(&dir).unwrap();
    let link = host.path("link");
    symlink("file", &link).unwrap();
    for (path, id, seconds, nanoseconds) in [
        (&file, 1000, 1_700_000_000, 123_456_789),
        (&dir, 4_294_967_294, -5, 999_999_999),
        (&link, 65_536, 4_000_000_000, 1),
        (&host.0, 7, 0, 0),
    ] {
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id - 1));
        chownat(CWD, path, Some(uid), Some(gid), rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
        if path != &link {
            let mode = if path == &file { 0o6755 } else { 0o1701 };
            rustix::fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
        }
        set_times(path, seconds, nanoseconds);
    }
    let tree = host.read();
    for (path, id, seconds, nanoseconds, mode) in [
        ("file", 1000, 1_700_000_000, 123_456_789, 0o6755),
        ("dir", 4_294_967_294, -5, 999_999_999, 0o1701),
        ("link", 65_536, 4_000_000_000, 1, 0o777),
        ("", 7, 0, 0, 0o1701),
    ] {
        let inode = tree.inode(find(&tree, path));
        assert_eq!((inode.uid, inode.gid, inode.mode), (id, id - 1, mode), "{path}");
        assert_eq!(inode.mtime, Timestamp { seconds, nanoseconds }, "{path}");
        assert_eq!(inode.flags, FileFlags::empty(), "{path}");
    }
}

#[test]
fn file_flags_are_read() {
    let host = Host::on_disk();
    let all = [
        ("immutable", IFlags::IMMUTABLE, FileFlags::IMMUTABLE),
        ("append", IFlags::APPEND, FileFlags::APPEND),
        ("nodump", IFlags::NODUMP, FileFlags::NODUMP),
        ("noatime", IFlags::NOATIME, FileFlags::NOATIME),
        ("sync", IFlags::SYNC, FileFlags::SYNC),
        ("several", IFlags::SYNC.union(IFlags::NODUMP), FileFlags::SYNC.union(FileFlags::NODUMP)),
        ("dirsync/", IFlags::DIRSYNC, FileFlags::DIRSYNC),
        ("noatime.d/", IFlags::NOATIME, FileFlags::NOATIME),
    ];
    let change = |name: &str, flags: IFlags, on: bool| {
        let file = File::open(host.path(name)).unwrap();
        let mut now = ioctl_getflags(&file).unwrap();
        now.set(flags, on);
        ioctl_setflags(&file, now).unwrap();
    };
    for (name, flag, _) in all {
        match name.strip_suffix('/') {
            Some(name) => fs::create_dir(host.path(name)).unwrap(),
            None => drop(host.file(name, "")),
        }
        change(name, flag, true);
    }
    let tree = host.read();
    for (name, flag, _) in all {
        change(name, flag, false);
    }
    for (name, _, flag) in all {
        assert_eq!(tree.inode(find(&tree, name)).flags, flag, "{name}");
    }
}

#[test]
fn hard_links_are_one_inode() {
    let host = Host::new();
    let file = host.file("b/file", "content");
    fs::create_dir(host.path("a")).unwrap();
    fs::hard_link(&file, host.path("a/other")).unwrap();
    fs::hard_link(&file, host.path("z")).unwrap();
    let link = host.path("link");
    symlink("target", &link).unwrap();
    rustix::fs::link(&link, host.path("link2")).unwrap();
    let fifo = host.node("fifo", FileType::Fifo, 0, 0);
    fs::hard_link(&fifo, host.path("fifo2")).unwrap();
    // The tree has only one name of this file, whatever the link count on the host.
    let lone = host.file("lone", "");
    let outside = Host::new();
    fs::hard_link(&lone, outside.path("lone")).unwrap();
    let tree = host.read();
    let id = find(&tree, "a/other");
    assert_eq!((find(&tree, "b/file"), find(&tree, "z")), (id, id));
    assert_eq!(tree.inode(id).links, 3);
    assert_eq!(tree.path(id), b"a/other");
    assert_eq!(content(&tree, id), b"content");
    for (one, other) in [("link", "link2"), ("fifo", "fifo2")] {
        assert_eq!(find(&tree, one), find(&tree, other));
        assert_eq!(tree.inode(find(&tree, one)).links, 2);
    }
    assert_eq!(tree.inode(find(&tree, "lone")).links, 1);
    assert_eq!(tree.inodes().len(), 1 + 2 + 4);
}

/// Encodes an ACL as the system call returns it: version 2, then the tag, permissions and id of
/// each entry.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut acl = vec![2, 0, 0, 0];
    for (tag, permissions, id) in entries {
        acl.extend(tag.to_le_bytes());
        acl.extend(permissions.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

#[test]
fn extended_attributes_are_read() {
    let none = u32::MAX;
    let acl = acl(&[(1, 6, none), (2, 4, 1234), (4, 4, none), (0x10, 4, none), (0x20, 0, none)]);
    // Version 2 of a capability: CAP_NET_RAW (13) permitted and effective.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let host = Host::new();
    let file = host.file("file", "x");
    let dir = host.path("dir");
    fs::create_dir(&dir).unwrap();
    let link = host.path("link");
    symlink("file", &link).unwrap();
    let fifo = host.node("fifo", FileType::Fifo, 0, 0);
    let device = host.node("device", FileType::CharacterDevice, 1, 3);
    let big = vec![7; 2000];
    set_xattr(&file, "security.capability", &capability);
    set_xattr(&file, "system.posix_acl_access", &acl);
    set_xattr(&file, "user.empty", b"");
    set_xattr(&file, "user.big", &big);
    set_xattr(&dir, "system.posix_acl_default", &acl);
    for path in [&link, &fifo, &device, &host.0] {
        set_xattr(path, "trusted.own", path.as_os_str().as_bytes());
    }
    // More names than fit the buffer that is tried first.
    let names: Vec<_> = (0..40).map(|n| format!("user.attribute.{n:02}")).collect();
    let many = host.file("many", "");
    names.iter().for_each(|name| set_xattr(&many, name, name.as_bytes()));

    let (tree, warnings) = host.read_with(&DirOptions::default());
    assert_eq!(warnings, []);
    let found = |path: &str| -> Vec<(String, Vec<u8>)> {
        let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        let xattrs = tree.xattrs(find(&tree, path)).iter();
        xattrs.map(|xattr| (text(&xattr.name), xattr.value.clone())).collect()
    };
    assert_eq!(
        found("file"),
        [
            ("security.capability".into(), capability.to_vec()),
            ("system.posix_acl_access".into(), acl.clone()),
            ("user.big".into(), big),
            ("user.empty".into(), vec![]),
        ]
    );
    assert_eq!(found("dir"), [("system.posix_acl_default".into(), acl)]);
    for (path, at) in [("link", &link), ("fifo", &fifo), ("device", &device), ("", &host.0)] {
        let own = at.as_os_str().as_bytes().to_vec();
        assert_eq!(found(path), [("trusted.own".into(), own)], "{path}");
    }
    let many: Vec<_> = names.iter().map(|n| (n.clone(), n.clone().into_bytes())).collect();
    assert_eq!(found("many"), many);
}

#[test]
fn attributes_of_the_host_are_left_out_and_reported() {
    let host = Host::new();
    for name in ["b/file", "a/file", "a-file"] {
        let file = host.file(name, "");
        set_xattr(&file, "trusted.overlay.origin", b"x");
        set_xattr(&file, "user.mine", b"y");
    }
    fs::hard_link(host.path("b/file"), host.path("B")).unwrap();
    set_xattr(&host.path("b"), "trusted.overlay.opaque", b"y");
    set_xattr(&host.0, "user.overlay.x", b"y");
    for count in [1, 4] {
        let (tree, warnings) = host.read_with(&threads(count));
        let lines: Vec<_> = warnings.iter().map(Warning::to_string).collect();
        assert_eq!(
            lines,
            [
                "b: extended attribute trusted.overlay.opaque left out of 1 node: \
                 a mark of overlayfs",
                // The smallest path by bytes, even if it is a second name.
                "B: extended attribute trusted.overlay.origin left out of 3 nodes, first here: \
                 a mark of overlayfs",
                "/: extended attribute user.overlay.x left out of 1 node: a mark of overlayfs",
            ]
        );
        assert_eq!(tree.xattrs(find(&tree, "a/file")).len(), 1);
        assert_eq!(tree.xattrs(find(&tree, "b")).len(), 0);
    }
    let host_xattrs =
        HostXattrs::default().keep("trusted.overlay.*").keep("user.overlay.*").leave_out("user.m*");
    let (tree, warnings) = host.read_with(&DirOptions { host_xattrs, ..threads(2) });
    assert_eq!(tree.xattrs(find(&tree, "a/file"))[0].name, b"trusted.overlay.origin");
    let lines: Vec<_> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(
        lines,
        ["B: extended attribute user.mine left out of 3 nodes, first here: as requested"]
    );
}

#[test]
fn names_are_any_bytes() {
    let host = Host::new();
    let mut names: Vec<Vec<u8>> = (1..=255u8).filter(|&b| b != b'/').map(|b| vec![b, b]).collect();
    names.retain(|name| name != b"..");
    names.push(vec![0xff; 255]);
    names.push(b"new\nline".to_vec());
    names.push(b"...".to_vec());
    names.sort();
    for name in names.iter().rev() {
        host.file(name, name);
    }
    let tree = host.read();
    let found: Vec<_> = tree.entries(InodeId::ROOT).iter().map(|e| tree.name(e)).collect();
    assert_eq!(found, names);
    for entry in tree.entries(InodeId::ROOT) {
        assert_eq!(content(&tree, entry.inode()), tree.name(entry));
    }
}

#[test]
fn depth_has_no_limit() {
    const LEVELS: usize = 1500;
    let host = Host::new();
    let mut at = open(&host.0, OFlags::RDONLY, Mode::empty()).unwrap();
    for _ in 0..LEVELS {
        mkdirat(&at, c"directory", Mode::RWXU).unwrap();
        at = openat(&at, c"directory", OFlags::RDONLY, Mode::empty()).unwrap();
    }
    let file = openat(&at, c"file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    File::from(file).write_all(b"deep down").unwrap();
    let (tree, _) = host.read_with(&threads(3));
    assert_eq!(tree.inodes().len(), LEVELS + 2);
    let id = InodeId::new(u32::try_from(LEVELS + 1).unwrap());
    assert_eq!(tree.path(id).len(), LEVELS * "directory/".len() + "file".len());
    assert_eq!(content(&tree, id), b"deep down");
}

#[test]
fn no_symlink_is_followed() {
    let outside = Host::new();
    outside.file("secret", "secret");
    let host = Host::new();
    host.file("dir/file", "x");
    symlink(&outside.0, host.path("out")).unwrap();
    symlink("..", host.path("up")).unwrap();
    symlink("dir", host.path("in")).unwrap();
    symlink(".", host.path("loop")).unwrap();
    let tree = host.read();
    for (name, target) in
        [("out", outside.0.as_os_str().as_bytes()), ("up", b".."), ("in", b"dir"), ("loop", b".")]
    {
        assert_eq!(tree.target(find(&tree, name)), target, "{name}");
        assert_eq!(tree.find(format!("{name}/file").as_bytes()), None);
    }
    assert_eq!(tree.entry_count(), 6);
    // The root that the caller passes may be a symlink.
    let (tree, _) = read(&host.path("in"), &DirOptions::default()).unwrap();
    assert_eq!(content(&tree, find(&tree, "file")), b"x");
}

#[test]
fn excluded_paths_are_left_out() {
    let host = Host::new();
    for name in ["a/b/c", "a/b/d", "a/c", "b/c", "c"] {
        host.file(name, "");
    }
    let asked = Mutex::new(Vec::new());
    let exclude = |path: &[u8]| {
        asked.lock().unwrap().push(String::from_utf8(path.to_vec()).unwrap());
        matches!(path, b"a/b" | b"c")
    };
    let (tree, _) = host.read_with(&DirOptions { exclude: Some(&exclude), ..threads(2) });
    let paths: Vec<_> = tree.iter().map(|(id, _)| tree.path(id)).collect();
    assert_eq!(paths, [&b""[..], b"a", b"a/c", b"b", b"b/c"]);
    let mut asked = asked.into_inner().unwrap();
    asked.sort();
    assert_eq!(asked, ["a", "a/b", "a/c", "b", "b/c", "c"]);
}

#[test]
#[should_panic(expected = "the caller's own")]
fn a_panic_of_the_caller_ends_all_threads() {
    let host = Host::new();
    for n in 0..50 {
        host.file(format!("{n}/file"), "");
    }
    let exclude = |path: &[u8]| {
        assert!(path != b"7/file", "the caller's own");
        false
    };
    let options = DirOptions { exclude: Some(&exclude), ..DirOptions::default() };
    // With several threads the panic message is that of the scope; what matters is that the threads
    // end.
    let several = DirOptions { threads: NonZero::new(4).unwrap(), ..options.clone() };
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _ = read(&host.0, &several);
    }));
    assert!(result.is_err());
    let _ = read(&host.0, &options);
}

/// Creates the same tree with its entries created forwards or backwards.
fn made(forwards: bool) -> Host {
    let host = Host::new();
    let mut names: Vec<_> = (0..400).map(|n| format!("{}/{}/{n}", n % 7, n % 3)).collect();
    names.extend((0..3000).map(|n| format!("flat/{n}")));
    if !forwards {
        names.reverse();
    }
    for name in &names {
        set_times(&host.file(name, name), 1, 2);
    }
    let (one, other) = if forwards { ("0/0/0", "flat/link") } else { ("flat/link", "0/0/0") };
    if !forwards {
        fs::rename(host.path(other), host.path(one)).unwrap();
    }
    fs::hard_link(host.path(one), host.path(other)).unwrap();
    let tree = host.read();
    for (id, inode) in tree.iter() {
        if inode.kind == Kind::Directory {
            set_times(&host.path(tree.path(id)), 3, 4);
        }
    }
    host
}

#[test]
fn neither_order_nor_threads_matter() {
    let (one, other) = (made(true), made(false));
    let expected = dump(&one.read());
    for count in 2..=8 {
        assert_eq!(dump(&one.read_with(&threads(count)).0), expected, "{count} threads");
        assert_eq!(dump(&other.read_with(&threads(count)).0), expected, "{count} threads");
    }
}

#[test]
fn a_root_that_is_no_directory_is_refused() {
    let host = Host::new();
    let file = host.file("file", "");
    let error = read(&file, &DirOptions::default()).err().unwrap();
    assert_eq!(error.exit_code(), 2);
    let shown = file.to_str().unwrap();
    assert_eq!(
        error.to_string(),
        format!("tree: {shown} is not a directory; give the directory that holds the tree")
    );
    let error = read(&host.path("nowhere"), &DirOptions::default()).err().unwrap();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("/nowhere: cannot open the tree: No such file"), "{error}");
}

#[test]
fn reading_is_observed_and_can_be_cancelled() {
    let host = Host::new();
    fs::create_dir(host.path("directory")).unwrap();
    for name in ["a", "b", "directory/c"] {
        host.file(name, "");
    }
    let most = AtomicU64::new(0);
    let observer = |progress: Progress| {
        assert_eq!((progress.phase, progress.total), (Phase::Read, 0));
        most.fetch_max(progress.done, Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    host.read_with(&DirOptions { observer: Some(&observer), ..threads(2) });
    assert_eq!(most.load(Ordering::Relaxed), 4);
    let cancel = |_: Progress| ControlFlow::Break(());
    let options = DirOptions { observer: Some(&cancel), ..threads(2) };
    assert!(matches!(read(&host.path(""), &options), Err(Error::Cancelled)));
}

/// Runs a function in a thread that has only the rights of nobody.
fn as_nobody<T: Send>(function: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let nobody = || {
            rustix::thread::set_thread_uid(Uid::from_raw(65_534)).unwrap();
            function()
        };
        std::thread::Builder::new().spawn_scoped(scope, nobody).unwrap().join().unwrap()
    })
}

#[test]
fn of_what_is_unreadable_the_first_is_named() {
    let host = Host::new();
    let closed = Mode::empty();
    fs::set_permissions(&host.0, fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["z", "b/file", "c/file", "a0/file", "a/x/file", "a/y"] {
        host.file(name, "");
    }
    // `a/x` can't be opened and `a0/file` can't be read; by bytes, `/` is before `0`.
    for name in ["z", "b/file", "c/file", "a0/file", "a/x"] {
        rustix::fs::chmod(host.path(name), closed).unwrap();
    }
    for count in [1, 2, 8] {
        let error = as_nobody(|| read(&host.0, &threads(count)).err().unwrap());
        let text = error.to_string();
        assert!(text.starts_with("a/x: cannot open: Permission denied (os error 13); "), "{text}");
        assert_eq!(error.exit_code(), 4);
    }
}

const REMEDY: &str = "build from a tree that nothing writes to";

#[test]
fn content_that_changed_since_it_was_listed_is_refused() {
    let replaced = "it was changed or replaced after the tree was listed";
    let removed = "it was removed or replaced after the tree was listed";
    type Change = fn(&Host, &Path);
    let cases: [(Change, &str); 8] = [
        (|_, file| fs::write(file, "content and more").unwrap(), replaced),
        (|_, file| fs::write(file, "con").unwrap(), replaced),
        // The same length and the same time.
        (
            |_, file| {
                std::thread::sleep(Duration::from_millis(20));
                fs::write(file, "CONTENT").unwrap();
                set_times(file, 1, 2);
            },
            replaced,
        ),
        // The same content, but another file.
        (
            |host, file| {
                set_times(&host.file("new", "content"), 1, 2);
                fs::rename(host.path("new"), file).unwrap();
            },
            replaced,
        ),
        (|_, file| fs::remove_file(file).unwrap(), removed),
        (
            |host, file| {
                fs::rename(file, host.path("moved")).unwrap();
                symlink("../moved", file).unwrap();
            },
            removed,
        ),
        (
            |host, _| {
                fs::rename(host.path("dir"), host.path("moved")).unwrap();
                symlink("moved", host.path("dir")).unwrap();
            },
            removed,
        ),
        (
            |host, file| {
                fs::remove_file(file).unwrap();
                host.node("dir/file", FileType::Fifo, 0, 0);
            },
            replaced,
        ),
    ];
    for (number, (change, rule)) in cases.into_iter().enumerate() {
        let host = Host::new();
        let file = host.file("dir/file", "content");
        set_times(&file, 1, 2);
        // This needs another tree, because this one would hold the directory open from then on.
        assert_eq!(content(&host.read(), find(&host.read(), "dir/file")), b"content");
        let tree = host.read();
        let id = find(&tree, "dir/file");
        change(&host, &file);
        let read = |reader: Box<dyn crate::tree::ContentReader>| {
            reader.read(0, &mut [0; 7])?;
            reader.verify()
        };
        let error = message(tree.open(id).and_then(read));
        assert_eq!(error, format!("dir/file: {rule}; {REMEDY}"), "case {number}");
    }
}

#[test]
fn content_that_changes_while_it_is_read_is_refused() {
    let host = Host::new();
    let file = host.file("file", "content");
    let tree = host.read();
    let id = find(&tree, "file");

    let reader = tree.open(id).unwrap();
    reader.verify().unwrap();
    File::options().write(true).open(&file).unwrap().set_len(3).unwrap();
    let error = message(reader.read(0, &mut [0; 7]));
    let changed = format!("file: it was changed or replaced after the tree was listed; {REMEDY}");
    assert_eq!(error, changed);
    assert_eq!(message(reader.verify()), changed);

    let tree = host.read();
    let reader = tree.open(find(&tree, "file")).unwrap();
    let mut content = [0; 3];
    reader.read(0, &mut content).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    fs::write(&file, "CON").unwrap();
    assert_eq!(message(reader.verify()), changed);
    assert_eq!(&content, b"con");
}
