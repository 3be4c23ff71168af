//! Attributes set by `chattr` on the host are set in the image.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::image::{Image, check_with_oracles, scratch, tree};
use super::inspect::{Place, extents, extents_of};
use crate::oracle::btrfs::{btrfs_check, dump_tree, exercise, session};
use crate::oracle::{Comparison, Mounted, shell};

/// Returns the flags of all files and directories below a directory, by path.
fn listed(root: &Path) -> String {
    let script = "cd $1; find . -mindepth 1 ! -type l | LC_ALL=C sort | xargs lsattr -d |
        while read flags path; do
            printf '%s %s\\n' \"$(printf %s \"$flags\" | tr -cd iadASDC)\" \"$path\"
        done";
    shell(script, &[root])
}

const FLAGS: [&str; 9] = ["C", "i", "a", "d", "A", "S", "D", "AdS", "CdAS"];

/// Creates a btrfs with files and directories that have flags.
///
/// Immutable files can't be removed.
fn source() -> (tempfile::TempDir, Mounted) {
    let scratch = scratch();
    let host = scratch.path().join("host");
    shell("truncate -s 512M $1; mkfs.btrfs -q $1 >/dev/null", &[&host]);
    let host = Mounted::new("btrfs", "rw", Some(&host)).unwrap();
    shell("mkdir $1/plain; seq 9 >$1/plain/file; ln -s file $1/plain/link", &[host.path()]);
    for flags in FLAGS {
        let script = format!(
            "cd $1; mkdir {flags} directory; : >{flags}/file
            case {flags} in *D*) ;; *C*) chattr +C {flags}/file ;; esac
            seq 3000 >>{flags}/file
            case {flags} in *D*) ;; *) chattr +{flags} {flags}/file ;; esac
            chattr +{flags} {flags}; rmdir directory"
        );
        shell(&script, &[host.path()]);
    }
    shell("sync -f $1", &[host.path()]);
    (scratch, host)
}

#[test]
fn every_flag() {
    let (_scratch, source) = source();
    let expected = listed(source.path());
    for line in ["C ./C/file", "i ./i", "a ./a/file", "D ./D", "A ./A/file", "S ./S", " ./plain"] {
        let found = expected.lines().any(|found| found.trim_end() == line.trim_end());
        assert!(found, "no {line} on the host: {expected}");
    }
    for options in [&[][..], &["--compress=zstd", "--dedup"]] {
        let image = check_with_oracles(source.path(), options);
        assert_eq!(image.mounted(listed), expected);
        // Files with `C` have no checksums and are not compressed.
        let all = extents(&image.path, 5);
        let list = image.mounted(|root| extents_of(&all, root, "C/file"));
        assert!(list.iter().all(|extent| extent.compression == "none"), "{list:?}");
        let sums = dump_tree(&image.path, "csum").unwrap();
        let ranges: Vec<(u64, u64)> = sums
            .lines()
            .filter_map(|line| line.trim().strip_prefix("range start "))
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                (words[0].parse().unwrap(), words[2].parse().unwrap())
            })
            .collect();
        let summed = |at: u64| ranges.iter().any(|&(from, to)| (from..to).contains(&at));
        for path in ["C/file", "d/file"] {
            let list = image.mounted(|root| extents_of(&all, root, path));
            let Place::Regular(at, _) = list[0].place else { panic!("{path}: {list:?}") };
            assert_eq!(summed(at), path == "d/file", "{path}");
        }
    }
}

/// A pattern applies to files, and to directories with everything below them.
#[test]
fn nodatacow_by_pattern() {
    let source = tree(
        "mkdir -p var/lib/db/deep plain; for file in \\
        var/lib/db/data var/lib/db/deep/data plain/file plain/disk.img; do seq 30000 >$file; done; seq 9 >plain/short.img
        ln -s data var/lib/db/link; ln var/lib/db/data plain/linked",
    );
    let options = ["--nodatacow=/var/lib/db", "--nodatacow=**/*.img", "--compress=zstd"];
    let image = check_with_oracles(source.path(), &options);
    let expected = " ./plain\nC ./plain/disk.img\n ./plain/file\nC ./plain/linked
C ./plain/short.img\n ./var\n ./var/lib\nC ./var/lib/db\nC ./var/lib/db/data
C ./var/lib/db/deep\nC ./var/lib/db/deep/data\n";
    let found = image.mounted(listed);
    assert_eq!(found, expected);
    let all = extents(&image.path, 5);
    let kinds = |path: &str| {
        let list = image.mounted(|root| extents_of(&all, root, path));
        list.iter().map(|extent| extent.compression.clone()).collect::<BTreeSet<_>>()
    };
    for path in ["var/lib/db/data", "var/lib/db/deep/data", "plain/disk.img", "plain/short.img"] {
        assert_eq!(kinds(path), BTreeSet::from(["none".to_owned()]), "{path}");
    }
    assert_eq!(kinds("plain/file"), BTreeSet::from(["zstd".to_owned()]));
    // New files in such a directory inherit the flag.
    session(&image.path, "rw", |root| {
        fs::write(root.join("var/lib/db/new"), "x").unwrap();
        assert!(listed(root).contains("C ./var/lib/db/new\n"));
    })
    .unwrap();
    btrfs_check(&image.path).unwrap();
}

/// The kernel enforces the flags.
#[test]
fn the_kernel_minds_them() {
    let (_scratch, source) = source();
    let image = Image::new(source.path(), &[]);
    session(&image.path, "rw", |root| {
        let at = |path| root.join(path);
        fs::remove_file(at("i/file")).unwrap_err();
        fs::write(at("i/file"), "y").unwrap_err();
        fs::write(at("a/file"), "y").unwrap_err();
        File::options().append(true).open(at("a/file")).unwrap().write_all(b"y").unwrap();
        fs::write(at("i/new"), "y").unwrap_err();
        fs::write(at("C/file"), "y").unwrap();
        fs::write(at("C/inherits"), "y").unwrap();
        assert!(listed(root).contains("C ./C/inherits\n"));
        fs::remove_file(at("d/file")).unwrap();
    })
    .unwrap();
    btrfs_check(&image.path).unwrap();
}

#[test]
fn they_stand_what_is_done_to_file_systems() {
    let (_scratch, source) = source();
    // Sending a subvolume loses flags, and immutable files can't be defragmented or removed.
    let script = "cd $1; chattr -i i i/file; chattr -a a a/file";
    shell(script, &[source.path()]);
    let image = Image::new(source.path(), &["--headroom=1G", "--dedup"]);
    exercise(&image.path, |root| Comparison::exact().compare(source.path(), root)).unwrap();
}
