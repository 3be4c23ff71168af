//! Attributes set by `chattr` on the host are set in the image.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use detfs::tree::dir::{self, DirOptions};

use super::sample::{Image, options};
use crate::oracle::{Mounted, shell};

/// Returns the flags that ext4 stores for everything below a directory, by path.
fn listed(root: &Path) -> String {
    let script = "cd $1; find . -mindepth 1 ! -name lost+found ! -type l | LC_ALL=C sort |
        xargs lsattr -d | while read flags path; do
            printf '%s %s\\n' \"$(printf %s \"$flags\" | tr -cd iadASD)\" \"$path\"
        done";
    shell(script, &[root])
}

#[test]
fn flags_of_files_and_directories() {
    let scratch = tempfile::tempdir().unwrap();
    let host = scratch.path().join("host");
    shell("mke2fs -q -F -t ext4 $1 16M", &[&host]);
    let source = Mounted::new("ext4", "rw", Some(&host)).unwrap();
    let script = "cd $1; mkdir plain i a d A S iad plain/below DSA
        for flags in i a d A S; do echo x >$flags/file; chattr +$flags $flags/file; chattr +$flags $flags
        done
        echo x >iad/file; ln iad/file plain/link; ln -s iad iad/symlink
        chattr +iad iad/file; chattr +d iad; chattr +i iad; echo x >plain/file
        chattr +DSA DSA; mkdir DSA/child; chattr -A DSA/child";
    shell(script, &[source.path()]);
    let expected = listed(source.path());
    let lines = [
        "i ./i",
        "i ./i/file",
        "a ./a",
        "d ./d/file",
        "A ./A/file",
        "S ./S",
        "SDA ./DSA",
        "SD ./DSA/child",
        "iad ./iad/file",
        " ./plain/file",
    ];
    for line in lines {
        let found = expected.lines().any(|found| found == line);
        assert!(found, "no {line} on the host: {expected}");
    }
    let (tree, warnings) = dir::read(source.path(), &DirOptions::default()).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let image = Image::new(&Arc::new(tree), &options());
    assert_eq!(image.check_with_oracles(listed).unwrap(), expected);

    // The kernel enforces the flags.
    let mounted = Mounted::new("ext4", "rw", Some(&image.path)).unwrap();
    let at = |path| mounted.path().join(path);
    fs::remove_file(at("i/file")).unwrap_err();
    fs::write(at("i/file"), "y").unwrap_err();
    fs::write(at("a/file"), "y").unwrap_err();
    fs::remove_file(at("a/file")).unwrap_err();
    File::options().append(true).open(at("a/file")).unwrap().write_all(b"y").unwrap();
    fs::write(at("i/new"), "y").unwrap_err();
    fs::write(at("d/file"), "y").unwrap();
    fs::remove_file(at("d/file")).unwrap();
}
