//! Subvolumes: nested, read-only, nodatacow and the default subvolume.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

use super::image::{Image, check_with_oracles, everything, fill, tree, unique};
use super::inspect::{Place, extents};
use crate::oracle::btrfs::{
    DumpedTrees, btrfs_check, copied, exercise, mount_btrfs, mount_btrfs_with, restore, send,
    session,
};
use crate::oracle::{Comparison, grub_cmp, run, shell};

fn source() -> TempDir {
    let source = tree(
        "mkdir -p home/user .snapshots/1 var/log var/lib/machines empty ro/deep/er usr
        seq 20000 >home/user/file; ln home/user/file home/link; ln -s ../x home/user/symlink
        seq 30000 >var/log/journal; seq 1000 >ro/deep/er/file; seq 10 >top
        echo s >.snapshots/1/info
        chmod 700 home; chmod 1777 var/log; chown 5:6 ro; mknod ro/deep/null c 1 3
        setfattr -n user.on -v subvolume ro; echo x >usr/file; chmod 555 empty
        find . -exec touch -h -d @1600000000.123456789 {} +",
    );
    fill(&source, "ro/random", 3, 200_000);
    shell("touch -d @1500000000.5 $1/ro; touch -d @1400000000.25 $1", &[source.path()]);
    source
}

const OPTIONS: [&str; 7] = [
    "--subvolume=home",
    "--subvolume=var/log:nodatacow",
    "--subvolume=.snapshots",
    "--subvolume=.snapshots/1",
    "--subvolume=empty",
    "--subvolume=ro:ro",
    "--subvolume=ro/deep/er",
];

/// Returns the output of `btrfs subvolume list`: the ID and the parent ID of each subvolume, by
/// path.
fn list(root: &Path) -> BTreeMap<String, (u64, u64)> {
    let words = ["subvolume".as_ref(), "list".as_ref(), "-a".as_ref(), root.as_os_str()];
    let said = run("btrfs", words);
    assert!(said.ok, "{}", said.all());
    // `ID 256 gen 1 top level 5 path home`
    let line = |line: &str| {
        let (head, path) = line.split_once(" path ").unwrap();
        let words: Vec<&str> = head.split(' ').collect();
        let path = path.trim_start_matches("<FS_TREE>/").to_owned();
        (path, (words[1].parse().unwrap(), words[6].parse().unwrap()))
    };
    said.stdout.lines().map(line).collect()
}

fn property(root: &Path, path: &str) -> String {
    let at = root.join(path);
    let words =
        ["property".as_ref(), "get".as_ref(), "-ts".as_ref(), at.as_os_str(), "ro".as_ref()];
    run("btrfs", words).stdout.trim().to_owned()
}

#[test]
fn nested_ones() {
    let source = source();
    for more in [&[][..], &["--btrfs-compat=old", "--dedup"], &["--compress=zstd", "--headroom=0"]]
    {
        let image = check_with_oracles(source.path(), &[&OPTIONS, more].concat());
        image.mounted(|root| {
            let found = list(root);
            let paths: Vec<&str> = found.keys().map(String::as_str).collect();
            let expected =
                [".snapshots", ".snapshots/1", "empty", "home", "ro", "ro/deep/er", "var/log"];
            assert_eq!(paths, expected);
            let mut ids: Vec<u64> = found.values().map(|(id, _)| *id).collect();
            ids.sort_unstable();
            assert_eq!(ids, (256..263).collect::<Vec<_>>());
            for (path, (id, above)) in &found {
                let parent =
                    Path::new(path).ancestors().skip(1).find_map(|up| found.get(up.to_str()?));
                assert_eq!(*above, parent.map_or(5, |(id, _)| *id), "{path} {id}");
                assert_eq!(fs::metadata(root.join(path)).unwrap().ino(), 256, "{path}");
                let only = if path == "ro" { "ro=true" } else { "ro=false" };
                assert_eq!(property(root, path), only, "{path}");
            }
        });
    }
}

/// Each subvolume has a distinct UUID, derived from the UUID of the file system and the path.
#[test]
fn uuids() {
    let source = source();
    let uuids = |uuid: &str, options: &[&str]| {
        let image = Image::identified(source.path(), uuid, options);
        let show = |root: &Path| {
            list(root)
                .into_keys()
                .map(|path| {
                    let at = root.join(&path);
                    let said =
                        run("btrfs", ["subvolume".as_ref(), "show".as_ref(), at.as_os_str()]);
                    let field = |name: &str| {
                        let line =
                            said.stdout.lines().find_map(|line| line.trim().strip_prefix(name));
                        line.unwrap_or_else(|| panic!("{}", said.all())).trim().to_owned()
                    };
                    assert_eq!(
                        (field("Parent UUID:"), field("Received UUID:")),
                        ("-".into(), "-".into())
                    );
                    (path, field("UUID:"))
                })
                .collect::<BTreeMap<_, _>>()
        };
        image.mounted(show)
    };
    let (one, another) = (unique(), unique());
    let all = uuids(&one, &OPTIONS);
    let distinct: std::collections::BTreeSet<_> = all.values().collect();
    assert_eq!(distinct.len(), 7);
    let fewer = uuids(&one, &OPTIONS[..1]);
    assert_eq!(fewer["home"], all["home"]);
    let other = uuids(&another, &OPTIONS);
    assert!(all.iter().all(|(path, uuid)| other[path] != *uuid));
}

#[test]
fn a_read_only_one_is_not_written_to_and_can_be_sent() {
    let source = source();
    let image = Image::new(source.path(), &OPTIONS);
    // Nested subvolumes are not sent.
    let comparison = Comparison::exact().without("deep/er");
    send(&image.path, "ro", "ro", |_, received| {
        comparison.compare(received, &source.path().join("ro"))
    })
    .unwrap()
    .unwrap();
    let (_scratch, copy) = copied(&image.path);
    session(&copy, "rw", |root| {
        fs::write(root.join("ro/new"), "x").unwrap_err();
        fs::write(root.join("ro/deep/er/new"), "x").unwrap();
        fs::write(root.join("home/new"), "x").unwrap();
        shell("btrfs property set $1/ro ro false; echo x >$1/ro/new", &[root]);
        shell("btrfs -q subvolume snapshot $1/home $1/.snapshots/2; rm -r $1/home/*", &[root]);
        shell("btrfs -q subvolume delete $1/empty; btrfs -q subvolume create $1/empty", &[root]);
    })
    .unwrap();
    btrfs_check(&copy).unwrap();
}

#[test]
fn without_copies_on_write() {
    let source = source();
    let image = check_with_oracles(source.path(), &[&OPTIONS[..], &["--compress=zstd"]].concat());
    let id = image.mounted(|root| {
        let flags = shell("lsattr -d $1/var/log $1/var/log/journal $1/home", &[root]);
        let has: Vec<bool> =
            flags.lines().map(|line| line.split(' ').next().unwrap().contains('C')).collect();
        assert_eq!(has, [true, true, false], "{flags}");
        list(root)["var/log"].0
    });
    let extents = extents(&image.path, id);
    let extent = extents.values().flatten().next().unwrap();
    assert!(matches!(extent.place, Place::Regular(..)) && extent.compression == "none");
}

#[test]
fn a_default_one() {
    let source = source();
    let options = [&OPTIONS[..], &["--default-subvolume=home"]].concat();
    let image = Image::new(source.path(), &options);
    btrfs_check(&image.path).unwrap();
    DumpedTrees::read(&image.path).unwrap().sound().unwrap();
    image.mounted(|root| everything().compare(&source.path().join("home"), root)).unwrap();
    let all = |root: &Path| {
        let said = shell("btrfs subvolume get-default $1", &[root]);
        assert!(said.trim_end().ends_with(" path home"), "{said}");
        everything().compare(source.path(), root)
    };
    mount_btrfs_with(&image.path, "ro,subvolid=5", all).unwrap().unwrap();
    for path in ["ro", "home", ".snapshots/1"] {
        let compare = |root: &Path| everything().compare(&source.path().join(path), root);
        let options = format!("ro,subvol={path}");
        mount_btrfs_with(&image.path, &options, compare).unwrap().unwrap();
    }
    // GRUB starts at the top level, whatever the default subvolume is.
    for path in ["home/user/file", "top", "ro/deep/er/file", "ro/random"] {
        grub_cmp(&image.path, path, &source.path().join(path)).unwrap();
    }
    let (_scratch, copy) = copied(&image.path);
    session(&copy, "rw", |root| shell("btrfs subvolume set-default 5 $1", &[root])).unwrap();
    btrfs_check(&copy).unwrap();
    mount_btrfs(&copy, |root| Comparison::exact().compare(source.path(), root)).unwrap().unwrap();
}

/// A complete tree in a subvolume, as distributions use it.
#[test]
fn a_tree_whose_root_is_a_subvolume() {
    let source =
        tree("mkdir -p @/usr @home/user @/home; seq 1000 >@/usr/file; echo x >@home/user/f");
    let options = ["--subvolume=@", "--subvolume=@home", "--default-subvolume=@"];
    let image = Image::new(source.path(), &options);
    btrfs_check(&image.path).unwrap();
    image.mounted(|root| everything().compare(&source.path().join("@"), root)).unwrap();
    mount_btrfs_with(&image.path, "ro,subvol=/", |root| everything().compare(source.path(), root))
        .unwrap()
        .unwrap();
    grub_cmp(&image.path, "@/usr/file", &source.path().join("@/usr/file")).unwrap();
}

/// Hard links can't span subvolumes.
#[test]
fn links_between_subvolumes_are_copied_when_asked_for() {
    let source = tree(
        "mkdir -p a b; seq 30000 >a/one; ln a/one b/two; ln a/one a/three; ln b/two four
        ln b/two b/five; echo inline >a/small; ln a/small b/small; mkfifo a/fifo; ln a/fifo b/fifo
        ln -s target a/symlink; ln -P a/symlink b/symlink; chmod 640 a/one",
    );
    let image = Image::new(source.path(), &["--subvolume=a", "--subvolume=b", "--copy-links"]);
    btrfs_check(&image.path).unwrap();
    DumpedTrees::read(&image.path).unwrap().sound().unwrap();
    image.mounted(|root| {
        Comparison::names_and_content().compare(source.path(), root).unwrap();
        let links = |path: &str| {
            let metadata = fs::symlink_metadata(root.join(path)).unwrap();
            (metadata.nlink(), metadata.mode() & 0o777, metadata.mtime())
        };
        let time = fs::metadata(source.path().join("four")).unwrap().mtime();
        assert_eq!(links("a/one"), (2, 0o640, time));
        assert_eq!(links("b/two"), (2, 0o640, time));
        assert_eq!(links("four"), (1, 0o640, time));
        assert_eq!((links("a/small").0, links("b/small").0, links("b/symlink").0), (1, 1, 1));
    });
    // The copies share their extents.
    let places = |id| {
        let all = extents(&image.path, id);
        let regular = all.into_values().flatten().filter_map(|extent| match extent.place {
            Place::Regular(at, len) => Some((at, len)),
            _ => None,
        });
        regular.collect::<Vec<_>>()
    };
    assert!(!places(5).is_empty());
    assert_eq!(places(5), places(256));
    assert_eq!(places(5), places(257));
}

#[test]
fn they_stand_what_is_done_to_file_systems() {
    let source = source();
    let options = [&OPTIONS[..2], &["--headroom=1G", "--subvolume=.snapshots"]].concat();
    let image = Image::new(source.path(), &options);
    exercise(&image.path, |root| Comparison::exact().compare(source.path(), root)).unwrap();
    let to = super::image::scratch();
    restore(&image.path, to.path()).unwrap();
}
