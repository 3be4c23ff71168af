//! Owners in a user namespace, where the kernel shows 65534 for every ID without a mapping.

use std::path::Path;
use std::process::{Command, Output};

use crate::bad_input::UNREPRESENTABLE;
use crate::detfs::PROGRAM;
use crate::oracle::{require_root, shell};

/// Creates a tree with `owners`, and definitions for a root partition of it.
fn fixture(owners: &str) -> tempfile::TempDir {
    require_root();
    let scratch = tempfile::tempdir().unwrap();
    let script = format!(
        "mkdir $1/tree $1/repart.d; cd $1/tree; touch a b c; {owners}
         printf '[Partition]\\nType=root\\nFormat=ext4\\nCopyFiles=/\\n' >$1/repart.d/root.conf"
    );
    shell(&script, &[scratch.path()]);
    scratch
}

/// Runs the program in a user namespace that maps the first `ids` IDs of the host.
fn in_namespace(ids: u32, scratch: &Path, words: &str) -> Output {
    let script = format!(
        "cd $1; rm -f out
         unshare --user sh -c 'read -r mapped; exec \"$@\"' sh $2 {words} <$1/mapped &
         exec 3>$1/mapped
         until [ $(readlink /proc/$!/ns/user) != $(readlink /proc/self/ns/user) ]; do :; done
         for kind in uid gid; do echo 0 0 {ids} >/proc/$!/${{kind}}_map; done
         echo mapped >&3
         wait $!"
    );
    shell("rm -f $1/mapped; mkfifo $1/mapped", &[scratch]);
    let mut command = Command::new("sh");
    command.args(["-uc", &script, "sh"]).arg(scratch).arg(PROGRAM);
    command.output().unwrap()
}

const WAYS: [(&str, i32); 3] = [
    ("mkfs ext4 tree out", UNREPRESENTABLE),
    ("mkimage tree out --architecture=x86-64", UNREPRESENTABLE),
    ("repart --definitions=repart.d --root=tree --empty=create --size=auto --offline=yes out", 1),
];

#[test]
fn owners_that_are_not_mapped_are_refused() {
    let by_owner = "chown 1000 b; chown 0:1000 c";
    let by_acl = "setfacl -m user:1000:r b c";
    for (owners, ids) in [(by_owner, 1), (by_owner, 1000), (by_acl, 1000)] {
        let scratch = fixture(owners);
        for (words, code) in WAYS {
            let output = in_namespace(ids, scratch.path(), words);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{owners}: {words}: {said}");
            assert!(said.contains("b: 2 nodes, first here: "), "{owners}: {words}: {said}");
            assert!(said.contains("unshare --map-root-user --map-auto"), "{said}");
            assert!(!scratch.path().join("out").exists());
        }
    }
}

#[test]
fn owners_that_may_not_be_mapped_are_reported() {
    let scratch = fixture("chown 65534 b; chown 65535 c");
    for (ids, words) in [
        // The ID 65535 is shown as 65534.
        (65_535, Some("b: 2 nodes, first here: owned by 65534")),
        (65_536, Some("b: 1 node: owned by 65534")),
        // All IDs are mapped, so 65534 is a user of its own.
        (u32::MAX, None),
    ] {
        for (way, _) in WAYS {
            let output = in_namespace(ids, scratch.path(), way);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{ids}: {way}: {said}");
            assert_eq!(said.contains("owned by 65534"), words.is_some(), "{ids}: {way}: {said}");
            assert!(words.is_none_or(|words| said.contains(words)), "{ids}: {way}: {said}");
        }
    }
}
