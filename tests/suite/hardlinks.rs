//! Hard links: a tree with them and a tree of copies give the same image if they are broken.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::detfs::{SEED, detfs, succeed};
use crate::oracle::{self, Comparison, partitions, sha256, shell};
use crate::repart::fixture::Fixture as Repart;

/// Options of `detfs repart` for a new image.
const CREATE: [&str; 2] = ["--empty=create", "--size=auto"];

/// Two trees that differ only in hard links, of a file, of a symlink and of a pipe.
struct Trees(TempDir);

impl Trees {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        shell(
            "cd $1; mkdir -p linked/usr/bin linked/usr/lib linked/etc
            head -c 200000 /dev/zero | tr '\\0' x >linked/usr/bin/a
            chmod 4755 linked/usr/bin/a; chown 7:8 linked/usr/bin/a
            setfattr -n user.name -v value linked/usr/bin/a
            ln linked/usr/bin/a linked/usr/lib/b; ln linked/usr/bin/a linked/etc/c
            ln -s a linked/usr/bin/link; ln -P linked/usr/bin/link linked/usr/lib/link
            mkfifo linked/etc/pipe; ln linked/etc/pipe linked/usr/pipe
            find linked | xargs touch -hd '2023-11-14 01:02:03.456'
            cp -dpR --preserve=all --no-preserve=links linked copied",
            &[scratch.path()],
        );
        Self(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a subcommand on a tree, with ids derived from the tree.
    fn run(&self, words: &[&str], tree: &str, options: &[&str]) -> std::process::Output {
        let mut command = detfs(words);
        command.arg(self.path(tree)).arg(self.path("image")).args(options);
        command.args(["--force", "--json", "--architecture=x86-64"]).output().unwrap()
    }

    /// Returns the hash of an image, its seed and its rule about hard links.
    fn image(&self, words: &[&str], tree: &str, options: &[&str]) -> (String, String, String) {
        let output = self.run(words, tree, options);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let parameters = &manifest["parameters"];
        (sha256(&self.path("image")), text(&parameters["seed"]), text(&parameters["hardlinks"]))
    }
}

#[test]
fn broken_links_are_copies() {
    let trees = Trees::new();
    for words in [&["mkfs", "ext4"][..], &["mkfs", "btrfs"], &["mkimage"]] {
        let kept = trees.image(words, "linked", &[]);
        assert_eq!(kept, trees.image(words, "linked", &["--hardlinks=keep"]));
        assert_eq!(kept.2, "keep");
        let broken = trees.image(words, "linked", &["--hardlinks=break"]);
        assert_eq!(broken.2, "break");
        let copied = trees.image(words, "copied", &[]);
        // Bytes and the derived seed are those of the copies.
        assert_eq!((&broken.0, &broken.1), (&copied.0, &copied.1), "{words:?}");
        assert_ne!((&broken.0, &broken.1), (&kept.0, &kept.1), "{words:?}");
        assert_ne!(broken.1, kept.1, "{words:?}");
        // A tree without hard links is not affected.
        for rule in ["--hardlinks=break", "--hardlinks=refuse"] {
            let same = trees.image(words, "copied", &[rule]);
            assert_eq!((same.0, same.1), (copied.0.clone(), copied.1.clone()), "{words:?} {rule}");
        }
    }
    let image = trees.path("image");
    for (tree, rule) in [("linked", "keep"), ("copied", "break")] {
        trees.image(&["mkfs", "ext4"], "linked", &[&format!("--hardlinks={rule}")]);
        oracle::ext4(&image, &trees.path(tree), &Comparison::exact().without("lost+found"))
            .unwrap();
    }
}

#[test]
fn refused_links_are_named() {
    let trees = Trees::new();
    for words in [&["mkfs", "ext4"][..], &["mkfs", "vfat"], &["mkimage"]] {
        let _ = fs::remove_file(trees.path("image"));
        let options: &[&str] = &["--hardlinks=refuse"];
        let mut command = detfs(words);
        let output = command.arg(trees.path("linked")).arg(trees.path("image")).args(options);
        let output = output.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        let expected = "error: etc/c: a hard link to the same inode as /usr/bin/a; use break for \
                        copies, or keep, instead of refuse\n";
        assert!(said.ends_with(expected), "{said}");
        assert!(!trees.path("image").exists());
    }
}

/// Returns the inode numbers that debugfs shows for the three names of a file.
fn inodes(root: &Path) -> Vec<String> {
    let names = ["/usr/bin/a", "/usr/lib/b", "/etc/c"];
    let stat = |name: &&str| {
        let script = format!(
            "debugfs -R 'stat {name}' $1 2>/dev/null | sed -n 's/^Inode: \\([0-9]*\\).*/\\1/p'"
        );
        shell(&script, &[root]).trim().to_owned()
    };
    let mut inodes: Vec<_> = names.iter().map(stat).collect();
    assert!(inodes.iter().all(|inode| !inode.is_empty()));
    inodes.sort();
    inodes.dedup();
    inodes
}

#[test]
fn definitions_follow_the_rule() {
    let trees = Trees::new();
    let root = trees.path("root");
    let repart = Repart::new(
        "mkdir -p usr/bin usr/lib; echo x >usr/bin/a; ln usr/bin/a usr/lib/b; ln usr/bin/a etc/c",
    );
    repart.define(&["10-root Type=root-x86-64; Format=ext4; CopyFiles=/"]);
    for (rule, count) in [("keep", 1), ("break", 3)] {
        let image = repart.side.path("image.raw");
        let _ = fs::remove_file(&image);
        repart.make(&CREATE, &[("DETFS_REPART_HARDLINKS", rule)]);
        oracle::extract(&image, &partitions(&image, 512).unwrap()[0], &root);
        assert_eq!(inodes(&root).len(), count, "{rule}");

        let text = format!(
            "seed = \"{SEED}\"\n[image]\ntree = \"linked\"\nout = \"built\"\n\
             architecture = \"x86-64\"\ndefinitions = \"{}\"\nhardlinks = \"{rule}\"\n",
            repart.side.path("repart.d").to_str().unwrap()
        );
        fs::write(trees.path("image.toml"), text).unwrap();
        succeed(detfs(["build", "--force"]).arg(trees.path("image.toml")));
        let image = trees.path("built");
        oracle::extract(&image, &partitions(&image, 512).unwrap()[0], &root);
        assert_eq!(inodes(&root).len(), count, "{rule}");
    }
    fs::remove_file(repart.side.path("image.raw")).unwrap();
    let answer = repart.run(&CREATE, &[("DETFS_REPART_HARDLINKS", "refuse")]);
    assert_eq!(answer.code, Some(1));
    assert!(
        answer.stderr.contains("etc/c: a hard link to the same inode as /usr/bin/a;"),
        "{}",
        answer.stderr
    );
}
