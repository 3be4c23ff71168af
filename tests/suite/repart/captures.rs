//! Calls that mkosi 27 made to systemd-repart 262, replayed with `detfs repart`.
//!
//! The tree of those calls is not available, so the sizes that depend on content differ, and so do
//! the offsets after them. The rest of each answer is the same. Each call keeps the partitions that
//! earlier calls created.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::side::{Answer, Side, Tool, WORKDIR};
use crate::oracle::{e2fsck, extract, gpt, partitions, run, sha256, shell};

/// A captured call and its answer.
#[derive(Debug, Clone, Deserialize)]
struct Call {
    args: Vec<String>,
    env: BTreeMap<String, String>,
    definitions: BTreeMap<String, String>,
    answer: Vec<Map<String, Value>>,
}

/// Returns the calls of a build.
fn calls(build: &str) -> Vec<Call> {
    let text = include_str!("../../../testdata/repart/mkosi.json");
    let text = text.replace("$WORK", &format!("{WORKDIR}/work"));
    let text = text.replace("=/buildroot", &format!("={WORKDIR}/buildroot"));
    let mut all: BTreeMap<String, Vec<Call>> = serde_json::from_str(&text).unwrap();
    all.remove(build).unwrap_or_else(|| panic!("no build {build}"))
}

/// A tree and signing keys.
struct Fixture {
    _scratch: TempDir,
    side: Side,
}

impl Fixture {
    fn new(tool: Tool) -> Self {
        let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
        let side = Side::new(tool, scratch.path().join("here"));
        let script = "
            mkdir -p $1/work/WS/staging $1/work/KEYS $1/buildroot; cd $1/buildroot
            mkdir -p boot etc home/user opt proc root run sys tmp usr/bin usr/lib var/tmp
            echo ID=debian >usr/lib/os-release; ln -s ../usr/lib/os-release etc/os-release
            seq 100000 >usr/lib/large; head -c 3M /dev/urandom >usr/bin/program
            ln usr/bin/program usr/bin/link; echo x >home/user/file; echo x >opt/file
            echo x >proc/hidden; echo x >boot/kernel
            openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=test \
                -keyout $1/work/KEYS/k.key -out $1/work/KEYS/k.crt 2>/dev/null";
        shell(script, &[&side.directory]);
        Self { _scratch: scratch, side }
    }

    fn run(&self, call: &Call) -> Answer {
        let position = call.args.iter().position(|arg| arg == "--definitions").unwrap();
        let directory = &call.args[position + 1].replace(&format!("{WORKDIR}/"), "");
        for (name, text) in &call.definitions {
            self.side.write(&format!("{directory}/{name}"), text);
        }
        let env: Vec<_> = call.env.clone().into_iter().collect();
        self.side.repart(&call.args, &env)
    }
}

impl Call {
    /// Returns the definition of the partition in `entry`.
    fn definition(&self, entry: &Map<String, Value>) -> &str {
        let file = entry["file"].as_str().unwrap().rsplit('/').next().unwrap();
        &self.definitions[file]
    }
}

/// Checks that a known root hash is split into the UUIDs of the data partition and the hash
/// partition.
fn check_root_hash(what: &str, entry: &Map<String, Value>) {
    let Some(hash) = entry["roothash"].as_str().filter(|&hash| hash != "TBD") else { return };
    assert_eq!(hash.len(), 64, "{what}");
    assert!(hash.bytes().all(|digit| digit.is_ascii_hexdigit()), "{what}: {hash}");
    let uuid = entry["uuid"].as_str().unwrap().replace('-', "");
    match entry["type"].as_str().unwrap() {
        kind if kind.ends_with("-verity") => assert_eq!(uuid, hash[32..], "{what}"),
        kind if kind.ends_with("-verity-sig") => assert!(!hash.contains(&uuid), "{what}"),
        _ => assert_eq!(uuid, hash[..32], "{what}"),
    }
}

/// Compares the partitions in an answer with the captured ones.
fn compare(what: &str, call: &Call, entries: &[Map<String, Value>]) {
    assert_eq!(entries.len(), call.answer.len(), "{what}: {entries:?}");
    let mut moved = false;
    for (entry, captured) in entries.iter().zip(&call.answer) {
        let what = format!("{what}, {}", captured["type"]);
        let keys = |entry: &Map<String, Value>| entry.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(entry), keys(captured), "{what}");
        for key in ["type", "label", "partno", "file", "node", "activity"] {
            assert_eq!(entry[key], captured[key], "{what}: {key}");
        }
        // The size of a partition with `Minimize=` follows from its content.
        let fitted = call.definition(captured).contains("Minimize=");
        let is_new = captured["old_size"] == 0;
        for (key, follows) in [
            ("offset", moved),
            ("raw_size", fitted),
            ("old_size", fitted && !is_new),
            ("old_padding", false),
            ("raw_padding", false),
        ] {
            assert!(entry[key].is_u64(), "{what}: {key}");
            assert!(follows || entry[key] == captured[key], "{what}: {key} is {}", entry[key]);
        }
        moved |= fitted;
        let hash = captured.get("roothash");
        let hashed = hash.is_some_and(Value::is_string);
        let own_uuid = hashed && !captured["type"].as_str().unwrap().ends_with("-sig");
        assert!(own_uuid || entry["uuid"] == captured["uuid"], "{what}: {}", entry["uuid"]);
        if hash.is_some() {
            let known = |value: &Value| value.as_str().map(|text| text == "TBD");
            assert_eq!(known(&entry["roothash"]), known(&captured["roothash"]), "{what}");
            check_root_hash(&what, entry);
        }
        if let Some(path) = captured.get("split_path") {
            let undashed =
                |entry: &Map<String, Value>| entry["uuid"].as_str().unwrap().replace('-', "");
            let path = path.as_str().unwrap().replace(&undashed(captured), &undashed(entry));
            assert_eq!(entry["split_path"], path, "{what}");
        }
    }
}

/// Checks that partitions of the previous call keep their offset, size and UUID.
fn check_kept(what: &str, before: &[Map<String, Value>], now: &[Map<String, Value>]) {
    for (old, new) in before.iter().zip(now) {
        for key in ["offset", "raw_size", "uuid"] {
            assert_eq!(old[key], new[key], "{what}, {}: {key}", old["type"]);
        }
        let expected = if new["activity"] == "create" { &Value::from(0) } else { &old["raw_size"] };
        assert_eq!(&new["old_size"], expected, "{what}, {}", old["type"]);
    }
}

/// Replays a build and returns the last answer. The image stays in the fixture.
fn replay(fixture: &Fixture, build: &str, calls: &[Call]) -> Vec<Map<String, Value>> {
    let mut before: Option<Vec<Map<String, Value>>> = None;
    for (number, call) in calls.iter().enumerate() {
        let what = format!("{build}, call {number}");
        let answer = fixture.run(call);
        assert_eq!(answer.code, Some(0), "{what}: {}", answer.stderr);
        let entries: Vec<Map<String, Value>> = serde_json::from_str(&answer.stdout).unwrap();
        compare(&what, call, &entries);
        if let Some(before) = &before {
            check_kept(&what, before, &entries);
        }
        before = Some(entries);
        // mkosi writes the boot loader and the kernel with the root hash between the calls.
        fixture.side.write("buildroot/boot/EFI/Linux/kernel.efi", format!("kernel for {number}"));
    }
    before.unwrap()
}

/// Checks that the image has the partitions of the answer, that the split files are the same as
/// these partitions, that e2fsck accepts each ext4, and fsck.erofs each erofs.
fn check_image(fixture: &Fixture, build: &str, call: &Call, entries: &[Map<String, Value>]) {
    let image = fixture.side.path(&format!("work/WS/staging/c-{build}.raw"));
    gpt(&image, 512).unwrap();
    let found = partitions(&image, 512).unwrap();
    assert_eq!(found.len(), entries.len());
    for (partition, entry) in found.iter().zip(entries) {
        assert_eq!(entry["offset"], partition.start);
        assert_eq!(entry["raw_size"], partition.len);
        assert_eq!(entry["uuid"], *partition.uuid);
        assert_eq!(entry["label"], *partition.name);
        let file = fixture.side.path("partition");
        extract(&image, partition, &file);
        let kind = entry["type"].as_str().unwrap();
        if call.definition(entry).contains("Format=ext4") {
            e2fsck(&file).unwrap_or_else(|error_text| panic!("{build}, {kind}: {error_text:?}"));
        }
        if call.definition(entry).contains("Format=erofs") {
            let said = run("fsck.erofs", [&file]);
            assert!(said.ok, "{build}, {kind}: {}", said.all());
        }
        let Some(split) = entry.get("split_path") else { continue };
        let split = fixture.side.path(&split.as_str().unwrap().replace(&format!("{WORKDIR}/"), ""));
        if kind.ends_with("-sig") {
            // The split file lacks the zeros after the JSON.
            let (whole, part) = (fs::read(&file).unwrap(), fs::read(&split).unwrap());
            assert_eq!(part.last(), Some(&b'}'), "{build}");
            assert_eq!(part, whole[..part.len()]);
            assert!(whole[part.len()..].iter().all(|&byte| byte == 0));
        } else {
            assert_eq!(sha256(&split), sha256(&file), "{build}, {kind}");
        }
    }
}

fn replay_and_check(tool: Tool, build: &str, calls: &[Call]) {
    let fixture = Fixture::new(tool);
    let entries = replay(&fixture, build, calls);
    check_image(&fixture, build, &calls[0], &entries);
}

const BUILDS: [&str; 10] = [
    "disk",
    "split",
    "esp",
    "btrfs",
    "grub",
    "sysext",
    "confext",
    "portable",
    "verity",
    "sysextsig",
];

#[test]
fn builds_of_mkosi_get_the_same_answers() {
    for build in BUILDS {
        replay_and_check(Tool::Detfs, build, &calls(build));
    }
}

/// systemd-repart gives the same answers to the calls that are replayed with `detfs`.
#[test]
#[ignore = "makes a Debian sid"]
fn the_real_one_gives_the_same_answers() {
    for build in BUILDS {
        replay_and_check(Tool::Real, build, &calls(build));
    }
}

#[test]
fn a_wrong_answer_is_found() {
    type Change = fn(&mut Map<String, Value>);
    let changes: [(&str, Change); 9] = [
        ("label", |entry| drop(entry.insert("label".into(), "other".into()))),
        ("uuid", |entry| {
            let uuid = "2711248d-56e5-4d50-9556-6f15ee2affa5";
            drop(entry.insert("uuid".into(), uuid.into()));
        }),
        ("partno", |entry| drop(entry.insert("partno".into(), 7.into()))),
        ("offset", |entry| drop(entry.insert("offset".into(), 4096.into()))),
        ("size", |entry| drop(entry.insert("raw_size".into(), 4096.into()))),
        ("activity", |entry| drop(entry.insert("activity".into(), "resize".into()))),
        ("path", |entry| drop(entry.insert("split_path".into(), "-".into()))),
        ("a key too few", |entry| drop(entry.remove("node"))),
        ("a key too many", |entry| drop(entry.insert("drop-in_files".into(), Value::Null))),
    ];
    let call = &calls("split")[2];
    compare("as captured", call, &call.answer);
    for (what, change) in changes {
        let mut entries = call.answer.clone();
        change(&mut entries[0]);
        std::panic::catch_unwind(|| compare(what, call, &entries)).expect_err(what);
    }
    let call = &calls("verity")[0];
    compare("as captured", call, &call.answer);
    for partition in [1, 2] {
        let mut entries = call.answer.clone();
        entries[partition].insert("roothash".into(), "0".repeat(64).into());
        std::panic::catch_unwind(|| compare("root hash", call, &entries)).expect_err("root hash");
    }
}

/// A deferred partition has the same bytes as one that is created in the first call. Until the
/// later call, the image only has space allocated for the file system.
#[test]
fn a_deferred_partition_makes_no_difference() {
    let fixture = Fixture::new(Tool::Detfs);
    let calls = calls("disk");
    replay(&fixture, "disk", &calls);
    let image = fixture.side.path("work/WS/staging/c-disk.raw");
    let deferred = sha256(&image);
    fs::remove_file(&image).unwrap();
    // Restores the tree to the state in which the partition was created.
    fixture.side.write("buildroot/boot/EFI/Linux/kernel.efi", "kernel for 0");
    let mut call = calls[0].clone();
    let position = call.args.iter().position(|arg| arg == "--defer-partitions").unwrap();
    call.args.drain(position..position + 2);
    call.args.push("--el-torito=yes".to_owned());
    let answer = fixture.run(&call);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert_eq!(sha256(&image), deferred);
}
