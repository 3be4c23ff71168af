//! The program under test, run as its users run it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

/// The seed of all test images.
pub const SEED: &str = "11111111-2222-3333-4444-555555555555";

/// Where the program is.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_detfs");

/// A command of the program with nothing in its environment but a PATH.
pub fn detfs(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("PATH", "/usr/bin:/bin").args(args);
    command
}

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The words `--seed SEED --source-date-epoch EPOCH`.
pub fn fixed(epoch: i64) -> Vec<String> {
    vec![format!("--seed={SEED}"), format!("--source-date-epoch={epoch}")]
}

/// `detfs mkimage TREE OUT` with the test seed and options.
pub fn mkimage(tree: &Path, out: &Path, epoch: i64, options: &[&str]) -> Command {
    let mut command = detfs([OsStr::new("mkimage"), tree.as_os_str(), out.as_os_str()]);
    command.args(fixed(epoch)).args(options);
    command
}

/// `detfs mkfs FORMAT TREE OUT` with the test seed and options.
pub fn mkfs(format: &str, tree: &Path, out: &Path, epoch: i64, options: &[&str]) -> Command {
    let mut command =
        detfs([OsStr::new("mkfs"), OsStr::new(format), tree.as_os_str(), out.as_os_str()]);
    command.args(fixed(epoch)).args(options);
    command
}
