//! Whole images that the program builds, checked with independent tools.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::detfs::{SEED, detfs, succeed, suggested_size};
use crate::oracle::{blkid, sha256};

/// A directory with a small tree that has a program and no ESP.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        for directory in ["tree/etc", "tree/usr/bin", "tree/var/cache"] {
            fs::create_dir_all(scratch.path(directory)).unwrap();
        }
        fs::write(scratch.path("tree/etc/hostname"), "scratch\n").unwrap();
        fs::write(scratch.path("tree/var/cache/junk"), vec![7; 3 << 20]).unwrap();
        let mut elf = b"\x7fELF\x02\x01".to_vec();
        elf.resize(18, 0);
        elf.extend([183, 0]); // EM_AARCH64
        fs::write(scratch.path("tree/usr/bin/env"), elf).unwrap();
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns a command that runs the program in the scratch directory.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = detfs(arguments);
        command.current_dir(self.0.path());
        command
    }

    fn detfs(&self, arguments: &[&str]) -> Output {
        succeed(&mut self.command(arguments))
    }

    /// Returns the JSON that `--json` prints about an image of the tree.
    fn describe(&self, out: &str, more: &[&str]) -> Value {
        let output = self.detfs(&[&["mkimage", "tree", out, "--json"], more].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn the_manifest_is_true() {
    let scratch = Scratch::new();
    let json = scratch.describe("a.raw", &["--seed", SEED, "--manifest", "a.json"]);
    let file: Value = serde_json::from_slice(&fs::read(scratch.path("a.json")).unwrap()).unwrap();
    assert_eq!(file, json);
    let image = scratch.path("a.raw");
    assert_eq!(json["sha256"], sha256(&image));
    assert_eq!(json["size"], fs::metadata(&image).unwrap().len());
    assert_eq!(json["schema"], 1);
    let expected = serde_json::json!({
        "defaults": "1", "derivation": "1", "ext4": "1", "gpt": "1", "rules": "1",
    });
    assert_eq!(json["components"], expected);
    assert!(json["layout_version"].as_str().unwrap().starts_with("draft-"), "{json}");
    assert_eq!(json["parameters"]["architecture"], "arm64");
    assert_eq!(json["parameters"]["seed_from"], "given");

    let table = &json["partition_table"];
    assert_eq!(table["uuid"], "029f4951-90d3-4059-b93b-d358015a0a3b");
    let [root] = table["partitions"].as_array().unwrap().as_slice() else { panic!("{table}") };
    assert_eq!(root["label"], "root-arm64");
    assert_eq!(root["attributes"], "0x0800000000000000");
    let (start, size) = (root["start"].as_u64().unwrap(), root["size"].as_u64().unwrap());
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    fs::File::open(&image).unwrap().read_exact_at(&mut bytes, start).unwrap();
    fs::write(scratch.path("root.raw"), bytes).unwrap();
    assert_eq!(root["sha256"], sha256(&scratch.path("root.raw")));
    assert_eq!(root["file_system"]["uuid"], *blkid(&scratch.path("root.raw"))["UUID"]);
}

#[test]
fn a_partition_without_a_file_system_is_described() {
    let scratch = Scratch::new();
    let options = ["--seed", SEED, "--bios-boot", "--esp-size=300M", "--esp-sector-size=4096"];
    let json = scratch.describe("a.raw", &options);
    assert_eq!(json["parameters"]["bios_boot"], true);
    assert_eq!(json["parameters"]["esp_sector_size"], 4096);
    let partitions = json["partition_table"]["partitions"].as_array().unwrap();
    let [boot, esp, _] = partitions.as_slice() else { panic!("{json}") };
    assert_eq!(boot["label"], "BIOS boot");
    assert!(boot.get("file_system").is_none(), "{boot}");
    // Hash printed by `printf %1048576s | tr ' ' '\0' | sha256sum`.
    let zeros = "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58";
    assert_eq!(boot["sha256"], zeros);
    assert_eq!(esp["file_system"]["type"], "vfat");

    let plain = scratch.describe("b.raw", &["--seed", SEED]);
    for name in ["bios_boot", "esp_sector_size"] {
        assert!(plain["parameters"].get(name).is_none(), "{name}");
    }
    let shown = scratch.detfs(&[&["mkimage", "tree", "c.raw"], &options[..]].concat()).stdout;
    let shown = String::from_utf8(shown).unwrap();
    let line = shown.lines().find(|line| line.contains("BIOS boot")).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells[cells.len() - 6..], ["1", "MiB", "1", "MiB", "-", "-"], "{line}");
}

#[test]
fn what_is_derived_can_be_given() {
    let scratch = Scratch::new();
    let derived = scratch.describe("a.raw", &[]);
    let parameters = &derived["parameters"];
    assert_eq!(parameters["seed_from"], "tree");
    assert_eq!(parameters["source_date_epoch_from"], "tree");
    assert_eq!(parameters["clamped_times"], 0);
    let seed = parameters["seed"].as_str().unwrap();
    let epoch = parameters["source_date_epoch"].to_string();
    let given = ["--seed", seed, "--source-date-epoch", &epoch, "--threads", "1"];
    assert_eq!(scratch.describe("b.raw", &given)["sha256"], derived["sha256"]);

    let stdout = scratch.detfs(&["mkimage", "tree", "-"]).stdout;
    assert!(stdout == fs::read(scratch.path("a.raw")).unwrap(), "a pipe has the same bytes");

    fs::write(scratch.path("tree/etc/hostname"), "Scratch\n").unwrap();
    let changed = scratch.describe("c.raw", &["--source-date-epoch", &epoch]);
    assert_ne!(changed["parameters"]["seed"], seed);
}

#[test]
fn a_fixed_size_is_that_of_the_image() {
    let scratch = Scratch::new();
    let json = scratch.describe("a.raw", &["--size", "64M", "--seed", SEED]);
    assert_eq!(json["size"], 64 << 20);
    assert_eq!(json["partition_table"]["partitions"][0]["size"], 62 << 20);

    let refused = |size: &str| {
        let arguments = ["mkimage", "tree", "b.raw", "--seed", SEED, "--size", size];
        let output = scratch.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{size}");
        assert!(!scratch.path("b.raw").exists());
        String::from_utf8(output.stderr).unwrap()
    };
    // The size in the message is the smallest that suffices.
    let message = refused("3M");
    let least = suggested_size(&message);
    refused(&(least - (1 << 20)).to_string());
    scratch.describe("b.raw", &["--seed", SEED, "--size", &least.to_string()]);
}

#[test]
fn what_is_excluded_is_not_there() {
    let scratch = Scratch::new();
    let seed = ["--seed", SEED, "--headroom", "0"];
    let whole = scratch.describe("a.raw", &seed);
    let less = scratch.describe("b.raw", &[&seed[..], &["--exclude", "/var/cache/*"]].concat());
    let size = |json: &Value| json["size"].as_u64().unwrap();
    assert_eq!(size(&whole) - size(&less), 3 << 20);
    assert_eq!(less["parameters"]["exclude"], serde_json::json!(["/var/cache/*"]));
}

#[test]
fn a_btrfs_is_described() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("tree/swap")).unwrap();
    let options = [
        "--fs=btrfs",
        "--seed",
        SEED,
        "--headroom=0",
        "--btrfs-compat=old",
        "--btrfs-checksum=xxhash",
        "--btrfs-node-size=4096",
        "--btrfs-metadata=single",
        "--btrfs-max-inline=0",
        "--compress=zstd:1",
        "--no-compress=/etc",
        "--nodatacow=/srv/db",
        "--dedup",
        "--subvolume=/swap:nodatacow",
        "--subvolume=var:ro",
        "--default-subvolume=var",
        "--copy-links",
        "--swapfile=/swap/swapfile:1M",
    ];
    let json = scratch.describe("a.raw", &options);
    let parameters = &json["parameters"];
    for (name, expected) in [
        ("fs", serde_json::json!("btrfs")),
        ("headroom", serde_json::json!("0")),
        ("btrfs_compat", serde_json::json!("old")),
        ("btrfs_checksum", serde_json::json!("xxhash")),
        ("btrfs_node_size", serde_json::json!(4096)),
        ("btrfs_metadata", serde_json::json!("single")),
        ("btrfs_max_inline", serde_json::json!(0)),
        ("compress", serde_json::json!("zstd:1")),
        ("no_compress", serde_json::json!(["/etc"])),
        ("nodatacow", serde_json::json!(["/srv/db"])),
        ("dedup", serde_json::json!(true)),
        (
            "subvolumes",
            serde_json::json!([
                { "path": "/swap", "read_only": false, "nodatacow": true },
                { "path": "var", "read_only": true, "nodatacow": false },
            ]),
        ),
        ("default_subvolume", serde_json::json!("var")),
        ("copy_links", serde_json::json!(true)),
        ("swapfile", serde_json::json!({ "path": "/swap/swapfile", "size": 1 << 20 })),
    ] {
        assert_eq!(parameters[name], expected, "{name}");
    }
    assert!(json["components"]["zstd"].is_string(), "{json}");
    assert!(parameters.get("ext4_profile").is_none(), "{parameters}");
    let root = &json["partition_table"]["partitions"][0];
    assert_eq!(root["file_system"]["type"], "btrfs");
    assert_eq!(root["file_system"]["label"], "root-arm64");

    let plain = scratch.describe("b.raw", &["--fs=btrfs", "--seed", SEED]);
    assert!(plain["components"].get("zstd").is_none(), "{plain}");
    assert_ne!(plain["layout_version"], json["layout_version"]);
    assert_eq!(plain["parameters"]["btrfs_max_inline"], 2048);
    assert_eq!(
        plain["partition_table"]["partitions"][0]["uuid"], root["uuid"],
        "the seed decides, not the format"
    );

    // Values that are derived from the tree do not depend on how the tree is stored.
    let seed_of = |more: &[&str]| {
        let json = scratch.describe("c.raw", &[&["--fs=btrfs", "--force"], more].concat());
        json["parameters"]["seed"].clone()
    };
    assert_eq!(seed_of(&["--swapfile=/swap/swapfile:1M"]), seed_of(&["--compress=lzo"]));
}

/// The message names the smallest fixed size of a btrfs.
#[test]
fn a_btrfs_that_is_too_large_is_refused() {
    let scratch = Scratch::new();
    let run = |size: &str| {
        let arguments = ["mkimage", "tree", "b.raw", "--fs=btrfs", "--seed", SEED];
        let options = ["--size", size, "--force", "--normalize=none"];
        let output = scratch.command(&[&arguments[..], &options].concat()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = run("4M");
    assert_eq!(code, Some(3), "{message}");
    let least = suggested_size(&message);
    assert_eq!(run(&(least - (1 << 20)).to_string()).0, Some(3));
    assert_eq!(run(&least.to_string()), (Some(0), String::new()));
    assert_eq!(fs::metadata(scratch.path("b.raw")).unwrap().len(), least);
}
