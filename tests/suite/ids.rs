//! `detfs ids` knows the ids of an image before it is made, according to sfdisk and blkid.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::detfs::{SEED, detfs, mkfs, mkimage, succeed};
use crate::oracle::shell;

const EPOCH: i64 = 1_700_000_000;

/// Returns the JSON and the text that `detfs ids` prints.
fn ids(arguments: &[&str]) -> (Value, String) {
    let seed = format!("--seed={SEED}");
    let command = || {
        let mut command = detfs(["ids", &seed]);
        command.args(arguments);
        command
    };
    let text = String::from_utf8(succeed(&mut command()).stdout).unwrap();
    (serde_json::from_slice(&succeed(command().arg("--json")).stdout).unwrap(), text)
}

/// Returns the id of the file system at an offset, or an empty text.
fn blkid(image: &Path, start: u64, size: u64) -> String {
    let script = format!("blkid -p -O {start} -S {size} -o value -s UUID $1 || [ $? = 2 ]");
    shell(&script, &[image]).trim().to_owned()
}

/// Checks that the partitions of an image are among those of `detfs ids`, and returns their number.
fn compare(ids: &Value, image: &Path) -> usize {
    let table: Value = serde_json::from_str(&shell("sfdisk --json $1", &[image])).unwrap();
    let table = &table["partitiontable"];
    let same = |one: &Value, other: &Value| {
        one.as_str().unwrap().eq_ignore_ascii_case(other.as_str().unwrap())
    };
    let ids = &ids["partition_table"];
    assert!(same(&ids["uuid"], &table["id"]), "{ids}: {table}");
    let partitions = table["partitions"].as_array().unwrap();
    for partition in partitions {
        let planned = ids["partitions"].as_array().unwrap();
        let planned = planned.iter().find(|it| {
            same(&it["type"], &partition["type"]) && same(&it["label"], &partition["name"])
        });
        let planned = planned.unwrap_or_else(|| panic!("{partition}"));
        if !planned["uuid"].is_null() {
            assert!(same(&planned["uuid"], &partition["uuid"]), "{planned}: {partition}");
        }
        let bytes = |key: &str| partition[key].as_u64().unwrap() * 512;
        let file_system = planned["file_system"]["uuid"].as_str().unwrap_or_default();
        assert_eq!(blkid(image, bytes("start"), bytes("size")), file_system, "{planned}");
    }
    partitions.len()
}

#[test]
fn ids_of_images_are_known_before() {
    let scratch = tempfile::tempdir().unwrap();
    shell(
        "mkdir -p $1/tree/efi/EFI $1/tree/boot; echo x | tee $1/tree/efi/EFI/x >$1/tree/boot/x",
        &[scratch.path()],
    );
    let (tree, image) = (scratch.path().join("tree"), scratch.path().join("image"));
    let (known, text) = ids(&["--architecture=arm64"]);
    for (fs, options, count) in [
        ("ext4", &["--bios-boot", "--xbootldr"][..], 4),
        ("btrfs", &["--sector-size=512"], 2),
        ("ext4", &["--exclude=efi", "--size=64M"], 1),
    ] {
        let fs = format!("--fs={fs}");
        let options = [&["--architecture=arm64", "--force", &fs], options].concat();
        succeed(&mut mkimage(&tree, &image, EPOCH, &options));
        assert_eq!(compare(&known, &image), count);
    }
    // One of another seed or architecture differs.
    let (other, _) = ids(&["--architecture=x86-64"]);
    let list = |ids: &Value| ids["partition_table"]["partitions"].as_array().unwrap().clone();
    let (known, other) = (list(&known), list(&other));
    assert_eq!(known[..3], other[..3]);
    assert_ne!(known[3]["uuid"], other[3]["uuid"]);
    for (number, format) in [(1, "vfat"), (3, "ext4"), (3, "btrfs")] {
        let options: &[&str] = if format == "vfat" { &[] } else { &["--architecture=arm64"] };
        succeed(&mut mkfs(format, &tree, &image, EPOCH, &[&["--force"], options].concat()));
        let size = fs::metadata(&image).unwrap().len();
        assert_eq!(blkid(&image, 0, size), known[number]["file_system"]["uuid"], "{format}");
    }
    // The text has the same ids.
    for partition in &known {
        let field = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let fields = [&partition["name"], &partition["uuid"], &partition["file_system"]["uuid"]];
        let fields = fields.map(field);
        let mut lines = text.lines();
        assert!(lines.any(|line| fields.iter().all(|field| line.contains(field))), "{text}");
    }
}

#[test]
fn ids_of_definitions_are_known_before() {
    let scratch = tempfile::tempdir().unwrap();
    shell(
        "cd $1; mkdir -p tree/etc repart.d; printf 'ID=test\\nVERSION_ID=7\\n' >tree/etc/os-release
        part() { printf '[Partition]\\n%b\\n' \"$2\" >repart.d/$1.conf; }
        part 10-esp 'Type=esp\\nFormat=vfat\\nSizeMinBytes=40M'
        part 20-root 'Type=root\\nFormat=ext4\\nCopyFiles=/\\nVerity=data\\nVerityMatchKey=root\\nMinimize=best'
        part 21-root 'Type=root-verity\\nVerity=hash\\nVerityMatchKey=root\\nMinimize=best'
        part 30-srv 'Type=srv\\nFormat=btrfs\\nLabel=%o-%w\\nSizeMinBytes=128M'
        part 31-srv 'Type=srv\\nLabel=second\\nSizeMinBytes=1M'
        part 40-swap 'Type=swap\\nFormat=swap\\nSizeMinBytes=1M'
        part 50-home 'Type=home\\nUUID=0123456789abcdef0123456789abcdef\\nSizeMinBytes=1M'",
        &[scratch.path()],
    );
    let path = |name: &str| scratch.path().join(name).into_os_string().into_string().unwrap();
    let (definitions, root) =
        (format!("--definitions={}", path("repart.d")), format!("--root={}", path("tree")));
    let (known, text) = ids(&[&definitions, &root, "--architecture=arm64"]);
    let mut repart = detfs(["repart", "--empty=create", "--size=auto", &definitions, &root]);
    repart.args(["--architecture=arm64", &format!("--seed={SEED}"), &path("image")]);
    succeed(repart.env("SOURCE_DATE_EPOCH", EPOCH.to_string()));
    let partitions = known["partition_table"]["partitions"].as_array().unwrap();
    // The hash tree has a UUID of its own kind, which is not that of a file system.
    assert_eq!(partitions.len(), 7);
    assert!(partitions[1]["uuid"].is_null() && partitions[2]["uuid"].is_null(), "{known}");
    assert_eq!(text.matches("of the root hash").count(), 2, "{text}");
    assert_eq!(partitions[3]["label"], "test-7");
    let mut known = known.clone();
    let list = known["partition_table"]["partitions"].as_array_mut().unwrap();
    let table = shell("sfdisk --json $1", &[Path::new(&path("image"))]);
    let table: Value = serde_json::from_str(&table).unwrap();
    let hash = &table["partitiontable"]["partitions"][2];
    let bytes = |key: &str| hash[key].as_u64().unwrap() * 512;
    let uuid = blkid(Path::new(&path("image")), bytes("start"), bytes("size"));
    list[2]["file_system"] = serde_json::json!({ "uuid": uuid });
    assert_eq!(compare(&known, Path::new(&path("image"))), 7);
}

#[test]
fn what_ids_depend_on_is_required() {
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = detfs(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
    };
    refused(&["ids", "--architecture=x86-64"], &["--seed"]);
    refused(&["ids", "--architecture=x86-64", "--seed=5"], &["--seed", "UUID"]);
    refused(&["ids", &format!("--seed={SEED}")], &["--architecture"]);
    refused(&["ids", &format!("--seed={SEED}"), "--architecture=z80"], &["--architecture"]);
}
