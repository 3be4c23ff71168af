//! The summary of an image says what other programs find in the image, and errors, warnings and
//! progress are printed where and how they are wanted.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::detfs::{PROGRAM, SEED, detfs, succeed};
use crate::oracle::{self, Mounted, blkid, extract, partitions, run, sha256, shell};
use crate::{KIB, MIB};

/// A directory with a small tree for a disk with an ESP.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        for directory in ["tree/etc", "tree/efi/EFI/BOOT", "tree/usr/share/many"] {
            fs::create_dir_all(scratch.path(directory)).unwrap();
        }
        fs::write(scratch.path("tree/efi/EFI/BOOT/BOOTX64.EFI"), vec![1; 300_000]).unwrap();
        fs::write(scratch.path("tree/usr/share/large"), vec![2; 5_000_001]).unwrap();
        for number in 0..300 {
            let file = scratch.path("tree/usr/share/many").join(number.to_string());
            fs::write(file, vec![3; 64 * number]).unwrap();
        }
        symlink("l".repeat(100), scratch.path("tree/etc/link")).unwrap();
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns a command that runs the program in the scratch directory.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = detfs(args);
        command.current_dir(self.0.path());
        command
    }

    /// Runs the program in the scratch directory, and returns what it prints to standard output.
    fn run(&self, args: &[&str]) -> String {
        String::from_utf8(succeed(&mut self.command(args)).stdout).unwrap()
    }

    /// Runs the program on a terminal, and returns what the terminal is sent.
    fn on_terminal(&self, variables: &[(&str, &str)], words: &str) -> String {
        let script = format!("{PROGRAM} {words} 2>&1");
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &script, "/dev/null"]);
        command.current_dir(self.0.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("TERM", "xterm-256color").envs(variables.iter().copied());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }
}

const DISK: [&str; 5] =
    ["mkimage", "tree", "disk.raw", "--architecture=x86-64", "--normalize=none"];

/// Returns the number of bytes in use that `df` shows for a file system. For a FAT, which not every
/// kernel can mount, fsck.fat counts the clusters that `df` would count.
fn df(kind: &str, image: &Path) -> u64 {
    if kind == "vfat" {
        let said = shell("fsck.fat -nv $1", &[image]);
        let number = |words: &str, after: &str| -> u64 {
            let line = said.lines().find(|line| line.contains(words)).unwrap();
            let digits = line.rsplit_once(after).map_or(line, |(_, rest)| rest);
            let digits = digits.trim_start().split(|c: char| !c.is_ascii_digit()).next();
            digits.unwrap().parse().unwrap()
        };
        return number("bytes per cluster", "\n") * number("files, ", "files, ");
    }
    let mounted = Mounted::new(kind, "ro", Some(image)).unwrap();
    let said = shell("df --block-size=1 --output=used $1 | tail -n 1", &[mounted.path()]);
    let used: u64 = said.trim().parse().unwrap();
    if kind != "btrfs" {
        return used;
    }
    // The kernel's reserve for its own transactions is not in the image.
    let id = &blkid(image)["UUID"];
    let reserve = format!("/sys/fs/btrfs/{id}/allocation/global_rsv_size");
    used - fs::read_to_string(reserve).unwrap().trim().parse::<u64>().unwrap()
}

/// Formats a number of bytes as the summary does.
fn rounded(bytes: u64) -> String {
    let (unit, name) = if bytes >= MIB { (MIB, "MiB") } else { (KIB, "KiB") };
    let tenths = (bytes * 10 + unit / 2) / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Splits a row of a table at its gaps of two or more spaces.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn the_summary_of_a_disk_is_true() {
    let scratch = Scratch::new();
    let shown = scratch.run(&[&DISK[..], &["--seed", SEED, "--source-date-epoch=5"]].concat());
    let image = scratch.path("disk.raw");
    let size = fs::metadata(&image).unwrap().len();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[0], format!("disk.raw: {} MiB, GPT, 512-byte sectors", size / MIB));
    assert_eq!(cells(lines[2]), ["#", "type", "offset", "size", "used", "file system"]);
    let found = partitions(&image, 512).unwrap();
    assert_eq!(found.len(), 2);
    for (at, (partition, (kind, described))) in found
        .iter()
        .zip([("vfat", "vfat (FAT32) \"ESP\""), ("ext4", "ext4 \"root-x86-64\"")])
        .enumerate()
    {
        let part = scratch.path("part");
        extract(&image, partition, &part);
        assert_eq!(
            cells(lines[3 + at]),
            [
                &*(at + 1).to_string(),
                &partition.name,
                &format!("{} MiB", partition.start / MIB),
                &format!("{} MiB", partition.len / MIB),
                &rounded(df(kind, &part)),
                described,
            ],
            "{shown}"
        );
        let id = blkid(&part);
        assert_eq!(cells(lines[8 + at])[1..], [&partition.uuid, &id["UUID"]], "{shown}");
    }
    let table = run("sfdisk", [OsStr::new("--disk-id"), image.as_os_str()]);
    let id = table.stdout.trim().to_lowercase();
    assert_eq!(cells(lines[7]), ["disk", &id], "{shown}");
    assert_eq!(
        lines[11..],
        [
            format!("sha256: {}", sha256(&image)),
            "boots: no: EFI/BOOT/BOOTX64.EFI: it is not an EFI program".to_owned(),
            format!("seed: {SEED} (given)"),
            "epoch: 5 (given)".to_owned(),
        ],
        "{shown}"
    );
    // It fits a terminal of the usual width.
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(lines.iter().all(|line| line.trim_end() == *line), "{shown}");
}

#[test]
fn origins_of_seed_and_epoch_are_shown() {
    let scratch = Scratch::new();
    let mkfs = ["mkfs", "ext4", "tree", "out.img", "--force"];
    let shown = scratch.run(&mkfs);
    assert!(shown.contains("(derived from the tree)\n"), "{shown}");
    assert!(shown.contains("(the newest time in the tree)\n"), "{shown}");
    let mut command = scratch.command(&mkfs);
    let output = succeed(command.env("SOURCE_DATE_EPOCH", "7")).stdout;
    let shown = String::from_utf8(output).unwrap();
    assert!(shown.ends_with("epoch: 7 (from SOURCE_DATE_EPOCH)\n"), "{shown}");
}

#[test]
fn used_bytes_are_those_of_df() {
    let scratch = Scratch::new();
    for (kind, options) in [
        ("ext4", "--ext4-profile=default"),
        ("ext4", "--ext4-profile=modern"),
        ("ext4", "--ext4-profile=boot"),
        ("ext4", "--ext4-profile=ro"),
        ("ext4", "--ext4-block-size=1024"),
        ("ext4", "--size=1G"),
        ("btrfs", "--size=auto"),
        ("btrfs", "--size=1G"),
        ("btrfs", "--btrfs-metadata=single"),
        ("btrfs", "--compress=zstd"),
        ("vfat", "--exclude=etc"),
        ("vfat", "--exclude=**"),
        ("vfat", "--size=1G"),
    ] {
        let args = ["mkfs", kind, "tree", "out.img", "--force", "--json", "--seed", SEED];
        let excluded = if kind == "vfat" { "--exclude=etc/link" } else { "--exclude=nothing" };
        let shown = scratch.run(&[&args[..], &[options, excluded]].concat());
        let json: Value = serde_json::from_str(&shown).unwrap();
        let used = json["file_system"]["used"].as_u64().unwrap();
        assert_eq!(used, df(kind, &scratch.path("out.img")), "{kind} {options}");
    }
}

/// Columns stay in line, and a line break in a label does not start a line.
#[test]
fn labels_are_escaped() {
    let scratch = Scratch::new();
    let shown = scratch.run(&[&DISK[..], &["--label", "new\tline"]].concat());
    let row = shown.lines().find(|line| line.contains("ext4")).unwrap();
    let cells = cells(row);
    assert_eq!(
        (cells[2], *cells.last().unwrap()),
        ("new\\tline", "ext4 \"new\\tline\""),
        "{shown}"
    );
    assert_eq!(shown.lines().filter(|line| line.contains("line")).count(), 1, "{shown}");
}

#[test]
fn normalization_is_one_line_or_a_list() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path("tree/var/lib/systemd")).unwrap();
    fs::write(scratch.path("tree/var/lib/systemd/random-seed"), "seed").unwrap();
    let mkimage = ["mkimage", "tree", "disk.raw", "--architecture=x86-64", "--force"];
    let brief = scratch.run(&mkimage);
    assert!(brief.ends_with("normalized: 1 path by 1 rule (-v lists them)\n"), "{brief}");
    let listed = scratch.run(&[&mkimage[..], &["-v"]].concat());
    let line = "normalized: remove by random-seed: var/lib/systemd/random-seed\n";
    assert!(listed.contains(line), "{listed}");
}

/// Also if the image goes to a pipe or a block device.
#[test]
fn the_hash_is_that_of_the_image() {
    let scratch = Scratch::new();
    let hash = |shown: &str| {
        let line = shown.lines().find_map(|line| line.strip_prefix("sha256: "));
        line.map(str::to_owned)
    };
    let mkfs = ["mkfs", "btrfs", "tree", "out.img", "--force"];
    let shown = scratch.run(&mkfs);
    let expected = sha256(&scratch.path("out.img"));
    assert_eq!(hash(&shown), Some(expected.clone()));
    for threads in ["--threads=1", "--threads=7"] {
        assert_eq!(hash(&scratch.run(&[&mkfs[..], &[threads]].concat())), Some(expected.clone()));
    }
    let output = succeed(&mut scratch.command(&["mkfs", "btrfs", "tree", "-"]));
    fs::write(scratch.path("piped"), &output.stdout).unwrap();
    assert_eq!(sha256(&scratch.path("piped")), expected);
    assert_eq!(hash(&String::from_utf8(output.stderr).unwrap()), Some(expected.clone()));

    fs::write(scratch.path("device"), vec![0xFF; output.stdout.len()]).unwrap();
    let device = oracle::LoopDevice::attach(&scratch.path("device"), &[]);
    let path = device.path().to_str().unwrap();
    assert_eq!(hash(&scratch.run(&["mkfs", "btrfs", "tree", path])), Some(expected));
    drop(device);

    assert_eq!(hash(&scratch.run(&[&mkfs[..], &["--no-sha256"]].concat())), None);
    for other in ["--json", "--manifest=m", "--sha256-file"] {
        let output = scratch.command(&["mkfs", "ext4", "tree", "new", "--no-sha256", other]);
        assert_eq!({ output }.output().unwrap().status.code(), Some(2), "{other}");
    }
}

#[test]
fn sha256sum_accepts_the_file_of_the_hash() {
    let scratch = Scratch::new();
    for name in [&b"out.img"[..], b"back\\slash", b"new\tline", b"\\n", b"not\xffUTF-8", b"-"] {
        let out = Path::new("dir").join(OsStr::from_bytes(name));
        fs::create_dir(scratch.path("dir")).unwrap();
        let mut command = scratch.command(&["mkfs", "ext4", "tree", "--sha256-file", "--quiet"]);
        let output = succeed(command.arg(&out));
        assert_eq!((&*output.stdout, &*output.stderr), (&b""[..], &b""[..]));
        let file = [name, b".sha256"].concat();
        let file = scratch.path("dir").join(OsStr::from_bytes(&file));
        let script = "cd $1; sha256sum --check --strict \"$2\" >/dev/null; \
                      sha256sum -- \"$3\" | cmp - \"$2\"";
        // Alone, this name is the standard input.
        let name = if name == b"-" { b"./-" } else { name };
        shell(script, &[&scratch.path("dir"), &file, Path::new(OsStr::from_bytes(name))]);
        fs::remove_dir_all(scratch.path("dir")).unwrap();
    }
}

/// The file follows the rules of every output.
#[test]
fn the_file_of_the_hash_is_an_output() {
    let scratch = Scratch::new();
    let run = |args: &[&str]| {
        let args = [&["mkfs", "ext4", "tree", "--sha256-file"], args].concat();
        let output = scratch.command(&args).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), stderr)
    };
    let refused = |args: &[&str], words: &[&str]| {
        let (code, stderr) = run(args);
        assert_eq!(code, 2, "{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
    };
    fs::write(scratch.path("out.img.sha256"), "old").unwrap();
    refused(&["out.img"], &["out.img.sha256 exists"]);
    assert!(!scratch.path("out.img").exists());
    assert_eq!(run(&["out.img", "--force"]).0, 0);
    assert_ne!(fs::read(scratch.path("out.img.sha256")).unwrap(), b"old");
    refused(&["-"], &["--sha256-file", "not written to a regular file"]);
    refused(&["/dev/null"], &["--sha256-file", "not written to a regular file"]);
    refused(&["tree/out.img"], &["inside the tree"]);
    refused(&["new.img", "--manifest=new.img.sha256"], &["--manifest", "the file of the hash"]);
    assert!(!scratch.path("new.img").exists() && !scratch.path("new.img.sha256").exists());
    // `detfs build` passes the option on.
    let text = "[image]\ntree = 'tree'\nout = 'built.img'\narchitecture = 'x86-64'\n\
                sha256-file = true\nnormalize = 'none'\n";
    fs::write(scratch.path("image.toml"), text).unwrap();
    assert_eq!(scratch.run(&["build", "image.toml", "--quiet"]), "");
    shell("cd $1; sha256sum --check built.img.sha256", &[scratch.0.path()]);
    fs::write(scratch.path("built.img.sha256"), text).unwrap();
    refused_by_build(&scratch, "built.img.sha256");
}

/// Checks that a configuration is not replaced by the file of the hash.
fn refused_by_build(scratch: &Scratch, config: &str) {
    let before = fs::read(scratch.path(config)).unwrap();
    let output = scratch.command(&["build", config, "--force"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("`sha256-file` is the configuration"), "{stderr}");
    assert_eq!(fs::read(scratch.path(config)).unwrap(), before);
}

#[test]
fn quiet_leaves_warnings_and_errors() {
    let scratch = Scratch::new();
    let args = ["mkfs", "ext4", "tree", "out.img", "--quiet", "--exclude=nowhere"];
    let output = succeed(&mut scratch.command(&args));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "warning: --exclude: \"nowhere\" matches no path\n");
    let output = scratch.command(&args).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: the output: ") && stderr.lines().count() == 1, "{stderr}");
    let both = scratch.command(&["mkfs", "ext4", "tree", "new", "-q", "-v"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn colors_are_for_terminals() {
    let scratch = Scratch::new();
    let warning = "mkfs ext4 tree out.img --force -q --exclude=nowhere";
    let colored = "\x1b[1;33mwarning:\x1b[0m --exclude";
    assert!(scratch.on_terminal(&[], warning).starts_with(colored));
    // An empty variable is as good as none.
    assert!(scratch.on_terminal(&[("NO_COLOR", "")], warning).starts_with(colored));
    for variables in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        let said = scratch.on_terminal(&variables, warning);
        assert_eq!(said, "warning: --exclude: \"nowhere\" matches no path\r\n", "{variables:?}");
    }
    let said = scratch.on_terminal(&[], "mkfs ext4 tree out.img");
    assert!(said.starts_with("\x1b[1;31merror:\x1b[0m the output: "), "{said}");
    let output = scratch.command(&["mkfs", "ext4", "tree", "out.img"]).output().unwrap();
    assert!(output.stderr.starts_with(b"error: the output: "));
}

#[test]
fn a_terminal_shows_the_disk_and_the_progress_of_each_phase() {
    let scratch = Scratch::new();
    let phases = ["reading the tree", "scanning", "compressing", "writing and hashing", "flushing"];
    let words = format!("{} --fs=btrfs --compress=zstd --force", DISK.join(" "));
    let said = scratch.on_terminal(&[], &words);
    let mut rest = &*said;
    for phase in phases {
        let at = rest.find(phase).unwrap_or_else(|| panic!("{phase}: {said:?}"));
        rest = &rest[at..];
    }
    let bar = said.lines().find(|line| line.starts_with('|')).unwrap();
    assert_eq!(bar.trim_end().chars().count(), 78, "{bar}");
    assert!(bar.contains('█') && bar.contains('░'), "{bar}");

    let refused = scratch.on_terminal(&[], "mkfs vfat tree - || :");
    assert!(refused.contains("an image is not written to a terminal"), "{refused}");
    assert!(scratch.on_terminal(&[], &format!("{words} --no-sha256")).contains("writing  "));
    let dumb = scratch.on_terminal(&[("TERM", "dumb")], &words);
    let quiet = scratch.on_terminal(&[], &format!("{words} --quiet"));
    let args: Vec<_> = words.split(' ').collect();
    let piped = succeed(&mut scratch.command(&args));
    let piped = String::from_utf8([piped.stderr, piped.stdout].concat()).unwrap();
    let warning =
        "\x1b[1;33mwarning:\x1b[0m efi/EFI/BOOT/BOOTX64.EFI: it is not an EFI program\r\n";
    assert_eq!(quiet, warning);
    for text in [dumb, piped] {
        assert!(phases.iter().all(|phase| !text.contains(phase)), "{text:?}");
        assert!(!text.contains('█') && !text.contains('\x1b') && text.contains("sha256: "));
    }
}
