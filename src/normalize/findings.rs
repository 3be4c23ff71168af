//! Findings: files that may differ between two installations although no rule covers them, for
//! people to review.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::apply::{Edits, Walk};
use super::rules::private_keys;
use super::{Fired, Rules, owners, packages};
use crate::error::Result;
use crate::glob::Globs;
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

/// A path to review.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// Path in the tree.
    pub path: Vec<u8>,
    /// Reason why the path is suspicious.
    pub why: String,
}

/// Paths to list as findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Scope {
    /// All: what may differ between two installations, and private keys anywhere.
    #[default]
    All,
    /// Only what may differ between two installations. Content is read only in known places and in
    /// the directories where systems keep their own state.
    Differences,
}

/// Places of files that are compiled or collected while packages are installed: a path pattern, a
/// pattern that the content must match, and the reason.
const PLACES: [(&str, &str, &str); 14] = [
    (
        "{boot,efi,boot/efi}/**/{initramfs,initrd}*",
        "",
        "an initrd made on this host may hold its times and devices",
    ),
    (
        "boot/grub{,2}/{grub.cfg,grubenv,custom.cfg}",
        DISK,
        "a boot loader's settings with ids or names of disks",
    ),
    ("boot/grub{,2}/*/core.img", "", "a boot loader made for the disks of this host"),
    ("etc/{fstab,crypttab}", DISK, "ids and names of disks must be those of the image"),
    ("usr/lib/locale/locale-archive", "", "localedef adds locales in the order in which it is run"),
    ("usr/lib/modules/*/{updates,extramodules}/**", "", "a module compiled on this host"),
    ("{etc,usr/lib}/udev/hwdb.bin", "", "compiled on this host"),
    ("var/lib/systemd/catalog/database", "", "compiled on this host; unordered before systemd 243"),
    (
        "usr/share/**/{icon-theme.cache,mime.cache,gschemas.compiled}",
        "",
        "a cache that must not be older than its sources",
    ),
    (
        "usr/lib{,32,64}/**/{giomodule.cache,loaders.cache,immodules.cache}",
        "",
        "a cache that must not be older than its sources",
    ),
    (
        "var/lib/texmf/**/*.fmt",
        "",
        "TeX writes times and hash order unless FORCE_SOURCE_DATE is set",
    ),
    (
        "var/lib/{mysql/ibdata1,postgres*/**/global/pg_control}",
        "",
        "a database made on this host: all its files have ids and times; create it on the first boot",
    ),
    ("etc/selinux/*/policy/policy.*", "", "a compiled policy"),
    ("etc/selinux/*/contexts/files/file_contexts.bin", "", "a compiled policy"),
];

/// Compiled path patterns and content patterns of the places.
static COMPILED: LazyLock<(Globs, [Regex; PLACES.len()])> = LazyLock::new(|| {
    let globs = Globs::new(PLACES.map(|(pattern, ..)| pattern)).expect("a test uses them");
    (globs, PLACES.map(|(_, sign, _)| Regex::new(sign).expect("a test uses them")))
});

/// Pattern for a line, other than a comment, that names a disk by an id or by its device on the
/// host.
const DISK: &str = r"(?m)^[^#\n]*(UUID|uuid|/dev/(disk/by-|loop|mapper/|sd|vd|nvme))";

/// Formats that hold secrets, times or an arbitrary order, recognized by the bytes at an offset.
const FORMATS: [(usize, &[u8], &str); 12] = [
    (0, b"SQLite format 3\0", "a database; its pages are in the order of changes"),
    (0, b"\x37\x7f\x06\x82", "changes of a database that are not merged into it yet"),
    (0, b"\x37\x7f\x06\x83", "changes of a database that are not merged into it yet"),
    (0, b"LPKSHHRH", "a journal"),
    (0, b"\xce\x9a\x57\x13", "a GDBM database"),
    (0, b"\xcf\x9a\x57\x13", "a GDBM database"),
    (0, b"\xfe\xed\xfe\xed", KEY_STORE),
    (0, b"\xce\xce\xce\xce", KEY_STORE),
    (8, b"KBXf", "a GnuPG keybox: it contains times"),
    (0, b"\x02\xfc\x02\xfc", "a fontconfig cache: it contains times"),
    (0, b"\x04\xfc\x02\xfc", "a fontconfig cache: it contains times"),
    (12, b"\x62\x31\x05\x00", "a Berkeley database; its pages are in the order of changes"),
];

const KEY_STORE: &str = "a Java keystore that no rule rewrites: its entries contain times";
const PRIVATE_KEY: &str = "a private key, which everyone with the image can read";

/// Reason for a file without any other peculiarity.
const NEWER: &str = "newer than the epoch, owned by no package and covered by no rule: created \
     while packages were installed";

/// Directories where systems keep their own state.
const STATE: [&[u8]; 4] = [b"etc/", b"home/", b"root/", b"var/"];

/// Number of bytes of a file that are examined.
const HEAD: usize = 64 << 10;

/// Lists files that no rule covers and that may still differ between installations:
///
/// - files that a disabled built-in rule would change,
/// - files in known places and of known formats,
/// - private keys, including those that packages installed,
/// - files newer than the epoch, in directories where systems keep their own state, that consist of
///   random bytes or of nothing but an id,
/// - other files newer than the epoch that no package installed and no rule knows, and
/// - paths whose owner or group is not in the tree's lists of users and groups; paths below a
///   directory with the same owner are not listed.
///
/// `scope` restricts the list.
///
/// # Errors
/// [`Error::Source`](crate::Error::Source) and [`Error::Changed`](crate::Error::Changed) if a file
/// can't be read.
pub fn findings(
    tree: &Tree,
    rules: &Rules,
    epoch: Timestamp,
    scope: Scope,
) -> Result<Vec<Finding>> {
    let (report, Edits { removed, .. }) = Walk::run(tree, rules, epoch)?;
    let fired = report.fired.iter().flat_map(|fired| &fired.paths);
    let covered: BTreeSet<&[u8]> = fired.map(|path| &**path).collect();
    let (off, _) = Walk::run(tree, &rules.off(), epoch)?;
    let off: BTreeMap<&[u8], &Fired> = off
        .fired
        .iter()
        .filter(|fired| fired.remedy.is_none())
        .flat_map(|fired| fired.paths.iter().map(move |path| (&**path, fired)))
        .collect();
    let known = Known { tree, rules, package_files: OnceCell::new() };
    let (places, signs) = &*COMPILED;
    let unknown = owners::unknown(tree, &removed)?.into_iter();
    let mut found: Vec<_> = unknown.map(|(path, why)| Finding { path, why }).collect();
    let mut matching = Vec::new();
    let mut pending = vec![(InodeId::ROOT, Vec::new())];
    while let Some((directory, path)) = pending.pop() {
        for (at, entry) in tree.entry_range(directory).zip(tree.entries(directory)) {
            if removed.contains(&at) {
                continue;
            }
            let name = tree.name(entry);
            let path = if path.is_empty() { name.to_vec() } else { [&path, name].join(&b'/') };
            let id = entry.inode();
            match tree.inode(id).kind {
                Kind::Directory => pending.push((id, path)),
                Kind::File { .. } if !covered.contains(&*path) => {
                    places.matching(&path, &mut matching);
                    let place = matching.first().map(|&at| (PLACES[at], &signs[at]));
                    let why = match (off.get(&*path), place) {
                        (Some(Fired { rule, reason, .. }), _) => {
                            Some(format!("the rule {rule} is disabled: {reason}"))
                        }
                        (None, Some(((_, sign, why), matcher))) => {
                            let is_sign =
                                sign.is_empty() || matcher.is_match(&tree.read_head(id, HEAD)?);
                            is_sign.then(|| why.to_owned())
                        }
                        (None, None) => match content(tree, id, &path, epoch, scope)? {
                            Some(NEWER) if known.covers(id, &path, scope)? => None,
                            why => why.map(str::to_owned),
                        },
                    };
                    // A rule of a file shows that its author knows the path.
                    let why = why.filter(|_| !rules.has_added(&path));
                    found.extend(why.map(|why| Finding { path, why }));
                }
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Files that may be newer than the epoch.
struct Known<'a> {
    tree: &'a Tree,
    rules: &'a Rules,
    /// Files that packages installed, once they are needed.
    package_files: OnceCell<BTreeSet<InodeId>>,
}

impl Known<'_> {
    /// Returns whether a package installed a file, or a rule is about it. Without a database of
    /// packages, files are not compared with it to find differences.
    fn covers(&self, id: InodeId, path: &[u8], scope: Scope) -> Result<bool> {
        let mut matching = Vec::new();
        self.rules.matching(path, &mut matching);
        // A rule that examines all files does not cover any particular one.
        if matching.into_iter().any(|number| !self.rules.get(number).unpackaged) {
            return Ok(true);
        }
        let package_files = match self.package_files.get() {
            Some(package_files) => package_files,
            None => {
                let package_files = packages::package_files(self.tree)?;
                self.package_files.get_or_init(|| package_files)
            }
        };
        let is_unknown = package_files.is_empty() && scope == Scope::Differences;
        Ok(is_unknown || package_files.contains(&id))
    }
}

/// Returns the reason why a file's content, or else its time, is suspicious.
fn content(
    tree: &Tree,
    id: InodeId,
    path: &[u8],
    epoch: Timestamp,
    scope: Scope,
) -> Result<Option<&'static str>> {
    let is_new = tree.inode(id).mtime > epoch;
    let is_state = STATE.iter().any(|directory| path.starts_with(directory));
    if scope == Scope::Differences && !is_state {
        return Ok(is_new.then_some(NEWER));
    }
    let Kind::File { size, .. } = tree.inode(id).kind else { return Ok(None) };
    if !is_new && !is_state && size > HEAD as u64 {
        return Ok(None);
    }
    let head = tree.read_head(id, HEAD)?;
    if private_keys().iter().any(|pattern| pattern.is_match(&head)) {
        return Ok(Some(PRIVATE_KEY));
    }
    if !is_new && !is_state {
        return Ok(None);
    }
    let format = FORMATS
        .iter()
        .find(|(at, bytes, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    Ok(match format {
        Some((.., why)) => Some(why),
        None if is_new && is_state && is_id(&head) => {
            Some("contains only an id, which may be random")
        }
        None if is_new && is_state && is_random(&head) => Some("random bytes"),
        None if is_new => Some(NEWER),
        None => None,
    })
}

/// Returns whether the content is a single word of 32 to 128 hexadecimal digits, possibly with
/// hyphens.
fn is_id(content: &[u8]) -> bool {
    let word = content.trim_ascii();
    let digits = word.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
    (32..=128).contains(&digits)
        && word.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Returns whether the bytes are distributed as evenly as those of keys and compressed data.
///
/// In such data at most one in 160 pairs of bytes is equal (one in 40 for short content). For
/// uniformly random bytes the figure is one in 256, and for text about one in 15. A short text may
/// not repeat any letter, but random bytes are not all printable.
fn is_random(content: &[u8]) -> bool {
    let mut counts = [0u64; 256];
    content.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let length = content.len() as u64;
    let equal: u64 = counts.iter().map(|count| count * count.saturating_sub(1)).sum();
    let times = if length < 256 { 40 } else { 160 };
    let is_text = content.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r'));
    length >= 32 && !is_text && equal * times <= length * (length - 1)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

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
            (&b"Acquire::Check-Valid-Until \"false\";\n"[..], false),
            (&[0; 4096], false),
            (include_bytes!("findings.rs"), false),
        ] {
            assert_eq!(is_random(content), expected, "{} bytes", content.len());
        }
        assert!(is_id(b"0123456789abcdef0123456789abcdef\n"));
        assert!(is_id(b"01234567-89ab-cdef-0123-456789abcdef"));
        assert!(!is_id(b"0123456789abcdef") && !is_id(b"0123456789abcdef0123456789abcdef x"));
    }
}
