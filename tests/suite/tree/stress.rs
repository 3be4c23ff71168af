//! A tree with everything that is difficult about trees, generated from a seed and a scale.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::{Entry, Node, Random};

/// The parameters of a stress tree.
#[derive(Debug, Clone, Copy)]
pub struct Stress {
    pub seed: u64,
    /// Approximate number of entries. A few hundred exist at any scale.
    pub entries: u64,
    /// Whether to leave out everything that only root can read: `trusted.` attributes and modes
    /// without `r` for all.
    pub readable: bool,
}

/// The latest time that ext4's 34 bits of seconds can represent: 2446-05-10.
pub const LATEST: i64 = (1 << 34) - (1 << 31) - 1;

/// The earliest time that ext4 can represent: 1901-12-13.
const EARLIEST: i64 = -(1 << 31);

const BLOCK: u64 = 4096;
const MIB: u64 = 1 << 20;

/// Plans the tree.
///
/// The root directory is an entry with an empty path.
pub fn stress(stress: Stress) -> Vec<Entry> {
    let mut plan = Plan { random: Random::new(stress.seed), entries: Vec::new() };
    plan.add("", Node::Directory).mode = 0o751;
    plan.small_files(stress.entries * 40 / 100);
    plan.large_directory(stress.entries * 30 / 100);
    plan.hard_links(stress.entries * 12 / 100);
    plan.xattrs(stress.entries * 8 / 100);
    plan.symlinks(stress.entries * 4 / 100);
    plan.names(stress.entries * 2 / 100);
    plan.deep(60 + stress.entries / 100);
    plan.sparse(2 + stress.entries / 1000);
    plan.nodes();
    plan.times();
    plan.modes();
    plan.add("empty", Node::Directory);
    if stress.readable {
        for entry in &mut plan.entries {
            entry.mode |= if matches!(entry.node, Node::Directory) { 0o555 } else { 0o444 };
            entry
                .xattrs
                .retain(|name, _| name.starts_with("user.") || name.ends_with("capability"));
        }
    }
    plan.entries
}

struct Plan {
    random: Random,
    entries: Vec<Entry>,
}

impl Plan {
    fn add(&mut self, path: impl Into<PathBuf>, node: Node) -> &mut Entry {
        let random = &mut self.random;
        let seconds = 1_500_000_000 + i64::try_from(random.below(100_000_000)).unwrap();
        let entry = Entry {
            path: path.into(),
            mode: if matches!(node, Node::Directory) { 0o755 } else { 0o644 },
            node,
            uid: random.pick(&[0, 0, 0, 33, 1000, 65_534, 65_536, 4_294_967_294]),
            gid: random.pick(&[0, 0, 0, 33, 1000, 65_535, 100_000, 4_294_967_294]),
            mtime: (seconds, u32::try_from(random.below(1_000_000_000)).unwrap()),
            xattrs: BTreeMap::new(),
            seed: random.next(),
        };
        self.entries.push(entry);
        self.entries.last_mut().unwrap()
    }

    fn small(&mut self) -> Node {
        let special = [0, 1, 59, 60, 4095, 4096, 4097, 8191, 8192, 8193, 12_289];
        let size = match self.random.below(4) {
            0 => self.random.pick(&special),
            _ => self.random.below(6000),
        };
        file(size)
    }

    /// Adds three levels of directories with files of every small size.
    fn small_files(&mut self, count: u64) {
        let mut directories = vec!["nested".to_owned()];
        self.add("nested", Node::Directory);
        for at in 0..count / 20 {
            let parent = &directories[self.random.index(directories.len().min(40))];
            let path = format!("{parent}/d{at}");
            let mode = self.random.pick(&[0o755, 0o700, 0o2775, 0o1777, 0o555]);
            self.add(&path, Node::Directory).mode = mode;
            directories.push(path);
        }
        for at in 0..count - count / 20 {
            let parent = self.random.pick(&directories);
            let node = self.small();
            let mode = self.random.pick(&[0o644, 0o755, 0o600, 0o4755, 0o2755, 0o000]);
            self.add(format!("{parent}/file-{at}.dat"), node).mode = mode;
        }
    }

    fn large_directory(&mut self, count: u64) {
        self.add("large", Node::Directory);
        for at in 0..count {
            let name = format!("large/{:08x}-entry-{at}", self.random.next() >> 32);
            self.add(name, file(u64::from(at % 7 == 0)));
        }
    }

    /// Adds an inode with half of the names in one directory, and groups of links across
    /// directories.
    fn hard_links(&mut self, count: u64) {
        for directory in ["links", "links/a", "links/b"] {
            self.add(directory, Node::Directory);
        }
        self.add("links/many", file(100));
        for at in 0..count / 2 {
            let name = format!("links/many-{at:05}-{}", "x".repeat(60));
            self.add(name, Node::Link("links/many".into()));
        }
        for at in 0..count / 10 {
            // The name that sorts first by bytes is not the one created first.
            let target = format!("links/b/group-{at}");
            let node = self.small();
            self.add(&target, node);
            for name in ["links/a/one", "links/b/two", "links/a/three", "links/b/four"] {
                self.add(format!("{name}-{at}"), Node::Link(target.clone().into()));
            }
        }
        for (name, node) in [
            ("fifo", Node::Fifo),
            ("socket", Node::Socket),
            ("device", Node::Char(1, 3)),
            ("symlink", Node::Symlink(b"many".to_vec())),
        ] {
            self.add(format!("links/{name}"), node);
            self.add(format!("links/a/{name}"), Node::Link(format!("links/{name}").into()));
        }
    }

    fn xattrs(&mut self, count: u64) {
        self.add("xattrs", Node::Directory);
        let shared = self.random.bytes(600);
        for at in 0..count {
            let blob = 1000 + self.random.below(2500);
            let blob = self.random.bytes(blob);
            let inode = self.random.bytes(at % 97);
            let kind = at % 8;
            let node = if kind == 7 { Node::Directory } else { self.small() };
            let entry = self.add(format!("xattrs/{kind}-{at}"), node);
            let user = 1000 + u32::try_from(at).unwrap();
            match kind {
                0 => entry.set("user.tag", at.to_string()).set("user.empty", ""),
                1 => entry.set("user.shared", shared.clone()),
                2 => entry.set("user.blob", blob),
                3 => entry.set("user.boundary", inode),
                4 => MANY.iter().fold(entry, |entry, name| entry.set(name, vec![b'v'; name.len()])),
                5 => entry.set("security.capability", capability_2(1 << (at % 32))),
                6 => entry.acl("system.posix_acl_access", user),
                _ => entry
                    .acl("system.posix_acl_access", user)
                    .acl("system.posix_acl_default", user + 1)
                    .set("user.on.directory", "d"),
            };
        }
        let long = "user.nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\
            nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\
            nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";
        self.add("xattrs/long-name", file(9)).set(long, "value");
        self.add("xattrs/capability-3", file(9)).set("security.capability", capability_3(100_000));
        let label = *b"system_u:object_r:etc_t:s0\0";
        self.add("xattrs/label", file(9)).set("security.selinux", label);
        self.add("xattrs/all", file(9))
            .set("security.selinux", label)
            .set("security.capability", capability_2(1))
            .set("trusted.t", "t")
            .set("user.u", "u")
            .acl("system.posix_acl_access", 1);
        self.add("xattrs/symlink", Node::Symlink(b"label".to_vec())).set("trusted.t", "link");
        self.add("xattrs/labelled-symlink", Node::Symlink(vec![b'l'; 80]))
            .set("security.selinux", label);
        self.add("xattrs/device", Node::Char(1, 3)).set("trusted.t", "device");
        self.add("xattrs/fifo", Node::Fifo).set("security.selinux", label);
    }

    /// Adds symlinks. ext4 stores targets of at most 59 bytes in the inode, and allows at most 4095
    /// bytes.
    fn symlinks(&mut self, count: u64) {
        self.add("symlinks", Node::Directory);
        for at in 0..count {
            let len = 1 + self.random.index(100);
            self.add(format!("symlinks/{at}"), Node::Symlink(vec![b't'; len]));
        }
        for len in [1, 58, 59, 60, 61, 255, 256, 1023, 1024, 4094, 4095] {
            let target = b"../".iter().copied().cycle().take(len).collect();
            self.add(format!("symlinks/len-{len}"), Node::Symlink(target));
        }
        self.add("symlinks/absolute", Node::Symlink(b"/etc/passwd".to_vec()));
        self.add("symlinks/outside", Node::Symlink(b"../../../../outside".to_vec()));
        self.add("symlinks/bytes", Node::Symlink(b"\xff\n \x01".to_vec()));
    }

    fn names(&mut self, count: u64) {
        self.add("names", Node::Directory);
        let mut add = |name: &[u8]| {
            let path = [b"names/", name].concat();
            let node = self.small();
            self.add(OsString::from_vec(path), node);
        };
        for at in 0..count.max(20) {
            add(&[format!("{at:05}-").as_bytes(), &[b'l'; 249]].concat()); // 255 bytes
            add(format!("{at:05}-{}", "ф".repeat(120)).as_bytes());
            add(format!("{at}-Größe-ディスク-e\u{301}-🦀").as_bytes());
        }
        for name in [
            &b" "[..],
            b"  ",
            b" before",
            b"after ",
            b"new\nline",
            b"\n",
            b"\r",
            b"tab\t",
            b"\x01",
            b"\x7f",
            b"\xff",
            b"\xff\xfe",
            b"\xc3",
            b"caf\xe9",
            b"back\\slash",
            b"\"",
            b"'",
            b"*?[",
            b"$HOME",
            b"`x`",
            b"#",
            b"%s%n",
            b"-rf",
            b"--",
            b"...",
            b".hidden",
            b"..x",
            b"=",
            b"@",
            b":",
            b"a:b",
            b";",
            b"|",
            b"&",
            b"<>",
            b"~",
            b"CON",
            b"Case",
            b"case",
            b"CASE",
            b"lost+found",
        ] {
            add(name);
        }
    }

    fn deep(&mut self, levels: u64) {
        let mut path = "deep".to_owned();
        for level in 0..levels.min(400) {
            self.add(&path, Node::Directory);
            path = format!("{path}/{level}");
        }
        self.add(path, file(BLOCK));
    }

    fn sparse(&mut self, count: u64) {
        self.add("sparse", Node::Directory);
        let mut add = |name: &str, node| {
            self.add(format!("sparse/{name}"), node);
        };
        let some = |size, data: &[(u64, u64)]| Node::File { size, data: data.to_vec() };
        add("leading", some(5 * BLOCK, &[(3 * BLOCK, 2 * BLOCK)]));
        add("inner", some(9 * BLOCK, &[(0, BLOCK), (8 * BLOCK, BLOCK)]));
        add("trailing", some(9 * BLOCK, &[(0, BLOCK)]));
        add("trailing-part", some(9 * BLOCK + 1, &[(0, 100)]));
        add("all", some(8 * MIB, &[]));
        add("all-of-one", some(1, &[]));
        add("large", some(600 * MIB, &[(0, 1), (300 * MIB, 1)]));
        add("last-byte", some(MIB, &[(MIB - 1, 1)]));
        add("unaligned", some(7 * BLOCK, &[(BLOCK - 1, 2), (5 * BLOCK - 1, 2)]));
        add("zeros", Node::Zeros { size: 3 * MIB });
        add("zeros-of-one", Node::Zeros { size: 1 });
        // More extents than fit into an inode, and more than fit into one extent block.
        for (name, extents) in [("five", 5), ("comb", 400)] {
            let data: Vec<_> = (0..extents).map(|at| (at * 2 * BLOCK, BLOCK)).collect();
            add(name, some(extents * 2 * BLOCK, &data));
        }
        for at in 0..count {
            let size = MIB + self.random.below(MIB);
            let data = (0..8).map(|_| (self.random.below(MIB - BLOCK), self.random.below(BLOCK)));
            let data = data.collect();
            self.add(format!("sparse/mixed-{at}"), Node::File { size, data });
        }
        self.add("large-file", file(3 * MIB + 5));
    }

    fn nodes(&mut self) {
        self.add("nodes", Node::Directory);
        let numbers = [(0, 1), (1, 3), (255, 255), (255, 256), (256, 0), (259, 70_000)];
        for (major, minor) in numbers.into_iter().chain([(4095, 1_048_575)]) {
            self.add(format!("nodes/c-{major}-{minor}"), Node::Char(major, minor)).mode = 0o620;
            self.add(format!("nodes/b-{major}-{minor}"), Node::Block(major, minor)).mode = 0o660;
        }
        self.add("nodes/fifo", Node::Fifo).mode = 0o622;
        self.add("nodes/socket", Node::Socket).mode = 0o777;
    }

    /// Adds times at the limits of 32 and 34 bits of seconds and of nanoseconds.
    ///
    /// Linux does not store nanoseconds in the very first and last second that a file system
    /// supports.
    fn times(&mut self) {
        self.add("times", Node::Directory);
        let mut times = vec![(EARLIEST, 0), (LATEST, 0)];
        let seconds = [-1, 0, 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 7_258_118_400];
        for second in seconds.into_iter().chain([EARLIEST + 1, LATEST - 1]) {
            times.extend([(second, 0), (second, 1), (second, 999_999_999)]);
        }
        for (second, nanosecond) in times {
            let name = format!("times/{second}.{nanosecond}");
            self.add(name, file(1)).mtime = (second, nanosecond);
        }
        self.add("times/directory", Node::Directory).mtime = (-1, 999_999_999);
        self.add("times/symlink", Node::Symlink(b"0.0".to_vec())).mtime = (1 << 32, 1);
    }

    fn modes(&mut self) {
        self.add("modes", Node::Directory);
        for mode in [0o000, 0o111, 0o1644, 0o2644, 0o4711, 0o6755, 0o7777] {
            self.add(format!("modes/{mode:04o}"), file(1)).mode = mode;
            self.add(format!("modes/directory-{mode:04o}"), Node::Directory).mode = mode;
        }
    }
}

const MANY: [&str; 24] = [
    "user.a", "user.b", "user.c", "user.d", "user.e", "user.f", "user.g", "user.h", "user.aa",
    "user.bb", "user.cc", "user.dd", "user.ee", "user.ff", "user.gg", "user.hh", "user.aaa",
    "user.bbb", "user.ccc", "user.ddd", "user.eee", "user.fff", "user.ggg", "user.hhh",
];

fn file(size: u64) -> Node {
    let data = if size == 0 { vec![] } else { vec![(0, size)] };
    Node::File { size, data }
}

impl Entry {
    fn set(&mut self, name: &'static str, value: impl Into<Vec<u8>>) -> &mut Self {
        self.xattrs.insert(name, value.into());
        self
    }

    /// Adds an ACL with one named user and one named group, in the format of the system call.
    fn acl(&mut self, name: &'static str, user: u32) -> &mut Self {
        const NOBODY: u32 = u32::MAX;
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in [
            (0x01u16, 7u16, NOBODY),
            (0x02, 5, user),
            (0x04, 5, NOBODY),
            (0x08, 4, 70_000),
            (0x10, 7, NOBODY),
            (0x20, 4, NOBODY),
        ] {
            value.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
            value.extend(id.to_le_bytes());
        }
        self.set(name, value)
    }
}

/// Encodes a `struct vfs_cap_data`: the magic with the effective flag, then the permitted
/// capabilities.
fn capability_2(permitted: u32) -> Vec<u8> {
    [0x0200_0001, permitted, 0, 0, 0].map(u32::to_le_bytes).concat()
}

/// Encodes a `struct vfs_ns_cap_data`: the same fields, and the root user of the user namespace.
fn capability_3(root: u32) -> Vec<u8> {
    [0x0300_0001u32, 1 << 10, 0, 0, 0, root].map(u32::to_le_bytes).concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::make;
    use super::*;
    use crate::oracle::{Comparison, Mounted};

    #[test]
    fn the_plan_has_the_size_that_was_asked_for_and_no_path_twice() {
        for entries in [0, 2000, 30_000] {
            let plan = stress(Stress { seed: 1, entries, readable: false });
            let paths: BTreeSet<_> = plan.iter().map(|entry| &entry.path).collect();
            assert_eq!(paths.len(), plan.len());
            let count = u64::try_from(plan.len()).unwrap();
            assert!((entries..entries + entries / 5 + 450).contains(&count), "{entries}: {count}");
        }
    }

    #[test]
    fn another_order_and_another_file_system_make_the_same_tree() {
        let plan = stress(Stress { seed: 1, entries: 300, readable: false });
        let here = tempfile::tempdir().unwrap();
        let there = Mounted::new("tmpfs", "size=256m", None).unwrap();
        make(here.path(), &plan, 1);
        make(there.path(), &plan, 2);
        Comparison::exact().compare(here.path(), there.path()).unwrap();
    }
}
