//! Intentional differences from systemd-repart, each of which is listed in docs/deviations.md.
//!
//! systemd-repart is tested as well, so that a difference that no longer exists is noticed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use detfs::Seed;
use detfs::gpt::PartitionType;
use serde_json::Value;

use super::fixture::Fixture;
use super::side::{Side, Tool, WORKDIR};
use crate::detfs::SEED;
use crate::oracle::{mount_ext4, shell};

const CREATE: [&str; 3] = ["--empty=create", "--size=auto", "--split=yes"];

/// Returns the partitions of an image as `sfdisk` lists them.
fn table(image: &Path) -> Vec<Value> {
    let json = shell("sfdisk --json $1", &[image]);
    let table: Value = serde_json::from_str(&json).unwrap();
    table["partitiontable"]["partitions"].as_array().unwrap().clone()
}

fn clear(fixture: &Fixture) {
    shell("rm -f $1/*.raw", &[&fixture.side.directory]);
}

/// Returns the attributes that sfdisk lists for a partition.
fn attributes(fixture: &Fixture, settings: &str, compat: &str) -> String {
    clear(fixture);
    fixture.define(&[&format!("10-part {settings}; SizeMinBytes=1M")]);
    fixture.make(&CREATE, &[("DETFS_REPART_COMPAT", compat)]);
    table(&fixture.side.path("image.raw"))[0]["attrs"].as_str().unwrap_or("").to_owned()
}

#[test]
fn attributes_are_those_that_are_defined() {
    let fixture = Fixture::new("");
    for (settings, compat, expected) in [
        ("Type=home; GrowFileSystem=no", "", ""),
        ("Type=home; GrowFileSystem=no", "grow", "GUID:59"),
        ("Type=home; GrowFileSystem=no; ReadOnly=yes", "grow", "GUID:60"),
        ("Type=home; GrowFileSystem=no", "flags,excludes", ""),
        ("Type=home; Flags=4", "", "LegacyBIOSBootable GUID:59"),
        ("Type=home; Flags=4", "flags", ""),
        ("Type=home; Flags=0x1000000000000001; NoAuto=yes", "", "RequiredPartition GUID:59,60,63"),
        ("Type=home; Flags=0x1000000000000001; NoAuto=yes", "flags", ""),
        ("Type=home; Flags=0x1000000000000000", "flags", "GUID:59,60"),
    ] {
        assert_eq!(attributes(&fixture, settings, compat), expected, "{settings}, {compat}");
    }
}

const LINKED: &str = "mkdir d; echo x >d/one; ln d/one two; ln -s d link; echo y >d/other";

/// Returns the names in an ext4 partition with `settings`.
fn names(fixture: &Fixture, settings: &str, compat: &str) -> Vec<String> {
    clear(fixture);
    fixture.define(&[&format!("10-part Type=srv; CopyFiles=/; {settings}")]);
    fixture.make(&CREATE, &[("DETFS_REPART_COMPAT", compat)]);
    let list = "find . -mindepth 1 -not -path './lost+found' -not -path './etc*' | sort";
    let list = |at: &Path| shell(&format!("cd $1; {list}"), &[at]);
    let names = mount_ext4(&fixture.part("srv"), list).unwrap();
    names.lines().map(|name| name.trim_start_matches("./").to_owned()).collect()
}

#[test]
fn an_exclude_is_of_a_path() {
    let fixture = Fixture::new(LINKED);
    for (settings, compat, expected) in [
        ("ExcludeFiles=/d/one", "", &["d", "d/other", "link", "two"][..]),
        ("ExcludeFiles=/d/one", "excludes", &["d", "d/other", "link"]),
        ("ExcludeFiles=/link", "", &["d", "d/one", "d/other", "two"]),
        ("ExcludeFiles=/link", "excludes", &["link", "two"]),
        ("ExcludeFiles=/link/other", "", &["d", "d/one", "link", "two"]),
    ] {
        assert_eq!(names(&fixture, settings, compat), expected, "{settings}, {compat}");
    }
}

#[test]
fn labels_have_any_character() {
    let fixture = Fixture::new("");
    fixture.define(&["10-part Type=srv; Label=Größe-ディスク-🐧"]);
    fixture.make(&CREATE, &[]);
    assert_eq!(table(&fixture.side.path("image.raw"))[0]["name"], "Größe-ディスク-🐧");
}

#[test]
fn the_root_directory_is_as_it_was() {
    let fixture = Fixture::new("chmod 711 .; chown 5:6 .; touch -d @1600000000.25 .");
    for format in ["ext4", "btrfs"] {
        clear(&fixture);
        fixture.define(&[&format!("10-part Type=srv; Format={format}; CopyFiles=/")]);
        fixture.make(&CREATE, &[]);
        let mounted =
            crate::oracle::Mounted::new(format, "ro", Some(&fixture.part("srv"))).unwrap();
        let stat = shell("stat -c '%a %u %g %.2Y' $1", &[mounted.path()]);
        assert_eq!(stat.trim(), "711 5 6 1600000000.25", "{format}");
    }
}

#[test]
fn ids_are_given_once() {
    let fixture = Fixture::new("");
    let uuid = "UUID=01020304-0506-4708-890a-0b0c0d0e0f10";
    let [one, two] =
        ["10", "20"].map(|name| format!("{name}-part Type=srv; {uuid}; SplitName={name}"));
    fixture.define(&[&one, &two]);
    let answer = fixture.run(&CREATE, &[]);
    assert_eq!(answer.code, Some(1));
    assert!(answer.stderr.contains("01020304-0506-4708-890a-0b0c0d0e0f10"), "{}", answer.stderr);
    assert!(!fixture.side.path("image.raw").exists());
    // An existing image is not changed either.
    fixture.define(&[&one]);
    fixture.make(&["--empty=create", "--size=40M"], &[]);
    let path = fixture.side.path("image.raw");
    let before = fs::read(&path).unwrap();
    fixture.define(&["05-swap Type=swap; SizeMaxBytes=1M", &one, &two]);
    assert_eq!(fixture.run(&["--dry-run=no"], &[]).code, Some(1));
    assert!(fs::read(&path).unwrap() == before, "the image was written to");
}

/// Returns the UUID of the `nth` partition of type `srv`.
fn srv(nth: u64) -> String {
    let seed = Seed(SEED.parse().unwrap());
    seed.partition(PartitionType::Srv.guid(), nth).to_string()
}

fn sorted<const N: usize>(mut ids: [String; N]) -> [String; N] {
    ids.sort();
    ids
}

/// Returns the UUIDs in a partition table, sorted.
fn ids(image: &Path) -> Vec<String> {
    assert!(shell("sgdisk --verify $1", &[image]).contains("No problems found"));
    let id = |entry: &Value| entry["uuid"].as_str().unwrap().to_lowercase();
    let mut ids: Vec<_> = table(image).iter().map(id).collect();
    ids.sort();
    ids
}

/// A derived UUID that is already in use is skipped. After the first of two partitions is deleted,
/// the remaining one belongs to the first definition, and the UUID that is derived for the second
/// definition is in use.
#[test]
fn an_id_in_use_is_passed_over() {
    let fixture = Fixture::new("");
    let path = fixture.side.path("image.raw");
    let definitions = ["10", "20", "30"].map(|name| {
        format!("{name}-part Type=srv; SizeMinBytes=1M; SizeMaxBytes=1M; SplitName={name}")
    });
    let [one, two, three] = definitions.each_ref().map(String::as_str);
    fixture.define(&[one, two]);
    fixture.make(&["--empty=create", "--size=20M"], &[]);
    assert_eq!(ids(&path), sorted([srv(0), srv(1)]));
    shell("sfdisk -q --delete $1 1", &[&path]);
    fixture.define(&[one, two, three]);
    let answer = fixture.run(&["--dry-run=no"], &[]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert!(answer.stderr.contains(&format!("{} is in use, so it has {}", srv(1), srv(2))));
    // The UUID that is derived for the third partition is in use by the second one.
    assert_eq!(ids(&path), sorted([srv(1), srv(2), srv(3)]));
    let before = fs::read(&path).unwrap();
    assert_eq!(fixture.make(&["--dry-run=no"], &[]).len(), 1);
    assert!(fs::read(&path).unwrap() == before);
}

/// Any number of partitions can have the null UUID.
#[test]
fn no_id_is_not_in_use() {
    let fixture = Fixture::new("");
    let [one, two] = ["10", "20"]
        .map(|name| format!("{name}-part Type=srv; UUID=null; SizeMinBytes=1M; SplitName={name}"));
    fixture.define(&[&one, &two]);
    let answer = fixture.run(&["--empty=create", "--size=auto"], &[]);
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_eq!(answer.stdout.matches(nil).count(), 2, "{}", answer.stderr);
}

/// A partition that is copied twice keeps its UUID only in the first copy.
#[test]
fn an_id_is_copied_once() {
    let fixture = Fixture::new("");
    fixture
        .define(&["10-part Type=srv; SizeMinBytes=1M; UUID=01020304-0506-4708-890a-0b0c0d0e0f10"]);
    fixture.make(&["--empty=create", "--size=20M"], &[]);
    let from = format!("--copy-from={WORKDIR}/image.raw");
    let copy = format!("{WORKDIR}/copy.raw");
    let args = ["--empty=create", "--size=auto", "--definitions=/", &from, &from, &copy];
    fixture.make(&args, &[]);
    let expected = sorted(["01020304-0506-4708-890a-0b0c0d0e0f10".to_owned(), srv(1)]);
    assert_eq!(ids(&fixture.side.path("copy.raw")), expected);
}

/// Without a seed and a machine ID, UUIDs are derived from the content and are not random.
#[test]
fn nothing_is_random() {
    let fixture = Fixture::new("echo x >file");
    fixture.define(&["10-part Type=srv; CopyFiles=/"]);
    let ids = || {
        clear(&fixture);
        let rows = fixture.make(&["--empty=create", "--size=auto", "--seed=random"], &[]);
        rows["srv"]["uuid"].as_str().unwrap().to_owned()
    };
    let first = ids();
    assert_eq!(first, ids());
    fixture.side.write("tree/file", "y");
    assert_ne!(first, ids());
}

#[test]
fn a_longer_image_is_used_and_has_one_table() {
    for sector in ["512", "4096"] {
        let fixture = Fixture::new("");
        fixture.define(&["10-part Type=srv"]);
        let path = fixture.side.path("image.raw");
        let sector = format!("--sector-size={sector}");
        fixture.make(&["--empty=create", "--size=12M", &sector], &[]);
        shell("truncate -s 20M $1", &[&path]);
        let rows = fixture.make(&["--dry-run=yes"], &[]);
        assert!(rows["srv"]["activity"] == "resize", "{rows:?}");
        let rows = fixture.make(&["--dry-run=yes", "--size=40M"], &[]);
        assert!(rows["srv"]["raw_size"].as_u64().unwrap() > 38 << 20, "{rows:?}");
        fixture.make(&["--dry-run=no"], &[]);
        let headers = shell("LC_ALL=C grep -abo 'EFI PART' $1 | wc -l", &[&path]);
        assert_eq!(headers.trim(), "2");
    }
}

/// An image does not grow if the run is refused or its sources are missing.
#[test]
fn refusals_come_before_changes() {
    let fixture = Fixture::new("");
    fixture.define(&["10-part Type=srv"]);
    let path = fixture.side.path("image.raw");
    shell("truncate -s 1M $1", &[&path]);
    assert_eq!(fixture.run(&["--size=20M", "--dry-run=no"], &[]).code, Some(77));
    assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20);
    fixture.define(&["10-part Type=srv; Format=xfs; CopyFiles=/"]);
    assert_eq!(fixture.run(&["--size=20M", "--dry-run=no", "--empty=allow"], &[]).code, Some(1));
    fixture.define(&["10-part Type=srv; CopyBlocks=/nothing"]);
    assert_eq!(fixture.run(&["--size=20M", "--dry-run=no", "--empty=allow"], &[]).code, Some(1));
    assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 20);
}

/// A hash tree is only created together with its data. If the data already exists, the run is
/// refused and no empty hash partition is created.
#[test]
fn a_hash_tree_is_whole() {
    let fixture = Fixture::new("head -c 1M /dev/urandom >blocks");
    fixture.define(&[
        "10-data Type=usr; Verity=data; VerityMatchKey=x; CopyBlocks=/blocks; SizeMaxBytes=1M",
        "20-hash Type=usr-verity; Verity=hash; VerityMatchKey=x; SizeMinBytes=1M",
    ]);
    fixture.make(&["--empty=create", "--size=20M"], &[]);
    let path = fixture.side.path("image.raw");
    shell("sfdisk -q --delete $1 2", &[&path]);
    let before = fs::read(&path).unwrap();
    let answer = fixture.run(&["--dry-run=no"], &[]);
    assert_eq!(answer.code, Some(1), "{}", answer.stderr);
    let rule = "20-hash.conf:3: the image already has the data of this hash tree";
    assert!(answer.stderr.contains(rule), "{}", answer.stderr);
    assert!(fs::read(&path).unwrap() == before);
}

/// systemd-repart treats the same definitions differently.
#[test]
#[ignore = "makes a Debian sid"]
fn the_real_one_has_these_traps() {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let side = Side::new(Tool::Real, scratch.path().join("here"));
    side.write("tree/etc/os-release", "ID=test\n");
    shell(&format!("cd $1; {LINKED}"), &[&side.path("tree")]);
    let definitions: BTreeMap<&str, &str> = BTreeMap::from([
        ("10-grow", "Type=home\nGrowFileSystem=no\n"),
        ("20-flags", "Type=tmp\nFlags=4\n"),
        ("30-excludes", "Type=srv\nFormat=ext4\nCopyFiles=/\nExcludeFiles=/d/one\n"),
        ("40-label", "Type=var\nLabel=x-🐧\n"),
        ("50-one", "Type=xbootldr\nUUID=01020304-0506-4708-890a-0b0c0d0e0f10\n"),
        ("60-two", "Type=xbootldr\nUUID=01020304-0506-4708-890a-0b0c0d0e0f10\n"),
    ]);
    for (name, text) in definitions {
        side.write(&format!("repart.d/{name}.conf"), format!("[Partition]\n{text}"));
    }
    let args = [
        "--empty=create",
        "--size=auto",
        "--offline=yes",
        "--split=yes",
        &format!("--seed={SEED}"),
        &format!("--root={WORKDIR}/tree"),
        &format!("--definitions={WORKDIR}/repart.d"),
        "--include-partitions=home,tmp,srv,var,xbootldr",
        &format!("{WORKDIR}/image.raw"),
    ];
    // systemd-repart refuses two split files with the same name, so one of them is renamed.
    side.write("repart.d/60-two.conf.d/name.conf", "[Partition]\nSplitName=two\n");
    let answer = side.repart(&args, &[]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let rows = table(&side.path("image.raw"));
    assert_eq!(rows[0]["attrs"], "GUID:59");
    assert_eq!(rows[1]["attrs"], Value::Null);
    assert_eq!(rows[3]["name"], Value::Null);
    assert_eq!(rows[4]["uuid"], rows[5]["uuid"]);
    let two = |at: &Path| at.join("two").exists();
    assert!(!mount_ext4(&side.path("image.srv.raw"), two).unwrap());
    // systemd-repart replaces a UUID that is in use by a random one, or uses it twice.
    fs::remove_dir_all(side.path("repart.d")).unwrap();
    for name in ["10", "20"] {
        let text = "[Partition]\nType=srv\nSizeMinBytes=1M\n";
        side.write(&format!("repart.d/{name}.conf"), text);
    }
    let run = |args: &[&str]| {
        let args = args.iter().map(|arg| (*arg).to_owned());
        let common = [
            "--offline=yes".to_owned(),
            format!("--seed={SEED}"),
            format!("--root={WORKDIR}/tree"),
        ];
        let answer = side.repart(&args.chain(common).collect::<Vec<_>>(), &[]);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        answer.stderr
    };
    let (image, copy) = (format!("{WORKDIR}/a.raw"), format!("{WORKDIR}/copy.raw"));
    let definitions = format!("--definitions={WORKDIR}/repart.d");
    run(&["--empty=create", "--size=20M", &definitions, &image]);
    shell("sfdisk -q --delete $1 1", &[&side.path("a.raw")]);
    let said = run(&["--dry-run=no", &definitions, &image]);
    assert!(said.contains("reverting to randomized"), "{said}");
    let from = format!("--copy-from={image}");
    run(&["--empty=create", "--size=auto", "--definitions=/", &from, &from, &copy]);
    let rows = table(&side.path("copy.raw"));
    assert_eq!(rows[0]["uuid"], rows[2]["uuid"]);
}
