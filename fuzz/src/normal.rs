//! Hostile content of files that rules rewrite and sort.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arbitrary::Arbitrary;
use detfs::Timestamp;
use detfs::normalize::{Profile, Report, Rules, Scope, check, findings, normalize};
use detfs::tree::{Metadata, Node, NodeId, Tree, TreeBuilder};

/// Files in places that rules examine.
#[derive(Debug, Arbitrary)]
pub struct BytesToNormal {
    files: Vec<(u8, u32, Vec<Piece>)>,
    debian: bool,
    epoch: u32,
}

#[derive(Debug, Arbitrary)]
enum Piece {
    /// Typical content of such files.
    Known(u8),
    Number(u32),
    Text(String),
    Bytes(Vec<u8>),
}

/// Directories, each with the names of its files.
const PLACES: [(&[&str], &[&str]); 13] = [
    (
        &["etc"],
        &[
            ".updated",
            "fstab",
            "group",
            "gshadow",
            "machine-id",
            "machine-info",
            "passwd",
            "popularity-contest.conf",
            "shadow",
        ],
    ),
    (&["etc", "cron.d"], &["popularity-contest"]),
    (&["etc", "iscsi"], &["initiatorname.iscsi"]),
    (&["etc", "ssl", "certs", "java"], &["cacerts"]),
    (&["etc", "apt"], &["sources.list"]),
    (&["etc", "pacman.d"], &["mirrorlist"]),
    (&["var"], &[".updated"]),
    (&["var", "lib", "dpkg", "info"], &["a.list"]),
    (&["var", "lib", "pacman", "local", "a"], &["desc", "files"]),
    (&["var", "lib", "ucf"], &["hashfile", "registry"]),
    (&["usr", "lib"], &["m.py", "n.cpython-311.pyc"]),
    (&["usr", "share", "info"], &["dir"]),
    (&["usr", "share", "texmf"], &["ls-R"]),
];

const KNOWN: [&[u8]; 27] = [
    b"\n",
    b":",
    b"a:x:5:5::/:\n",
    b"b:!:19000::::::\n",
    b"%INSTALLDATE%\n",
    b"%FILES%\netc/fstab\n",
    b"/etc/fstab\n",
    b"1 2 * * * root x\n",
    b"0123456789abcdef0123456789abcdef\n",
    b"KERNEL_INSTALL_MACHINE_ID=",
    b"TIMESTAMP_NSEC=",
    b"Server = https://archive.archlinux.org/repos/2026/01/01/$repo\n",
    b"http://snapshot.debian.org/archive/debian/20260101T000000Z/",
    b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01",
    b"\0\0\0\x02\0\x01a",
    b"\0\x05X.509\0\0\0\x01z",
    b"\xa7\x0d\x0d\x0a\0\0\0\0",
    b"\0\0\0\x01",
    b"* Menu:\n",
    b"\x1f\n",
    b"* a: (a). A.\n",
    b"Section\n",
    b"% ls-R -- maintained\n",
    b"./d:\n",
    b"./e:\na\nb\n",
    b"\0",
    b"\r\n",
];

impl BytesToNormal {
    /// Normalizes the tree, which is either refused or ends up in a form on which no rule fires.
    ///
    /// # Panics
    ///
    /// Panics if a rule fires on the result, or if the preview differs from the changes.
    pub fn check(&self) {
        let Some(mut tree) = self.tree() else { return };
        // The rules are only compiled once.
        static RULES: LazyLock<[Rules; 2]> = LazyLock::new(|| {
            [Profile::Arch, Profile::Debian].map(|profile| Rules::builtin(Some(profile)))
        });
        let rules = &RULES[usize::from(self.debian)];
        let epoch = Timestamp::from_seconds(self.epoch.into());
        findings(&tree, rules, epoch, Scope::All).expect("content is in memory");
        let would = check(&tree, rules, epoch).expect("content is in memory");
        let Ok(did) = normalize(&mut tree, rules, epoch) else { return };
        assert_eq!(would, did);
        let again = normalize(&mut tree, rules, epoch).expect("it was not refused before");
        assert_eq!(again, Report::default(), "a rule fires on what rules made");
    }

    fn tree(&self) -> Option<Tree> {
        let mut contents = BTreeMap::new();
        for (place, seconds, pieces) in &self.files {
            let all =
                PLACES.iter().flat_map(|(path, names)| names.iter().map(move |name| (path, name)));
            let (path, name) = all.clone().nth(usize::from(*place) % all.count())?;
            let content: Vec<u8> = pieces.iter().flat_map(Piece::bytes).collect();
            contents.insert((*path, *name), (*seconds, content));
        }
        let at = |seconds: u32| Metadata {
            mtime: Timestamp::from_seconds(seconds.into()),
            ..Metadata::default()
        };
        let mut builder = TreeBuilder::new(at(0)).ok()?;
        let mut directories: BTreeMap<&[&str], NodeId> = BTreeMap::new();
        for ((path, name), (seconds, content)) in contents {
            let mut parent = TreeBuilder::ROOT;
            for (depth, name) in (1..).zip(path) {
                parent = match directories.get(&path[..depth]) {
                    Some(node) => *node,
                    None => {
                        let node = builder
                            .add(parent, name.as_bytes(), at(seconds), Node::Directory)
                            .ok()?;
                        directories.insert(&path[..depth], node);
                        node
                    }
                };
            }
            let size = content.len() as u64;
            let content = builder.content(Arc::new(content)).ok()?;
            let node = Node::File { size, content };
            builder.add(parent, name.as_bytes(), at(seconds), node).ok()?;
        }
        builder.finish().ok()
    }
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Known(at) => KNOWN[usize::from(*at) % KNOWN.len()].to_vec(),
            Self::Number(number) => number.to_string().into_bytes(),
            Self::Text(text) => text.clone().into_bytes(),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}
