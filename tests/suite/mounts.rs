//! File systems that are mounted inside the tree, and directories that are moved while the tree is
//! read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::bad_input::{UNREPRESENTABLE, check};
use crate::detfs::{PROGRAM, mkfs};
use crate::oracle::{require_root, run};

const EPOCH: i64 = 1_700_000_000;

/// Returns a command that runs a script in its own mount namespace, with the directory as `$1` and
/// the program as `$2`.
fn with_mounts(script: &str, directory: &Path) -> Command {
    require_root();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script, "sh"]).arg(directory).arg(PROGRAM);
    command
}

#[test]
fn a_file_system_of_the_kernel_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir_all(scratch.path().join("tree/proc")).unwrap();
    for kind in ["proc", "sysfs", "devpts"] {
        for format in ["ext4", "btrfs"] {
            let script = format!(
                "cd $1; mount -t {kind} none tree/proc; exec $2 mkfs {format} tree out.img"
            );
            let mut command = with_mounts(&script, scratch.path());
            check(&mut command, UNREPRESENTABLE, &["proc: ", kind, "mounted", "unmount"]);
        }
    }
    assert!(!scratch.path().join("out.img").exists());
    // The remedy in the message works.
    let script =
        "cd $1; mount -t proc none tree/proc; exec $2 mkfs ext4 tree out.img --exclude 'proc/**'";
    let output = with_mounts(script, scratch.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(listed(&scratch.path().join("out.img"), "/proc"), [""; 0]);
}

#[test]
fn other_mount_points_are_reported() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir_all(scratch.path().join("tree/data")).unwrap();
    fs::write(scratch.path().join("tree/file"), "").unwrap();
    let script = "cd $1; mount -t tmpfs none tree/data; touch tree/data/inner; \
                  mount --bind /etc/hostname tree/file; exec $2 mkfs ext4 tree out.img";
    let output: Output = with_mounts(script, scratch.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = said.lines().collect();
    let message = "another file system is mounted here, and its content is in the image";
    assert_eq!(lines, [format!("warning: data: {message}"), format!("warning: file: {message}")]);
    assert_eq!(listed(&scratch.path().join("out.img"), "/data"), ["inner"]);
}

/// A directory that is moved while the tree is read is reported as a change of the tree, never as a
/// fault of its file system.
///
/// With `EXCHANGE` the directory always exists, so that most files that are opened below it are
/// about to leave the tree.
#[test]
#[ignore = "takes seconds"]
fn a_directory_that_moves_has_changed() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    for root in ["tree/moving", "outside"] {
        for number in 0..2000 {
            fs::create_dir_all(path(&format!("{root}/deep/deeper/{number}"))).unwrap();
        }
    }
    for flags in [RenameFlags::EXCHANGE, RenameFlags::NOREPLACE] {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (inside, outside) = (path("tree/moving"), path("outside"));
                while !done.load(Ordering::Relaxed) {
                    renameat_with(CWD, &inside, CWD, &outside, flags).unwrap();
                    renameat_with(CWD, &outside, CWD, &inside, flags).unwrap();
                }
            });
            for _ in 0..25 {
                let out = path("out.img");
                let output =
                    mkfs("ext4", &path("tree"), &out, EPOCH, &["--force"]).output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                let changed = said.contains("removed or replaced while");
                if !(output.status.success() || changed) {
                    done.store(true, Ordering::Relaxed);
                    panic!("{said}");
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        // With `NOREPLACE`, which comes next, the directory is missing for a moment.
        fs::remove_dir_all(path("outside")).unwrap_or_default();
    }
}

/// Returns the names in a directory of an ext4 image, as debugfs lists them.
fn listed(image: &Path, directory: &str) -> Vec<String> {
    let request = format!("ls -p {directory}");
    let said = run("debugfs", ["-R".as_ref(), request.as_ref(), image.as_os_str()]);
    assert!(said.ok, "{}", said.all());
    let names = said.stdout.lines().filter_map(|line| line.split('/').nth(5));
    let mut names: Vec<_> = names.filter(|name| !matches!(*name, "." | "..")).collect();
    names.sort();
    names.into_iter().map(str::to_owned).collect()
}
