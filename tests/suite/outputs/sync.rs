//! Outputs that were reported as complete survive a loss of power.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::detfs::{PROGRAM, SEED, detfs, mkfs, mkimage, succeed};
use crate::oracle::{LoopDevice, Mounted, sha256, shell};

const EPOCH: i64 = 1_700_000_000;
const FILE_SYSTEMS: [(&str, &str); 3] = [("ext4", ""), ("xfs", "nouuid"), ("btrfs", "")];

/// A tree on the host's disk, next to the disk image of a mounted file system.
struct Fixture {
    scratch: TempDir,
    kind: &'static str,
    options: &'static str,
    mounted: Mounted,
}

impl Fixture {
    fn new((kind, options): (&'static str, &'static str)) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        shell(
            &format!(
                "cd $1; truncate -s 512M disk; mkfs.{kind} -q disk; mkdir -p tree/etc repart.d
                echo NAME=test >tree/etc/os-release; head -c 8M /dev/urandom >tree/random
                printf '[Partition]\nType=linux-generic\nFormat=ext4\nCopyFiles=/\nSizeMinBytes=24M\n\
                SizeMaxBytes=24M\nSplitName=a\n' >repart.d/10.conf"
            ),
            &[scratch.path()],
        );
        let device = LoopDevice::attach(&scratch.path().join("disk"), &[]);
        let mounted = Mounted::on(kind, "rw", Some(device)).unwrap();
        Self { scratch, kind, options, mounted }
    }

    fn tree(&self) -> PathBuf {
        self.scratch.path().join("tree")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.mounted.path().join(name)
    }

    fn repart(&self, out: &Path, options: &[&str]) -> Command {
        let mut command = detfs(["repart", "--dry-run=no", "--definitions"]);
        command.arg(self.scratch.path().join("repart.d")).arg("--copy-source").arg(self.tree());
        command.arg(format!("--seed={SEED}")).args(options).arg(out);
        command.env("SOURCE_DATE_EPOCH", EPOCH.to_string());
        command
    }

    /// Runs a command and simulates a loss of power: only the content of the disk at the end of the
    /// command remains.
    ///
    /// Checks that the files are unchanged after that.
    fn survive(self, mut command: Command, names: &[&str]) {
        succeed(&mut command);
        // A sync by another program may write names to the disk without their content.
        File::create(self.out("other")).unwrap().sync_all().unwrap();
        let copy = self.scratch.path().join("copy");
        shell("cp --sparse=always $1/disk $2", &[self.scratch.path(), &copy]);
        let expected: Vec<_> = names.iter().map(|name| sha256(&self.out(name))).collect();
        let Self { scratch, kind, options, mounted } = self;
        drop(mounted);
        let copied = Mounted::new(kind, options, Some(&copy)).unwrap();
        for (name, expected) in names.iter().zip(expected) {
            let path = copied.path().join(name);
            assert!(path.exists(), "{kind}: {name} is not there: {command:?}");
            assert_eq!(sha256(&path), expected, "{kind}: {name}: {command:?}");
        }
        drop(copied);
        drop(scratch);
    }
}

#[test]
fn a_new_image_with_its_manifest() {
    for file_system in FILE_SYSTEMS {
        let fixture = Fixture::new(file_system);
        let mut command =
            mkimage(&fixture.tree(), &fixture.out("image"), EPOCH, &["--architecture=x86-64"]);
        command.arg("--manifest").arg(fixture.out("manifest"));
        fixture.survive(command, &["image", "manifest"]);
    }
}

#[test]
fn an_image_that_replaces_another() {
    for file_system in FILE_SYSTEMS {
        let fixture = Fixture::new(file_system);
        shell("head -c 16M /dev/urandom >$1; sync", &[&fixture.out("image")]);
        let command = mkfs("btrfs", &fixture.tree(), &fixture.out("image"), EPOCH, &["--force"]);
        fixture.survive(command, &["image"]);
    }
}

#[test]
fn an_image_with_split_files() {
    for file_system in FILE_SYSTEMS {
        let fixture = Fixture::new(file_system);
        let options = ["--empty=create", "--size=auto", "--split=yes"];
        let command = fixture.repart(&fixture.out("image.raw"), &options);
        fixture.survive(command, &["image.raw", "image.a.raw"]);
    }
}

#[test]
fn an_image_that_is_extended() {
    for file_system in FILE_SYSTEMS {
        let fixture = Fixture::new(file_system);
        let image = fixture.out("image.raw");
        succeed(&mut fixture.repart(&image, &["--empty=create", "--size=auto"]));
        shell(
            "sync; cp $1 $2",
            &[
                &fixture.scratch.path().join("repart.d/10.conf"),
                &fixture.scratch.path().join("repart.d/20.conf"),
            ],
        );
        let command = fixture.repart(&image, &["--size=80M"]);
        fixture.survive(command, &["image.raw"]);
    }
}

/// Content is written before partition tables, and the backup table before the primary one.
#[test]
fn an_image_in_place_is_written_in_an_order_that_survives() {
    let fixture = Fixture::new(FILE_SYSTEMS[0]);
    let image = fixture.out("image.raw");
    succeed(&mut fixture.repart(&image, &["--empty=create", "--size=80M"]));
    let repart_d = fixture.scratch.path().join("repart.d");
    shell("cp $1/10.conf $1/20.conf", &[&repart_d]);
    let calls = traced(&fixture.repart(&image, &[]));
    let step = |call: &String| -> &'static str {
        let offset: Option<u64> = call
            .strip_suffix(')')
            .and_then(|call| call.rsplit_once(", "))
            .and_then(|(_, at)| at.parse().ok());
        match offset {
            _ if call.starts_with("fsync") => "sync",
            Some(0..0x10_0000) => "primary",
            // The free space before the backup table is cleared together with the content.
            Some(offset) if offset >= (80 << 20) - 33 * 512 => "backup",
            _ => "content",
        }
    };
    let mut steps: Vec<_> =
        calls.iter().filter(|call| call.contains("image.raw")).map(step).collect();
    steps.dedup();
    assert_eq!(steps, ["content", "sync", "backup", "sync", "primary", "sync"], "{calls:#?}");
}

#[test]
fn nothing_is_synced_without_sync() {
    let fixture = Fixture::new(FILE_SYSTEMS[0]);
    let config = fixture.scratch.path().join("image.toml");
    let text = format!(
        "source-date-epoch = {EPOCH}\n[image]\ntree = \"tree\"\nout = {:?}\narchitecture = \"x86-64\"\n",
        fixture.out("c")
    );
    fs::write(&config, text).unwrap();
    let tree = fixture.tree();
    let synced = |command: &Command| traced(command).iter().any(|call| call.contains("sync"));
    let image = |name: &str, options: &[&str]| {
        mkimage(&tree, &fixture.out(name), EPOCH, &[&["--architecture=x86-64"], options].concat())
    };
    assert!(synced(&image("a", &[])));
    assert!(!synced(&image("b", &["--no-sync"])));
    let mut build = detfs([OsStr::new("build"), config.as_os_str()]);
    assert!(!synced(build.arg("--no-sync")));
    assert!(!synced(&mkfs(
        "vfat",
        &fixture.scratch.path().join("repart.d"),
        &fixture.out("d"),
        EPOCH,
        &["--no-sync"]
    )));
    let new = ["--empty=create", "--size=auto", "--split=yes"];
    assert!(!synced(fixture.repart(&fixture.out("e"), &new).env("DETFS_REPART_SYNC", "no")));
}

/// Returns the system calls of a command that write or sync, with the paths of files.
fn traced(command: &Command) -> Vec<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "0", "-e", "trace=pwrite64,fsync,fdatasync,sync,syncfs", "-o"]);
    strace.arg(log.path()).arg(PROGRAM).args(command.get_args()).env_clear();
    strace.env("PATH", "/usr/bin:/bin");
    strace.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    succeed(&mut strace);
    let text = fs::read_to_string(log.path()).unwrap();
    let calls = text.lines().filter_map(|line| line.split_once(' ')).map(|(_, call)| call.trim());
    let calls = calls.filter_map(|call| Some(call.rsplit_once(" = ")?.0.trim().to_owned()));
    calls.collect()
}
