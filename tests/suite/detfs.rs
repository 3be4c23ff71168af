//! The program under test, run as users run it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Seed of all test images.
pub const SEED: &str = "11111111-2222-3333-4444-555555555555";

/// Path of the program that is built along with the tests.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_detfs");

/// Environment variable that names another program to test, for example a build for another
/// architecture.
const OTHER: &str = "DETFS";

/// Returns the path of the program under test.
fn program() -> PathBuf {
    match std::env::var_os(OTHER) {
        Some(path) => fs::canonicalize(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")),
        None => PROGRAM.into(),
    }
}

/// Copies [`PROGRAM`], for example for a user who has no access to its directory.
///
/// Another process writes the copy. A file that this process has open for writing may be inherited
/// by a process that another test starts at that moment, and can't be executed until that process
/// closes it.
pub fn copy_program(to: &Path) {
    succeed(Command::new("cp").arg(PROGRAM).arg(to));
}

/// Returns a command that runs the program with only `PATH` in its environment.
pub fn detfs(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    run(&program(), args)
}

/// Returns the same command for [`PROGRAM`], whatever the program under test is.
pub fn native(command: &Command) -> Command {
    let mut native = run(Path::new(PROGRAM), command.get_args());
    native.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    native
}

fn run(program: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").args(args);
    command
}

/// Returns the lines of standard error without the warning that counts what looks like something of
/// the host, which concerns the trees of most tests.
pub fn without_host_warning(stderr: &str) -> String {
    let is_other = |line: &&str| !line.contains(" like something of this host (");
    stderr.split_inclusive('\n').filter(is_other).collect()
}

/// Returns the size in bytes that an error message suggests.
pub fn suggested_size(message: &str) -> u64 {
    let (_, rest) = message.split_once("at least ").unwrap();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let shift = match rest.as_bytes().get(end) {
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        _ => 0,
    };
    rest[..end].parse::<u64>().unwrap() << shift
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

/// Returns the arguments `--seed=SEED --source-date-epoch=EPOCH`.
pub fn fixed(epoch: i64) -> Vec<String> {
    vec![format!("--seed={SEED}"), format!("--source-date-epoch={epoch}")]
}

/// Returns the command `detfs mkimage TREE OUT` with the test seed, the epoch and `options`.
pub fn mkimage(tree: &Path, out: &Path, epoch: i64, options: &[&str]) -> Command {
    let mut command = detfs([OsStr::new("mkimage"), tree.as_os_str(), out.as_os_str()]);
    command.args(fixed(epoch)).args(options);
    command
}

/// Returns the command `detfs mkfs FORMAT TREE OUT` with the test seed, the epoch and `options`.
pub fn mkfs(format: &str, tree: &Path, out: &Path, epoch: i64, options: &[&str]) -> Command {
    let mut command =
        detfs([OsStr::new("mkfs"), OsStr::new(format), tree.as_os_str(), out.as_os_str()]);
    command.args(fixed(epoch)).args(options);
    command
}

/// Returns whether a message is about the usage. Such messages have several lines.
pub fn is_usage(message: &str) -> bool {
    message.starts_with("error: ") && message.ends_with("For more information, try '--help'.\n")
}
