//! Owners as data: an image of a tree with other owners is that of the tree with the right ones.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::detfs::{SEED, detfs, succeed};
use crate::oracle::{sha256, shell};

/// A tree with the owners that belong in the image, and the same as a user namespace of user 1000
/// with subordinate ids from 100000 on leaves it.
struct Trees(TempDir);

impl Trees {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        shell(
            "cd $1; mkdir -p right/bin right/home; echo a >right/bin/ping; echo b >right/home/file
            ln -s file right/home/link; mkfifo right/pipe
            cp -a right shifted; cp -a right plain
            chown 5:7 right/home/file; chown -h 5:7 right/home/link; chown 0:65534 right/pipe
            setfacl -m u:5:r,u:9:r,g:7:r right/home/file
            setcap cap_net_raw+ep right/bin/ping
            chown -R 1000:1000 shifted; chown 100004:100006 shifted/home/file
            chown -h 100004:100006 shifted/home/link; chown 1000:165533 shifted/pipe
            setfacl -m u:100004:r,u:100008:r,g:100006:r shifted/home/file
            setcap -n 1000 cap_net_raw+ep shifted/bin/ping
            setcap -n 1000 cap_net_raw+ep plain/bin/ping; chown -R 1000:1000 plain
            setcap -n 1000 cap_net_raw+ep plain/bin/ping
            find . | xargs touch -hd '2023-11-14 01:02:03.456'",
            &[scratch.path()],
        );
        Self(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn image(&self, tree: &str, options: &[&str]) -> (String, String) {
        let output = detfs(["mkfs", "ext4"])
            .args([self.path(tree), self.path("image")])
            .args(["--force", "--seed", SEED])
            .args(options)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        match output.status.success() {
            true => (sha256(&self.path("image")), text),
            false => (String::new(), text),
        }
    }
}

#[test]
fn owners_are_mapped_to_those_of_the_image() {
    let trees = Trees::new();
    let (right, warnings) = trees.image("right", &[]);
    assert_eq!(warnings, "");
    let maps = [
        "--uid-map=0:1000:1",
        "--uid-map=1:100000:65535",
        "--gid-map=0:1000:1",
        "--gid-map=1:100000:65535",
    ];
    assert_eq!(trees.image("shifted", &maps), (right.clone(), String::new()));
    let (shifted, warnings) = trees.image("shifted", &[]);
    assert_ne!(shifted, right);
    assert!(warnings.contains("it is owned by user 1000 instead of root"), "{warnings}");
    let (none, error) = trees.image("shifted", &maps[..3]);
    assert_eq!(none, "");
    assert!(error.contains("no range of --gid-map has 100006"), "{error}");
}

#[test]
fn everything_gets_one_owner() {
    let trees = Trees::new();
    let (owned, warnings) = trees.image("plain", &["--owner=0:0"]);
    assert_eq!(warnings, "");
    shell(
        "cd $1; cp -a plain root; chown -hR 0:0 root; setcap cap_net_raw+ep root/bin/ping
        find root | xargs touch -hd '2023-11-14 01:02:03.456'",
        &[trees.0.path()],
    );
    assert_eq!(trees.image("root", &[]).0, owned);
}

#[test]
fn owners_in_a_configuration_are_those_of_the_options() {
    let trees = Trees::new();
    let config = format!(
        "seed = \"{SEED}\"\n[image]\ntree = \"plain\"\nout = \"built\"\narchitecture = \
         \"x86-64\"\nowner = \"3:4\"\n"
    );
    fs::write(trees.path("image.toml"), config).unwrap();
    succeed(detfs(["build"]).arg(trees.path("image.toml")));
    succeed(detfs(["mkimage"]).args([trees.path("plain"), trees.path("image")]).args([
        "--seed",
        SEED,
        "--architecture=x86-64",
        "--owner=3:4",
    ]));
    assert_eq!(sha256(&trees.path("built")), sha256(&trees.path("image")));
}

#[test]
fn wrong_owners_are_refused() {
    let trees = Trees::new();
    for (options, expected) in [
        (&["--owner=root:root"][..], "--owner: \"root:root\" is not a user id and a group id"),
        (&["--owner=4294967295:0"], "--owner: "),
        (&["--uid-map=0:1"], "--uid-map: \"0:1\" is not three numbers"),
        (&["--gid-map=0:1:2", "--gid-map=1:5:2"], "--gid-map: two ranges have an id of the image"),
        (&["--owner=0:0", "--uid-map=0:0:1"], "cannot be used with"),
    ] {
        let (hash, error) = trees.image("right", options);
        assert_eq!(hash, "");
        assert!(error.contains(expected), "{error}");
    }
}
