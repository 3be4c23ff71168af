//! The command line: invalid arguments are refused, and no files are left over.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::detfs::{detfs, is_usage};

/// A directory with a tree and a directory for images.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(scratch.path("tree/etc")).unwrap();
        fs::write(scratch.path("tree/etc/hostname"), "scratch\n").unwrap();
        fs::create_dir(scratch.path("out")).unwrap();
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns the names of the files in the directory for images.
    fn outputs(&self) -> Vec<String> {
        let mut names: Vec<_> = walk(&self.path("out"));
        names.sort();
        names
    }

    /// Returns a command that runs the program in the scratch directory.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = detfs(arguments);
        command.current_dir(self.0.path());
        command
    }

    /// Runs the program in the scratch directory, and returns the exit code and standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Checks that the program refuses `arguments` with a message that contains `words`, and writes
    /// no output. The message has one line unless it is about the usage.
    fn refuses(&self, code: i32, words: &[&str], arguments: &[&str]) {
        let before = self.outputs();
        let (got, stderr) = self.run(arguments);
        assert_eq!(got, code, "{arguments:?}: {stderr}");
        if !is_usage(&stderr) {
            assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
            assert!(stderr.starts_with("error: "), "{arguments:?}: {stderr}");
        }
        for word in words {
            assert!(stderr.contains(word), "{arguments:?}: {stderr} says {word}");
        }
        assert_eq!(self.outputs(), before, "{arguments:?}");
        assert_eq!(walk(&self.path("tree")), ["etc"], "{arguments:?}");
    }
}

fn walk(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

const IMAGE: [&str; 6] =
    ["mkimage", "tree", "out/disk.raw", "--architecture", "x86-64", "--normalize=none"];

fn mkimage<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&IMAGE, more].concat()
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let scratch = Scratch::new();
    for (option, value, word) in [
        ("--seed", "123", "UUID"),
        ("--seed", "", "UUID"),
        ("--source-date-epoch", "now", "seconds"),
        ("--source-date-epoch", "15032385536", "15032385535"),
        ("--source-date-epoch", "-2147483649", "-2147483648"),
        ("--size", "big", "bytes"),
        ("--size", "100000000000000000000", "bytes"),
        ("--seed", "random", "--seed-string"),
        ("--seed", "00000000-0000-0000-0000-000000000000", "nil"),
        ("--seed-string", "", "empty"),
        ("--source-date-epoch", "2026-11-30T12:00:00", "2026-11-30T12:00:00Z"),
        ("--source-date-epoch", "2447-01-01", "15032385535"),
        ("--grow-to", "1.3K", "whole number of bytes"),
        ("--size", "1GB", "write 1G for 1073741824 bytes"),
        ("--headroom", "ten%", "%"),
        ("--sector-size", "520", "4096"),
        ("--esp-size", "-", "bytes"),
        ("--esp-sector-size", "1024", "4096"),
        ("--ext4-block-size", "512", "1024"),
        ("--threads", "0", "1 or more"),
        ("--exclude", "a[", "\\"),
        ("--architecture", "x86_65", "x86-64"),
    ] {
        let option = format!("{option}={value}");
        let arguments = ["mkimage", "tree", "out/disk.raw", &option];
        let name = option.split('=').next().unwrap();
        scratch.refuses(2, &[name, word], &arguments);
    }
    let sectors = mkimage(&["--sector-size=4096", "--esp-sector-size=512"]);
    scratch.refuses(2, &["--esp-sector-size", "4096"], &sectors);
    scratch.refuses(2, &["--uuid"], &["mkfs", "ext4", "tree", "out/fs", "--uuid", "x"]);
    scratch.refuses(2, &["--uuid"], &["mkfs", "vfat", "tree", "out/fs", "--uuid", "877A-9082"]);
}

#[test]
fn options_of_btrfs_are_refused_by_name() {
    let scratch = Scratch::new();
    let refuses = |words: &[&str], options: &[&str]| {
        let name = options.last().unwrap().split('=').next().unwrap();
        let name = format!("error: {name}: ");
        let words = [&[&*name], words].concat();
        let mkfs = [&["mkfs", "btrfs", "tree", "out/fs"], options].concat();
        scratch.refuses(2, &words, &mkfs);
        scratch.refuses(2, &words, &mkimage(&[&["--fs=btrfs"], options].concat()));
    };
    refuses(&["65536"], &["--btrfs-node-size=1024"]);
    refuses(&["4095"], &["--btrfs-max-inline=4096"]);
    // The rest of a tree block after its own fields.
    refuses(&["3949"], &["--btrfs-node-size=4096", "--btrfs-max-inline=4000"]);
    refuses(&["level 16", "1 to 15"], &["--compress=zstd:16"]);
    refuses(&["level 0", "1 to 9"], &["--compress=zlib:0"]);
    refuses(&["zstd", "lzo"], &["--compress=gzip"]);
    refuses(&["\\"], &["--no-compress=a["]);
    refuses(&["nowhere"], &["--subvolume=/nowhere:ro"]);
    refuses(&["etc/hostname is not a directory"], &["--subvolume=etc/hostname"]);
    refuses(&["twice"], &["--subvolume=/etc", "--subvolume=etc:ro"]);
    refuses(&["top level"], &["--subvolume=/"]);
    refuses(&["nowhere"], &["--default-subvolume=nowhere"]);
    refuses(&["not a subvolume", "--subvolume"], &["--default-subvolume=etc"]);
    refuses(&["no size"], &["--swapfile=/swapfile"]);
    refuses(&["40960", "4096"], &["--swapfile=/swapfile:36K"]);
    refuses(&["40960", "4096"], &["--swapfile=/swapfile:65537"]);
    refuses(&["no directory"], &["--swapfile=swap/swapfile:1M"]);
    refuses(&["no directory"], &["--swapfile=etc/hostname/swapfile:1M"]);
    refuses(&["in the tree already"], &["--swapfile=etc/hostname:1M"]);
    let long = format!("--label={}", "l".repeat(256));
    scratch.refuses(2, &["--label", "255"], &["mkfs", "btrfs", "tree", "out/fs", &long]);
    for option in ["--btrfs-compat", "--btrfs-checksum", "--btrfs-metadata"] {
        let option = format!("{option}=none");
        scratch.refuses(2, &["possible values"], &["mkfs", "btrfs", "tree", "out/fs", &option]);
    }
}

#[test]
fn options_of_another_file_system_are_refused() {
    let scratch = Scratch::new();
    for option in [
        "--btrfs-compat=old",
        "--btrfs-checksum=sha256",
        "--btrfs-node-size=16384",
        "--btrfs-metadata=single",
        "--btrfs-max-inline=0",
        "--compress=none",
        "--no-compress=a",
        "--nodatacow=a",
        "--dedup",
        "--subvolume=etc",
        "--default-subvolume=etc",
        "--copy-links",
    ] {
        let name = option.split('=').next().unwrap();
        let words = [&*format!("error: {name}: "), "--fs btrfs"];
        scratch.refuses(2, &words, &mkimage(&[option]));
        scratch.refuses(2, &words, &mkimage(&["--fs=ext4", option]));
        scratch.refuses(2, &[name], &["mkfs", "ext4", "tree", "out/fs", option]);
    }
    for option in ["--grow-to=1G", "--ext4-profile=default", "--ext4-block-size=4096"] {
        let name = option.split('=').next().unwrap();
        let words = [&*format!("error: {name}: "), "--fs ext4"];
        scratch.refuses(2, &words, &mkimage(&["--fs=btrfs", option]));
        scratch.refuses(2, &[name], &["mkfs", "btrfs", "tree", "out/fs", option]);
    }
}

/// Contradictory sizes are refused.
#[test]
fn sizes_that_do_not_go_together_are_refused() {
    let scratch = Scratch::new();
    for mkfs in ["ext4", "btrfs", "vfat"] {
        let arguments = ["mkfs", mkfs, "tree", "out/fs", "--size=300M", "--headroom=1M"];
        scratch.refuses(2, &["error: --headroom: ", "--size"], &arguments);
    }
    scratch.refuses(2, &["error: --headroom: "], &mkimage(&["--size=300M", "--headroom=0"]));
    let btrfs = mkimage(&["--fs=btrfs", "--size=300M", "--headroom=10%"]);
    scratch.refuses(2, &["error: --headroom: "], &btrfs);
    for arguments in [
        &mkimage(&["--grow-to=512K"])[..],
        &mkimage(&["--size=64M", "--grow-to=61M"]),
        &["mkfs", "ext4", "tree", "out/fs", "--size=64M", "--grow-to=63M"],
        &["mkfs", "ext4", "tree", "out/fs", "--grow-to=64K"],
    ] {
        scratch.refuses(2, &["error: --grow-to: ", "less than"], arguments);
    }
    let ro = mkimage(&["--ext4-profile=ro", "--grow-to=1G"]);
    scratch.refuses(2, &["error: --grow-to: ", "profile"], &ro);
    scratch.refuses(2, &["--source-date-epoch"], &["normalize", "--list", "--source-date-epoch=1"]);
    fs::write(scratch.path("image.toml"), "[image]\ntree = 'tree'\nout = 'out/disk.raw'\n")
        .unwrap();
    scratch.refuses(2, &["--update", "lock"], &["build", "--update", "image.toml"]);
    let same = ["mkfs", "ext4", "tree", "out/fs", "--size=64M", "--grow-to=64M"];
    assert_eq!(scratch.run(&same), (0, String::new()));
}

/// Patterns without a match and options without an effect are each reported on one line, and the
/// image is the same without them.
#[test]
fn what_has_no_effect_is_reported() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path("tree/var")).unwrap();
    fs::write(scratch.path("tree/var/junk"), "junk").unwrap();
    let image = || fs::read(scratch.path("out/fs")).unwrap();
    let lines = |arguments: &[&str]| {
        let arguments = [arguments, &["tree", "out/fs", "--force"]].concat();
        let (code, stderr) = scratch.run(&arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        stderr.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let ext4 = ["mkfs", "ext4"];
    assert_eq!(lines(&[&ext4[..], &["--exclude=var/*"]].concat()), [""; 0]);
    let plain = image();
    let options = [
        "--exclude=/var/*",
        "--exclude=nowhere/**",
        "--drop-xattr=user.nothing",
        "--keep-xattr=trusted.overlay.*",
    ];
    assert_eq!(
        lines(&[&ext4[..], &options].concat()),
        [
            "warning: --exclude: \"nowhere/**\" matches no path",
            "warning: --drop-xattr: no extended attribute matches \"user.nothing\"",
            "warning: --keep-xattr: no extended attribute matches \"trusted.overlay.*\"",
        ]
    );
    assert!(image() == plain);

    // Another pattern may still match below a path that one pattern matches.
    let btrfs = ["mkfs", "btrfs", "--compress=zstd", "--no-compress=var", "--no-compress=**/junk"];
    assert_eq!(lines(&btrfs), [""; 0]);
    let btrfs = ["mkfs", "btrfs", "--no-compress=etc/*.gz", "--copy-links"];
    assert_eq!(
        lines(&btrfs),
        [
            "warning: --no-compress has no effect without --compress",
            "warning: --copy-links has no effect without --subvolume",
            "warning: --no-compress: \"etc/*.gz\" matches no path",
        ]
    );

    let uuid = "--uuid=01234567-89ab-4cde-8f01-23456789abcd";
    let both = [&ext4[..], &[uuid, "--seed=11111111-2222-3333-4444-555555555555"]].concat();
    assert_eq!(lines(&both), ["warning: --seed has no effect with --uuid"]);
    let disk = [
        "mkimage",
        "--normalize=none",
        "--architecture=x86-64",
        "--esp-fat=16",
        "--esp-sector-size=4096",
    ];
    assert_eq!(
        lines(&disk),
        [
            "warning: --esp-fat has no effect, because the image has no ESP",
            "warning: --esp-sector-size has no effect, because the image has no ESP",
        ]
    );
    assert_eq!(lines(&[&disk[..], &["--esp-size=20M"]].concat()), [""; 0]);
}

/// An epoch before 1980 is not reported for a FAT without files.
#[test]
fn an_empty_esp_loses_nothing() {
    let scratch = Scratch::new();
    let epoch = "--source-date-epoch=0";
    let (code, stderr) = scratch.run(&mkimage(&["--esp-size=33M", epoch]));
    assert_eq!((code, &*stderr), (0, ""));
    fs::create_dir_all(scratch.path("tree/efi/EFI")).unwrap();
    let (code, stderr) = scratch.run(&mkimage(&[epoch, "--force"]));
    fs::remove_dir_all(scratch.path("tree/efi")).unwrap();
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("1 time is outside 1980 to 2107"), "{stderr}");
}

#[test]
fn sizes_take_suffixes_everywhere() {
    let scratch = Scratch::new();
    let same = |format: &str, pairs: &[(&str, &str)]| {
        let make = |values: Vec<&str>| {
            let arguments = [&["mkfs", format, "tree", "out/fs", "--force"], &*values].concat();
            let (code, stderr) = scratch.run(&arguments);
            assert_eq!((code, &*stderr), (0, ""), "{arguments:?}");
            fs::read(scratch.path("out/fs")).unwrap()
        };
        let plain = make(pairs.iter().map(|(plain, _)| *plain).collect());
        let short = make(pairs.iter().map(|(_, short)| *short).collect());
        assert!(plain == short, "{format}: {pairs:?}");
    };
    same("ext4", &[("--ext4-block-size=1024", "--ext4-block-size=1K")]);
    same("ext4", &[("--grow-to=1073741824", "--grow-to=1GiB"), ("--size=67108864", "--size=64M")]);
    same(
        "btrfs",
        &[
            ("--btrfs-node-size=65536", "--btrfs-node-size=64K"),
            ("--btrfs-max-inline=1024", "--btrfs-max-inline=1K"),
            ("--headroom=1048576", "--headroom=1M"),
        ],
    );
    same("vfat", &[("--sector-size=4096", "--sector-size=4KiB")]);
    let sectors = ["--sector-size=4K", "--esp-sector-size=4K", "--esp-size=300M"];
    let (code, stderr) = scratch.run(&mkimage(&[&sectors[..], &["--force"]].concat()));
    assert_eq!((code, &*stderr), (0, ""));
    let image = fs::read(scratch.path("out/disk.raw")).unwrap();
    assert_eq!(&image[4096..4104], b"EFI PART");
}

#[test]
fn compressed_bytes_need_a_place() {
    let scratch = Scratch::new();
    fs::write(scratch.path("tree/etc/large"), vec![b'x'; 100_000]).unwrap();
    let run = |directory: &str, options: &[&str]| {
        let arguments = [&["mkfs", "btrfs", "tree", "out/fs", "--force"], options].concat();
        let output = scratch.command(&arguments).env("TMPDIR", directory).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = run("nowhere", &["--compress=zstd"]);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("temporary file in nowhere"), "{stderr}");
    assert_eq!(scratch.outputs(), [""; 0]);
    assert_eq!(run("nowhere", &[]), (0, String::new()));
    fs::create_dir(scratch.path("spool")).unwrap();
    assert_eq!(run("spool", &["--compress=zstd"]), (0, String::new()));
    assert_eq!(walk(&scratch.path("spool")), [""; 0]);
}

#[test]
fn the_epoch_of_the_environment_is_judged_too() {
    let scratch = Scratch::new();
    for value in ["tomorrow", "2026-11-30", "@5", "99999999999999"] {
        let output = scratch.command(&IMAGE).env("SOURCE_DATE_EPOCH", value).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.starts_with("error: SOURCE_DATE_EPOCH: "), "{stderr}");
    }
    let arguments = [&IMAGE[..], &["--seed-string=x"]].concat();
    let output = scratch.command(&arguments).env("SOURCE_DATE_EPOCH", "").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr.matches("SOURCE_DATE_EPOCH is empty").count(), 1, "{stderr}");
}

/// Different spellings of the same parameters give the same image.
#[test]
fn parameters_are_the_same_however_they_are_spelled() {
    let scratch = Scratch::new();
    let image = |options: &[&str]| {
        let head = ["mkimage", "tree", "out/disk.raw", "--force", "--normalize=none"];
        let arguments = [&head, options].concat();
        let (code, stderr) = scratch.run(&arguments);
        assert_eq!((code, &*stderr), (0, ""), "{options:?}");
        fs::read(scratch.path("out/disk.raw")).unwrap()
    };
    let first = image(&[
        "--seed=8de61a7d-ad08-8fc6-a253-08c7aac27e61",
        "--source-date-epoch=1795996800",
        "--architecture=x86-64",
        "--size=33554432",
    ]);
    for (seed, epoch, architecture, size) in [
        ("--seed-string=example 1.0", "2026-11-30", "amd64", "0.03125G"),
        ("--seed=8DE61A7DAD088FC6A25308C7AAC27E61", "@1795996800", "x86_64", "32768KiB"),
        ("--seed-string=example 1.0", "2026-11-30T02:00:00+02:00", "x86-64", "32M"),
    ] {
        let (epoch, architecture, size) = (
            format!("--source-date-epoch={epoch}"),
            format!("--architecture={architecture}"),
            format!("--size={size}"),
        );
        assert!(image(&[seed, &epoch, &architecture, &size]) == first, "{seed} {epoch}");
    }
    assert!(image(&["--seed-string=example 1.1", "--architecture=amd64", "--size=32M"]) != first);
}

/// The size that a message suggests is accepted.
#[test]
fn suggested_sizes_are_accepted() {
    let scratch = Scratch::new();
    fs::write(scratch.path("tree/etc/large"), vec![b'x'; 3_000_000]).unwrap();
    for (arguments, option) in [
        (&mkimage(&["--fs=ext4"])[..], "--size=0"),
        (&mkimage(&["--fs=ext4", "--esp-size=40M"]), "--size=30M"),
        (&mkimage(&["--fs=btrfs", "--bios-boot"]), "--size=3333K"),
        (&mkimage(&[]), "--size=40000001"),
        (&mkimage(&["--sector-size=4096"]), "--esp-size=1M"),
        (&mkimage(&["--esp-fat=16"]), "--esp-size=1M"),
        (&mkimage(&["--esp-fat=12"]), "--esp-size=4G"),
        (&mkimage(&[]), "--xbootldr-size=1000"),
        (&mkimage(&["--size=64M"]), "--grow-to=1M"),
        (&mkimage(&[]), "--grow-to=1M"),
        (&["mkfs", "ext4", "tree", "out/fs"], "--size=0"),
        (&["mkfs", "ext4", "tree", "out/fs", "--ext4-block-size=1K"], "--size=1M"),
        (&["mkfs", "ext4", "tree", "out/fs"], "--grow-to=64K"),
        (&["mkfs", "btrfs", "tree", "out/fs"], "--size=1M"),
        (&["mkfs", "vfat", "tree", "out/fs"], "--size=1"),
        (&["mkfs", "vfat", "tree", "out/fs"], "--size=4097"),
        (&["mkfs", "vfat", "tree", "out/fs"], "--size=1M"),
    ] {
        let (name, _) = option.split_once('=').unwrap();
        let (code, stderr) = scratch.run(&[arguments, &[option]].concat());
        assert!(matches!(code, 2 | 3), "{arguments:?} {option}: {stderr}");
        assert!(stderr.starts_with(&format!("error: {name}: ")), "{option}: {stderr}");
        let (_, remedy) = stderr.rsplit_once("; use ").unwrap();
        let size = remedy.trim_start_matches("at least ").split([' ', ',', '\n']).next().unwrap();
        // The largest of a range is the remedy for a size that is too large.
        let largest = remedy.split_once(" to ").map(|(_, rest)| rest.split(',').next().unwrap());
        let size = if option.ends_with("4G") { largest.unwrap() } else { size };
        let suggested = format!("{name}={size}");
        let again = [arguments, &[&*suggested, "--force"]].concat();
        let (code, after) = scratch.run(&again);
        assert_eq!(code, 0, "{again:?}: {after} after {stderr}");
        for output in scratch.outputs() {
            fs::remove_file(scratch.path("out").join(output)).unwrap();
        }
    }
}

/// A rule that takes the place of a built-in one is reported.
#[test]
fn replaced_rules_are_reported() {
    let scratch = Scratch::new();
    let rule =
        |name| format!("[[rule]]\nname = '{name}'\npath = 'x'\nverb = 'remove'\nreason = 'r'\n");
    fs::write(scratch.path("rules.toml"), rule("ssh-keys") + &rule("mine")).unwrap();
    let arguments = ["normalize", "--check", "tree", "--rules=rules.toml"];
    let (code, stderr) = scratch.run(&arguments);
    assert_eq!(code, 0, "{stderr}");
    let expected = "rules.toml: rule \"ssh-keys\" replaces the built-in rule of that name\n";
    assert!(stderr.contains(expected) && !stderr.contains("mine"), "{stderr}");
}

/// A build file may leave the epoch to the command line, and has the same spellings.
#[test]
fn a_build_file_has_the_same_spellings() {
    let scratch = Scratch::new();
    let build = |head: &str, options: &[&str]| {
        let body = "[image]\ntree = 'tree'\nout = 'out/disk.raw'\narchitecture = 'amd64'\nnormalize = 'none'\n";
        fs::write(scratch.path("image.toml"), format!("{head}{body}")).unwrap();
        scratch.run(&[&["build", "image.toml", "--force"], options].concat())
    };
    let image = |head: &str, options: &[&str]| {
        let (code, stderr) = build(head, options);
        assert_eq!((code, &*stderr), (0, ""), "{head}");
        fs::read(scratch.path("out/disk.raw")).unwrap()
    };
    let first = image("seed-string = 'x'\nsource-date-epoch = 1795996800\n", &[]);
    assert!(image("seed-string = 'x'\nsource-date-epoch = 2026-11-30\n", &[]) == first);
    assert!(image("seed-string = 'x'\nsource-date-epoch = '2026-11-30'\n", &[]) == first);
    let option = "--source-date-epoch=2026-11-30";
    assert!(image("seed-string = 'x'\n", &[option]) == first);
    for (head, options, word) in [
        ("source-date-epoch = 1\n", &[option][..], "image.toml:1: "),
        ("source-date-epoch = 2026-11-30T12:00:00\n", &[], "no time zone"),
        ("seed = 'x'\n", &[], "`seed-string`"),
    ] {
        let (code, stderr) = build(head, options);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(word), "{stderr}");
    }
}

#[test]
fn unknown_words_are_refused() {
    let scratch = Scratch::new();
    for arguments in [
        &["mkimage"][..],
        &["mkimage", "tree"],
        &["mkimage", "tree", "out/disk.raw", "more"],
        &["mkimage", "tree", "out/disk.raw", "--fs", "ntfs"],
        &["mkimage", "tree", "out/disk.raw", "--ext4-profile", "fast"],
        &["mkimage", "tree", "out/disk.raw", "--no-such-option"],
        &["mkfs", "ntfs", "tree", "out/fs"],
        &["mkfs", "vfat", "tree", "out/fs", "--architecture", "arm64"],
        &["format"],
        &[],
    ] {
        let (code, stderr) = scratch.run(arguments);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(scratch.outputs().is_empty());
    }
}

#[test]
fn an_output_inside_the_tree_is_refused() {
    let scratch = Scratch::new();
    std::os::unix::fs::symlink("../tree/etc", scratch.path("out/way-in")).unwrap();
    for out in ["tree/disk.raw", "tree/etc/disk.raw", "out/../tree/disk.raw", "out/way-in/disk.raw"]
    {
        scratch.refuses(2, &["inside the tree"], &["mkimage", "tree", out]);
        let manifest = mkimage(&["--manifest", out]);
        scratch.refuses(2, &["inside the tree", "--manifest"], &manifest);
    }
}

#[test]
fn an_output_that_exists_is_kept() {
    let scratch = Scratch::new();
    fs::write(scratch.path("out/disk.raw"), "precious").unwrap();
    scratch.refuses(2, &["--force"], &mkimage(&[]));
    fs::rename(scratch.path("out/disk.raw"), scratch.path("out/disk.json")).unwrap();
    scratch.refuses(2, &["--force"], &mkimage(&["--manifest", "out/disk.json"]));
    assert_eq!(fs::read(scratch.path("out/disk.json")).unwrap(), b"precious");
}

#[test]
fn places_that_do_not_go_together_are_refused() {
    let scratch = Scratch::new();
    let to_stdout = ["mkimage", "tree", "-", "--json"];
    scratch.refuses(2, &["--json", "standard output"], &to_stdout);
    scratch.refuses(2, &["--manifest"], &mkimage(&["--manifest", "-"]));
    scratch.refuses(2, &["--manifest"], &mkimage(&["--manifest", "out/disk.raw"]));
    scratch.refuses(4, &["out/no/disk.raw"], &["mkimage", "tree", "out/no/disk.raw"]);
}

#[test]
fn a_tree_that_is_none_is_refused() {
    let scratch = Scratch::new();
    let file = ["mkimage", "tree/etc/hostname", "out/disk.raw"];
    scratch.refuses(3, &["tree/etc/hostname", "give a directory or a tar archive"], &file);
    scratch.refuses(4, &["nowhere"], &["mkimage", "nowhere", "out/disk.raw"]);
}

#[test]
fn help_names_every_option() {
    let help = |arguments: &[&str]| {
        let output = detfs(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = help(&["mkimage", "--help"]);
    for option in [
        "--seed",
        "--source-date-epoch",
        "--fs",
        "--size",
        "--grow-to",
        "--headroom",
        "--sector-size",
        "--esp-from",
        "--esp-tree",
        "--esp-size",
        "--esp-fat",
        "--esp-sector-size",
        "--xbootldr",
        "--xbootldr-size",
        "--bios-boot",
        "--ext4-profile",
        "--ext4-block-size",
        "--btrfs-compat",
        "--btrfs-checksum",
        "--btrfs-node-size",
        "--btrfs-metadata",
        "--btrfs-max-inline",
        "--erofs-cluster-size",
        "--squashfs-block-size",
        "--no-fragments",
        "--compress",
        "--no-compress",
        "--dedup",
        "--subvolume",
        "--default-subvolume",
        "--copy-links",
        "--swapfile",
        "--label",
        "--exclude",
        "--drop-xattr",
        "--keep-xattr",
        "--architecture",
        "--manifest",
        "--json",
        "--threads",
        "--force",
    ] {
        assert!(text.contains(option), "{option}");
    }
    assert!(help(&["mkfs", "ext4", "--help"]).contains("--uuid"));
    assert!(help(&["mkfs", "btrfs", "--help"]).contains("--uuid"));
    assert!(help(&["mkfs", "vfat", "--help"]).contains("--uuid"));
}

#[test]
fn versions_are_printed() {
    let version = |arguments: &[&str]| {
        let output = detfs(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let line = concat!("detfs ", env!("CARGO_PKG_VERSION"), "\n");
    for arguments in ["--version", "-V"] {
        assert_eq!(version(&[arguments]), line);
    }
    for arguments in [["--version", "-v"], ["--version", "--verbose"], ["-V", "-v"]] {
        let text = version(&arguments);
        let lines: Vec<_> = text.strip_prefix(line).unwrap().lines().collect();
        let target = format!("target {}-linux-", std::env::consts::ARCH);
        assert!(lines[0].starts_with(&target), "{text}");
        assert_eq!(lines[1], "systemd-repart 262");
        assert!(lines[2].starts_with("layout draft-"), "{text}");
        for component in ["ext4 1", "lzo lzokay 2.0.1", "verity 1", "zstd 1.5.7"] {
            assert!(lines[3..].contains(&component), "{text}");
        }
    }
}
