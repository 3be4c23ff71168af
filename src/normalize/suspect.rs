//! What may differ between two installations though no rule says so: for people to look at.

use std::collections::BTreeSet;

use super::apply::Walk;
use super::{Action, Rules};
use crate::error::Result;
use crate::glob::Globs;
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

/// A path to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suspicion {
    /// The path in the tree.
    pub path: Vec<u8>,
    /// What is suspicious about it.
    pub why: &'static str,
}

/// Places of what is compiled or collected while packages are installed.
const PLACES: [(&str, &str); 12] = [
    (
        "{boot,efi,boot/efi}/**/{initramfs,initrd}*",
        "an initrd made on this host may hold its times and devices",
    ),
    ("boot/grub/{grub.cfg,grubenv}", "a boot loader's settings may hold ids of the host's disks"),
    ("etc/{fstab,crypttab}", "ids of file systems must be those of the image"),
    ("usr/lib/locale/locale-archive", "localedef adds locales in the order in which it is run"),
    ("usr/lib/modules/*/{updates,extramodules}/**", "a module compiled on this host"),
    ("{etc,usr/lib}/udev/hwdb.bin", "compiled on this host"),
    ("var/lib/systemd/catalog/database", "compiled on this host; in no order before systemd 243"),
    (
        "usr/share/**/{icon-theme.cache,mime.cache,gschemas.compiled}",
        "a cache that must not be older than what it is of",
    ),
    (
        "usr/lib/**/{giomodule.cache,loaders.cache,immodules.cache}",
        "a cache that must not be older than what it is of",
    ),
    ("var/lib/texmf/**/*.fmt", "TeX writes times and hash order unless FORCE_SOURCE_DATE is set"),
    ("etc/selinux/*/policy/policy.*", "a compiled policy"),
    ("etc/selinux/*/contexts/files/file_contexts.bin", "a compiled policy"),
];

/// Formats that hold times or orders, by the bytes at an offset.
const FORMATS: [(usize, &[u8], &str); 9] = [
    (0, b"SQLite format 3\0", "a database; its pages stand in the order of changes"),
    (0, b"LPKSHHRH", "a journal"),
    (0, b"\xce\x9a\x57\x13", "a GDBM database"),
    (0, b"\xcf\x9a\x57\x13", "a GDBM database"),
    (0, b"\xfe\xed\xfe\xed", "a Java key store with another password: its entries have times"),
    (8, b"KBXf", "a GnuPG key box: it has times"),
    (0, b"\x02\xfc\x02\xfc", "a cache of fontconfig: it has times"),
    (0, b"\x04\xfc\x02\xfc", "a cache of fontconfig: it has times"),
    (12, b"\x62\x31\x05\x00", "a Berkeley database; its pages stand in the order of changes"),
];

/// How much of a file is looked at.
const HEAD: usize = 64 << 10;

/// Lists what no rule is about and may still differ: known places and formats; under `etc` and
/// `var`, files newer than the epoch of random bytes or with nothing in them but an id; and other
/// files newer than the epoch.
///
/// # Errors
/// [`Error::Source`](crate::Error::Source) and [`Error::Changed`](crate::Error::Changed) if a file
/// can't be read.
pub fn suspicions(tree: &Tree, rules: &Rules, epoch: Timestamp) -> Result<Vec<Suspicion>> {
    let (report, edits) = Walk::new(tree, rules, epoch).run()?;
    let is_refused = |name: &str| {
        rules.iter().any(|rule| rule.name == name && matches!(rule.action, Action::Refuse { .. }))
    };
    let fired = report.fired.iter().filter(|fired| !is_refused(&fired.rule));
    let covered: BTreeSet<&[u8]> =
        fired.flat_map(|fired| &fired.paths).map(|path| &**path).collect();
    let places = Globs::new(PLACES.map(|(pattern, _)| pattern)).expect("a test uses them");
    let mut found = Vec::new();
    let mut matching = Vec::new();
    let mut pending = vec![(InodeId::ROOT, Vec::new())];
    while let Some((directory, path)) = pending.pop() {
        for (at, entry) in tree.entry_range(directory).zip(tree.entries(directory)) {
            if edits.removed.contains(&at) {
                continue;
            }
            let name = tree.name(entry);
            let path = if path.is_empty() { name.to_vec() } else { [&path, name].join(&b'/') };
            let id = entry.inode();
            match tree.inode(id).kind {
                Kind::Directory => pending.push((id, path)),
                Kind::File { .. } if !covered.contains(&*path) => {
                    places.matching(&path, &mut matching);
                    let place = matching.first().map(|&at| PLACES[at].1);
                    let why = match place {
                        Some(why) => Some(why),
                        None => content(tree, id, &path, epoch)?,
                    };
                    found.extend(why.map(|why| Suspicion { path, why }));
                }
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// What is suspicious about a file's content, or else its time.
fn content(
    tree: &Tree,
    id: InodeId,
    path: &[u8],
    epoch: Timestamp,
) -> Result<Option<&'static str>> {
    let is_new = tree.inode(id).mtime > epoch;
    let is_state = path.starts_with(b"etc/") || path.starts_with(b"var/");
    if !is_new && !is_state {
        return Ok(None);
    }
    let head = tree.read_head(id, HEAD)?;
    let format = FORMATS
        .iter()
        .find(|(at, bytes, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    Ok(match format {
        Some((.., why)) => Some(why),
        None if is_new && is_state && is_id(&head) => {
            Some("nothing but an id, which may be random")
        }
        None if is_new && is_state && is_random(&head) => Some("random bytes"),
        None if is_new => Some("newer than the epoch: made while packages were installed"),
        None => None,
    })
}

/// Whether this is one word of 32 and more hexadecimal digits, perhaps with hyphens.
fn is_id(content: &[u8]) -> bool {
    let word = content.trim_ascii();
    let digits = word.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
    (32..=128).contains(&digits)
        && word.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Whether bytes are spread as evenly as those of keys and compressed data: two of them are equal
/// at most once in 160 times (40 where there are few), where even chance has it 256 and text some 15.
fn is_random(content: &[u8]) -> bool {
    let mut counts = [0u64; 256];
    content.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let length = content.len() as u64;
    let equal: u64 = counts.iter().map(|count| count * count.saturating_sub(1)).sum();
    let times = if length < 256 { 40 } else { 160 };
    length >= 32 && equal * times <= length * (length - 1)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::tree::{Metadata, Node, NodeId, TreeBuilder};

    #[test]
    fn random_bytes_are_told_from_text() {
        let random: Vec<u8> = (0..32u8).flat_map(|n| Sha256::digest([n])).collect();
        for (content, expected) in [
            (&random[..], true),
            (&random[..32], true),
            (&random[..31], false),
            (
                &b"abcdefghijklmnopqrstuvwxyz, the quick brown fox jumps over the lazy dog"[..],
                false,
            ),
            (&[0; 4096], false),
            (include_bytes!("suspect.rs"), false),
        ] {
            assert_eq!(is_random(content), expected, "{} bytes", content.len());
        }
        assert!(is_id(b"0123456789abcdef0123456789abcdef\n"));
        assert!(is_id(b"01234567-89ab-cdef-0123-456789abcdef"));
        assert!(!is_id(b"0123456789abcdef") && !is_id(b"0123456789abcdef0123456789abcdef x"));
    }

    #[test]
    fn suspects_are_named() {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let random: Vec<u8> = Sha256::digest("x").to_vec();
        let mut directories: Vec<(String, NodeId)> = vec![(String::new(), TreeBuilder::ROOT)];
        for (path, content, seconds) in [
            ("etc/key", &random[..], 200),
            ("etc/id", b"0123456789abcdef0123456789abcdef\n", 200),
            ("etc/old", &random, 50),
            ("etc/covered", b"x", 200),
            ("etc/gone", b"x", 200),
            ("etc/fstab", b"", 50),
            ("var/db", b"SQLite format 3\0", 50),
            ("usr/new", &random, 200),
            ("usr/old", b"SQLite format 3\0", 50),
        ] {
            let (directory, name) = path.split_once('/').unwrap();
            let parent = match directories.iter().find(|(name, _)| name == directory) {
                Some((_, id)) => *id,
                None => {
                    let metadata = Metadata::default();
                    let root = TreeBuilder::ROOT;
                    let id = builder.add(root, directory.as_bytes(), metadata, Node::Directory);
                    directories.push((directory.to_owned(), id.unwrap()));
                    directories.last().unwrap().1
                }
            };
            let id = builder.content(Arc::new(content.to_vec())).unwrap();
            let node = Node::File { size: content.len() as u64, content: id };
            let mtime = Timestamp::from_seconds(seconds);
            let metadata = Metadata { mtime, ..Metadata::default() };
            builder.add(parent, name.as_bytes(), metadata, node).unwrap();
        }
        let tree = builder.finish().unwrap();
        let rules = "[[rule]]\nname = \"a\"\npath = \"etc/covered\"\nverb = \"truncate\"\n\
            reason = \"\"\n[[rule]]\nname = \"b\"\npath = \"etc/gone\"\nverb = \"remove\"\nreason = \"\"\n";
        let rules = Rules::with_file(None, Path::new("f"), rules).unwrap();
        let found = suspicions(&tree, &rules, Timestamp::from_seconds(100)).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|found| (str::from_utf8(&found.path).unwrap(), &found.why[..10]))
            .collect();
        assert_eq!(
            found,
            [
                ("etc/fstab", "ids of fil"),
                ("etc/id", "nothing bu"),
                ("etc/key", "random byt"),
                ("usr/new", "newer than"),
                ("var/db", "a database"),
            ]
        );
    }
}
