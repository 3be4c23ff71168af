//! Suspicious files that no rule covers.

use std::path::Path;

use detfs::normalize::{Rules, Scope, findings};

use super::make_tree::{EPOCH, Put, make_tree};

const OLD: i64 = EPOCH - 50;
const NEW: i64 = EPOCH + 50;

/// SHA-256 hash of the empty string, as an example of random bytes.
const RANDOM: &[u8] = b"\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\
    \x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55";

/// Returns the suspicious paths of a tree, each with the beginning of the reason.
fn suspects(puts: &[Put], rules: &str) -> Vec<(String, String)> {
    suspects_in(Scope::All, puts, rules)
}

fn suspects_in(scope: Scope, puts: &[Put], rules: &str) -> Vec<(String, String)> {
    let rules = Rules::none().with_file(Path::new("f"), rules).unwrap();
    let epoch = detfs::Timestamp::from_seconds(EPOCH);
    let found = findings(&make_tree(&[puts]), &rules, epoch, scope).unwrap();
    let text = |path: Vec<u8>| String::from_utf8(path).unwrap();
    found.into_iter().map(|found| (text(found.path), found.why[..10].to_owned())).collect()
}

#[test]
fn places_formats_and_newer_files_are_named() {
    let rules = "[[rule]]\nname = \"a\"\npath = \"etc/covered\"\nverb = \"truncate\"\n\
        reason = \"\"\n[[rule]]\nname = \"b\"\npath = \"etc/gone\"\nverb = \"remove\"\nreason = \"\"\n";
    let found = suspects(
        &[
            ("boot/grub/grub.cfg", b"search --fs-uuid 1234-ABCD\n", OLD),
            ("boot/grub/i386-pc/core.img", b"", OLD),
            ("etc/covered", b"x", NEW),
            ("etc/crypttab", b"# root UUID=1\n", OLD),
            ("etc/fstab", b"# /\nUUID=1 / ext4\n", OLD),
            ("etc/gone", b"x", NEW),
            ("etc/hostname", b"host\n", OLD),
            ("etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n", OLD),
            ("etc/id", b"0123456789abcdef0123456789abcdef\n", NEW),
            ("etc/key", RANDOM, NEW),
            ("etc/old", RANDOM, OLD),
            ("root/.ssh/id", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", OLD),
            ("root/.ssh/id.pub", b"ssh-ed25519 ", OLD),
            ("usr/new", RANDOM, NEW),
            ("usr/old", b"SQLite format 3\0", OLD),
            ("var/db", b"SQLite format 3\0", OLD),
            ("var/lib/postgresql/17/main/global/pg_control", b"", OLD),
            ("var/db-wal", b"\x37\x7f\x06\x82", OLD),
        ],
        rules,
    );
    let expected = [
        ("boot/grub/grub.cfg", "a boot loa"),
        ("boot/grub/i386-pc/core.img", "a boot loa"),
        ("etc/fstab", "ids and na"),
        ("etc/hostname", "the rule h"),
        ("etc/id", "contains o"),
        ("etc/key", "random byt"),
        ("root/.ssh/id", "a private "),
        ("usr/new", "newer than"),
        ("var/db", "a database"),
        ("var/db-wal", "changes of"),
        ("var/lib/postgresql/17/main/global/pg_control", "a database"),
    ];
    assert_eq!(found, expected.map(|(path, why)| (path.to_owned(), why.to_owned())));
}

/// Files of packages may be newer than the epoch, according to the databases of dpkg and of pacman.
/// dpkg lists files in directories that are symlinks. The databases themselves and files that a
/// rule has examined may be newer as well.
#[test]
fn what_packages_brought_is_not_named() {
    let found = suspects(
        &[
            ("lib@", b"usr/lib", OLD),
            ("usr/b", b"", NEW),
            ("usr/key", RANDOM, NEW),
            ("usr/lib/a", b"", NEW),
            ("usr/made", b"", NEW),
            ("var/lib/dpkg/info/x.list", b"/.\n/lib\n/lib/a\n/gone\n", OLD),
            ("var/lib/dpkg/info/x.md5sums", b"/usr/made\n", NEW),
            ("var/lib/pacman/local/ALPM_DB_VERSION", b"9\n", OLD),
            ("var/lib/pacman/local/y-1-1/files", b"%FILES%\nusr/\nusr/b\n\n%BACKUP%\n", OLD),
            ("usr/lib/seen.pyc", b"nothing that the rule knows", NEW),
        ],
        "enable = [\"python-modules\"]",
    );
    let expected = ["usr/key", "usr/made"];
    assert_eq!(found, expected.map(|path| (path.to_owned(), "newer than".to_owned())));
}

/// Differences are found without reading files outside the directories of the system's state.
#[test]
fn keys_of_packages_are_no_differences() {
    const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----\n";
    let puts: [Put; 5] = [
        ("var/lib/dpkg/info/a.list", b"/usr/key\n", OLD),
        ("etc/key", KEY, OLD),
        ("usr/fstab", b"UUID=1 / ext4\n", OLD),
        ("usr/key", KEY, OLD),
        ("usr/new", KEY, NEW),
    ];
    let expected = |new: &'static str| [("etc/key", "a private "), ("usr/new", new)];
    let text = |(path, why): (&str, &str)| (path.to_owned(), why.to_owned());
    let found = suspects_in(Scope::Differences, &puts, "");
    assert_eq!(found, expected("newer than").map(text));
    let found = suspects_in(Scope::All, &puts, "");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(expected("a private ").map(text).iter().all(|one| found.contains(one)), "{found:?}");
}
