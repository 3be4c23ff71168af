//! Devices with less space than they report, or with old content.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::detfs::{PROGRAM, SEED, detfs, mkfs, mkimage, succeed};
use crate::oracle::{LoopDevice, Mounted, e2fsck, sha256, shell};

const EPOCH: i64 = 1_700_000_000;
const MIB: u64 = 1 << 20;

struct Fixture {
    scratch: TempDir,
    tree: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let tree = scratch.path().join("tree");
        shell("mkdir -p $1/etc; echo NAME=test >$1/etc/os-release", &[&tree]);
        Self { scratch, tree }
    }

    /// Returns a command for each way to create an image of 256 MiB on a device.
    fn commands(&self, device: &Path) -> Vec<Command> {
        let size = ["--size=256M", "--force"];
        let definitions = self.scratch.path().join("repart.d");
        shell(
            "mkdir -p $1; printf '[Partition]\nType=linux-generic\nFormat=ext4\nCopyFiles=/\n' >$1/a.conf",
            &[&definitions],
        );
        let mut repart = detfs(["repart", "--dry-run=no", "--empty=force", "--definitions"]);
        repart.arg(definitions).arg("--copy-source").arg(&self.tree);
        repart.arg(format!("--seed={SEED}")).arg(device);
        vec![
            mkimage(
                &self.tree,
                device,
                EPOCH,
                &["--size=256M", "--force", "--architecture=x86-64"],
            ),
            mkfs("btrfs", &self.tree, device, EPOCH, &size),
            repart,
            mkfs("vfat", &self.tree, device, EPOCH, &size),
            mkfs("ext4", &self.tree, device, EPOCH, &size),
        ]
    }
}

fn allocated(file: &Path) -> u64 {
    fs::metadata(file).unwrap().blocks() * 512
}

/// Returns the same command with failing `fallocate`, as on a device that can't write zeros by
/// itself.
fn without_offload(command: &Command) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", "trace=fallocate"]);
    strace.args(["-e", "inject=fallocate:error=EOPNOTSUPP", PROGRAM]).args(command.get_args());
    strace.env_clear().env("PATH", "/usr/bin:/bin");
    strace
}

#[test]
fn a_sparse_device_stays_sparse() {
    let fixture = Fixture::new();
    let disk = fixture.scratch.path().join("disk");
    for (at, ways) in [(0, &[true, false][..]), (1, &[true]), (2, &[true, false]), (3, &[true])] {
        for &offload in ways {
            shell("rm -f $1; truncate -s 256M $1", &[&disk]);
            let device = LoopDevice::attach(&disk, &[]);
            let mut command = fixture.commands(device.path()).remove(at);
            if !offload {
                command = without_offload(&command);
            }
            succeed(&mut command);
            drop(device);
            assert!(allocated(&disk) < 64 * MIB, "{command:?}: {}", allocated(&disk));
        }
    }
}

#[test]
fn a_device_with_too_little_space_behind_it() {
    let fixture = Fixture::new();
    let small = Mounted::new("tmpfs", "size=48m", None).unwrap();
    let disk = small.path().join("disk");
    shell("truncate -s 256M $1", &[&disk]);
    let device = LoopDevice::attach(&disk, &[]);
    for mut command in fixture.commands(device.path()) {
        succeed(&mut command);
    }
    e2fsck(&disk).unwrap();
}

/// Old bytes are erased whether or not the device can write zeros by itself, and whether or not
/// space is discarded.
#[test]
fn old_bytes_are_gone() {
    let fixture = Fixture::new();
    let (disk, file) = (fixture.scratch.path().join("disk"), fixture.scratch.path().join("file"));
    succeed(&mut mkfs("ext4", &fixture.tree, &file, EPOCH, &["--size=64M"]));
    let hash = sha256(&file);
    for offload in [true, false] {
        shell("tr '\\0' '\\252' </dev/zero | head -c 64M >$1", &[&disk]);
        let device = LoopDevice::attach(&disk, &[]);
        let command = mkfs("ext4", &fixture.tree, device.path(), EPOCH, &["--size=64M"]);
        succeed(&mut if offload { command } else { without_offload(&command) });
        assert_eq!(sha256(device.path()), hash);
    }
    let device = LoopDevice::attach(&disk, &[]);
    for discard in ["yes", "no"] {
        shell("tr '\\0' '\\252' </dev/zero | head -c 64M >$1", &[device.path()]);
        succeed(fixture.commands(device.path()).remove(2).arg(format!("--discard={discard}")));
        shell("sync", &[]);
        assert_eq!(allocated(&disk) > 60 * MIB, discard == "no", "{}", allocated(&disk));
    }
}
