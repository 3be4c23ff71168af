//! Standard outputs that are closed, or are closed during the run.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::bad_input::check;
use crate::detfs::{PROGRAM, detfs, mkfs, mkimage, succeed};
use crate::oracle::shell;

const EPOCH: i64 = 1_700_000_000;

fn tree(scratch: &Path) -> PathBuf {
    let tree = scratch.join("tree");
    shell(
        "mkdir -p $1/etc; echo NAME=test >$1/etc/os-release; head -c 1M /dev/urandom >$1/random",
        &[&tree],
    );
    tree
}

/// Returns the same command, run by a shell that redirects its standard output.
fn redirected(command: &Command, redirection: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec \"$@\" {redirection}"), "sh", PROGRAM]);
    shell.args(command.get_args()).env_clear().env("PATH", "/usr/bin:/bin");
    shell
}

#[test]
fn an_image_to_a_closed_standard_output() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = tree(scratch.path());
    let config = scratch.path().join("image.toml");
    let text =
        "source-date-epoch = 1\n[image]\ntree = \"tree\"\nout = \"-\"\narchitecture = \"x86-64\"\n";
    std::fs::write(&config, text).unwrap();
    let mut build = detfs(["build"]);
    build.arg(&config);
    for command in [
        mkimage(&tree, Path::new("-"), EPOCH, &["--architecture=x86-64"]),
        mkfs("ext4", &tree, Path::new("-"), EPOCH, &[]),
        build,
    ] {
        check(
            &mut redirected(&command, ">&-"),
            4,
            &["standard output", "closed", "redirect the output"],
        );
        succeed(&mut redirected(&command, ">/dev/null"));
    }
}

/// Like `yes | head -n 1`: no message, and the status of the signal.
#[test]
fn a_pipe_that_is_closed_early() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = tree(scratch.path());
    for mut command in [
        mkimage(&tree, Path::new("-"), EPOCH, &["--architecture=x86-64", "--normalize=none"]),
        mkfs("btrfs", &tree, Path::new("-"), EPOCH, &[]),
    ] {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 100]).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(Signal::PIPE.as_raw()), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = detfs(["normalize", "--list"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.signal(), Some(Signal::PIPE.as_raw()), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
