//! Traces of the host in a tree: one warning of `detfs mkimage`, and an error with `--strict`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::detfs::{SEED, detfs};
use crate::oracle::shell;

const EPOCH: &str = "--source-date-epoch=1700000000";

/// Shell script that creates a Debian tree with nothing of a host in it.
const TREE: &str = "
    mkdir -p $1/etc $1/usr/lib $1/home/a
    echo ID=debian >$1/etc/os-release
    printf 'root:x:0:0:r:/root:/bin/sh\\na:x:1000:1000:a:/home/a:/bin/sh\\n' >$1/etc/passwd
    printf 'root:x:0:\\nstaff:x:50:a\\na:x:1000:\\n' >$1/etc/group
    echo x >$1/home/a/file; chown -R 1000:1000 $1/home/a
    find $1 -exec touch -hd @1600000000 {} +";

fn fixture_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    shell(TREE, &[tree.path()]);
    tree
}

/// Returns the exit code and standard error of a dry run.
fn plan(tree: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = detfs(["mkimage", "--architecture=x86-64", "--dry-run"]);
    let output = command.args(more).arg(tree).arg(tree.with_extension("raw")).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Returns the paths that `detfs normalize --check` calls suspicious, each with the reason.
fn suspicions(tree: &Path) -> Vec<(String, String)> {
    let mut command = detfs(["normalize", EPOCH, "--json", "--check"]);
    let output = command.arg(tree).output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found = json["suspicions"].as_array().unwrap();
    found.iter().map(|found| (text(&found["path"]), text(&found["why"]))).collect()
}

#[test]
fn suspicious_paths_are_counted_and_refused() {
    let seed = format!("--seed={SEED}");
    let tree = fixture_tree();
    let tree = tree.path();
    for option in ["--strict", "--json"] {
        assert_eq!(plan(tree, &[&seed, EPOCH, option]), (Some(0), String::new()), "{option}");
    }
    for (script, expected, count) in [
        ("echo host >$1/etc/hostname", "etc/hostname: the rule hostname is disabled", 1),
        ("echo UUID=1 / ext4 >$1/etc/fstab", "etc/fstab: ids and names of disks", 1),
        ("chown -R 1001 $1/usr", "usr: owned by user 1001, which the tree does not define", 1),
        ("chgrp 51 $1/usr/lib", "usr/lib: owned by group 51, which the tree does not define", 1),
        ("chown -hR 1001 $1", "/: owned by user 1001, which the tree does not define", 1),
        // A file of the tree's own user in a directory of another user.
        ("chown 1001 $1/home/a", "home/a: owned by user 1001", 1),
        (
            "mkdir -p $1/var/lib/dpkg/info; echo /etc/passwd >$1/var/lib/dpkg/info/a.list
            touch -d @1600000000 $1/var/lib/dpkg/info/a.list; echo x >$1/etc/a; touch $1/usr/a",
            "etc/a: newer than the epoch",
            2,
        ),
        ("rm $1/etc/passwd", "home/a: owned by user 1000", 1),
    ] {
        let tree = fixture_tree();
        shell(script, &[tree.path()]);
        let paths = if count == 1 { "1 path looks" } else { "2 paths look" };
        let (path, why) = expected.split_once(": ").unwrap();
        let found = suspicions(tree.path());
        assert_eq!(found.len(), count, "{script}: {found:?}");
        assert!(found[0].0 == path && found[0].1.starts_with(why), "{script}: {found:?}");

        let (code, said) = plan(tree.path(), &[&seed, EPOCH]);
        let lines: Vec<_> = said.lines().filter(|line| line.contains("this host")).collect();
        assert_eq!((code, lines.len()), (Some(0), 1), "{script}: {said}");
        assert!(lines[0].contains(paths) && lines[0].contains(expected), "{script}: {said}");

        let (code, said) = plan(tree.path(), &[&seed, EPOCH, "--strict"]);
        assert_eq!((code, said.lines().count()), (Some(3), 1), "{script}: {said}");
        assert!(said.contains(paths) && said.contains(expected), "{script}: {said}");
    }
}

/// A rule for a path accepts it, even if the rule changes nothing.
#[test]
fn a_rule_accepts_a_path() {
    let tree = fixture_tree();
    let script =
        "mkdir $1/boot; echo x >$1/boot/initrd.img; find $1 -exec touch -hd @1600000000 {} +";
    shell(script, &[tree.path()]);
    let seed = format!("--seed={SEED}");
    let options = [&*seed, EPOCH, "--strict"];
    let (code, said) = plan(tree.path(), &options);
    assert!(code == Some(3) && said.contains("boot/initrd.img: an initrd made on"), "{said}");
    let rules = tempfile::NamedTempFile::new().unwrap();
    let rule = "[[rule]]\nname = 'initrd'\npath = 'boot/initrd.img'\nverb = 'clamp'\n\
                reason = 'it is made reproducibly'\n";
    fs::write(rules.path(), rule).unwrap();
    let option = format!("--rules={}", rules.path().display());
    let options = [&options[..], &[&option]].concat();
    assert_eq!(plan(tree.path(), &options), (Some(0), String::new()));
}

/// In a tree without packages, no file is anybody else's.
#[test]
fn files_of_a_tree_without_packages_are_its_own() {
    let tree = fixture_tree();
    shell("echo x >$1/usr/new", &[tree.path()]);
    let options = [&format!("--seed={SEED}"), EPOCH, "--strict"];
    assert_eq!(plan(tree.path(), &options), (Some(0), String::new()));
    assert_eq!(suspicions(tree.path()).len(), 1);
}

#[test]
fn strict_needs_a_seed_and_an_epoch() {
    let tree = fixture_tree();
    let seed = format!("--seed={SEED}");
    for (options, word) in [
        (&[&*seed][..], "the epoch would be derived from the tree"),
        (&[EPOCH], "the seed would be derived from the tree"),
        (&[], "the seed and the epoch would be derived from the tree"),
    ] {
        let (code, said) = plan(tree.path(), options);
        assert_eq!((code, said.contains("--strict")), (Some(0), false), "{said}");
        let (code, said) = plan(tree.path(), &[options, &["--strict"]].concat());
        assert_eq!((code, said.lines().count()), (Some(3), 1), "{said}");
        assert!(said.contains(word), "{said}");
    }
}

/// Without normalization, nothing is suspicious unless that is asked for.
#[test]
fn rules_that_are_off_find_nothing() {
    let tree = fixture_tree();
    fs::write(tree.path().join("etc/hostname"), "host\n").unwrap();
    let options = [&format!("--seed={SEED}"), EPOCH, "--normalize=none"];
    assert_eq!(plan(tree.path(), &options), (Some(0), String::new()));
    let (code, said) = plan(tree.path(), &[&options[..], &["--strict"]].concat());
    assert_eq!(code, Some(3), "{said}");
}

#[test]
fn a_distribution_without_a_profile_is_named() {
    let seed = format!("--seed={SEED}");
    for (script, expected) in [
        ("echo ID=gentoo >$1/etc/os-release", Some("ID=gentoo, so only the rules about secrets")),
        ("echo NAME=x >$1/etc/os-release", Some("no ID in its os-release")),
        ("rm $1/etc/os-release", Some("which has no os-release")),
        (
            "echo 'ID=\"fedora\"' >$1/etc/os-release
            mkdir $1/usr/lib/systemd; touch -d @0 $1/usr/lib/systemd/systemd",
            Some("ID=fedora, so only the rules about systemd and secrets"),
        ),
        ("printf 'ID=mint\nID_LIKE=\"ubuntu debian\"\n' >$1/etc/os-release", None),
    ] {
        let tree = fixture_tree();
        shell(&format!("{script}; find $1 -exec touch -hd @1600000000 {{}} +"), &[tree.path()]);
        let (code, said) = plan(tree.path(), &[&seed, EPOCH]);
        assert_eq!(
            (code, said.lines().count()),
            (Some(0), usize::from(expected.is_some())),
            "{said}"
        );
        assert!(said.contains(expected.unwrap_or_default()), "{said}");
        // A profile that is chosen covers the tree.
        assert_eq!(plan(tree.path(), &[&seed, EPOCH, "--normalize=systemd"]).1, "", "{script}");
    }
}
