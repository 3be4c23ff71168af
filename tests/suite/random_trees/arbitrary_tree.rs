//! Arbitrary trees, each with a plain list of its expected nodes to compare an image with.
//!
//! The expected nodes are recorded along with the tree and not read from it, so that errors of the
//! tree builder are found too. Fuzzing creates an [`ArbitraryTree`] from its input, and the random
//! tests create it from random bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use detfs::Result;
use detfs::Timestamp;
use detfs::tree::{FileFlags, Metadata, Node, NodeId, Tree, TreeBuilder, Xattr};

/// Restrictions on the trees that an arbitrary tree generates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// No restrictions: includes trees that every builder or planner refuses.
    Wild,
    /// Trees that ext4 supports with any block size.
    Unix,
    /// Trees that FAT supports.
    #[allow(dead_code, reason = "not every user of this file makes FAT volumes")]
    Fat,
}

/// Description of a tree that has not been built.
#[derive(Debug)]
pub struct ArbitraryTree {
    /// Whether the tree is generated with [`Validity::Wild`].
    wild: bool,
    root: Attributes,
    steps: Vec<Step>,
}

impl<'a> Arbitrary<'a> for ArbitraryTree {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let wild = u.ratio(1, 8)?;
        let root = u.arbitrary()?;
        // Adds steps until the bytes are used up: a vector would end after two steps on average.
        let mut steps = Vec::new();
        while !u.is_empty() && steps.len() < 64 {
            steps.push(u.arbitrary()?);
        }
        Ok(Self { wild, root, steps })
    }
}

#[derive(Debug, Arbitrary)]
enum Step {
    Directory { parent: u8, name: Name, attributes: Attributes },
    File { parent: u8, name: Name, attributes: Attributes, content: Content },
    Symlink { parent: u8, name: Name, attributes: Attributes, target: Text },
    Special { parent: u8, name: Name, attributes: Attributes, special: Special },
    Link { parent: u8, name: Name, node: u8 },
    Flock { parent: u8, stem: Text, count: Count, linked: bool },
}

#[derive(Debug, Arbitrary)]
enum Special {
    Fifo,
    Socket,
    SmallChar(u8, u8),
    Char(u32, u32),
    Block(u32, u32),
}

#[derive(Debug, Arbitrary)]
enum Count {
    One,
    Few(u8),
    Dozens(u8),
    Many(u16),
}

/// Byte strings that take few bytes of the input.
#[derive(Debug, Arbitrary)]
enum Text {
    Short([u8; 3], u8),
    Repeated(u8, u16),
    Chars([char; 3]),
}

#[derive(Debug, Arbitrary)]
enum Name {
    Number(u16),
    Text(Text),
    Chosen(u8),
}

#[derive(Debug, Arbitrary)]
enum Content {
    Empty,
    Short([u8; 4]),
    Repeated(u8, u16),
    /// Granules of data and of zeros according to the bits of `mask`, and `tail` bytes after them.
    Holes {
        granules: u8,
        mask: u64,
        tail: u16,
    },
    /// Every second granule holds data.
    Comb {
        granules: u16,
    },
}

#[derive(Debug, Arbitrary)]
struct Attributes {
    mode: u16,
    owner: Owner,
    mtime: Time,
    flags: Option<u8>,
    xattrs: Xattrs,
}

#[derive(Debug, Arbitrary)]
enum Owner {
    Root,
    Small(u8, u8),
    Any(u32, u32),
}

/// A point in time, mostly near a limit.
#[derive(Debug, Arbitrary)]
pub enum Time {
    Recent(u32),
    Fine(u32, u32),
    Edge(u8, i8, bool),
    Any(i64, u32),
}

#[derive(Debug, Arbitrary)]
enum Xattrs {
    None,
    /// One of a few sets that several inodes share.
    Common(u8),
    One(Attribute),
    Three(Attribute, Attribute, Attribute),
}

#[derive(Debug, Arbitrary)]
enum Attribute {
    User(Text, Text),
    Trusted(Text, Text),
    Security(Text, Text),
    Capability([u8; 16]),
    Access(Acl),
    Default(Acl),
    Any(Text, Text),
}

#[derive(Debug, Arbitrary)]
struct Acl {
    group: u8,
    users: u8,
    groups: u8,
    permissions: u8,
    broken: Option<(u8, u8)>,
}

/// Expected type and content of a node.
#[derive(Debug)]
pub enum What {
    /// Names, and the indices of their nodes in [`Grown::model`].
    Directory(BTreeMap<Vec<u8>, usize>),
    File(Arc<Vec<u8>>),
    Symlink(Vec<u8>),
    Fifo,
    Socket,
    Char(u32, u32),
    Block(u32, u32),
}

/// An expected inode.
#[derive(Debug)]
pub struct Expected {
    pub what: What,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Timestamp,
    pub flags: FileFlags,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Number of names, which is 0 for the root.
    pub names: u32,
}

/// A tree and its expected nodes, the first of which is the root.
#[derive(Debug)]
pub struct Grown {
    pub tree: Arc<Tree>,
    pub model: Vec<Expected>,
}

/// Maximum number of bytes of content in a tree.
const CONTENT_MAX: usize = 4 << 20;
/// Maximum number of names in a tree.
const NAMES_MAX: usize = 800;
/// Maximum depth of a directory. Deeper trees would have paths longer than 4096 bytes.
const DEPTH_MAX: usize = 12;

const EDGES: [i64; 10] = [
    0,
    1 << 31,
    -(1 << 31),
    1 << 32,
    (1 << 32) + (1 << 31),
    1 << 33,
    (1 << 34) - (1 << 31),
    315_532_800,   // 1980, the first year of FAT
    4_354_819_200, // 2108, the first year after its last
    i64::MAX - 127,
];

/// Names that are known to cause problems. Those from index [`FAULTY`] on are invalid.
const CHOSEN: [&[u8]; 32] = [
    b"lost+found",
    b"...",
    b". ",
    b"..a",
    b" a",
    b"a ",
    b"a.",
    b"-",
    b"~",
    b"*?:<>|\"",
    b"back\\slash",
    b"new\nline",
    b"\x7f",
    b"\xff\xfe",
    b"\xc3",
    "Größe".as_bytes(),
    "Gro\u{308}ße".as_bytes(),
    "\u{202e}txt.exe".as_bytes(),
    "𝔘𝔫𝔦".as_bytes(),
    b"CON",
    b"con",
    b"aux.txt",
    b"README.TXT",
    b"readme.txt",
    b"Readme.txt",
    b"longer-name-1.text",
    b"LONGER~1.TEX",
    b"",
    b".",
    b"..",
    b"a/b",
    b"a\0b",
];
const FAULTY: usize = 27;

impl Text {
    fn bytes(&self, max: usize) -> Vec<u8> {
        let mut bytes = match self {
            Self::Short(bytes, len) => bytes[..1 + usize::from(*len) % 3].to_vec(),
            Self::Repeated(byte, len) => vec![*byte; usize::from(*len)],
            Self::Chars(chars) => chars.iter().collect::<String>().into_bytes(),
        };
        bytes.truncate(max);
        bytes
    }
}

impl Name {
    fn bytes(&self, taste: Validity) -> Vec<u8> {
        let name = match self {
            Self::Number(number) => format!("{number}").into_bytes(),
            Self::Text(text) => text.bytes(if taste == Validity::Wild { 300 } else { 255 }),
            Self::Chosen(which) => {
                let count = if taste == Validity::Wild { CHOSEN.len() } else { FAULTY };
                CHOSEN[usize::from(*which) % count].to_vec()
            }
        };
        taste.name(name)
    }
}

impl Validity {
    /// Turns any bytes into a valid name.
    fn name(self, mut name: Vec<u8>) -> Vec<u8> {
        if self == Self::Wild {
            return name;
        }
        if self == Self::Fat {
            let legal = |c: char| !c.is_ascii_control() && !"\"*:<>?\\|\u{ffff}".contains(c);
            let mut text = String::from_utf8_lossy(&name).replace(|c| !legal(c), "-");
            while text.len() > 254 {
                text.pop();
            }
            // The suffix ensures that the name does not end in a dot or a space, and is not that of
            // a device.
            text.push('x');
            name = text.into_bytes();
        }
        for byte in &mut name {
            if matches!(byte, 0 | b'/') {
                *byte = b'_';
            }
        }
        match &name[..] {
            b"" | b"." | b".." => b"_".to_vec(),
            _ => name,
        }
    }

    /// Returns the form of a name that must be unique in its directory.
    fn fold(self, name: &[u8]) -> Vec<u8> {
        match self {
            Self::Wild | Self::Unix => name.to_vec(),
            Self::Fat => String::from_utf8_lossy(name).to_uppercase().to_lowercase().into_bytes(),
        }
    }
}

impl Content {
    fn bytes(&self) -> Vec<u8> {
        const GRANULE: usize = 4096;
        let granules = |count: usize, tail: usize, is_data: &dyn Fn(usize) -> bool| {
            let mut bytes = vec![0; count * GRANULE + tail];
            for (index, granule) in bytes.chunks_mut(GRANULE).enumerate() {
                if is_data(index) {
                    // One non-zero byte at a varying offset makes the granule data.
                    let at = index * 37 % granule.len();
                    granule[at] = u8::try_from(1 + index % 255).expect("at most 255");
                }
            }
            bytes
        };
        match *self {
            Self::Empty => Vec::new(),
            Self::Short(bytes) => bytes.to_vec(),
            Self::Repeated(byte, len) => vec![byte; len.into()],
            Self::Holes { granules: count, mask, tail } => {
                // The counts are around the size from which files can have holes.
                let count = 15 + usize::from(count) % 64;
                granules(count, tail.into(), &|index| mask >> (index % 64) & 1 == 1)
            }
            Self::Comb { granules: count } => {
                granules(usize::from(count) % 900, 0, &|index| index % 2 == 0)
            }
        }
    }
}

impl Time {
    pub fn timestamp(&self, taste: Validity) -> Timestamp {
        let (seconds, nanoseconds) = match *self {
            Self::Recent(seconds) => (seconds.into(), 0),
            Self::Fine(seconds, nanoseconds) => (seconds.into(), nanoseconds),
            Self::Edge(which, off, last) => (
                EDGES[usize::from(which) % EDGES.len()] + i64::from(off),
                if last { 999_999_999 } else { 0 },
            ),
            Self::Any(seconds, nanoseconds) => (seconds, nanoseconds),
        };
        let nanoseconds = match taste {
            Validity::Wild => nanoseconds,
            _ => nanoseconds % 1_000_000_000,
        };
        Timestamp { seconds, nanoseconds }
    }
}

impl Acl {
    /// Returns the ACL in the format of the system calls.
    fn value(&self, mode: u16, taste: Validity) -> Vec<u8> {
        let mut value = vec![2, 0, 0, 0];
        let mut entry = |tag: u16, permissions: u16, id: u32| {
            value.extend(tag.to_le_bytes());
            value.extend((permissions & 7).to_le_bytes());
            value.extend(id.to_le_bytes());
        };
        let (users, groups) = (u32::from(self.users % 3), u32::from(self.groups % 3));
        let group = if users + groups == 0 { mode >> 3 } else { self.group.into() };
        entry(0x01, mode >> 6, !0);
        (0..users).for_each(|id| entry(0x02, self.permissions.into(), 1000 + id));
        entry(0x04, group, !0);
        (0..groups).for_each(|id| entry(0x08, self.permissions.into(), 2000 + id));
        if users + groups > 0 {
            entry(0x10, mode >> 3, !0);
        }
        entry(0x20, mode, !0);
        if let (Validity::Wild, Some((at, byte))) = (taste, self.broken) {
            let at = usize::from(at) % value.len();
            value[at] = byte;
            value.truncate(value.len() - usize::from(byte % 3 == 0));
        }
        value
    }
}

impl Attribute {
    fn xattr(&self, mode: u16, taste: Validity) -> Xattr {
        let (prefix, name, value): (&str, _, _) = match self {
            Self::User(name, value) => ("user.", name, value),
            Self::Trusted(name, value) => ("trusted.", name, value),
            Self::Security(name, value) => ("security.", name, value),
            Self::Any(name, value) if taste == Validity::Wild => ("", name, value),
            Self::Any(name, value) => ("user.", name, value),
            Self::Capability(sets) => {
                // Version 2: a magic number, and the permitted and inheritable sets.
                let value = [&[1, 0, 0, 2], &sets[..]].concat();
                return Xattr { name: b"security.capability".to_vec(), value };
            }
            Self::Access(acl) => {
                let value = acl.value(mode, taste);
                return Xattr { name: b"system.posix_acl_access".to_vec(), value };
            }
            Self::Default(acl) => {
                let value = acl.value(mode, taste);
                return Xattr { name: b"system.posix_acl_default".to_vec(), value };
            }
        };
        let (name, value) = match taste {
            Validity::Wild => (name.bytes(300), value.bytes(1 << 16)),
            // Three such attributes fit in a block of 1024 bytes.
            _ => (taste.name(name.bytes(100)), value.bytes(180)),
        };
        Xattr { name: [prefix.as_bytes(), &name].concat(), value }
    }
}

impl Attributes {
    fn metadata(&self, taste: Validity, takes_flags: bool) -> Metadata {
        let mode = if taste == Validity::Wild { self.mode } else { self.mode & 0o7777 };
        let (uid, gid) = match self.owner {
            Owner::Root => (0, 0),
            Owner::Small(uid, gid) => (uid.into(), gid.into()),
            Owner::Any(uid, gid) if taste == Validity::Wild => (uid, gid),
            // The kernel does not accept the largest number as an owner.
            Owner::Any(uid, gid) => (uid.min(u32::MAX - 1), gid.min(u32::MAX - 1)),
        };
        let set = |attributes: &[&Attribute]| {
            let mut set: Vec<Xattr> = Vec::new();
            for xattr in attributes.iter().map(|attribute| attribute.xattr(mode, taste)) {
                if taste == Validity::Wild || set.iter().all(|other| other.name != xattr.name) {
                    set.push(xattr);
                }
            }
            set
        };
        let xattrs = match &self.xattrs {
            Xattrs::None => Vec::new(),
            Xattrs::Common(which) => {
                let len = usize::from(which % 4) * 60;
                vec![Xattr { name: b"security.selinux".to_vec(), value: vec![*which % 4; len] }]
            }
            Xattrs::One(one) => set(&[one]),
            Xattrs::Three(one, two, three) => set(&[one, two, three]),
        };
        Metadata {
            mode,
            uid,
            gid,
            mtime: self.mtime.timestamp(taste),
            flags: match takes_flags || taste == Validity::Wild {
                true => FileFlags::from_bits_truncate(self.flags.unwrap_or(0)),
                false => FileFlags::empty(),
            },
            xattrs,
        }
    }
}

fn expected(metadata: &Metadata, what: What) -> Expected {
    Expected {
        what,
        mode: metadata.mode,
        uid: metadata.uid,
        gid: metadata.gid,
        mtime: metadata.mtime,
        flags: metadata.flags,
        xattrs: metadata.xattrs.iter().map(|x| (x.name.clone(), x.value.clone())).collect(),
        names: 0,
    }
}

/// A tree under construction.
struct Growing {
    taste: Validity,
    builder: TreeBuilder,
    model: Vec<Expected>,
    /// Node IDs by index in `model`.
    nodes: Vec<NodeId>,
    /// Indices of the directories in `model`, and their depths.
    directories: Vec<(usize, usize)>,
    /// Folded names, each with the index of its directory.
    taken: BTreeSet<(usize, Vec<u8>)>,
    content: usize,
}

impl Growing {
    /// Returns the index and the depth of a directory that may have subdirectories.
    fn directory(&self, parent: u8) -> (usize, usize) {
        self.directories[usize::from(parent) % self.directories.len()]
    }

    /// Returns whether a node can't be added under `name`.
    fn refuses(&self, parent: usize, name: &[u8], is_directory: bool) -> bool {
        // ext4 reserves this name for a directory of its own.
        let kept = parent == 0 && name == b"lost+found" && self.taste == Validity::Unix;
        self.taken.len() == NAMES_MAX
            || kept && !is_directory
            || self.taken.contains(&(parent, self.taste.fold(name)))
    }

    fn name(&mut self, parent: usize, name: Vec<u8>, position: usize) {
        self.model[position].names += 1;
        self.taken.insert((parent, self.taste.fold(&name)));
        match &mut self.model[parent].what {
            What::Directory(names) => names.insert(name, position),
            _ => unreachable!("only directories are parents"),
        };
    }

    fn add(&mut self, parent: u8, name: Vec<u8>, metadata: Metadata, what: What) -> Option<usize> {
        let (parent, depth) = self.directory(parent);
        let is_directory = matches!(what, What::Directory(_));
        if self.refuses(parent, &name, is_directory) {
            return None;
        }
        let node = match &what {
            What::Directory(_) => Node::Directory,
            What::File(bytes) => {
                let content = self.builder.content(Arc::clone(bytes) as _).ok()?;
                Node::File { size: bytes.len() as u64, content }
            }
            What::Symlink(target) => Node::Symlink(target.clone()),
            What::Fifo => Node::Fifo,
            What::Socket => Node::Socket,
            What::Char(major, minor) => Node::CharDevice(*major, *minor),
            What::Block(major, minor) => Node::BlockDevice(*major, *minor),
        };
        let expected = expected(&metadata, what);
        // Nodes that the builder refuses are left out.
        let node = self.builder.add(self.nodes[parent], &name, metadata, node).ok()?;
        let position = self.model.len();
        self.model.push(expected);
        self.nodes.push(node);
        self.name(parent, name, position);
        if is_directory && depth + 1 < DEPTH_MAX {
            self.directories.push((position, depth + 1));
        }
        Some(position)
    }

    fn link(&mut self, parent: u8, name: Vec<u8>, position: usize) {
        let (parent, _) = self.directory(parent);
        if self.refuses(parent, &name, false) {
            return;
        }
        if self.builder.link(self.nodes[parent], &name, self.nodes[position]).is_ok() {
            self.name(parent, name, position);
        }
    }

    fn step(&mut self, step: &Step) {
        let taste = self.taste;
        match step {
            Step::Directory { parent, name, attributes } => {
                let metadata = attributes.metadata(taste, true);
                self.add(*parent, name.bytes(taste), metadata, What::Directory(BTreeMap::new()));
            }
            Step::File { parent, name, attributes, content } => {
                let bytes = content.bytes();
                if self.content + bytes.len() > CONTENT_MAX {
                    return;
                }
                self.content += bytes.len();
                let metadata = attributes.metadata(taste, true);
                self.add(*parent, name.bytes(taste), metadata, What::File(Arc::new(bytes)));
            }
            Step::Symlink { .. } | Step::Special { .. } if taste == Validity::Fat => {}
            Step::Symlink { parent, name, attributes, target } => {
                let target = match taste {
                    Validity::Wild => target.bytes(5000),
                    _ => taste.name(target.bytes(1023)),
                };
                let metadata = attributes.metadata(taste, false);
                self.add(*parent, name.bytes(taste), metadata, What::Symlink(target));
            }
            Step::Special { parent, name, attributes, special } => {
                let fit = |major: u32, minor: u32| match taste {
                    Validity::Wild => (major, minor),
                    _ => (major % (1 << 12), minor % (1 << 20)),
                };
                let what = match *special {
                    Special::Fifo => What::Fifo,
                    Special::Socket => What::Socket,
                    Special::SmallChar(major, minor) => What::Char(major.into(), minor.into()),
                    Special::Char(major, minor) => {
                        let (major, minor) = fit(major, minor);
                        What::Char(major, minor)
                    }
                    Special::Block(major, minor) => {
                        let (major, minor) = fit(major, minor);
                        What::Block(major, minor)
                    }
                };
                let metadata = attributes.metadata(taste, false);
                self.add(*parent, name.bytes(taste), metadata, what);
            }
            Step::Link { parent, name, node } => {
                let position = usize::from(*node) % self.model.len();
                self.link(*parent, name.bytes(taste), position);
            }
            Step::Flock { parent, stem, count, linked } => {
                let count = match count {
                    Count::One => 1,
                    Count::Few(count) => u16::from(count % 8),
                    Count::Dozens(count) => u16::from(count % 64),
                    Count::Many(count) => count % 600,
                };
                let stem = stem.bytes(if taste == Validity::Fat { 40 } else { 240 });
                let mut first = None;
                for number in 0..count {
                    let name = taste.name([&stem, format!("{number}").as_bytes()].concat());
                    match first.filter(|_| *linked) {
                        Some(position) => self.link(*parent, name, position),
                        None => {
                            let what = match taste {
                                Validity::Fat => What::File(Arc::default()),
                                _ => What::Fifo,
                            };
                            first = self.add(*parent, name, Metadata::default(), what);
                        }
                    }
                }
            }
        }
    }
}

impl ArbitraryTree {
    /// Returns the restrictions of this tree, where `tame` are those of the planner.
    #[allow(dead_code, reason = "the random tests have no use for wild trees")]
    pub fn taste(&self, tame: Validity) -> Validity {
        if self.wild { Validity::Wild } else { tame }
    }

    /// Builds the tree.
    ///
    /// # Errors
    ///
    /// Returns an error if the tree builder refuses the tree as a whole. Nodes that the builder
    /// refuses are left out.
    pub fn grow(&self, taste: Validity) -> Result<Grown> {
        let root = self.root.metadata(taste, true);
        let mut growing = Growing {
            taste,
            model: vec![expected(&root, What::Directory(BTreeMap::new()))],
            builder: TreeBuilder::new(root)?,
            nodes: vec![TreeBuilder::ROOT],
            directories: vec![(0, 0)],
            taken: BTreeSet::new(),
            content: 0,
        };
        for step in &self.steps {
            growing.step(step);
        }
        Ok(Grown { tree: Arc::new(growing.builder.finish()?), model: growing.model })
    }
}
