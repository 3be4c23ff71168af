//! Runs external programs in a fixed environment.

use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The output of a program.
#[derive(Debug)]
pub struct Said {
    /// Whether the program exited with status 0.
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// Returns stdout and stderr together, for messages.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a program and waits for it to exit.
///
/// A script that runs `mkfs.btrfs` may run more than once: the program looks at each mounted loop
/// device, and fails if another test detaches one of them meanwhile.
///
/// # Panics
/// If the program is not installed: a missing oracle fails the test.
pub fn run(program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Said {
    let mut command = Command::new(program);
    command.args(args).env("PATH", PATH).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    command.env("MTOOLSRC", "/dev/null");
    // e2fsck uses this as the current time, so that it accepts images whose epoch is in the future.
    command.env("E2FSCK_TIME", "4294967295");
    let mut said = wait_for(program, &mut command);
    for _ in 0..20 {
        if said.ok || !said.stderr.contains("cannot check mount status") {
            break;
        }
        said = wait_for(program, &mut command);
    }
    said
}

fn wait_for(program: &str, command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!(
                "the tests need the program `{program}`, which is not installed; `tests/run` installs it"
            )
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { ok: status.success(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs a shell script, which must succeed, with `args` as `$1` and so on.
///
/// Returns its stdout.
pub fn shell(script: &str, args: &[&Path]) -> String {
    let mut all = vec![OsStr::new("-euc"), OsStr::new(script), OsStr::new("sh")];
    all.extend(args.iter().map(|path| path.as_os_str()));
    let said = run("sh", all);
    assert!(said.ok, "{script}\n{}", said.all());
    said.stdout
}

/// Returns the SHA-256 of a file in hex.
pub fn sha256(file: &Path) -> String {
    let said = run("sha256sum", [OsStr::new("--"), file.as_os_str()]);
    assert!(said.ok, "{}", said.all());
    said.stdout.trim_start_matches('\\').split(' ').next().unwrap().to_owned()
}

/// Inverts the lowest bit of the byte at `offset`.
pub fn flip(image: &Path, offset: u64) {
    let file = File::options().read(true).write(true).open(image).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

/// Panics unless the test runs as root.
pub fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test makes devices, owners or mounts and has to run as root"
    );
}

#[test]
#[should_panic(expected = "which is not installed")]
fn a_missing_program_is_a_failure() {
    run("no-such-oracle", [""; 0]);
}

#[test]
#[should_panic(expected = "No such file")]
fn a_failing_script_is_a_failure() {
    shell("cat /nonexistent", &[]);
}
